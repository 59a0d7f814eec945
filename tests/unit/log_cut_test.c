/* SPDX-License-Identifier: MIT
 *
 * Each kind of key and value, wherever the end of the buffer comes: in all three forms of a record
 * a reader still finds a whole one, and is told that something is missing.
 */
#include "base/ensure.h"
#include "harness.h"
#include "journal_check.h"
#include "json_check.h"
#include "log/entry.h"
#include "log/json.h"
#include "log/own.h"
#include "log/text.h"

#include <errno.h>
#include <math.h>

enum { CAPACITY = RECORD_CAPACITY_MIN };

static char buffer[CAPACITY], filler[CAPACITY], prefix[CAPACITY];

static const struct stamp stamp = {
    .seconds = "2024-02-29T23:59:58", .offset = "Z", .offset_size = 1, .ns = 7000000};
static const struct srun_source source = {.file = "a.c", .function = "f", .line = 7};

/* They stand in twice, so that each of them is the first once. */
#define ALL_KINDS                                                                                  \
    SRUN_STR("str", "some text"), SRUN_STR("escaped", "a\"b\xff\xe2\x82\xac\n"),                   \
        SRUN_STR("null", NULL), SRUN_STR("", ""), SRUN_STR("odd \"\xff key", "v"),                 \
        SRUN_TEXT("bytes", "\0\x1f", 2), SRUN_TEXT("none", NULL, 0), SRUN_TEXT("void", NULL, 2),   \
        SRUN_INT("int", -1), SRUN_UINT("uint", 1), SRUN_DOUBLE("double", 0.5),                     \
        SRUN_DOUBLE("nan", NAN), SRUN_BOOL("yes", 1), SRUN_BOOL("no", 0), SRUN_MS("took", 1500),   \
        SRUN_CODE("code", -EPERM), {.key = "strange", .type = (enum srun_kv_type)99},              \
        {.key = NULL, .type = SRUN_KV_INT},                                                        \
    {                                                                                              \
        .key = "sized?", .key_size = 5, .type = SRUN_KV_INT                                        \
    }
static const struct srun_kv kinds[] = {ALL_KINDS, ALL_KINDS, SRUN_KV_END_};
enum { KINDS = (COUNT_OF(kinds) - 1) / 2 };

static struct record record_of(size_t message, const struct srun_kv *kvs)
{
    return (struct record){.stamp = &stamp,
                           .level = SRUN_LEVEL_INFO,
                           .source = &source,
                           .message = filler,
                           .message_size = message,
                           .kvs = kvs};
}

static void expect_one_line(const struct out *out)
{
    size_t size = (size_t)(out->at - buffer);
    ck_assert_uint_le(size, CAPACITY);
    ck_assert_ptr_eq(memchr(buffer, '\n', size), out->at - 1);
}

static void as_json(const struct record *record)
{
    static const char mark[] = "\"truncated\":true}\n";
    struct out out = out_over(buffer, CAPACITY);
    json_record(&out, record);
    expect_one_line(&out);
    ck_assert(json_is_object(buffer, (size_t)(out.at - buffer) - 1));
    ck_assert(out.cut == (memcmp(out.at - strlen(mark), mark, strlen(mark)) == 0));
}

static void as_text(const struct record *record)
{
    static const char mark[] = " truncated=true\n";
    struct out out = out_over(buffer, CAPACITY);
    text_record(&out, record);
    expect_one_line(&out);
    ck_assert(out.cut == (memcmp(out.at - strlen(mark), mark, strlen(mark)) == 0));
}

static void as_entry(const struct record *record)
{
    static const char mark[] = "TRUNCATED=true\n";
    const struct journal_entry entry = {.record = record,
                                        .identifier = "ledger",
                                        .source = &source,
                                        .own = SRUN_KVS(SRUN_STR("own", "o"))};
    struct journal_field field;
    struct out out = out_over(buffer, CAPACITY);
    entry_encode(&out, &entry);
    size_t size = (size_t)(out.at - buffer);
    ck_assert_uint_le(size, CAPACITY);
    ck_assert_int_eq(journal_find(buffer, size, "PRIORITY", &field), 1);
    ck_assert(out.cut == (memcmp(out.at - strlen(mark), mark, strlen(mark)) == 0));
}

static void in_all_forms(void (*as)(const struct record *record))
{
    memset(filler, 'x', sizeof filler);
    for (size_t first = 0; first < KINDS; first++) {
        for (size_t message = CAPACITY - 330; message <= CAPACITY; message++) {
            struct record record = record_of(message, &kinds[first]);
            as(&record);
        }
    }
    for (size_t message = 0; message < 2; message++) {
        struct record record = record_of(message, NULL);
        as(&record);
    }
}

START_TEST(is_an_object_wherever_json_is_cut)
    {
        in_all_forms(as_json);
    }
END_TEST

START_TEST(is_a_line_wherever_text_is_cut)
    {
        in_all_forms(as_text);
    }
END_TEST

START_TEST(is_an_entry_wherever_it_is_cut)
    {
        in_all_forms(as_entry);
    }
END_TEST

START_TEST(leaves_out_what_follows_a_scope_that_takes_all_the_room)
    {
        memset(filler, 'x', sizeof filler - 1);
        struct record record = record_of(4, SRUN_KVS(SRUN_STR("k", "v")));
        const struct journal_entry entry = {.record = &record,
                                            .identifier = "ledger",
                                            .scope = filler,
                                            .own = SRUN_KVS(SRUN_STR("own", "o"))};
        struct journal_field field;
        struct out out = out_over(buffer, CAPACITY);
        entry_encode(&out, &entry);
        size_t size = (size_t)(out.at - buffer);
        ck_assert(out.cut);
        ck_assert_int_eq(journal_find(buffer, size, "LOGGER_SCOPE", &field), 1);
        ck_assert_int_eq(journal_find(buffer, size, "MESSAGE", &field), 0);
    }
END_TEST

START_TEST(shows_a_message_beside_a_prefix_that_takes_all_the_room)
    {
        memset(filler, 'x', sizeof filler);
        for (size_t size = CAPACITY / 2 - 300; size <= CAPACITY; size += 100) {
            struct record record = record_of(4, SRUN_KVS(SRUN_STR("k", "v")));
            memset(prefix, 'p', sizeof prefix);
            memcpy(prefix, ",\"p\":\"", 6);
            record.prefix = prefix;
            record.prefix_size = size;
            prefix[size - 1] = '"';
            as_json(&record);
            ck_assert_ptr_nonnull(memmem(buffer, CAPACITY, "\"msg\":\"xxxx\"", 12));
            as_text(&record);
            ck_assert_ptr_nonnull(memmem(buffer, CAPACITY, "msg=xxxx", 8));
        }
    }
END_TEST

START_TEST(keeps_whatever_a_logger_is_given_but_its_scope)
    {
        static const struct srun_kv given[] = {
            ALL_KINDS,
            SRUN_STR("logger_scope", "first"),
            SRUN_STR("logger_scope", NULL),
            SRUN_INT("logger_scope", 1),
            SRUN_STR("logger-scope", "no"),
            SRUN_STR("logger_scope", "last"),
            SRUN_KV_END_,
        };
        struct srun_kv kept[COUNT_OF(given)], *at = kept;
        char texts[1024], *text = texts;
        struct own_size size = own_size(given);
        ck_assert_uint_eq(size.kvs, COUNT_OF(given) - 3);
        ck_assert_uint_le(size.bytes, sizeof texts);
        own_copy(&at, &text, given);
        ck_assert_uint_eq((size_t)(at - kept), size.kvs);
        ck_assert_uint_le((size_t)(text - texts), size.bytes);
        ck_assert_str_eq(own_scope(given), "last");
        ck_assert_str_eq(kept[0].value.str, "some text");
        ck_assert_ptr_null(kept[2].value.str);

        ck_assert_uint_eq(own_size(NULL).kvs, 0);
        own_copy(&at, &text, NULL);
        ck_assert_ptr_null(own_scope(NULL));
    }
END_TEST

int main(void)
{
    return HARNESS("log_cut", is_an_object_wherever_json_is_cut, is_a_line_wherever_text_is_cut,
                   is_an_entry_wherever_it_is_cut,
                   leaves_out_what_follows_a_scope_that_takes_all_the_room,
                   shows_a_message_beside_a_prefix_that_takes_all_the_room,
                   keeps_whatever_a_logger_is_given_but_its_scope);
}
