/* SPDX-License-Identifier: MIT
 *
 * Rows of cells as text in columns, and numbers as people write them.
 */
#include "admin/columns.h"
#include "admin/show.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

START_TEST(aligns_cells_by_their_longest)
    {
        auto_columns struct columns table = {0};
        auto_buf struct buf out = {0};
        columns_heads(&table, "NAME|>PID|STATE");
        columns_add(&table, "db");
        columns_addf(&table, "%d", 12345);
        columns_add(&table, "RUNNING");
        columns_add(&table, "frontend");
        columns_addf(&table, "%d", 7);
        columns_add(&table, "");
        columns_write(&table, &out);
        ck_assert_str_eq(out.data, "NAME        PID  STATE\n"
                                   "db        12345  RUNNING\n"
                                   "frontend      7  -\n");
    }
END_TEST

START_TEST(fills_up_a_row_that_is_short)
    {
        auto_columns struct columns table = {0};
        auto_buf struct buf out = {0};
        columns_heads(&table, "A|B");
        columns_add(&table, "x");
        columns_write(&table, &out);
        ck_assert_str_eq(out.data, "A  B\nx  -\n");
    }
END_TEST

START_TEST(counts_characters_and_not_bytes)
    {
        auto_columns struct columns table = {0};
        auto_buf struct buf out = {0};
        columns_heads(&table, "NAME|X");
        columns_add(&table, "m\xc3\xa4rz\xe2\x82\xac");
        columns_add(&table, "1");
        columns_write(&table, &out);
        ck_assert_str_eq(out.data, "NAME   X\nm\xc3\xa4rz\xe2\x82\xac  1\n");
    }
END_TEST

START_TEST(shows_nothing_that_speaks_to_the_terminal)
    {
        static const struct {
            const char *text, *wanted;
        } cases[] = {
            {"a\nb\tc\r", "a?b?c?"},
            {"\x1b[31mred", "?[31mred"},
            {"\x7f\xc2\x9b"
             "31m",
             "??31m"}, /* DEL, CSI of C1 */
            {"\xe2\x80\xa8x\xe2\x80\xae"
             "y",
             "?x?y"},                         /* a line separator, an override */
            {"\xff\xc3", "??"},               /* no UTF-8 */
            {"<script>\"'&", "<script>\"'&"}, /* plain text is plain text */
            {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            auto_buf struct buf out = {0};
            (void)columns_plain(&out, cases[i].text);
            ck_assert_str_eq(out.data, cases[i].wanted);
        }
    }
END_TEST

START_TEST(writes_times_as_people_do)
    {
        static const struct {
            int64_t ms;
            const char *wanted;
        } cases[] = {{-1, "-"},
                     {0, "0s"},
                     {12, "12ms"},
                     {3249, "3.2s"},
                     {59999, "59s"},
                     {310500, "5m10s"},
                     {3600000, "1h0m"},
                     {93780000, "26h3m"},
                     {INT64_C(1051200000), "12d4h"},
                     {INT64_MAX, "106751991167d7h"}};
        char out[SHOW_MAX];
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            ck_assert_str_eq(show_ms(out, cases[i].ms), cases[i].wanted);
    }
END_TEST

START_TEST(writes_points_in_time_in_the_local_zone)
    {
        char out[SHOW_MAX];
        (void)setenv("TZ", "UTC", 1);
        tzset();
        ck_assert_str_eq(show_time(out, INT64_C(1136214245006)), "2006-01-02 15:04:05.006");
        ck_assert_str_eq(show_time(out, 0), "-");
        (void)show_time(out, INT64_MAX);
    }
END_TEST

START_TEST(writes_levels_as_they_are_read)
    {
        char out[SHOW_MAX];
        ck_assert_str_eq(show_level(out, 0), "info");
        ck_assert_str_eq(show_level(out, -4), "debug");
        ck_assert_str_eq(show_level(out, 6), "warn+2");
        ck_assert_str_eq(show_level(out, -5), "debug-1");
        ck_assert_str_eq(show_level(out, 8), "error");
    }
END_TEST

int main(void)
{
    return HARNESS("admin_columns", aligns_cells_by_their_longest, fills_up_a_row_that_is_short,
                   counts_characters_and_not_bytes, shows_nothing_that_speaks_to_the_terminal,
                   writes_times_as_people_do, writes_points_in_time_in_the_local_zone,
                   writes_levels_as_they_are_read);
}
