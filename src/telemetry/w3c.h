/* SPDX-License-Identifier: MIT
 *
 * The texts of W3C Trace Context Level 2: traceparent and tracestate. What comes in is checked
 * strictly, for it comes from anybody; what goes out is made from what was understood, never the
 * text that came. PURE.
 */
#ifndef TELEMETRY_W3C_H
#define TELEMETRY_W3C_H

#include <srun/propagation.h>
#include <stdbool.h>

/* Fills in ids and flags. False: not valid, out is as it was. Higher versions than 00 are read by
 * what they have in common with it. */
bool w3c_parse(struct srun_span_context *out, const char *text, size_t size);

void w3c_format(const struct srun_span_context *context, char out[SRUN_TRACEPARENT_SIZE]);

bool w3c_is_zero(const uint8_t *bytes, size_t size);
void w3c_hex(char *out, const uint8_t *bytes, size_t size); /* and a NUL */

/* A tracestate that is put together from one or several headers: out has SRUN_TRACESTATE_MAX + 1
 * bytes. Members that come twice are taken once, those that do not fit go: first the long ones. */
struct w3c_state {
    struct w3c_member {
        const char *at;
        size_t size, key_size;
    } members[32];
    size_t count;
    bool invalid; /* all of it */
};

/* Adds the members of a header, whose text is borrowed. */
void w3c_state_add(struct w3c_state *state, const char *text, size_t size);

/* Removes a key, in the end puts it first with this value; value NULL: removes it only. member is
 * what it is written to, of W3C_MEMBER_MAX. 0, -EINVAL, -E2BIG. */
#define W3C_MEMBER_MAX 514
int w3c_state_set(struct w3c_state *state, const char *key, const char *value,
                  char member[W3C_MEMBER_MAX]);

/* Its text; the size, 0 when it is invalid. */
size_t w3c_state_text(struct w3c_state *state, char out[SRUN_TRACESTATE_MAX + 1]);

#endif
