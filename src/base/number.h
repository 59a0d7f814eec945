/* SPDX-License-Identifier: MIT
 *
 * Numbers as text, without printf and without the locale. PURE. Each writes at most NUMBER_MAX
 * bytes, no NUL, and returns how many.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NUMBER_MAX 32

extern const char number_pairs[]; /* "000102...99" */

/* Exactly `width` digits, with leading zeros. */
static inline void number_padded(char *at, uint32_t value, int width)
{
    for (; width >= 2; width -= 2, value /= 100)
        memcpy(at + width - 2, number_pairs + value % 100 * 2, 2);
    if (width == 1)
        at[0] = (char)('0' + value % 10);
}

/* Nine digits, as two halves that do not wait for each other, and one. */
static inline void number_nine(char *at, uint32_t value)
{
    uint32_t upper = value / 10000;
    at[0] = (char)('0' + upper / 10000);
    number_padded(at + 1, upper % 10000, 4);
    number_padded(at + 5, value % 10000, 4);
}

/* How many decimal digits: the number of bits times log10(2), corrected by one comparison. */
static inline size_t number_digits(uint64_t value)
{
    static const uint64_t powers[] = {0,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000,
                                      10000000000000000000u};
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned guess = bits * 1233 >> 12;
    return guess + (value >= powers[guess]);
}

static inline size_t number_uint(char *at, uint64_t value)
{
    size_t size = value == 0 ? 1 : number_digits(value);
    size_t i = size;
    for (; i >= 2; value /= 100) {
        i -= 2;
        memcpy(at + i, number_pairs + value % 100 * 2, 2);
    }
    if (i == 1)
        at[0] = (char)('0' + value);
    return size;
}

static inline size_t number_int(char *at, int64_t value)
{
    if (value >= 0)
        return number_uint(at, (uint64_t)value);
    *at = '-';
    return 1 + number_uint(at + 1, 0 - (uint64_t)value);
}

/* The shortest digits that read back as the same double; laid out as Go's slog does in text (%g:
 * 1e+06) and in JSON (1000000, 1e+21). NaN, +Inf and -Inf come without quotes. */
size_t number_double_text(char *at, double value);
size_t number_double_json(char *at, double value);

#endif
