/* SPDX-License-Identifier: MIT
 *
 * Values as Go reads them. Any thread. Never looks at the process locale: numbers are read and
 * written in the C locale whatever setlocale was told.
 */
#include "base/parse.h"

#include "base/duration.h"
#include "base/ensure.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parse_bool(const char *text, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"1", true},    {"t", true},      {"T", true},      {"true", true},
        {"TRUE", true}, {"True", true},   {"0", false},     {"f", false},
        {"F", false},   {"false", false}, {"FALSE", false}, {"False", false},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *out = words[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 99;
}

/* Moves *text behind the prefix; a lone 0 is the prefix of an octal number without digits. */
static unsigned take_base(const char **text)
{
    const char *at = *text;
    if (at[0] != '0')
        return 10;
    char letter = (char)(at[1] | 0x20);
    if (at[1] != '\0' && at[2] != '\0' && strchr("xob", letter) != NULL) {
        *text += 2;
        return letter == 'x' ? 16 : letter == 'o' ? 8 : 2;
    }
    *text += 1;
    return 8;
}

int parse_int(const char *text, int64_t *out)
{
    bool negative = text[0] == '-';
    text += text[0] == '-' || text[0] == '+';
    unsigned base = take_base(&text);
    bool after_digit = base != 10; /* a prefix counts as one */
    bool overflow = false;
    uint64_t value = 0;
    for (; *text != '\0'; text++) {
        unsigned digit = digit_value(*text);
        if (*text == '_' ? !after_digit : digit >= base)
            return -EINVAL;
        after_digit = *text != '_';
        if (after_digit)
            overflow = overflow || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
                       __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (!after_digit)
        return -EINVAL;
    if (overflow || value > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

/* What strtod takes and Go does not: spaces, nan(...), -nan, 0x1 without an exponent. */
static bool is_go_float(const char *text)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (strcasecmp(digits, "nan") == 0)
        return digits == text;
    if (isdigit((unsigned char)digits[0]) || digits[0] == '.')
        return strpbrk(digits, "xX") == NULL || strpbrk(digits, "pP") != NULL;
    return strcasecmp(digits, "inf") == 0 || strcasecmp(digits, "infinity") == 0;
}

/* Copies text without its underscores, each of which has to stand between digits, or behind 0x. */
static bool drop_underscores(const char *text, char *out, size_t size)
{
    bool hex = strpbrk(text, "xX") != NULL;
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '_') {
            if (size-- <= 1)
                return false;
            *out++ = text[i];
            continue;
        }
        unsigned before = i == 0 ? 99 : digit_value(text[i - 1]);
        bool prefix = i >= 2 && text[i - 2] == '0' && (text[i - 1] | 0x20) == 'x';
        unsigned base = hex ? 16 : 10;
        if ((before >= base && !prefix) || digit_value(text[i + 1]) >= base)
            return false;
    }
    *out = '\0';
    return true;
}

int parse_double(const char *text, double *out)
{
    char plain[128];
    if (strchr(text, '_') != NULL) {
        if (!drop_underscores(text, plain, sizeof plain))
            return -EINVAL;
        text = plain;
    }
    if (!is_go_float(text))
        return -EINVAL;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0)
        return -ENOMEM;
    char *end = NULL;
    double value = strtod_l(text, &end, c_locale);
    freelocale(c_locale);
    if (*end != '\0')
        return -EINVAL;
    if (isinf(value) && strcasestr(text, "inf") == NULL)
        return -ERANGE;
    *out = value;
    return 0;
}

int parse_duration_ms(const char *text, int64_t *out)
{
    int64_t ns = 0;
    int rc = duration_parse(text, &ns);
    if (rc < 0)
        return rc;
    int64_t rest = ns % NS_PER_MS;
    *out = ns / NS_PER_MS + (rest > 0) - (rest < 0);
    return 0;
}

const char *parse_double_text(char out[PARSE_DOUBLE_TEXT_MAX], double value)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c_locale == (locale_t)0 ? (locale_t)0 : uselocale(c_locale);
    for (int digits = 15; digits <= 17; digits++) { /* GCOV_EXCL_BR_LINE: 17 read back */
        (void)snprintf(out, PARSE_DOUBLE_TEXT_MAX, "%.*g", digits, value); /* always fits */
        if (strtod(out, NULL) == value)
            break;
    }
    if (before != (locale_t)0)
        (void)uselocale(before);
    if (c_locale != (locale_t)0)
        freelocale(c_locale);
    return out;
}
