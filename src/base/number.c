/* SPDX-License-Identifier: MIT
 *
 * Integers two digits at a time, and doubles by their shortest round trip. PURE: any thread.
 *
 * Most doubles that people log are short decimals: those are found by arithmetic alone. The rest
 * go through printf and strtod, whose decimal point may be the locale's: only digits and the
 * exponent are taken from it, so the result never depends on the locale.
 */
#include "base/number.h"

#include "base/ensure.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char number_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

/* value = 0.d1d2d3... * 10^point */
struct decimal {
    char digits[24];
    int count;
    int point;
};

static void drop_trailing_zeros(struct decimal *decimal)
{
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

/* Decimals of at most 15 digits name distinct doubles, so one that reads back is, without its
 * trailing zeros, the shortest. Both operands of the division are exact, so the quotient is what
 * strtod would answer. */
static bool short_decimal(double value, struct decimal *out)
{
    static const struct scale {
        double power;
        int places;
    } scales[] = {{1e5, 5}, {1e10, 10}, {1e15, 15}, {1, 0}};

    for (size_t i = 0; i < COUNT_OF(scales); i++) {
        double scaled = value * scales[i].power;
        if (scaled >= 1e15)
            continue;
        int64_t whole = (int64_t)(scaled + 0.5);
        if ((double)whole / scales[i].power == value) {
            out->count = (int)number_uint(out->digits, (uint64_t)whole);
            out->point = out->count - scales[i].places;
            drop_trailing_zeros(out);
            return true;
        }
    }
    return false;
}

static void read_printed(const char *text, struct decimal *out)
{
    const char *exponent = text + strcspn(text, "e");
    out->count = 0;
    for (; text < exponent; text++) {
        if ((unsigned)(*text - '0') < 10) /* and not the locale's point */
            out->digits[out->count++] = *text;
    }
    out->point = (int)strtol(exponent + 1, NULL, 10) + 1; /* at most three digits */
    drop_trailing_zeros(out);
}

/* Below a power of two doubles stand closer than above it, so the nearest decimal may lie outside
 * while the next one up still reads back. A last digit 9 would have been found one digit shorter.
 */
static bool reads_back(char *text, double value)
{
    char *last = text + strcspn(text, "e") - 1;
    if (strtod(text, NULL) == value)
        return true;
    if (*last == '9')
        return false;
    ++*last;
    return strtod(text, NULL) == value;
}

/* Subnormal numbers have few digits of their own; all others need at least 15 to be tried. 17
 * always do. */
static void long_decimal(double value, struct decimal *out)
{
    char text[40];
    int precision = value < DBL_MIN ? 0 : 14;
    for (; precision <= 16; precision++) { /* GCOV_EXCL_BR_LINE: with 17 digits each reads back */
        (void)snprintf(text, sizeof text, "%.*e", precision, value);
        if (reads_back(text, value))
            break;
    }
    read_printed(text, out);
}

/* value > 0 and finite */
static void shortest(double value, struct decimal *out)
{
    if (!short_decimal(value, out))
        long_decimal(value, out);
}

static char *put_zeros(char *at, int count)
{
    for (; count > 0; count--)
        *at++ = '0';
    return at;
}

static char *put_digits(char *at, const char *digits, int count)
{
    memcpy(at, digits, (size_t)count);
    return at + count;
}

static char *put_plain(char *at, const struct decimal *decimal)
{
    int whole = decimal->point < decimal->count ? decimal->point : decimal->count;
    if (whole <= 0) {
        *at++ = '0';
        whole = 0;
    }
    at = put_digits(at, decimal->digits, whole);
    at = put_zeros(at, decimal->point - decimal->count);
    if (whole < decimal->count) {
        *at++ = '.';
        at = put_zeros(at, -decimal->point);
        at = put_digits(at, decimal->digits + whole, decimal->count - whole);
    }
    return at;
}

static char *put_exponent(char *at, const struct decimal *decimal, int width)
{
    int exponent = decimal->point - 1;
    // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): each number has a digit
    *at++ = decimal->digits[0];
    if (decimal->count > 1) {
        *at++ = '.';
        at = put_digits(at, decimal->digits + 1, decimal->count - 1);
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    exponent = abs(exponent);
    if (exponent < 10 && width == 2)
        *at++ = '0';
    return at + number_uint(at, (uint64_t)exponent);
}

static size_t special(char *at, double value)
{
    const char *text = isnan(value)                ? "NaN"
                       : isinf(value) && value > 0 ? "+Inf"
                       : isinf(value)              ? "-Inf"
                       : signbit(value)            ? "-0"
                                                   : "0";
    size_t size = strlen(text);
    memcpy(at, text, size);
    return size;
}

/* Go writes the exponent from 21 digits on in JSON, from 6 on in text. */
struct layout {
    int smallest; /* point below this: exponent */
    int largest;  /* point above this: exponent */
    int width;    /* digits of the exponent, at least */
};

/* What people log most, 0.0725 or 1500: from 0.0001 up to a million with at most five decimals, the
 * same in both layouts. The digits are written where they stay. 0: it is not such a number. */
static size_t put_common(char *at, double value)
{
    double size = fabs(value), scaled = size * 1e5;
    if (!(size >= 1e-4 && size < 1e6))
        return 0;
    uint64_t units = (uint64_t)(scaled + 0.5);
    if ((double)units / 1e5 != size)
        return 0;
    char *end = at;
    uint32_t decimals = (uint32_t)(units % 100000);
    *end = '-';
    end += value < 0;
    end += number_uint(end, units / 100000);
    if (decimals == 0)
        return (size_t)(end - at);
    *end++ = '.';
    int width = 5;
    for (; decimals % 10 == 0; decimals /= 10)
        width--;
    number_padded(end, decimals, width);
    return (size_t)(end + width - at);
}

static size_t put_double(char *at, double value, const struct layout *layout)
{
    size_t common = put_common(at, value);
    if (common > 0)
        return common;
    if (!isfinite(value) || value == 0)
        return special(at, value);

    char *end = at;
    struct decimal decimal;
    shortest(fabs(value), &decimal);
    if (value < 0)
        *end++ = '-';
    bool plain = decimal.point >= layout->smallest && decimal.point <= layout->largest;
    end = plain ? put_plain(end, &decimal) : put_exponent(end, &decimal, layout->width);
    return (size_t)(end - at);
}

size_t number_double_text(char *at, double value)
{
    return put_double(at, value, &(struct layout){.smallest = -3, .largest = 6, .width = 2});
}

size_t number_double_json(char *at, double value)
{
    return put_double(at, value, &(struct layout){.smallest = -5, .largest = 21, .width = 1});
}
