/* SPDX-License-Identifier: MIT
 *
 * The text form of a record, held against Go's slog.TextHandler where that has an answer.
 */
#include "base/ensure.h"
#include "base/number.h"
#include "harness.h"
#include "log/text.h"
#include "log_double_cases.h"
#include "log_string_cases.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static char buffer[64 * 1024];

/* The value of these key-values' only pair. */
static const char *value_of(const struct srun_kv *kvs)
{
    struct out out = out_over(buffer, sizeof buffer);
    text_attrs(&out, kvs);
    *out.at = '\0';
    ck_assert_msg(strncmp(buffer, " k=", 3) == 0, "%s", buffer);
    return buffer + 3;
}

static const char *line_of(const struct record *record, size_t capacity)
{
    static const struct stamp stamp = {
        .seconds = "2024-02-29T23:59:58", .offset = "+05:30", .offset_size = 6, .ns = 7999999};
    struct record copy = *record;
    struct out out = out_over(buffer, capacity);
    copy.stamp = &stamp;
    copy.message_size = strlen(copy.message);
    text_record(&out, &copy);
    ck_assert_uint_le((size_t)(out.at - buffer), capacity);
    ck_assert(memchr(buffer, '\n', (size_t)(out.at - buffer)) == out.at - 1);
    *out.at = '\0';
    return buffer;
}

START_TEST(quotes_and_escapes_as_slog_does)
    {
        for (size_t i = 0; i < COUNT_OF(string_cases); i++) {
            const struct string_case *c = &string_cases[i];
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_TEXT("k", c->data, c->size))), c->text);
        }
    }
END_TEST

START_TEST(quotes_a_value_with_a_newline)
    {
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", "a\nlevel=ERROR"))),
                         "\"a\\nlevel=ERROR\"");
    }
END_TEST

START_TEST(escapes_delete_and_the_c1_controls)
    {
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", "a\x7f"))), "\"a\\x7f\"");
        for (int c = 0x80; c < 0xa0; c++) {
            char text[] = {'\xc2', (char)c, '\0'};
            char wanted[16];
            (void)snprintf(wanted, sizeof wanted, "\"\\u%04x\"", (unsigned)c);
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", text))), wanted);
        }
    }
END_TEST

START_TEST(writes_doubles_as_slog_does)
    {
        for (size_t i = 0; i < COUNT_OF(double_cases); i++) {
            double value;
            memcpy(&value, &double_cases[i].bits, sizeof value);
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", value))), double_cases[i].text);
        }
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", (double)NAN))), "NaN");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", (double)INFINITY))), "+Inf");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", -(double)INFINITY))), "-Inf");
    }
END_TEST

START_TEST(writes_doubles_that_read_back_as_themselves)
    {
        uint64_t bits = 1;
        for (int i = 0; i < 20000; i++) {
            double value;
            bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            memcpy(&value, &bits, sizeof value);
            if (isfinite(value))
                ck_assert(strtod(value_of(SRUN_KVS(SRUN_DOUBLE("k", value))), NULL) == value);
        }
    }
END_TEST

START_TEST(writes_every_type_of_value)
    {
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_INT("k", INT64_MIN))), "-9223372036854775808");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_UINT("k", UINT64_MAX))), "18446744073709551615");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_INT("k", 0))), "0");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_BOOL("k", 5))), "true");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_BOOL("k", 0))), "false");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_MS("k", 1500))), "1.5s");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_NS("k", -1500))), "-1.5\xc2\xb5s");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", NULL))), "<nil>");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_TEXT("k", NULL, 0))), "\"\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_CODE("k", -ETIMEDOUT))), "\"timed out\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_CODE("k", 123456))), "\"unknown error 123456\"");
    }
END_TEST

START_TEST(writes_integers_digit_by_digit)
    {
        for (int shift = 0; shift < 64; shift++) {
            for (int64_t delta = -2; delta <= 2; delta++) {
                uint64_t value = (UINT64_C(1) << shift) + (uint64_t)delta;
                char wanted[24];
                (void)snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)value);
                ck_assert_str_eq(value_of(SRUN_KVS(SRUN_UINT("k", value))), wanted);
            }
        }
        uint64_t power = 1;
        for (int digits = 1; digits < 20; digits++, power *= 10) {
            char wanted[24];
            (void)snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)(power * 10 - 1));
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_UINT("k", power * 10 - 1))), wanted);
        }
    }
END_TEST

START_TEST(quotes_keys_too_and_keeps_an_empty_one)
    {
        struct out out = out_over(buffer, sizeof buffer);
        text_attrs(&out, SRUN_KVS(SRUN_INT("", 1), SRUN_INT("a b", 2), SRUN_INT("c\n", 3),
                                  SRUN_INT("d=", 4),
                                  ((struct srun_kv){.type = SRUN_KV_INT, .value.i = 5})));
        *out.at = '\0';
        ck_assert_str_eq(buffer, " \"\"=1 \"a b\"=2 \"c\\n\"=3 \"d=\"=4 \"\"=5");
    }
END_TEST

START_TEST(orders_a_line_time_level_source_message_attributes)
    {
        const struct srun_source source = {"src/pay.c", "settle", 42, 0};
        const char *line = line_of(
            &(struct record){.level = SRUN_LEVEL_WARN,
                             .source = &source,
                             .message = "card refused",
                             .lost = 3,
                             .prefix = " logger_scope=http",
                             .prefix_size = 18,
                             .kvs = SRUN_KVS(SRUN_STR("id", "7f3a"), SRUN_INT("cents", 1299))},
            sizeof buffer);
        ck_assert_str_eq(line,
                         "time=2024-02-29T23:59:58.007+05:30 level=WARN source=src/pay.c:42 "
                         "msg=\"card refused\" lost=3 logger_scope=http id=7f3a cents=1299\n");
    }
END_TEST

START_TEST(cuts_a_long_value_at_a_rune_and_says_so)
    {
        static char text[8192];
        for (size_t shift = 0; shift < 6; shift++) {
            memset(text, 'x', shift);
            for (size_t i = shift; i + 3 < sizeof text; i += 3)
                memcpy(text + i, "\xe2\x82\xac", 3);
            const char *line =
                line_of(&(struct record){.message = "m",
                                         .kvs = SRUN_KVS(SRUN_STR("k", text), SRUN_INT("n", 1))},
                        4096);
            size_t size = strlen(line);
            ck_assert_uint_gt(size, 4096 - 64);
            ck_assert_str_eq(line + size - 18, "\xac\" truncated=true\n");
        }
    }
END_TEST

START_TEST(keeps_what_the_logger_says_beside_a_long_message)
    {
        static char text[8192];
        memset(text, 'm', sizeof text - 1);
        const char *line = line_of(&(struct record){.message = text,
                                                    .lost = 12,
                                                    .prefix = " logger_scope=http",
                                                    .prefix_size = 18,
                                                    .kvs = SRUN_KVS(SRUN_INT("dropped", 1))},
                                   4096);
        ck_assert(strstr(line, "mmm\" lost=12 logger_scope=http truncated=true\n") != NULL);
    }
END_TEST

START_TEST(leaves_out_an_attribute_that_does_not_fit)
    {
        static char key[8192];
        memset(key, 'k', sizeof key - 1);
        const char *line = line_of(
            &(struct record){.message = "m", .kvs = SRUN_KVS(SRUN_INT("a", 1), SRUN_INT(key, 2))},
            4096);
        ck_assert(strstr(line, " msg=m a=1 truncated=true\n") != NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("log_text", quotes_and_escapes_as_slog_does, quotes_a_value_with_a_newline,
                   escapes_delete_and_the_c1_controls, writes_doubles_as_slog_does,
                   writes_doubles_that_read_back_as_themselves, writes_every_type_of_value,
                   writes_integers_digit_by_digit, quotes_keys_too_and_keeps_an_empty_one,
                   orders_a_line_time_level_source_message_attributes,
                   cuts_a_long_value_at_a_rune_and_says_so,
                   keeps_what_the_logger_says_beside_a_long_message,
                   leaves_out_an_attribute_that_does_not_fit);
}
