/* SPDX-License-Identifier: MIT
 *
 * Any text: what is read as a number or a switch is written in a form that reads as the same. And
 * any eight bytes: what is written of them reads as the same, wherever it goes.
 */
#include "base/number.h"
#include "base/parse.h"
#include "base/text.h"
#include "fuzz.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void check_result(int rc)
{
    ENSURE(rc == 0 || rc == -EINVAL || rc == -ERANGE);
}

static void check_int(int64_t value)
{
    char text[NUMBER_MAX + 1], expected[NUMBER_MAX + 1];
    int64_t back = 0;
    text[number_int(text, value)] = '\0';
    (void)snprintf(expected, sizeof expected, "%" PRId64, value);
    ENSURE(strcmp(text, expected) == 0);
    ENSURE(parse_int(text, &back) == 0 && back == value);
    text[number_uint(text, (uint64_t)value)] = '\0';
    (void)snprintf(expected, sizeof expected, "%" PRIu64, (uint64_t)value);
    ENSURE(strcmp(text, expected) == 0);
}

static void check_back(const char *text, double value)
{
    double back = 0;
    ENSURE(parse_double(text, &back) == 0);
    ENSURE(back == value || (isnan(back) && isnan(value)));
}

static void check_double(double value)
{
    char text[NUMBER_MAX + 1], other[PARSE_DOUBLE_TEXT_MAX];
    size_t size = number_double_text(text, value);
    ENSURE(size <= NUMBER_MAX);
    text[size] = '\0';
    check_back(text, value);
    size = number_double_json(text, value);
    ENSURE(size <= NUMBER_MAX);
    text[size] = '\0';
    check_back(text, value);
    if (!isnan(value))
        check_back(parse_double_text(other, value), value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), quote[TEXT_QUOTE_MAX];
    int64_t whole = 0, ms = 0;
    double real = 0;
    bool on = false;
    int rc = parse_int(text, &whole);
    check_result(rc);
    if (rc == 0)
        check_int(whole);
    rc = parse_double(text, &real);
    check_result(rc);
    if (rc == 0)
        check_double(real);
    check_result(parse_bool(text, &on));
    check_result(parse_duration_ms(text, &ms));
    ENSURE(text_printable(text_quote(quote, text), TEXT_QUOTE_MAX));
    if (size >= sizeof real) {
        memcpy(&real, data, sizeof real);
        memcpy(&whole, data, sizeof whole);
        check_double(real);
        check_int(whole);
    }
    free(text);
    return 0;
}
