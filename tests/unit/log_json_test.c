/* SPDX-License-Identifier: MIT
 *
 * The JSON form of a record, held against Go's slog.JSONHandler where that has an answer.
 */
#include "base/ensure.h"
#include "harness.h"
#include "json_check.h"
#include "log/json.h"
#include "log_double_cases.h"
#include "log_string_cases.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static char buffer[64 * 1024];

/* The value of these key-values' only pair. */
static const char *value_of(const struct srun_kv *kvs)
{
    struct out out = out_over(buffer, sizeof buffer);
    json_attrs(&out, kvs);
    *out.at = '\0';
    ck_assert_msg(strncmp(buffer, ",\"k\":", 5) == 0, "%s", buffer);
    return buffer + 5;
}

static const char *line_of(const struct record *record, size_t capacity)
{
    static const struct stamp stamp = {
        .seconds = "2024-02-29T23:59:58", .offset = "Z", .offset_size = 1, .ns = 7000000};
    struct record copy = *record;
    struct out out = out_over(buffer, capacity);
    copy.stamp = &stamp;
    copy.message_size = strlen(copy.message);
    json_record(&out, &copy);
    size_t size = (size_t)(out.at - buffer);
    ck_assert_uint_le(size, capacity);
    ck_assert(buffer[size - 1] == '\n');
    *out.at = '\0';
    ck_assert_msg(json_is_object(buffer, size - 1), "%s", buffer);
    return buffer;
}

START_TEST(escapes_as_slog_does)
    {
        for (size_t i = 0; i < COUNT_OF(string_cases); i++) {
            const struct string_case *c = &string_cases[i];
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_TEXT("k", c->data, c->size))), c->json);
        }
    }
END_TEST

START_TEST(escapes_delete_and_the_c1_controls)
    {
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", "a\x7f"))), "\"a\\u007f\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", "\xc2\x80\xc2\x9f\xc2\xa0"))),
                         "\"\\u0080\\u009f\xc2\xa0\"");
    }
END_TEST

START_TEST(escapes_a_byte_wherever_it_stands_in_a_long_value)
    {
        for (size_t size = 1; size < 40; size++) {
            for (size_t place = 0; place < size; place++) {
                char text[40];
                char wanted[64];
                memset(text, 'x', size);
                text[place] = '"';
                (void)snprintf(wanted, sizeof wanted, "\"%.*s\\\"%.*s\"", (int)place, text,
                               (int)(size - place - 1), text + place + 1);
                ck_assert_str_eq(value_of(SRUN_KVS(SRUN_TEXT("k", text, size))), wanted);
            }
        }
    }
END_TEST

START_TEST(writes_doubles_as_slog_does)
    {
        for (size_t i = 0; i < COUNT_OF(double_cases); i++) {
            double value;
            memcpy(&value, &double_cases[i].bits, sizeof value);
            ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", value))), double_cases[i].json);
        }
    }
END_TEST

START_TEST(writes_every_type_of_value)
    {
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_INT("k", INT64_MIN))), "-9223372036854775808");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_UINT("k", UINT64_MAX))), "18446744073709551615");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_BOOL("k", 5))), "true");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_BOOL("k", 0))), "false");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_MS("k", 1500))), "1500000000");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_STR("k", NULL))), "null");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_TEXT("k", NULL, 0))), "\"\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_CODE("k", -ETIMEDOUT))), "\"timed out\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", (double)NAN))), "\"NaN\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", (double)INFINITY))), "\"+Inf\"");
        ck_assert_str_eq(value_of(SRUN_KVS(SRUN_DOUBLE("k", -(double)INFINITY))), "\"-Inf\"");
    }
END_TEST

START_TEST(escapes_keys_too_and_keeps_an_empty_one)
    {
        struct out out = out_over(buffer, sizeof buffer);
        json_attrs(&out, SRUN_KVS(SRUN_INT("", 1), SRUN_INT("a \"b", 2), SRUN_INT("c\n", 3),
                                  SRUN_INT("\xff", 4),
                                  ((struct srun_kv){.type = SRUN_KV_INT, .value.i = 5})));
        *out.at = '\0';
        ck_assert_str_eq(buffer, ",\"\":1,\"a \\\"b\":2,\"c\\n\":3,\"\\ufffd\":4,\"\":5");
    }
END_TEST

START_TEST(orders_a_line_time_level_source_message_attributes)
    {
        const struct srun_source source = {"src/pay.c", "settle", 42, 0};
        const char *line = line_of(
            &(struct record){.level = SRUN_LEVEL_INFO + 2,
                             .source = &source,
                             .message = "card \"x\"",
                             .lost = 3,
                             .prefix = ",\"logger_scope\":\"http\"",
                             .prefix_size = 22,
                             .kvs = SRUN_KVS(SRUN_STR("id", "7f3a"), SRUN_INT("cents", 1299))},
            sizeof buffer);
        ck_assert_str_eq(line,
                         "{\"time\":\"2024-02-29T23:59:58.007000000Z\",\"level\":\"INFO+2\","
                         "\"source\":{\"function\":\"settle\",\"file\":\"src/pay.c\",\"line\":42},"
                         "\"msg\":\"card \\\"x\\\"\",\"lost\":3,\"logger_scope\":\"http\","
                         "\"id\":\"7f3a\",\"cents\":1299}\n");
    }
END_TEST

/* Whatever stands where the buffer ends, the object is whole and the mark is there. */
START_TEST(stays_valid_wherever_it_is_cut)
    {
        static const char *const pieces[] = {"a",    "\"",           "\n",
                                             "\xff", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
        static char text[8192];
        for (size_t p = 0; p < COUNT_OF(pieces); p++) {
            for (size_t shift = 0; shift < 12; shift++) {
                size_t step = strlen(pieces[p]);
                memset(text, 'x', sizeof text - 1);
                for (size_t i = shift; i + step < sizeof text; i += step)
                    memcpy(text + i, pieces[p], step);
                const char *line = line_of(&(struct record){.message = text,
                                                            .lost = 12,
                                                            .prefix = ",\"s\":\"http\"",
                                                            .prefix_size = 11,
                                                            .kvs = SRUN_KVS(SRUN_STR("k", text))},
                                           4096);
                ck_assert(strstr(line, "\",\"lost\":12,\"s\":\"http\"") != NULL);
                ck_assert(strstr(line, ",\"truncated\":true}\n") != NULL);
            }
        }
    }
END_TEST

START_TEST(leaves_out_an_attribute_that_does_not_fit)
    {
        static char text[8192];
        for (size_t size = 3900; size < 4100; size++) {
            memset(text, 'x', sizeof text);
            line_of(&(struct record){.message = "m",
                                     .kvs = SRUN_KVS(SRUN_TEXT("text", text, size),
                                                     SRUN_INT("n", 123456), SRUN_BOOL("b", 1),
                                                     SRUN_STR("last", "value"))},
                    4096);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("log_json", escapes_as_slog_does, escapes_delete_and_the_c1_controls,
                   escapes_a_byte_wherever_it_stands_in_a_long_value, writes_doubles_as_slog_does,
                   writes_every_type_of_value, escapes_keys_too_and_keeps_an_empty_one,
                   orders_a_line_time_level_source_message_attributes,
                   stays_valid_wherever_it_is_cut, leaves_out_an_attribute_that_does_not_fit);
}
