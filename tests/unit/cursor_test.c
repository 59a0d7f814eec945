/* SPDX-License-Identifier: MIT
 *
 * Numbers as DWARF has them, at the edges of their widths and of what is there.
 */
#include "base/ensure.h"
#include "harness.h"
#include "profile/cursor.h"

static struct cursor over(const void *data, size_t size)
{
    const unsigned char *at = data;
    return (struct cursor){.at = at, .end = at + size, .address = 0x1000};
}

#define OVER(literal) over(literal, sizeof(literal) - 1)

static const struct leb_case {
    const char *data;
    size_t size;
    uint64_t value;
    int64_t signed_value;
    bool bad;
} lebs[] = {
#define DATA(literal) literal, sizeof(literal) - 1
    {DATA(""), 0, 0, true},
    {DATA("\x00"), 0, 0, false},
    {DATA("\x3f"), 63, 63, false},
    {DATA("\x7f"), 127, -1, false},
    {DATA("\x80\x7f"), 127 << 7, -128, false},
    {DATA("\xe5\x8e\x26"), 624485, 624485, false},
    {DATA("\x80"), 0, 0, true}, /* it goes on, where nothing is */
    {DATA("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), UINT64_MAX, -1, false},
    {DATA("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 1, 1, false}, /* bits beyond 64 */
    {DATA("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"), 1, 1, false},
};

START_TEST(reads_leb128_of_any_length)
    {
        for (size_t i = 0; i < COUNT_OF(lebs); i++) {
            struct cursor in = over(lebs[i].data, lebs[i].size), again = in;
            ck_assert_msg(cursor_uleb(&in) == lebs[i].value, "%zu", i);
            ck_assert_msg(cursor_sleb(&again) == lebs[i].signed_value, "%zu", i);
            ck_assert_msg(in.bad == lebs[i].bad && again.bad == lebs[i].bad, "%zu", i);
        }
    }
END_TEST

static const struct pointer_case {
    unsigned char encoding;
    uint64_t value, width;
    bool bad;
} pointers[] = {
    {0x00, UINT64_C(0x8807060504030281), 8, false},
    {0x04, UINT64_C(0x8807060504030281), 8, false},
    {0x0c, UINT64_C(0x8807060504030281), 8, false},
    {0x02, 0x0281, 2, false},
    {0x03, 0x04030281, 4, false},
    {0x0a, 0x0281, 2, false},
    {0x0b, 0x04030281, 4, false},
    {0x12, 0x1281, 2, false}, /* from here */
    {0x1b, 0x04031281, 4, false},
    {0x82, 0x0281, 2, false}, /* that it is indirect is for who asks */
    {0x01, 0, 0, true},       /* LEB128, which no linker writes */
    {0x32, 0x0281, 2, true},  /* from the data */
};

START_TEST(reads_a_pointer_in_each_encoding)
    {
        for (size_t i = 0; i < COUNT_OF(pointers); i++) {
            const struct pointer_case *c = &pointers[i];
            struct cursor in = OVER("\x81\x02\x03\x04\x05\x06\x07\x88");
            ck_assert_msg(cursor_pointer(&in, c->encoding) == c->value, "%zu", i);
            ck_assert_msg(in.bad == c->bad && in.address == 0x1000 + c->width, "%zu", i);
        }
        struct cursor two = OVER("\xfe\xff"), four = OVER("\xfe\xff\xff\xff");
        ck_assert_uint_eq(cursor_pointer(&two, 0x0a), (uint64_t)-2);
        ck_assert_uint_eq(cursor_pointer(&four, 0x0b), (uint64_t)-2);
    }
END_TEST

START_TEST(takes_nothing_once_something_was_missing)
    {
        struct cursor in = OVER("\x01\x02\x03");
        ck_assert_uint_eq(cursor_take(&in, 4), 0);
        ck_assert(in.bad);
        ck_assert_uint_eq(cursor_take(&in, 1), 0);
        struct cursor part = cursor_part(&in, 1);
        ck_assert(part.bad && part.at == part.end);
        ck_assert_uint_eq(in.address, 0x1000);
    }
END_TEST

int main(void)
{
    return HARNESS("cursor", reads_leb128_of_any_length, reads_a_pointer_in_each_encoding,
                   takes_nothing_once_something_was_missing);
}
