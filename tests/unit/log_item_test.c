/* SPDX-License-Identifier: MIT
 *
 * A log record on its way to the exporter: copied whole, then deduplicated, limited, cut.
 */
#include "telemetry/log_item.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct telemetry_scope scope = {"http", "1.2", NULL};
static char *memory;

static struct log_given given_with(const char *text, const struct srun_kv *own,
                                   const struct srun_kv *kvs)
{
    return (struct log_given){.log = {.scope = &scope,
                                      .time_ns = 5,
                                      .severity = 9,
                                      .severity_text = "INFO",
                                      .body = text},
                              .body_size = strlen(text),
                              .lists = {NULL, own, kvs}};
}

/* Through a copy whose size is exact, so that a sanitizer sees what is written or read behind it.
 */
static const struct telemetry_log *copy(const struct log_given *given,
                                        const struct log_limits *limits)
{
    static const struct log_limits none = {UINT32_MAX, UINT32_MAX};
    size_t size = log_item_size(given);
    ck_assert_uint_le(size, LOG_ITEM_MAX);
    free(memory);
    memory = malloc(size);
    memset(memory, 0xa5, size);
    log_item_fill(memory, size, given);
    return log_item_finish(memory, limits != NULL ? limits : &none);
}

static void assert_kv(const struct srun_kv *kv, const char *key, const char *text)
{
    ck_assert_str_eq(kv->key, key);
    ck_assert_uint_eq(kv->key_size, strlen(key));
    ck_assert_str_eq(kv->value.str, text);
}

START_TEST(copies_all_of_a_record)
    {
        char text[] = "paid", value[] = "7f3a";
        const struct srun_kv kvs[] = {SRUN_STR("id", value),
                                      SRUN_INT("cents", -3),
                                      SRUN_DOUBLE("rate", 0.5),
                                      SRUN_TEXT("raw", "a\0b", 3),
                                      SRUN_STR("none", NULL),
                                      SRUN_TEXT("void", NULL, 9),
                                      SRUN_KV_END_};
        struct log_given given = given_with(text, SRUN_KVS(SRUN_STR("tenant", "x")), kvs);
        given.log.trace_id[0] = 7;
        given.log.flags = 1;
        const struct telemetry_log *log = copy(&given, NULL);
        memset(text, '-', 4);
        memset(value, '-', 4);
        ck_assert_str_eq(log->body, "paid");
        ck_assert_str_eq(log->severity_text, "INFO");
        ck_assert_str_eq(log->scope->name, "http");
        ck_assert_str_eq(log->scope->version, "1.2");
        ck_assert_str_eq(log->scope->schema_url, "");
        ck_assert_ptr_null(log->event_name);
        ck_assert(log->time_ns == 5 && log->severity == 9 && log->flags == 1);
        ck_assert_uint_eq(log->trace_id[0], 7);
        const struct srun_kv *kv = log->attributes;
        assert_kv(&kv[0], "tenant", "x");
        assert_kv(&kv[1], "id", "7f3a");
        ck_assert_int_eq((int)kv[2].value.i, -3);
        ck_assert(kv[3].value.d == 0.5);
        ck_assert(kv[4].size == 3 && memcmp(kv[4].value.str, "a\0b", 4) == 0);
        ck_assert_ptr_null(kv[5].value.str);
        ck_assert(kv[6].value.str == NULL && kv[6].size == 0);
        ck_assert_int_eq(kv[7].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 0);
    }
END_TEST

START_TEST(keeps_the_last_value_of_a_key)
    {
        struct log_given given =
            given_with("m", SRUN_KVS(SRUN_STR("a", "old"), SRUN_INT("b", 1)),
                       SRUN_KVS(SRUN_STR("c", "x"), SRUN_STR("a", "new"), SRUN_STR("c", "y")));
        const struct telemetry_log *log = copy(&given, NULL);
        assert_kv(&log->attributes[0], "a", "new");
        ck_assert_str_eq(log->attributes[1].key, "b");
        assert_kv(&log->attributes[2], "c", "y");
        ck_assert_int_eq(log->attributes[3].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 0);
    }
END_TEST

START_TEST(makes_an_event_of_a_record_that_names_one)
    {
        struct log_given given =
            given_with("m", NULL, SRUN_KVS(SRUN_EVENT("order.paid"), SRUN_INT("n", 1)));
        const struct telemetry_log *log = copy(&given, &(struct log_limits){1, 3});
        ck_assert_str_eq(log->event_name, "order.paid");
        ck_assert_str_eq(log->attributes[0].key, "n");
        ck_assert_int_eq(log->attributes[1].type, SRUN_KV_END);
        given = given_with("m", NULL, SRUN_KVS(SRUN_INT(LOG_EVENT_KEY, 1)));
        ck_assert_str_eq(copy(&given, NULL)->attributes[0].key, LOG_EVENT_KEY);
    }
END_TEST

START_TEST(limits_the_number_of_attributes_and_counts_the_rest)
    {
        const char *volatile no_key = NULL;
        struct log_given given = given_with(
            "m", NULL,
            SRUN_KVS(SRUN_INT("a", 1), SRUN_INT("b", 2), SRUN_INT("c", 3), SRUN_INT("a", 4),
                     SRUN_INT("d", 5), SRUN_INT("", 6), SRUN_INT(no_key, 7)));
        const struct telemetry_log *log = copy(&given, &(struct log_limits){2, UINT32_MAX});
        ck_assert_int_eq((int)log->attributes[0].value.i, 4);
        ck_assert_str_eq(log->attributes[1].key, "b");
        ck_assert_int_eq(log->attributes[2].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 4);
        log = copy(&given, &(struct log_limits){0, UINT32_MAX});
        ck_assert_int_eq(log->attributes[0].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 7);
    }
END_TEST

START_TEST(limits_texts_by_characters)
    {
        struct log_given given = given_with(
            "a message is not limited", NULL,
            SRUN_KVS(SRUN_STR("s", "\xc3\xbc\xc3\xb6\xc3\xa4"), SRUN_TEXT("t", "abcdef", 6),
                     SRUN_STR("short", "ab"), SRUN_STR("none", NULL), SRUN_INT("n", 12345)));
        const struct telemetry_log *log = copy(&given, &(struct log_limits){128, 2});
        assert_kv(&log->attributes[0], "s", "\xc3\xbc\xc3\xb6");
        ck_assert_uint_eq(log->attributes[1].size, 2);
        assert_kv(&log->attributes[2], "short", "ab");
        ck_assert_int_eq((int)log->attributes[4].value.i, 12345);
        ck_assert_str_eq(log->body, "a message is not limited");
    }
END_TEST

static char large[200000];

START_TEST(cuts_a_long_body_at_a_character)
    {
        for (size_t i = 0; i + 2 < sizeof large; i += 2)
            memcpy(large + i, "\xc3\xbc", 2);
        for (size_t shift = 0; shift < 2; shift++) {
            struct log_given given = given_with(large + shift, NULL, SRUN_KVS(SRUN_INT("a", 1)));
            const struct telemetry_log *log = copy(&given, NULL);
            size_t size = strlen(log->body);
            ck_assert_uint_le(size, LOG_ITEM_BODY_MAX);
            ck_assert_uint_gt(size, LOG_ITEM_BODY_MAX - 2);
            ck_assert_int_eq((unsigned char)log->body[size - 1], 0xbc);
            ck_assert_str_eq(log->attributes[0].key, "a");
        }
    }
END_TEST

/* What is no text is cut as well, byte by byte, but not thrown away whole. */
START_TEST(cuts_bytes_that_are_no_characters)
    {
        memset(large, 0x80, sizeof large - 1);
        large[sizeof large - 1] = '\0';
        struct log_given given = given_with(large, NULL, SRUN_KVS(SRUN_TEXT("t", large, 100)));
        const struct telemetry_log *log = copy(&given, &(struct log_limits){128, 10});
        ck_assert_uint_eq(strlen(log->body), LOG_ITEM_BODY_MAX);
        ck_assert_uint_eq(log->attributes[0].size, 10);
    }
END_TEST

START_TEST(drops_a_text_whose_size_is_nonsense)
    {
        char texts[] = "abc";
        struct log_given given =
            given_with("m", NULL, SRUN_KVS(SRUN_TEXT("t", texts, SIZE_MAX - 99), SRUN_INT("a", 1)));
        const struct telemetry_log *log = copy(&given, NULL);
        struct log_given plain = given_with("m", NULL, SRUN_KVS(SRUN_INT("a", 1)));
        ck_assert_uint_gt(log_item_size(&given), log_item_size(&plain));
        ck_assert_uint_eq(log->dropped_attributes, 1);
        ck_assert_str_eq(log->attributes[0].key, "a");
        ck_assert_str_eq(log->body, "m");
    }
END_TEST

#define MANY 5000

static const struct srun_kv *make_many(void)
{
    static struct srun_kv many[MANY + 1];
    static char keys[MANY][8];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
        many[i] = (struct srun_kv){.key = keys[i], .type = SRUN_KV_INT, .value.i = i};
    }
    many[MANY] = SRUN_KV_END_;
    return many;
}

static size_t count_of(const struct telemetry_log *log)
{
    size_t count = 0;
    while (log->attributes[count].type != SRUN_KV_END)
        count++;
    return count;
}

START_TEST(drops_and_counts_what_does_not_fit)
    {
        memset(large, 'x', sizeof large - 1);
        struct log_given given =
            given_with("m", NULL,
                       SRUN_KVS(SRUN_STR("huge", large), SRUN_TEXT("half", large, 30000),
                                SRUN_TEXT("more", large, 50000), SRUN_INT("last", 1)));
        const struct telemetry_log *log = copy(&given, NULL);
        ck_assert_str_eq(log->attributes[0].key, "half");
        ck_assert_str_eq(log->attributes[1].key, "last");
        ck_assert_uint_eq(log->dropped_attributes, 2);

        given = given_with("m", NULL, make_many());
        log = copy(&given, NULL);
        ck_assert_uint_eq(count_of(log), LOG_ITEM_KVS_MAX);
        ck_assert_uint_eq(log->dropped_attributes, MANY - LOG_ITEM_KVS_MAX);
    }
END_TEST

START_TEST(keeps_its_texts_beside_many_attributes)
    {
        memset(large, 'x', sizeof large - 1);
        struct log_given given = given_with(large, NULL, make_many());
        const struct telemetry_log *log = copy(&given, NULL);
        ck_assert_uint_eq(strlen(log->body), LOG_ITEM_BODY_MAX);
        ck_assert_str_eq(log->scope->name, "http");
        ck_assert_str_eq(log->severity_text, "INFO");
        ck_assert_uint_gt(count_of(log), 500);
        ck_assert_uint_eq(log->dropped_attributes, MANY - count_of(log));
    }
END_TEST

/* As when another thread writes to it: the room was measured before. */
START_TEST(leaves_out_a_text_that_has_grown_since_it_was_measured)
    {
        char text[100] = "short";
        struct log_given given = given_with("m", NULL, SRUN_KVS(SRUN_STR("k", text)));
        size_t size = log_item_size(&given);
        memset(text, 'x', sizeof text - 1);
        free(memory);
        memory = malloc(size);
        log_item_fill(memory, size, &given);
        const struct telemetry_log *log = log_item_finish(memory, &(struct log_limits){9, 9});
        ck_assert_int_eq(log->attributes[0].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 1);
        free(memory);

        char key[100] = "k"; /* and a key */
        const struct srun_kv kvs[] = {{.key = key, .type = SRUN_KV_STR, .value.str = "v"},
                                      SRUN_KV_END_};
        given = given_with("m", NULL, kvs);
        size = log_item_size(&given);
        memset(key, 'k', sizeof key - 1);
        memory = malloc(size);
        log_item_fill(memory, size, &given);
        log = log_item_finish(memory, &(struct log_limits){9, 9});
        ck_assert_int_eq(log->attributes[0].type, SRUN_KV_END);
        ck_assert_uint_eq(log->dropped_attributes, 1);
        free(memory);
        memory = NULL;
    }
END_TEST

int main(void)
{
    return HARNESS("log_item", copies_all_of_a_record, keeps_the_last_value_of_a_key,
                   makes_an_event_of_a_record_that_names_one,
                   limits_the_number_of_attributes_and_counts_the_rest, limits_texts_by_characters,
                   cuts_a_long_body_at_a_character, cuts_bytes_that_are_no_characters,
                   drops_a_text_whose_size_is_nonsense, drops_and_counts_what_does_not_fit,
                   keeps_its_texts_beside_many_attributes,
                   leaves_out_a_text_that_has_grown_since_it_was_measured);
}
