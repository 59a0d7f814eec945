/* SPDX-License-Identifier: MIT
 *
 * The text of W3C Baggage: key=value;property, members with commas between, values percent-encoded.
 * Members that are wrong are left out; what is too long or has too many members is not read at all,
 * for it comes from anybody. PURE.
 */
#ifndef TELEMETRY_BAGGAGE_H
#define TELEMETRY_BAGGAGE_H

#include <srun/propagation.h>
#include <stdbool.h>

struct baggage {
    struct baggage_member {
        const char *key, *value, *metadata; /* as they are sent; metadata without its first ; */
        size_t key_size, value_size, metadata_size;
    } members[SRUN_BAGGAGE_MEMBERS];
    size_t count;
    bool too_much;
};

/* Adds the members of a text, which is borrowed. Of those with the same key the last one counts. */
void baggage_add(struct baggage *baggage, const char *text, size_t size);

/* Its place, or count. */
size_t baggage_find(const struct baggage *baggage, const char *key, size_t size);
void baggage_remove(struct baggage *baggage, size_t at);

/* Is it a key: a token of HTTP? */
bool baggage_is_key(const char *key, size_t size);
/* Are these properties, all of them? */
bool baggage_is_metadata(const char *text, size_t size);

/* The value for people, with a NUL: what is not UTF-8 becomes U+FFFD. Returns its size;
 * copied only when it fits, else out is "". */
size_t baggage_decode(const struct baggage_member *member, char *out, size_t size);

/* The value for the wire. Its size, or capacity + 1 when that is not enough. */
size_t baggage_encode(const char *value, char *out, size_t capacity);

/* All of it; the size, 0 when it is too much. */
size_t baggage_text(const struct baggage *baggage, char out[SRUN_BAGGAGE_MAX + 1]);

#endif
