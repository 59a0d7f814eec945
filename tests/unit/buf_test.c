/* SPDX-License-Identifier: MIT
 *
 * Text that grows: numbers in it.
 */
#include "base/buf.h"
#include "comma.h"

static void assert_fixed(double value, int decimals, int width, const char *wanted)
{
    struct buf buf = {0};
    buf_fixed(&buf, value, decimals, width);
    ck_assert_str_eq(buf.data, wanted);
    buf_free(&buf);
}

START_TEST(writes_so_many_decimals)
    {
        assert_fixed(0, 1, 0, "0.0");
        assert_fixed(1.25, 2, 0, "1.25");
        assert_fixed(2.96, 1, 0, "3.0");
        assert_fixed(0.04, 1, 0, "0.0");
        assert_fixed(99.999, 2, 0, "100.00");
        assert_fixed(7.5, 0, 0, "8");
        assert_fixed(-1.5, 1, 0, "-1.5");
        assert_fixed(-0.01, 1, 0, "0.0");
        assert_fixed(1.002, 3, 0, "1.002");
        assert_fixed(123456789.125, 3, 0, "123456789.125");
        assert_fixed(99999999.0, 6, 0, "99999999.000000");
    }
END_TEST

START_TEST(aligns_numbers_to_the_right)
    {
        assert_fixed(1.5, 1, 5, "  1.5");
        assert_fixed(12345.5, 1, 5, "12345.5");
        assert_fixed(-1.5, 2, 7, "  -1.50");
    }
END_TEST

START_TEST(writes_a_point_in_every_locale)
    {
        comma_locale();
        assert_fixed(1.5, 1, 0, "1.5");
    }
END_TEST

int main(void)
{
    return HARNESS("buf", writes_so_many_decimals, aligns_numbers_to_the_right,
                   writes_a_point_in_every_locale);
}
