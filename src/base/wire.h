/* SPDX-License-Identifier: MIT
 *
 * Protobuf, written and read. What is written is what proto3 says is smallest: fields that have
 * their default are left out, lengths take the fewest bytes. Text that is not UTF-8 would make a
 * receiver refuse the whole message, so each bad byte becomes U+FFFD. Out of memory is remembered
 * by the buf. The reader never goes past its end. PURE.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Left out when zero. */
void wire_uint(struct buf *out, uint32_t field, uint64_t value);
void wire_sint(struct buf *out, uint32_t field, int32_t value);
void wire_fixed32(struct buf *out, uint32_t field, uint32_t value);
void wire_fixed64(struct buf *out, uint32_t field, uint64_t value);
/* Left out when empty. NULL is empty. */
void wire_text(struct buf *out, uint32_t field, const char *text);

/* Members of a oneof, and optional ones: written also when zero or empty. */
void wire_uint_always(struct buf *out, uint32_t field, uint64_t value);
void wire_fixed64_always(struct buf *out, uint32_t field, uint64_t value);
void wire_double_always(struct buf *out, uint32_t field, double value);
void wire_text_always(struct buf *out, uint32_t field, const char *text, size_t size);
void wire_bytes_always(struct buf *out, uint32_t field, const void *data, size_t size);

/* The message {1: key, 2: {1: text}}, which most attributes are; both are UTF-8 and not checked. */
void wire_pair(struct buf *out, uint32_t field, const char *key, size_t key_size, const char *text,
               size_t text_size);

/* Packed arrays. Left out when empty. */
void wire_packed_fixed64(struct buf *out, uint32_t field, const void *values, size_t count);
void wire_packed_uint(struct buf *out, uint32_t field, const uint64_t *values, size_t count);

/* A message within: open, its fields, close. Guess how many bytes its length will take (1 below
 * 128 bytes, 2 below 16 KiB, ...): a wrong guess costs a move of what is inside. */
struct wire_mark {
    size_t at, guess;
};
struct wire_mark wire_open(struct buf *out, uint32_t field, size_t guess);
void wire_close(struct buf *out, struct wire_mark mark);

/* True when all of it is UTF-8. */
bool wire_is_utf8(const char *text, size_t size);

/* --- reading --------------------------------------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_reader {
    const unsigned char *at, *end;
    bool bad; /* it was no protobuf */
};

/* data may be NULL when there is nothing. */
static inline struct wire_reader wire_reader(const void *data, size_t size)
{
    struct wire_reader in = {.at = data, .end = data};
    if (size > 0)
        in.end += size;
    return in;
}

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value; /* of all but WIRE_BYTES */
    const unsigned char *data;
    size_t size;
};

/* The next field; false at the end, or when the rest is no protobuf (then `bad` is set). */
bool wire_next(struct wire_reader *in, struct wire_field *out);

#endif
