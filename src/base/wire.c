/* SPDX-License-Identifier: MIT
 *
 * Varints, fixed numbers and lengths, little-endian on every machine. Any thread.
 */
#include "base/wire.h"

#include "base/text.h"

#include <string.h>

#define VARINT_MAX 10
#define TAG_MAX 5

static size_t put_varint(char *at, uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        at[size++] = (char)(value | 0x80);
    at[size++] = (char)value;
    return size;
}

static size_t varint_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

static void put_little(char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (char)(value >> (8 * i));
}

/* Writes the tag and makes sure that `more` bytes fit behind it. NULL: out of memory. */
static char *tag(struct buf *out, uint32_t field, enum wire_type type, size_t more)
{
    if (!buf_reserve(out, more + TAG_MAX))
        return NULL;
    out->size += put_varint(out->data + out->size, (uint64_t)field << 3 | (uint64_t)type);
    return out->data + out->size;
}

void wire_uint_always(struct buf *out, uint32_t field, uint64_t value)
{
    char *at = tag(out, field, WIRE_VARINT, VARINT_MAX);
    if (at != NULL)
        out->size += put_varint(at, value);
}

void wire_uint(struct buf *out, uint32_t field, uint64_t value)
{
    if (value != 0)
        wire_uint_always(out, field, value);
}

void wire_sint(struct buf *out, uint32_t field, int32_t value)
{
    uint32_t sign = value < 0 ? UINT32_MAX : 0;
    wire_uint(out, field, ((uint32_t)value << 1) ^ sign);
}

void wire_fixed32(struct buf *out, uint32_t field, uint32_t value)
{
    char *at = value != 0 ? tag(out, field, WIRE_FIXED32, 4) : NULL;
    if (at == NULL)
        return;
    put_little(at, value, 4);
    out->size += 4;
}

void wire_fixed64_always(struct buf *out, uint32_t field, uint64_t value)
{
    char *at = tag(out, field, WIRE_FIXED64, 8);
    if (at == NULL)
        return;
    put_little(at, value, 8);
    out->size += 8;
}

void wire_fixed64(struct buf *out, uint32_t field, uint64_t value)
{
    if (value != 0)
        wire_fixed64_always(out, field, value);
}

void wire_double_always(struct buf *out, uint32_t field, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    wire_fixed64_always(out, field, bits);
}

/* The tag and the length; the caller fills in so many bytes. */
static char *lengthy(struct buf *out, uint32_t field, size_t size)
{
    char *at = size < SIZE_MAX / 2 ? tag(out, field, WIRE_BYTES, size + VARINT_MAX) : NULL;
    if (at == NULL) {
        out->failed = true;
        return NULL;
    }
    size_t head = put_varint(at, size);
    out->size += head + size;
    return at + head;
}

void wire_bytes_always(struct buf *out, uint32_t field, const void *data, size_t size)
{
    char *at = lengthy(out, field, size);
    if (at != NULL && size > 0)
        memcpy(at, data, size);
}

/* Most text is ASCII, which eight bytes at a time can show. */
bool wire_is_utf8(const char *text, size_t size)
{
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t eight = 0;
        memcpy(&eight, text + at, sizeof eight);
        if ((eight & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (at < size && (unsigned char)text[at] < 0x80)
        at++;
    return at == size || text_utf8_until(text + at, size - at) == size - at;
}

static void repaired(struct buf *out, uint32_t field, const char *text, size_t size)
{
    struct wire_mark mark = wire_open(out, field, 2);
    while (size > 0) {
        size_t good = text_utf8_until(text, size);
        buf_add(out, text, good);
        text += good;
        size -= good;
        if (size > 0) {
            buf_add(out, "\xef\xbf\xbd", 3);
            text++;
            size--;
        }
    }
    wire_close(out, mark);
}

void wire_text_always(struct buf *out, uint32_t field, const char *text, size_t size)
{
    if (wire_is_utf8(text, size))
        wire_bytes_always(out, field, text, size);
    else
        repaired(out, field, text, size);
}

void wire_text(struct buf *out, uint32_t field, const char *text)
{
    if (text != NULL && text[0] != '\0')
        wire_text_always(out, field, text, strlen(text));
}

static char *put_text(char *at, uint32_t field, const char *text, size_t size)
{
    *at++ = (char)(field << 3 | WIRE_BYTES);
    at += put_varint(at, size);
    memcpy(at, text, size);
    return at + size;
}

/* All lengths are known beforehand: nothing is moved, and room is asked for once. */
void wire_pair(struct buf *out, uint32_t field, const char *key, size_t key_size, const char *text,
               size_t text_size)
{
    if (text_size > SIZE_MAX / 4 || key_size > SIZE_MAX / 4) {
        out->failed = true;
        return;
    }
    size_t value = 1 + varint_size(text_size) + text_size;
    size_t size = 1 + varint_size(key_size) + key_size + 1 + varint_size(value) + value;
    char *at = lengthy(out, field, size);
    if (at == NULL)
        return;
    at = put_text(at, 1, key, key_size);
    *at++ = (char)(2 << 3 | WIRE_BYTES);
    at += put_varint(at, value);
    (void)put_text(at, 1, text, text_size);
}

void wire_packed_fixed64(struct buf *out, uint32_t field, const void *values, size_t count)
{
    char *at = count > 0 ? lengthy(out, field, count * 8) : NULL;
    for (size_t i = 0; at != NULL && i < count; i++) {
        uint64_t bits = 0;
        memcpy(&bits, (const char *)values + i * 8, sizeof bits);
        put_little(at + i * 8, bits, 8);
    }
}

void wire_packed_uint(struct buf *out, uint32_t field, const uint64_t *values, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += varint_size(values[i]);
    char *at = count > 0 ? lengthy(out, field, size) : NULL;
    for (size_t i = 0; at != NULL && i < count; i++)
        at += put_varint(at, values[i]);
}

struct wire_mark wire_open(struct buf *out, uint32_t field, size_t guess)
{
    if (tag(out, field, WIRE_BYTES, guess) != NULL)
        out->size += guess;
    return (struct wire_mark){.at = out->size, .guess = guess};
}

void wire_close(struct buf *out, struct wire_mark mark)
{
    if (out->failed)
        return;
    size_t size = out->size - mark.at;
    size_t head = varint_size(size);
    if (head > mark.guess && !buf_reserve(out, head - mark.guess))
        return;
    char *start = out->data + mark.at - mark.guess;
    if (head != mark.guess && size > 0)
        memmove(start + head, start + mark.guess, size);
    (void)put_varint(start, size);
    out->size = mark.at - mark.guess + head + size;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool take_varint(struct wire_reader *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; in->at < in->end; shift += 7) {
        unsigned char byte = *in->at++;
        if (shift == 63 && byte > 1) /* so there is no byte after it either */
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take_little(struct wire_reader *in, size_t size, uint64_t *out)
{
    if ((size_t)(in->end - in->at) < size)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in->at[i] << (8 * i);
    in->at += size;
    *out = value;
    return true;
}

static bool take_bytes(struct wire_reader *in, struct wire_field *out)
{
    uint64_t size = 0;
    if (!take_varint(in, &size) || size > (uint64_t)(in->end - in->at))
        return false;
    out->data = in->at;
    out->size = (size_t)size;
    in->at += out->size;
    return true;
}

static bool take_field(struct wire_reader *in, struct wire_field *out)
{
    uint64_t key = 0;
    if (!take_varint(in, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return false;
    out->number = (uint32_t)(key >> 3);
    out->type = (enum wire_type)(key & 7);
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(in, &out->value);
    case WIRE_FIXED64:
        return take_little(in, 8, &out->value);
    case WIRE_FIXED32:
        return take_little(in, 4, &out->value);
    case WIRE_BYTES:
        return take_bytes(in, out);
    default: /* groups, which proto3 does not have */
        return false;
    }
}

bool wire_next(struct wire_reader *in, struct wire_field *out)
{
    *out = (struct wire_field){0};
    if (in->bad || in->at == in->end)
        return false;
    in->bad = !take_field(in, out);
    return !in->bad;
}
