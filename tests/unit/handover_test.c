/* SPDX-License-Identifier: MIT
 *
 * What two generations say to each other, as bytes: what goes in comes out, and builds of different
 * age understand each other.
 */
#include "handover_wire.h"

/* --- there and back -------------------------------------------------------------------------- */

START_TEST(brings_every_message_back_as_it_was)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            ck_assert_int_eq(decode(), 0);
            assert_same();
        }
    }
END_TEST

START_TEST(holds_as_many_entries_as_there_can_be_with_the_longest_texts)
    {
        sample_largest(&sent);
        encode();
        ck_assert_uint_le(packet.size, HANDOVER_PACKET_MAX);
        ck_assert_int_eq(decode(), 0);
        assert_same();
    }
END_TEST

START_TEST(carries_only_what_belongs_to_a_message)
    {
        sample(&sent, HANDOVER_HELLO);
        sample_welcome(&sent);
        sample_batch(&sent);
        sent.boot.limits[0] = (struct handover_limit){2, 1}; /* nobody looks at it */
        sent.type = HANDOVER_ACK;
        encode();
        ck_assert_int_eq(decode(), 0);
        sample(&sent, HANDOVER_ACK);
        sent.count = 1000;
        assert_same();
    }
END_TEST

START_TEST(writes_head_and_hello_as_every_build_before)
    {
        static const unsigned char hello[] = "SRUN\x01\0\x01\0"
                                             "\x01\0\x04\0\x01\0\0\0"
                                             "\x02\0\x04\0\x01\0\0\0"
                                             "\x03\0\x04\0\x67\x12\0\0"
                                             "\x07\0\x07\0b\xc3\xbc"
                                             "cher"
                                             "\x08\0\x05\0"
                                             "1.4.0"
                                             "\x09\0\x08\0"
                                             "00ff12ab";
        encode_sample(HANDOVER_HELLO);
        ck_assert_uint_eq(packet.size, sizeof hello - 1);
        ck_assert_mem_eq(packet.bytes, hello, packet.size);
    }
END_TEST

START_TEST(writes_welcome_as_every_build_before)
    {
        static const unsigned char start[] = "SRUN\x01\0\x21\0"
                                             "\x02\0\x04\0\x01\0\0\0"
                                             "\x04\0\x04\0\x03\0\0\0"
                                             "\x05\0\x04\0\xe8\x03\0\0"
                                             "\x0b\0\x08\0\x01\0\0\0\0\0\0\x80"
                                             "\x0c\0\x08\0\0\x10\0\0\0\0\0\0"
                                             "\x0d\0\x04\0\x17\0\0\0"
                                             "\x0e\0\0\x01\0\0\0\0\0\0\0\0"
                                             "\xff\xff\xff\xff\xff\xff\xff\xff";
        encode_sample(HANDOVER_WELCOME);
        ck_assert_uint_eq(packet.size, sizeof start - 1 + 256 - 16);
        ck_assert_mem_eq(packet.bytes, start, sizeof start - 1);
    }
END_TEST

START_TEST(says_when_there_is_no_room_and_writes_no_further)
    {
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            for (size_t room = 0; room < packet.size; room++) {
                unsigned char *small = malloc(room > 0 ? room : 1);
                ck_assert_ptr_nonnull(small);
                ck_assert_int_eq(handover_encode(&sent, small, room), -ENOBUFS);
                free(small);
            }
        }
    }
END_TEST

START_TEST(cuts_texts_at_the_end_of_a_character)
    {
        sample(&sent, HANDOVER_HELLO);
        memset(sent.name, 'x', sizeof sent.name); /* without an end */
        memcpy(sent.name + HANDOVER_NAME_MAX - 3, "\xe2\x9c\x93", 3);
        memset(sent.version, 'v', sizeof sent.version - 1);
        (void)snprintf(sent.build, sizeof sent.build, "\xf0\x9f\x92"); /* cut by who filled it */
        encode();
        ck_assert_int_eq(decode(), 0);
        ck_assert_uint_eq(strlen(got.name), HANDOVER_NAME_MAX - 3);
        ck_assert_uint_eq(strspn(got.name, "x"), HANDOVER_NAME_MAX - 3);
        ck_assert_str_eq(got.version, sent.version);
        ck_assert_str_eq(got.build, "");
        memcpy(sent.name + HANDOVER_NAME_MAX - 4, "\xe2\x9c\x93", 3);
        encode();
        ck_assert_int_eq(decode(), 0);
        ck_assert_uint_eq(strlen(got.name), HANDOVER_NAME_MAX - 1);
        (void)snprintf(sent.name, sizeof sent.name, "whole \xf0\x9f\x92\x96");
        encode();
        ck_assert_int_eq(decode(), 0);
        ck_assert_str_eq(got.name, sent.name);
    }
END_TEST

START_TEST(knows_a_program_by_a_name_that_was_cut)
    {
        char name[256] = "x";
        for (size_t size = 1; size + 2 < sizeof name; size += 2) {
            sample(&sent, HANDOVER_HELLO);
            (void)snprintf(sent.name, sizeof sent.name, "%.*s", (int)sizeof sent.name - 1, name);
            encode();
            ck_assert_int_eq(decode(), 0);
            ck_assert(handover_is_by(&got, name));
            ck_assert(!handover_is_by(&got, name + 1));
            memcpy(name + size, "\xc3\xbc", 3);
        }
        sample(&got, HANDOVER_HELLO);
        (void)snprintf(got.name, sizeof got.name, "api");
        ck_assert(handover_is_by(&got, "api"));
        ck_assert(!handover_is_by(&got, "ap"));
        ck_assert(!handover_is_by(&got, "api2"));
        ck_assert(!handover_is_by(&got, "apj"));
    }
END_TEST

static void assert_not_sent(void)
{
    ck_assert_int_eq(handover_encode(&sent, packet.bytes, sizeof packet.bytes), -EINVAL);
}

START_TEST(does_not_send_what_would_be_refused)
    {
        sample(&sent, HANDOVER_HELLO);
        sent.name[0] = '\0';
        assert_not_sent();
        sample(&sent, HANDOVER_HELLO);
        sent.version[1] = '\n';
        assert_not_sent();
        sample(&sent, HANDOVER_HELLO);
        sent.pid = 0;
        assert_not_sent();
        sample(&sent, HANDOVER_HELLO);
        sent.version_min = sent.version_max + 1;
        assert_not_sent();
        sample(&sent, HANDOVER_BATCH);
        sent.entry_count = HANDOVER_BATCH_MAX + 1;
        assert_not_sent();
        sample(&sent, HANDOVER_BATCH);
        sent.entries[SAMPLE_ENTRIES - 1].kind = (enum handover_kind)0;
        assert_not_sent();
        memset(&sent, 0, sizeof sent);
        assert_not_sent();
        sent.type = (enum handover_type)34567;
        assert_not_sent();
    }
END_TEST

/* --- newer and older builds ------------------------------------------------------------------ */

START_TEST(agrees_on_the_highest_version_both_speak)
    {
        ck_assert_uint_eq(handover_agree(1, 1), 1);
        ck_assert_uint_eq(handover_agree(1, 9), HANDOVER_VERSION_MAX);
        ck_assert_uint_eq(handover_agree(0, UINT32_MAX), HANDOVER_VERSION_MAX);
        ck_assert_uint_eq(handover_agree(HANDOVER_VERSION_MAX + 1, UINT32_MAX), 0);
        ck_assert_uint_eq(handover_agree(0, 0), 0);
        ck_assert_uint_eq(handover_agree(9, 1), 0);
    }
END_TEST

START_TEST(understands_the_hello_of_a_build_that_speaks_more)
    {
        sample(&sent, HANDOVER_HELLO);
        sent.version_max = 12;
        encode();
        ck_assert_int_eq(decode(), 0);
        assert_same();
        ck_assert_uint_eq(handover_agree(got.version_min, got.version_max), HANDOVER_VERSION_MAX);
    }
END_TEST

/* Before each field, and at the end. */
static void assert_skipped_everywhere(const void *field, size_t size)
{
    struct sample_packet plain = packet;
    for (size_t at = SAMPLE_HEAD; at <= plain.size; at += sample_field(&plain, at)) {
        packet = plain;
        ck_assert_int_ne(sample_insert(&packet, at, field, size), 0);
        ck_assert_int_ne(sample_insert(&packet, at, field, size), 0); /* even twice */
        ck_assert_int_eq(decode(), 0);
        assert_same();
        if (at == plain.size)
            break;
    }
    packet = plain;
}

START_TEST(skips_fields_it_does_not_know)
    {
        static const unsigned char tags[][2] = {{0, 0},  {16, 0}, {30, 0},     {32, 0},
                                                {63, 0}, {1, 1},  {0xff, 0xff}};
        for (size_t i = 0; i < SAMPLE_COUNT; i++) {
            encode_sample(sample_types[i]);
            for (size_t t = 0; t < sizeof tags / sizeof tags[0]; t++) {
                unsigned char field[300] = {tags[t][0], tags[t][1]};
                assert_skipped_everywhere(field, 4);
                field[2] = sizeof field - 4 - 256;
                field[3] = 1;
                assert_skipped_everywhere(field, sizeof field);
            }
        }
    }
END_TEST

START_TEST(skips_fields_that_a_newer_build_gives_to_other_messages)
    {
        encode_sample(HANDOVER_PING);
        assert_skipped_everywhere("\x03\0\x01\0?", 5); /* a pid that is none */
        assert_skipped_everywhere("\x1f\0\x02\0??", 6);
        assert_skipped_everywhere("\x0f\0\0\0", 4);
    }
END_TEST

START_TEST(skips_fields_of_an_entry_it_does_not_know)
    {
        encode_sample(HANDOVER_BATCH);
        size_t at = sample_find(&packet, SAMPLE_HEAD, ENTRY);
        ck_assert_int_ne(sample_insert(&packet, at + 4, "\x08\0\x01\0?\xff\x7f\0\0", 9), 0);
        packet.bytes[at + 2] = (unsigned char)(packet.bytes[at + 2] + 9);
        ck_assert_int_eq(decode(), 0);
        assert_same();
    }
END_TEST

START_TEST(tells_a_type_it_does_not_know_from_garbage)
    {
        static const unsigned types[] = {0, 10, 32, 41, 255, 256 + HANDOVER_PING, 65535};
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            encode_sample(HANDOVER_PING);
            store(packet.bytes + 6, types[i], 2);
            assert_refused(-EPROTONOSUPPORT);
            ck_assert_int_ne(sample_insert(&packet, SAMPLE_HEAD, "anything", 8), 0);
            assert_refused(-EPROTONOSUPPORT);
        }
    }
END_TEST

START_TEST(names_each_type)
    {
        ck_assert_str_eq(handover_type_name(HANDOVER_HELLO), "HELLO");
        ck_assert_str_eq(handover_type_name(HANDOVER_STOP), "STOP");
        for (size_t i = 0; i < SAMPLE_COUNT; i++)
            ck_assert_str_ne(handover_type_name(sample_types[i]), "?");
        ck_assert_str_eq(handover_type_name((enum handover_type)0), "?");
        ck_assert_str_eq(handover_type_name((enum handover_type)32), "?");
        ck_assert_str_eq(handover_type_name((enum handover_type)UINT32_MAX), "?");
    }
END_TEST

int main(void)
{
    return HARNESS(
        "handover", brings_every_message_back_as_it_was,
        holds_as_many_entries_as_there_can_be_with_the_longest_texts,
        carries_only_what_belongs_to_a_message, writes_head_and_hello_as_every_build_before,
        writes_welcome_as_every_build_before, says_when_there_is_no_room_and_writes_no_further,
        cuts_texts_at_the_end_of_a_character, knows_a_program_by_a_name_that_was_cut,
        does_not_send_what_would_be_refused, agrees_on_the_highest_version_both_speak,
        understands_the_hello_of_a_build_that_speaks_more, skips_fields_it_does_not_know,
        skips_fields_that_a_newer_build_gives_to_other_messages,
        skips_fields_of_an_entry_it_does_not_know, tells_a_type_it_does_not_know_from_garbage,
        names_each_type);
}
