/* SPDX-License-Identifier: MIT
 *
 * Numbers that spread what would otherwise happen at one moment.
 */
#include "base/random.h"
#include "harness.h"

#include <stdbool.h>

#define TRIES 10000

START_TEST(stays_within_a_tenth_of_the_span)
    {
        static const int64_t spans[] = {0, 1, 9, 10, 100, 1000000, INT64_MAX / 2, INT64_MAX};
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            int64_t tenth = spans[i] / 10;
            int64_t most = spans[i] <= INT64_MAX - tenth ? spans[i] + tenth : INT64_MAX;
            uint64_t state = 4711;
            for (int try = 0; try < TRIES; try++) {
                int64_t near = random_near(&state, spans[i]);
                ck_assert_int_ge(near, spans[i] - tenth);
                ck_assert_int_le(near, most);
            }
        }
    }
END_TEST

START_TEST(reaches_both_ends)
    {
        bool least = false, most = false;
        uint64_t state = 1;
        for (int try = 0; try < TRIES; try++) {
            int64_t near = random_near(&state, 100);
            least |= near == 90;
            most |= near == 110;
        }
        ck_assert(least && most);
    }
END_TEST

START_TEST(takes_any_state)
    {
        uint64_t zero = 0, other = 1;
        ck_assert_uint_ne(random_next(&zero), 0);
        ck_assert_uint_ne(random_next(&zero), random_next(&other));
    }
END_TEST

int main(void)
{
    return HARNESS("random", stays_within_a_tenth_of_the_span, reaches_both_ends, takes_any_state);
}
