/* SPDX-License-Identifier: MIT
 *
 * The bounded buffer the encoders write to. Pieces go in whole or not at all; the first one that
 * does not fit sets `cut`, and from then on only the tail is written: OUT_RESERVE bytes at the end
 * are kept for closing quotes, the truncation mark and the newline. PURE.
 */
#ifndef LOG_OUT_H
#define LOG_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define OUT_RESERVE 32

struct out {
    char *at;
    char *limit; /* where the reserve begins */
    bool cut;
};

static inline struct out out_over(char *buffer, size_t capacity)
{
    return (struct out){.at = buffer, .limit = buffer + capacity - OUT_RESERVE, .cut = false};
}

/* A closing quote may already stand in the reserve. */
static inline size_t out_room(const struct out *out)
{
    return out->at < out->limit ? (size_t)(out->limit - out->at) : 0;
}

static inline bool out_fits(struct out *out, size_t size)
{
    if (out_room(out) >= size)
        return true;
    out->cut = true;
    return false;
}

static inline bool out_put(struct out *out, const char *data, size_t size)
{
    if (!out_fits(out, size))
        return false;
    // cppcheck-suppress uninitvar ; data is filled while its size is computed, in the same call
    memcpy(out->at, data, size);
    out->at += size;
    return true;
}

/* The encoders work on a copy, which stays in registers as no other function has its address. It
 * comes and goes member by member: a whole would have to wait until its parts, just written, have
 * reached the cache. */
static inline struct out out_borrow(const struct out *out)
{
    return (struct out){.at = out->at, .limit = out->limit, .cut = out->cut};
}

static inline void out_return(struct out *out, const struct out *copy)
{
    out->at = copy->at;
    out->cut = copy->cut;
}

/* A literal that must be there even after a cut: it may use the reserve. */
#define OUT_TAIL(out, literal) out_tail((out), (literal), sizeof(literal) - 1)

#define OUT_LITERAL(out, literal) out_put((out), (literal), sizeof(literal) - 1)

static inline void out_tail(struct out *out, const char *data, size_t size)
{
    memcpy(out->at, data, size);
    out->at += size;
}

#endif
