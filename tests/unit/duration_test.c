/* SPDX-License-Identifier: MIT
 *
 * Durations, held against what Go answers for the same texts and numbers.
 */
#include "base/duration.h"
#include "base/ensure.h"
#include "duration_cases.h"
#include "harness.h"

#include <errno.h>
#include <string.h>

START_TEST(reads_what_go_reads_and_refuses_what_go_refuses)
    {
        for (size_t i = 0; i < COUNT_OF(parse_cases); i++) {
            const struct parse_case *c = &parse_cases[i];
            int64_t ns = 0;
            int rc = duration_parse(c->text, &ns);
            ck_assert_msg((rc == 0) == c->accepted, "\"%s\": %d", c->text, rc);
            ck_assert_msg(ns == c->ns, "\"%s\": %lld", c->text, (long long)ns);
        }
    }
END_TEST

START_TEST(writes_what_go_writes)
    {
        for (size_t i = 0; i < COUNT_OF(format_cases); i++) {
            char text[DURATION_TEXT_MAX];
            size_t size = duration_format(text, format_cases[i].ns);
            ck_assert_str_eq(text, format_cases[i].text);
            ck_assert_uint_eq(size, strlen(text));
        }
    }
END_TEST

START_TEST(reads_back_every_duration_it_wrote)
    {
        uint64_t seed = 1;
        for (int i = 0; i < 200000; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            /* Above 2^53 ns Go's fractions pass through a double and lose their last digits. */
            int64_t ns = (int64_t)seed >> (11 + (seed & 31));
            char text[DURATION_TEXT_MAX];
            int64_t back = 0;
            duration_format(text, ns);
            ck_assert_msg(duration_parse(text, &back) == 0 && back == ns, "%s", text);
        }
    }
END_TEST

START_TEST(tells_a_text_that_is_too_large_from_one_that_is_wrong)
    {
        int64_t ns = 7;
        ck_assert_int_eq(duration_parse("2562048h", &ns), -ERANGE);
        ck_assert_int_eq(duration_parse("9223372036854775808ns9223372036854775808ns", &ns),
                         -ERANGE);
        ck_assert_int_eq(duration_parse("99999999999999999999s", &ns), -ERANGE);
        ck_assert_int_eq(duration_parse("5 s", &ns), -EINVAL);
        ck_assert_int_eq(duration_parse("5", &ns), -EINVAL);
        ck_assert_int_eq(duration_parse("", &ns), -EINVAL);
        ck_assert_int_eq(ns, 7);
    }
END_TEST

int main(void)
{
    return HARNESS("duration", reads_what_go_reads_and_refuses_what_go_refuses,
                   writes_what_go_writes, reads_back_every_duration_it_wrote,
                   tells_a_text_that_is_too_large_from_one_that_is_wrong);
}
