/* SPDX-License-Identifier: MIT
 *
 * Sets of attributes: their hash and whether two are the same (whatever the order; the last of two
 * with one key counts), straight from where the caller has them, and the bytes to keep of a new
 * one; and a set as Prometheus writes it. PURE; allocates nothing but the text.
 */
#ifndef TELEMETRY_LABELS_H
#define TELEMETRY_LABELS_H

#include "base/buf.h"

#include <srun/log.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LABELS_MAX 64             /* in a set */
#define LABELS_SIZE_MAX (1 << 20) /* bytes of a set */

/* One attribute, borrowed. */
struct labels_item {
    const char *key;
    const void *value; /* text; NULL: number */
    uint64_t number;
    uint64_t prefix; /* the first bytes of the key, as a number that sorts as they do */
    uint64_t head;   /* the type and both sizes */
};

struct labels {
    uint64_t hash;
    size_t size; /* of the bytes to keep */
    unsigned count;
    struct labels_item items[LABELS_MAX]; /* by key */
};

/* Borrows from kvs. keep: NULL-ended, the only keys that count; NULL: all. False: too many, or too
 * long. */
bool labels_read(struct labels *labels, const struct srun_kv *kvs, const char *const *keep,
                 uint64_t seed);

/* The attributes whose keys are not among these, in their order. False: more than LABELS_MAX. */
bool labels_others(const struct srun_kv *kvs, const char *const *keep,
                   struct srun_kv out[LABELS_MAX + 1]);

/* Its bytes, so many as it says. */
void labels_keep(const struct labels *labels, unsigned char *out);

/* Is it the set that was kept with the same size and count? */
bool labels_are(const struct labels *labels, const unsigned char *kept);

/* The set as an array of count + 1, sorted by key, that borrows from what was kept. Values are STR
 * (BYTES when they hold a NUL), INT, UINT (when over INT64_MAX), DOUBLE or BOOL. */
void labels_list(const unsigned char *data, unsigned count, struct srun_kv *out);

/* a="1",b="2": names with what Prometheus does not know replaced by _ (values of names that become
 * the same are joined by ;), values escaped. le and otel_scope_... get exported_ in front. */
void labels_text(struct buf *out, const struct srun_kv *kvs);

/* Between quotes: \ " and line breaks are escaped, what is not UTF-8 becomes U+FFFD, NUL too. */
void labels_value(struct buf *out, const char *value, size_t size);

#endif
