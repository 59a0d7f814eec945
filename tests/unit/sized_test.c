/* SPDX-License-Identifier: MIT
 *
 * Structs that know their size: older and newer callers.
 */
#include "base/sized.h"
#include "harness.h"

#include <errno.h>
#include <string.h>

struct known {
    size_t size;
    void *first, *second, *third;
};

enum { LEAST = sizeof(size_t) + sizeof(void *), WORD = sizeof(void *) };

static int copy(struct known *to, const void *from)
{
    memset(to, 0xa5, sizeof *to);
    return sized_copy(to, sizeof *to, LEAST, from);
}

START_TEST(fills_what_an_older_caller_lacks_with_zero)
    {
        int x;
        struct known from = {.size = LEAST, .first = &x, .second = &x, .third = &x}, to;
        ck_assert_int_eq(copy(&to, &from), 0);
        ck_assert_uint_eq(to.size, sizeof to);
        ck_assert_ptr_eq(to.first, &x);
        ck_assert_ptr_null(to.second);
        ck_assert_ptr_null(to.third);
    }
END_TEST

START_TEST(accepts_a_newer_caller_who_uses_nothing_new)
    {
        struct {
            struct known known;
            char more[8 * WORD];
        } from = {.known = {.size = sizeof from, .third = &from}};
        struct known to;
        ck_assert_int_eq(copy(&to, &from), 0);
        ck_assert_ptr_eq(to.third, &from);
        ck_assert_uint_eq(to.size, sizeof to);
        for (size_t i = 0; i < sizeof from.more; i++) {
            memset(from.more, 0, sizeof from.more);
            from.more[i] = 1;
            ck_assert_int_eq(copy(&to, &from), -E2BIG);
        }
    }
END_TEST

START_TEST(refuses_sizes_that_nobody_filled_in)
    {
        struct known from = {0}, to;
        static const size_t bad[] = {0, 1, LEAST - 1, LEAST + 1, sizeof from - 1};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            from.size = bad[i];
            ck_assert_int_eq(copy(&to, &from), -EINVAL);
        }
        from.size = (size_t)1 << 40; /* read no further than is sane */
        ck_assert_int_eq(copy(&to, &from), -E2BIG);
        from.size = SIZE_MAX / WORD * WORD;
        ck_assert_int_eq(copy(&to, &from), -E2BIG);
    }
END_TEST

START_TEST(knows_zero_from_anything_else)
    {
        char bytes[33] = {0};
        ck_assert(is_zero(bytes, sizeof bytes));
        ck_assert(is_zero(bytes, 0));
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (char)0x80;
            ck_assert(!is_zero(bytes, sizeof bytes));
            ck_assert(is_zero(bytes, i));
            bytes[i] = 0;
        }
    }
END_TEST

int main(void)
{
    return HARNESS("sized", fills_what_an_older_caller_lacks_with_zero,
                   accepts_a_newer_caller_who_uses_nothing_new, refuses_sizes_that_nobody_filled_in,
                   knows_zero_from_anything_else);
}
