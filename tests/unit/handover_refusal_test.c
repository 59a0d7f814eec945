/* SPDX-License-Identifier: MIT
 *
 * What comes from another process is not believed: anything that is not a message in all its parts
 * is refused as a whole.
 */
#include "handover_wire.h"

/* --- refused --------------------------------------------------------------------------------- */

static bool may_be_missing(enum handover_type type, size_t at)
{
    unsigned tag = packet.bytes[at];
    return (type == HANDOVER_PROGRESS && tag == EXTEND) || (type == HANDOVER_READY && tag == TEXT);
}

START_TEST(refuses_a_message_without_a_field_it_needs)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            struct sample_packet plain = packet;
            for (size_t at = SAMPLE_HEAD, size; (size = sample_field(&plain, at)) > 0; at += size) {
                packet = plain;
                int rc = may_be_missing(sample_types[i], at) ? 0 : -EBADMSG;
                sample_remove(&packet, at, size);
                ck_assert_int_eq(decode(), rc);
            }
        }
    }
END_TEST

START_TEST(takes_what_may_be_missing_for_nothing)
    {
        encode_sample(HANDOVER_PROGRESS);
        sample_remove(&packet, sample_find(&packet, SAMPLE_HEAD, EXTEND), 12);
        ck_assert_int_eq(decode(), 0);
        ck_assert_uint_eq(got.extend_ns, 0);
        ck_assert_str_eq(got.text, sent.text);
    }
END_TEST

/* The entry alone, of one name and one kind. */
static void encode_small_entry(const char *fields, size_t size)
{
    encode_sample(HANDOVER_BATCH);
    packet.size = sample_find(&packet, SAMPLE_HEAD, ENTRY);
    store(value_of(ENTRY_COUNT), 1, 4);
    unsigned char head[4] = {ENTRY, 0, (unsigned char)size, 0};
    ck_assert_int_ne(sample_insert(&packet, packet.size, head, sizeof head), 0);
    ck_assert_int_ne(sample_insert(&packet, packet.size, fields, size), 0);
}

#define NAMED "\x01\0\x01\0n"
#define KIND "\x03\0\x04\0\x02\0\0\0"

START_TEST(needs_a_name_and_a_kind_of_an_entry)
    {
        encode_small_entry(NAMED KIND, 13);
        ck_assert_int_eq(decode(), 0);
        ck_assert_str_eq(got.entries[0].name, "n");
        ck_assert_int_eq(got.entries[0].kind, HANDOVER_KEPT);
        ck_assert_str_eq(got.entries[0].address, "");
        encode_small_entry(NAMED, 5);
        assert_refused(-EBADMSG);
        encode_small_entry(KIND, 8);
        assert_refused(-EBADMSG);
        encode_small_entry("", 0);
        assert_refused(-EBADMSG);
        encode_small_entry(NAMED NAMED KIND, 18);
        assert_refused(-EBADMSG);
        encode_small_entry(NAMED KIND "\x04", 14);
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(refuses_a_field_that_is_there_twice)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            struct sample_packet plain = packet;
            for (size_t at = SAMPLE_HEAD, size; (size = sample_field(&plain, at)) > 0; at += size) {
                packet = plain;
                ck_assert_int_ne(sample_insert(&packet, at, plain.bytes + at, size), 0);
                assert_refused(-EBADMSG);
            }
        }
    }
END_TEST

START_TEST(refuses_a_message_that_was_cut_anywhere)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            for (size_t size = 0; size < packet.size; size++) {
                /* what READY has to have ends here */
                bool enough = sample_types[i] == HANDOVER_READY && size == SAMPLE_HEAD + 8;
                ck_assert_int_eq(decode_bytes(packet.bytes, size), enough ? 0 : -EBADMSG);
            }
        }
    }
END_TEST

START_TEST(refuses_what_hangs_on_behind)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            for (int more = 1; more < 4; more++) {
                ck_assert_int_ne(sample_insert(&packet, packet.size, "", 1), 0);
                assert_refused(-EBADMSG);
            }
            store(packet.bytes + packet.size - 3, 999, 2);
            ck_assert_int_ne(sample_insert(&packet, packet.size, "\x01", 1), 0);
            assert_refused(-EBADMSG); /* a field that is longer than the packet */
        }
    }
END_TEST

START_TEST(refuses_two_messages_in_one_packet)
    {
        encode_sample(HANDOVER_ACK);
        struct sample_packet plain = packet;
        ck_assert_int_ne(sample_insert(&packet, packet.size, plain.bytes, plain.size), 0);
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(refuses_what_has_another_head)
    {
        for (size_t at = 0; at < 6; at++) {
            encode_sample(HANDOVER_PING);
            packet.bytes[at] ^= 0x20;
            assert_refused(-EBADMSG);
        }
        packet.size = 0;
        assert_refused(-EBADMSG);
        ck_assert_int_eq(handover_decode(&got, NULL, 0), -EBADMSG);
    }
END_TEST

START_TEST(refuses_a_packet_that_is_too_large)
    {
        encode_sample(HANDOVER_PING);
        memset(packet.bytes + packet.size, 0, sizeof packet.bytes - packet.size);
        packet.size = HANDOVER_PACKET_MAX; /* empty fields of a tag that nobody knows */
        ck_assert_int_eq(decode(), 0);
        packet.size += 4;
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(refuses_numbers_out_of_range)
    {
        static const struct {
            enum handover_type type;
            unsigned tag;
            uint64_t value;
            size_t width;
            int rc;
        } cases[] = {
            {HANDOVER_HELLO, VERSION_MIN, 0, 4, -EBADMSG},
            {HANDOVER_HELLO, VERSION_MIN, 2, 4, -EBADMSG}, /* above the highest */
            {HANDOVER_HELLO, VERSION_MAX, 0, 4, -EBADMSG},
            {HANDOVER_HELLO, VERSION_MAX, UINT32_MAX, 4, 0},
            {HANDOVER_HELLO, PID, 0, 4, -EBADMSG},
            {HANDOVER_HELLO, PID, INT32_MAX, 4, 0},
            {HANDOVER_HELLO, PID, UINT64_C(1) << 31, 4, -EBADMSG},
            {HANDOVER_WELCOME, VERSION_MAX, 0, 4, -EBADMSG},
            {HANDOVER_WELCOME, GENERATION, 0, 4, -EBADMSG},
            {HANDOVER_WELCOME, COUNT, UINT32_MAX, 4, -EBADMSG},
            {HANDOVER_WELCOME, UMASK, 0777, 4, 0},
            {HANDOVER_WELCOME, UMASK, 01000, 4, -EBADMSG},
            {HANDOVER_WELCOME, LIMITS, 0, 8, 0},
            {HANDOVER_ACK, COUNT, 0, 4, 0},
            {HANDOVER_ACK, COUNT, (1 << 20) + 1, 4, -EBADMSG},
            {HANDOVER_PROGRESS, EXTEND, INT64_MAX, 8, 0},
            {HANDOVER_PROGRESS, EXTEND, UINT64_MAX, 8, -EBADMSG},
            {HANDOVER_BATCH, ENTRY_COUNT, 0, 4, -EBADMSG},
            {HANDOVER_BATCH, ENTRY_COUNT, SAMPLE_ENTRIES - 1, 4, -EBADMSG},
            {HANDOVER_BATCH, ENTRY_COUNT, SAMPLE_ENTRIES + 1, 4, -EBADMSG},
            {HANDOVER_BATCH, ENTRY_COUNT, HANDOVER_BATCH_MAX + 1, 4, -EBADMSG},
            {HANDOVER_BATCH, ENTRY_COUNT, UINT32_MAX, 4, -EBADMSG},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            encode_sample(cases[i].type);
            store(value_of(cases[i].tag), cases[i].value, cases[i].width);
            ck_assert_msg(decode() == cases[i].rc, "case %zu", i);
        }
        encode_sample(HANDOVER_WELCOME);
        store(value_of(LIMITS) + 16, UINT64_MAX, 8); /* soft above hard */
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(refuses_numbers_of_an_entry_out_of_range)
    {
        static const struct {
            unsigned tag;
            uint64_t value;
            int rc;
        } cases[] = {{E_KIND, 0, -EBADMSG}, {E_KIND, HANDOVER_STATE, 0},
                     {E_KIND, 4, -EBADMSG}, {E_INDEX, UINT32_MAX, -EBADMSG},
                     {E_OUTSIDE, 0, 0},     {E_OUTSIDE, 2, -EBADMSG}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            encode_sample(HANDOVER_BATCH);
            size_t entry = sample_find(&packet, SAMPLE_HEAD, ENTRY);
            size_t at = sample_find(&packet, entry + 4, cases[i].tag);
            store(packet.bytes + at + 4, cases[i].value, 4);
            ck_assert_msg(decode() == cases[i].rc, "case %zu", i);
        }
    }
END_TEST

START_TEST(refuses_more_entries_than_there_can_be)
    {
        sample_largest(&sent);
        encode();
        size_t at = sample_find(&packet, SAMPLE_HEAD, ENTRY);
        struct sample_packet plain = packet;
        ck_assert_int_ne(sample_insert(&packet, at, plain.bytes + at, sample_field(&plain, at)), 0);
        assert_refused(-EBADMSG);
        store(value_of(ENTRY_COUNT), HANDOVER_BATCH_MAX + 1, 4);
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(refuses_numbers_and_texts_of_a_wrong_length)
    {
        static const struct {
            enum handover_type type;
            unsigned tag;
        } cases[] = {{HANDOVER_ACK, COUNT},
                     {HANDOVER_PROGRESS, EXTEND},
                     {HANDOVER_WELCOME, LIMITS},
                     {HANDOVER_WELCOME, UMASK}};
        static const unsigned char zeros[300];
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            for (int more = -1; more <= 1; more += 2) {
                encode_sample(cases[i].type);
                size_t at = (size_t)(value_of(cases[i].tag) - packet.bytes);
                if (more > 0)
                    ck_assert_int_ne(sample_insert(&packet, at, zeros, 1), 0);
                else
                    sample_remove(&packet, at, 1);
                size_t size = (size_t)(packet.bytes[at - 2] | packet.bytes[at - 1] << 8);
                store(packet.bytes + at - 2, (uint64_t)((int)size + more), 2);
                assert_refused(-EBADMSG);
            }
        }
        /* A text of as many bytes as its place has none left for its end. */
        for (size_t size = HANDOVER_TEXT_MAX - 1; size <= HANDOVER_TEXT_MAX; size++) {
            encode_sample(HANDOVER_FAILED);
            packet.size = SAMPLE_HEAD + 4;
            store(packet.bytes + SAMPLE_HEAD + 2, size, 2);
            ck_assert_int_ne(sample_insert(&packet, packet.size, zeros, size), 0);
            ck_assert_int_eq(decode(), size < HANDOVER_TEXT_MAX ? 0 : -EBADMSG);
        }
    }
END_TEST

START_TEST(refuses_names_that_do_not_print)
    {
        static const char *const bad[] = {"a\nb", "\x1b[2J",  "a\x7f",        "\xff",
                                          "\xc3", "\xc2\x85", "\xe2\x80\xa8", "\xed\xa0\x80"};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            encode_sample(HANDOVER_HELLO);
            memcpy(value_of(NAME), bad[i], strlen(bad[i]));
            assert_refused(-EBADMSG);
        }
        encode_sample(HANDOVER_HELLO);
        value_of(NAME)[0] = '\0'; /* an end where none is */
        assert_refused(-EBADMSG);
        encode_small_entry("\x01\0\0\0" KIND, 12);
        assert_refused(-EBADMSG);
        encode_small_entry("\x01\0\x01\0\t" KIND, 13);
        assert_refused(-EBADMSG);
        encode_small_entry(NAMED KIND "\x02\0\x02\0u\n", 19);
        assert_refused(-EBADMSG);
    }
END_TEST

START_TEST(shows_what_does_not_print_in_a_text_as_a_question_mark)
    {
        static const char given[] = "1\0"
                                    "2\n3\x1b[m\x7f \xc2\x85 \xff\xe2\x9c\x93\xe2\x80\xa8 \xc3";
        encode_sample(HANDOVER_FAILED);
        packet.size = SAMPLE_HEAD + 4;
        store(packet.bytes + SAMPLE_HEAD + 2, sizeof given - 1, 2);
        ck_assert_int_ne(sample_insert(&packet, packet.size, given, sizeof given - 1), 0);
        ck_assert_int_eq(decode(), 0);
        ck_assert_str_eq(got.text, "1?2?3?[m? ?? ?\xe2\x9c\x93??? ?");
        ck_assert_uint_eq(strlen(got.text), sizeof given - 1);
    }
END_TEST

/* --- garbage --------------------------------------------------------------------------------- */

/* Refused; or good in every part, so that it can be sent on. */
static void assert_decoded_or_refused(void)
{
    static unsigned char again[HANDOVER_PACKET_MAX];
    int rc = decode();
    ck_assert(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
    if (rc == 0)
        ck_assert_int_gt(handover_encode(&got, again, sizeof again), 0);
}

START_TEST(survives_every_change_of_one_byte)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            for (size_t at = 0; at < packet.size; at++) {
                unsigned char before = packet.bytes[at];
                for (int value = 0; value < 256; value++) {
                    packet.bytes[at] = (unsigned char)value;
                    assert_decoded_or_refused();
                }
                packet.bytes[at] = before;
            }
        }
    }
END_TEST

START_TEST(survives_garbage_behind_a_good_head)
    {
        uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
        for (int round = 0; round < 20000; round++) {
            encode_sample(sample_types[round % SAMPLE_COUNT]);
            packet.size = SAMPLE_HEAD + (size_t)round % 97;
            for (size_t at = SAMPLE_HEAD; at < packet.size; at++) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                packet.bytes[at] = (unsigned char)(random >> 40 & (at % 4 == 0 ? 0x1f : 0x0f));
            }
            assert_decoded_or_refused();
        }
    }
END_TEST

int main(void)
{
    return HARNESS("handover_refusal", refuses_a_message_without_a_field_it_needs,
                   takes_what_may_be_missing_for_nothing, needs_a_name_and_a_kind_of_an_entry,
                   refuses_a_field_that_is_there_twice, refuses_a_message_that_was_cut_anywhere,
                   refuses_what_hangs_on_behind, refuses_two_messages_in_one_packet,
                   refuses_what_has_another_head, refuses_a_packet_that_is_too_large,
                   refuses_numbers_out_of_range, refuses_numbers_of_an_entry_out_of_range,
                   refuses_more_entries_than_there_can_be,
                   refuses_numbers_and_texts_of_a_wrong_length, refuses_names_that_do_not_print,
                   shows_what_does_not_print_in_a_text_as_a_question_mark,
                   survives_every_change_of_one_byte, survives_garbage_behind_a_good_head);
}
