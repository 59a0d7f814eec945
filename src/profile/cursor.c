/* SPDX-License-Identifier: MIT */
#include "profile/cursor.h"

static bool cursor_has(struct cursor *in, uint64_t size)
{
    if (in->bad || size > (uint64_t)(in->end - in->at))
        in->bad = true;
    return !in->bad;
}

void cursor_skip(struct cursor *in, uint64_t size)
{
    if (!cursor_has(in, size))
        return;
    in->at += size;
    in->address += size;
}

uint64_t cursor_take(struct cursor *in, size_t size)
{
    uint64_t value = 0;
    if (!cursor_has(in, size))
        return 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in->at[i] << (8 * i);
    cursor_skip(in, size);
    return value;
}

uint64_t cursor_uleb(struct cursor *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; cursor_has(in, 1); shift += 7) {
        unsigned char byte = (unsigned char)cursor_take(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

int64_t cursor_sleb(struct cursor *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; cursor_has(in, 1);) {
        unsigned char byte = (unsigned char)cursor_take(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (byte >= 0x80)
            continue;
        if (shift < 64 && (byte & 0x40) != 0)
            value |= UINT64_MAX << shift;
        break;
    }
    return (int64_t)value;
}

struct cursor cursor_part(struct cursor *in, uint64_t size)
{
    struct cursor out = {.bad = true};
    if (cursor_has(in, size))
        out = (struct cursor){.at = in->at, .end = in->at + size, .address = in->address};
    cursor_skip(in, size);
    return out;
}

/* The bits between the width and the one for indirect ones say what it counts from. */
enum { WIDTH = 0x0f, FROM = 0x70, FROM_HERE = 0x10 };

uint64_t cursor_pointer(struct cursor *in, unsigned char encoding)
{
    uint64_t here = in->address, value;
    switch (encoding & WIDTH) {
    case 0x00: /* as wide as a pointer */
    case 0x04:
    case 0x0c:
        value = cursor_take(in, 8);
        break;
    case 0x02:
        value = cursor_take(in, 2);
        break;
    case 0x03:
        value = cursor_take(in, 4);
        break;
    case 0x0a:
        value = (uint64_t)(int16_t)cursor_take(in, 2);
        break;
    case 0x0b:
        value = (uint64_t)(int32_t)cursor_take(in, 4);
        break;
    default:
        in->bad = true;
        return 0;
    }
    if ((encoding & FROM) == FROM_HERE)
        return value + here;
    in->bad |= (encoding & FROM) != 0;
    return value;
}
