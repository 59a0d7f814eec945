/* SPDX-License-Identifier: MIT
 *
 * Text that grows, and JSON written into it.
 */
#include "base/buf.h"
#include "base/json.h"
#include "harness.h"

#include <math.h>
#include <string.h>

START_TEST(text_grows_and_stays_nul_ended)
    {
        auto_buf struct buf buf = {0};
        for (int i = 0; i < 1000; i++)
            buf_printf(&buf, "%d,", i);
        ck_assert_uint_eq(buf.size, strlen(buf.data));
        ck_assert_int_eq(strncmp(buf.data, "0,1,2,", 6), 0);
        ck_assert_str_eq(buf.data + buf.size - 8, "998,999,");
        buf_add(&buf, "", 0);
        ck_assert_int_eq(buf.failed, 0);
    }
END_TEST

START_TEST(what_is_too_long_is_remembered_as_a_failure)
    {
        auto_buf struct buf buf = {0};
        buf_text(&buf, "before");
        buf_add(&buf, "x", SIZE_MAX / 2);
        buf_text(&buf, "after");
        ck_assert_int_eq(buf.failed, 1);
        ck_assert_str_eq(buf.data, "before");
    }
END_TEST

START_TEST(objects_and_arrays_nest_with_their_commas)
    {
        auto_buf struct buf buf = {0};
        struct json json = {.out = &buf};
        json_open(&json, NULL, '{');
        json_str(&json, "name", "a");
        json_open(&json, "list", '[');
        json_int(&json, NULL, -1);
        json_open(&json, NULL, '{');
        json_close(&json);
        json_bool(&json, NULL, true);
        json_close(&json);
        json_open(&json, "empty", '[');
        json_close(&json);
        json_double(&json, "half", 0.5);
        json_double(&json, "nan", NAN);
        json_str(&json, "none", NULL);
        json_close(&json);
        ck_assert_str_eq(buf.data, "{\"name\":\"a\",\"list\":[-1,{},true],\"empty\":[],"
                                   "\"half\":0.5,\"nan\":null,\"none\":null}");
    }
END_TEST

START_TEST(any_text_is_a_valid_string)
    {
        const struct {
            const char *text, *json;
        } cases[] = {
            {"", "\"\""},
            {"plain", "\"plain\""},
            {"a\"b\\c", "\"a\\\"b\\\\c\""},
            {"\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\""},
            {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
            {"\xc2\x80\xc2\x9b"
             "2J\xc2\xa0",
             "\"\\u0080\\u009b2J\xc2\xa0\""},
            {"\xff", "\"\\ufffd\""},
            {"a\xc3", "\"a\\ufffd\""},
            {"\xc3(", "\"\\ufffd(\""},
            {"\xed\xa0\x80z", "\"\\ufffd\\ufffd\\ufffdz\""},
            {"</script>", "\"</script>\""},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            auto_buf struct buf buf = {0};
            json_quote(&buf, cases[i].text);
            ck_assert_str_eq(buf.data, cases[i].json);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("json_writer", text_grows_and_stays_nul_ended,
                   what_is_too_long_is_remembered_as_a_failure,
                   objects_and_arrays_nest_with_their_commas, any_text_is_a_valid_string);
}
