/* SPDX-License-Identifier: MIT
 *
 * The bytes that stand for themselves between quotes, in JSON as in text: printable ASCII but '"'
 * and the backslash; and those that need no quotes in text. PURE, and inlined: every byte of every
 * record passes here.
 */
#ifndef LOG_PLAIN_H
#define LOG_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const bool plain_bytes[256] = {
    [' '] = true,
    ['!'] = true,
    ['#' ... '['] = true,
    [']' ... '~'] = true,
};

static inline bool plain_byte(unsigned char byte)
{
    return plain_bytes[byte];
}

/* Of those, the ones that also need no quotes in text. */
static inline bool bare_byte(unsigned char byte)
{
    return plain_bytes[byte] && byte != ' ' && byte != '=';
}

/* The same for eight at once: no byte of the word sets its top bit in any of the terms. A borrow or
 * carry can only come from a byte that is itself not plain. */
static inline bool plain_eight(uint64_t word, bool bare)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t below = word - ones * (bare ? '!' : ' ');
    uint64_t quote = (word ^ ones * '"') - ones;
    uint64_t backslash = (word ^ ones * '\\') - ones;
    uint64_t equals = bare ? (word ^ ones * '=') - ones : 0;
    uint64_t delete = word + ones;
    return ((below | quote | backslash | equals | delete | word) & ones * 0x80) == 0;
}

/* Copies eight bytes when all of them are plain. */
static inline bool copy_eight(char *to, const char *from, bool bare)
{
    uint64_t word;
    memcpy(&word, from, 8);
    if (!plain_eight(word, bare))
        return false;
    memcpy(to, &word, 8);
    return true;
}

/* The same for four to seven: as two halves that may overlap. */
static inline bool copy_short(char *to, const char *from, size_t size, bool bare)
{
    uint32_t first, last;
    memcpy(&first, from, 4);
    memcpy(&last, from + size - 4, 4);
    if (!plain_eight((uint64_t)last << 32 | first, bare))
        return false;
    memcpy(to, &first, 4);
    memcpy(to + size - 4, &last, 4);
    return true;
}

/* Copies the bytes before the first one that is not of the kind, at most `size`; returns how many.
 */
static inline __attribute__((always_inline)) size_t copy_kind(char *to, const char *from,
                                                              size_t size, bool bare)
{
    size_t i = 0;
    if (size >= 4 && size < 8 && copy_short(to, from, size, bare))
        return size;
    while (size - i >= 8 && copy_eight(to + i, from + i, bare))
        i += 8;
    /* The last eight once more, together with those before them. */
    if (i > 0 && size - i < 8 && copy_eight(to + size - 8, from + size - 8, bare))
        return size;
    for (; i < size; i++) {
        unsigned char byte = (unsigned char)from[i];
        if (!(bare ? bare_byte(byte) : plain_byte(byte)))
            break;
        to[i] = from[i];
    }
    return i;
}

static inline size_t plain_copy(char *to, const char *from, size_t size)
{
    return copy_kind(to, from, size, false);
}

static inline size_t bare_copy(char *to, const char *from, size_t size)
{
    return copy_kind(to, from, size, true);
}

#endif
