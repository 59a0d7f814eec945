/* SPDX-License-Identifier: MIT
 *
 * Durations as Go's time.ParseDuration reads them and time.Duration.String writes them. PURE: no
 * clock, no locale, no allocation; any thread.
 *
 * Magnitudes are kept as uint64_t, because the smallest duration, -2^63 ns, has no positive twin.
 */
#include "base/duration.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MAGNITUDE_MAX (UINT64_C(1) << 63)
#define NS_PER_MINUTE (60 * NS_PER_S)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"\xc2\xb5s", NS_PER_US}, /* U+00B5, micro sign */
    {"\xce\xbcs", NS_PER_US}, /* U+03BC, Greek mu */
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"m", NS_PER_MINUTE},
    {"h", NS_PER_HOUR},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits before the point. */
static int read_whole(const char **at, uint64_t *out)
{
    uint64_t value = 0;
    for (; is_digit(**at); (*at)++) {
        if (value > MAGNITUDE_MAX / 10)
            return -ERANGE;
        value = value * 10 + (uint64_t)(**at - '0');
        if (value > MAGNITUDE_MAX)
            return -ERANGE;
    }
    *out = value;
    return 0;
}

/* The digits behind the point; those that no longer fit are read and have no effect. */
static uint64_t read_fraction(const char **at, double *scale)
{
    uint64_t value = 0;
    bool full = false;
    *scale = 1;
    for (; is_digit(**at); (*at)++) {
        if (full)
            continue;
        uint64_t longer = value * 10 + (uint64_t)(**at - '0');
        if (value > (MAGNITUDE_MAX - 1) / 10 || longer > MAGNITUDE_MAX) {
            full = true;
            continue;
        }
        value = longer;
        *scale *= 10;
    }
    return value;
}

/* A unit ends at the next digit or point. */
static uint64_t read_unit(const char **at)
{
    size_t size = strcspn(*at, ".0123456789");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) == size && memcmp(units[i].name, *at, size) == 0) {
            *at += size;
            return units[i].ns;
        }
    }
    return 0;
}

/* One number with its unit, "1.5h". */
static int read_part(const char **at, uint64_t *out)
{
    const char *start = *at;
    uint64_t whole = 0;
    uint64_t fraction = 0;
    double scale = 1;

    int rc = read_whole(at, &whole);
    if (rc < 0)
        return rc;
    bool digits = *at != start;
    if (**at == '.') {
        const char *behind = ++(*at);
        fraction = read_fraction(at, &scale);
        digits = digits || *at != behind;
    }
    if (!digits)
        return -EINVAL;

    uint64_t unit = read_unit(at);
    if (unit == 0)
        return -EINVAL;
    if (whole > MAGNITUDE_MAX / unit)
        return -ERANGE;
    whole *= unit;
    if (fraction > 0) {
        whole += (uint64_t)((double)fraction * ((double)unit / scale));
        if (whole > MAGNITUDE_MAX)
            return -ERANGE;
    }
    *out = whole;
    return 0;
}

int duration_parse(const char *text, int64_t *out_ns)
{
    uint64_t total = 0;
    bool negative = *text == '-';

    if (*text == '-' || *text == '+')
        text++;
    if (strcmp(text, "0") == 0) {
        *out_ns = 0;
        return 0;
    }
    if (*text == '\0')
        return -EINVAL;

    while (*text != '\0') {
        uint64_t part = 0;
        int rc = read_part(&text, &part);
        if (rc < 0)
            return rc;
        total += part; /* both are at most 2^63 */
        if (total > MAGNITUDE_MAX || (total == 0 && part != 0))
            return -ERANGE;
    }
    if (!negative && total > INT64_MAX)
        return -ERANGE;
    *out_ns = (int64_t)(negative ? 0 - total : total);
    return 0;
}

/* Writers fill the buffer from its end; each returns the new start. */

static char *write_number(char *at, uint64_t value)
{
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return at;
}

/* The fraction without its trailing zeros, and the point only when something follows it. */
static char *write_fraction(char *at, uint64_t *value, int digits)
{
    bool shown = false;
    for (int i = 0; i < digits; i++, *value /= 10) {
        char digit = (char)('0' + *value % 10);
        shown = shown || digit != '0';
        if (shown)
            *--at = digit;
    }
    if (shown)
        *--at = '.';
    return at;
}

static char *write_below_a_second(char *at, uint64_t value)
{
    int digits = 0;
    *--at = 's';
    if (value < NS_PER_US) {
        *--at = 'n';
    } else if (value < NS_PER_MS) {
        digits = 3;
        *--at = '\xb5';
        *--at = '\xc2';
    } else {
        digits = 6;
        *--at = 'm';
    }
    at = write_fraction(at, &value, digits);
    return write_number(at, value);
}

static char *write_hours(char *at, uint64_t value)
{
    *--at = 's';
    at = write_fraction(at, &value, 9);
    at = write_number(at, value % 60);
    value /= 60;
    if (value == 0)
        return at;
    *--at = 'm';
    at = write_number(at, value % 60);
    value /= 60;
    if (value == 0)
        return at;
    *--at = 'h';
    return write_number(at, value);
}

size_t duration_format(char out[DURATION_TEXT_MAX], int64_t ns)
{
    char scratch[DURATION_TEXT_MAX];
    char *end = scratch + sizeof scratch;
    uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char *at;

    if (value == 0) {
        at = end - 2;
        at[0] = '0';
        at[1] = 's';
    } else if (value < NS_PER_S) {
        at = write_below_a_second(end, value);
    } else {
        at = write_hours(end, value);
    }
    if (ns < 0)
        *--at = '-';

    size_t size = (size_t)(end - at);
    memcpy(out, at, size);
    out[size] = '\0';
    return size;
}
