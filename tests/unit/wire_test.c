/* SPDX-License-Identifier: MIT
 *
 * Protobuf at its edges: what has no size, what has too large a one, and bytes that are no message.
 * What ordinary messages look like is told by the suite otlp.
 */
#include "base/ensure.h"
#include "base/wire.h"
#include "harness.h"

static void expect(const struct buf *buf, const char *data, size_t size)
{
    ck_assert(!buf->failed);
    ck_assert_uint_eq(buf->size, size);
    ck_assert_mem_eq(buf->data, data, size);
}

#define EXPECT(buf, literal) expect((buf), literal, sizeof(literal) - 1)

START_TEST(leaves_out_what_is_empty_but_where_it_must_be_told)
    {
        auto_buf struct buf buf = {0};
        wire_uint(&buf, 1, 0);
        wire_sint(&buf, 1, 0);
        wire_fixed32(&buf, 1, 0);
        wire_fixed64(&buf, 1, 0);
        wire_text(&buf, 1, NULL);
        wire_text(&buf, 1, "");
        wire_packed_uint(&buf, 1, NULL, 0);
        wire_packed_fixed64(&buf, 1, NULL, 0);
        ck_assert_uint_eq(buf.size, 0);
        wire_uint_always(&buf, 1, 0);
        wire_bytes_always(&buf, 2, NULL, 0);
        EXPECT(&buf, "\x08\x00\x12\x00");
    }
END_TEST

START_TEST(fails_for_a_size_that_no_memory_has)
    {
        struct buf bytes = {0}, key = {0}, text = {0};
        wire_bytes_always(&bytes, 1, NULL, SIZE_MAX);
        wire_pair(&key, 1, NULL, SIZE_MAX, "", 0);
        wire_pair(&text, 1, "", 0, NULL, SIZE_MAX);
        ck_assert(bytes.failed && key.failed && text.failed);
    }
END_TEST

START_TEST(adds_nothing_once_it_has_failed)
    {
        struct buf buf = {.failed = true};
        const uint64_t two[] = {1, 2};
        wire_uint(&buf, 1, 1);
        wire_fixed32(&buf, 1, 1);
        wire_fixed64(&buf, 1, 1);
        wire_pair(&buf, 1, "k", 1, "v", 1);
        wire_packed_uint(&buf, 1, two, 2);
        wire_packed_fixed64(&buf, 1, two, 2);
        wire_close(&buf, wire_open(&buf, 1, 1));
        ck_assert_uint_eq(buf.size, 0);
        ck_assert_ptr_null(buf.data);
    }
END_TEST

START_TEST(moves_a_message_whose_length_was_guessed_wrong)
    {
        auto_buf struct buf shorter = {0}, longer = {0};
        struct wire_mark mark = wire_open(&shorter, 1, 3);
        wire_uint(&shorter, 1, 1);
        wire_close(&shorter, mark);
        EXPECT(&shorter, "\x0a\x02\x08\x01");

        char text[200] = {0};
        mark = wire_open(&longer, 1, 1);
        wire_bytes_always(&longer, 2, text, sizeof text);
        wire_close(&longer, mark);
        ck_assert_uint_eq(longer.size, 1 + 2 + 1 + 2 + sizeof text);
        ck_assert_mem_eq(longer.data, "\x0a\xcb\x01\x12\xc8\x01", 6);
    }
END_TEST

START_TEST(sees_bad_utf8_wherever_it_stands)
    {
        char text[20];
        for (size_t i = 0; i < sizeof text; i++) {
            memset(text, 'a', sizeof text);
            ck_assert(wire_is_utf8(text, sizeof text));
            text[i] = (char)0xff;
            ck_assert(!wire_is_utf8(text, sizeof text));
        }
    }
END_TEST

static const struct bad_case {
    const char *data;
    size_t size;
} bad[] = {
#define BAD(literal)                                                                               \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
    BAD("\x80"),                                                 /* half a key */
    BAD("\x00"),                                                 /* field 0 */
    BAD("\xff\xff\xff\xff\x7f\x00"),                             /* a field beyond the last */
    BAD("\x0b"),                                                 /* a group */
    BAD("\x08"),                                                 /* a number that is missing */
    BAD("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),         /* of 65 bits */
    BAD("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* and longer */
    BAD("\x09\x01\x02\x03\x04\x05\x06\x07"),                     /* seven bytes of eight */
    BAD("\x0d\x01\x02\x03"),                                     /* three of four */
    BAD("\x0a\x02\x01"),                                         /* one of two */
    BAD("\x0a\x80"),                                             /* half a length */
};

START_TEST(says_so_of_bytes_that_are_no_message)
    {
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            struct wire_reader in = wire_reader(bad[i].data, bad[i].size);
            struct wire_field field;
            ck_assert_msg(!wire_next(&in, &field) && in.bad, "%zu", i);
            ck_assert(!wire_next(&in, &field));
        }
    }
END_TEST

START_TEST(reads_each_type_of_field)
    {
        static const char data[] = "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                   "\x11\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x1d\x01\x02\x03\x04"
                                   "\x22\x02hi";
        struct wire_reader in = wire_reader(data, sizeof data - 1);
        struct wire_field field;
        ck_assert(wire_next(&in, &field) && field.number == 1 && field.value == UINT64_MAX);
        ck_assert(wire_next(&in, &field) && field.value == UINT64_C(0x0807060504030201));
        ck_assert(wire_next(&in, &field) && field.value == 0x04030201);
        ck_assert(wire_next(&in, &field) && field.number == 4 && field.size == 2);
        ck_assert_mem_eq(field.data, "hi", 2);
        ck_assert(!wire_next(&in, &field) && !in.bad);
    }
END_TEST

int main(void)
{
    return HARNESS("wire", leaves_out_what_is_empty_but_where_it_must_be_told,
                   fails_for_a_size_that_no_memory_has, adds_nothing_once_it_has_failed,
                   moves_a_message_whose_length_was_guessed_wrong, sees_bad_utf8_wherever_it_stands,
                   says_so_of_bytes_that_are_no_message, reads_each_type_of_field);
}
