/* SPDX-License-Identifier: MIT
 *
 * Where the time of a start or a stop went, in one line.
 */
#include "base/duration.h"
#include "harness.h"
#include "report.h"

#include <string.h>

static const char *report(struct report_part *parts, size_t count)
{
    static char text[512];
    report_critical_path(parts, count, text, sizeof text);
    return text;
}

START_TEST(says_nothing_when_nothing_has_happened)
    {
        struct report_part parts[] = {{"db", "init", 0, -1}, {"web", "init", 1, -1}};
        ck_assert_str_eq(report(parts, 0), "nothing");
        ck_assert_str_eq(report(parts, 2), "nothing");
    }
END_TEST

START_TEST(names_the_longest_first_with_their_share)
    {
        struct report_part parts[] = {{"http", "ready", 1, 2 * NS_PER_MS},
                                      {"db", "init", 0, 8 * NS_PER_MS},
                                      {"cache", "init", 2, -1}};
        ck_assert_str_eq(report(parts, 3), "db init 8ms 80%, http ready 2ms 20%");
    }
END_TEST

START_TEST(sums_up_all_but_the_three_longest)
    {
        struct report_part parts[] = {
            {"a", "stop", 0, 1 * NS_PER_MS}, {"b", "stop", 1, NS_PER_MS},
            {"c", "stop", 2, 3 * NS_PER_MS}, {"d", "stop", 3, 2 * NS_PER_MS},
            {"e", "stop", 4, 4 * NS_PER_MS}, {"f", "stop", 5, 1 * NS_PER_MS}};
        ck_assert_str_eq(report(parts, 6),
                         "e stop 4ms 33%, c stop 3ms 25%, d stop 2ms 17%, 3 more 3ms 25%");
    }
END_TEST

START_TEST(counts_only_the_slowest_member_of_a_group)
    {
        struct report_part parts[] = {{"a", "ready", 0, 1 * NS_PER_MS},
                                      {"b", "ready", 0, 5 * NS_PER_MS},
                                      {"c", "ready", 0, 3 * NS_PER_MS},
                                      {"d", "ready", 1, 5 * NS_PER_MS}};
        ck_assert_str_eq(report(parts, 4), "b ready 5ms 50%, d ready 5ms 50%");
    }
END_TEST

START_TEST(keeps_the_phases_of_one_unit_apart)
    {
        struct report_part parts[] = {{"a", "init", 0, 1 * NS_PER_MS},
                                      {"a", "ready", 0, 3 * NS_PER_MS}};
        ck_assert_str_eq(report(parts, 2), "a ready 3ms 75%, a init 1ms 25%");
    }
END_TEST

START_TEST(divides_no_time_at_all)
    {
        struct report_part parts[] = {{"a", "init", 0, 0}};
        ck_assert_str_eq(report(parts, 1), "a init 0s 100%");
    }
END_TEST

START_TEST(rounds_away_what_is_noise)
    {
        struct report_part parts[] = {{"a", "init", 0, 1234567}, {"b", "init", 1, 1234567890}};
        ck_assert_str_eq(report(parts, 2), "b init 1.235s 100%, a init 1.235ms 0%");
    }
END_TEST

START_TEST(cuts_what_does_not_fit)
    {
        char name[256];
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        for (size_t size = 1; size < 64; size++) {
            char text[64];
            struct report_part parts[] = {{name, "init", 0, 5},
                                          {name, "init", 1, 4},
                                          {name, "init", 2, 3},
                                          {name, "init", 3, 2}};
            memset(text, 'x', sizeof text);
            report_critical_path(parts, 4, text, size);
            ck_assert_uint_lt(strlen(text), size);
            for (size_t i = size; i < sizeof text; i++)
                ck_assert_int_eq(text[i], 'x');
        }
    }
END_TEST

int main(void)
{
    return HARNESS("report", says_nothing_when_nothing_has_happened,
                   names_the_longest_first_with_their_share, sums_up_all_but_the_three_longest,
                   counts_only_the_slowest_member_of_a_group, keeps_the_phases_of_one_unit_apart,
                   divides_no_time_at_all, rounds_away_what_is_noise, cuts_what_does_not_fit);
}
