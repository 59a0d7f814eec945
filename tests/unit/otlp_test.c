/* SPDX-License-Identifier: MIT
 *
 * The encoder against bytes that another one made, and against what it has to withstand.
 */
#include "telemetry/otlp.h"

#include "base/ensure.h"
#include "base/wire.h"
#include "harness.h"
#include "otlp_vectors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_ID                                                                                   \
    {                                                                                              \
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16                                      \
    }
#define SPAN_ID                                                                                    \
    {                                                                                              \
        1, 2, 3, 4, 5, 6, 7, 8                                                                     \
    }
#define OTHER_ID                                                                                   \
    {                                                                                              \
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18                                             \
    }

static const struct telemetry_scope scope_one = {"one", "1.0", "u:2"};
static const struct telemetry_scope scope_one_again = {"one", "1.0", "u:2"};
static const struct telemetry_resource nothing;

static void expect_bytes(const struct buf *buf, const char *hex)
{
    auto_buf struct buf shown = {0};
    ck_assert_int_eq(buf->failed, 0);
    for (size_t i = 0; i < buf->size; i++)
        buf_printf(&shown, "%02x", (unsigned char)buf->data[i]);
    ck_assert_str_eq(shown.data != NULL ? shown.data : "", hex);
}

static void resource_a(struct otlp_resource *out)
{
    const struct telemetry_resource resource = {SRUN_KVS(SRUN_STR("service.name", "a")), "u:1"};
    otlp_resource(out, &resource);
}

START_TEST(spans_are_what_another_encoder_makes_of_them)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        const struct telemetry_event event = {1500, "ev", SRUN_KVS(SRUN_INT("n", 300)), 1};
        const struct telemetry_link link = {
            TRACE_ID, OTHER_ID, "x=y", 0x300, SRUN_KVS(SRUN_BOOL("l", 1)), 4};
        const struct srun_kv attributes[] = {
            SRUN_STR("s", "text"),
            SRUN_INT("i", -1),
            SRUN_UINT("u", 7),
            SRUN_UINT("big", UINT64_MAX),
            SRUN_DOUBLE("d", 0.5),
            SRUN_BOOL("b", 1),
            SRUN_BOOL("f", 0),
            SRUN_NS("took", 1500000),
            SRUN_CODE("e", -ENOENT),
            SRUN_TEXT("t", "\xc3\xa9", 2),
            SRUN_TEXT("raw", "\xff\0", 2),
            SRUN_STR("none", NULL),
            SRUN_STR("empty", ""),
            SRUN_STR("bad\xc3key", "x\xfey"),
            SRUN_STR("", "left out"),
            SRUN_KV_END_,
        };
        const struct telemetry_span spans[] = {
            {.scope = &scope_one,
             .trace_id = TRACE_ID,
             .span_id = SPAN_ID,
             .parent_span_id = OTHER_ID,
             .tracestate = "k=v",
             .flags = 0x101,
             .name = "GET /",
             .kind = 2,
             .start_ns = 1000,
             .end_ns = 2000,
             .attributes = attributes,
             .events = &event,
             .links = &link,
             .event_count = 1,
             .link_count = 1,
             .dropped_attributes = 3,
             .dropped_events = 2,
             .dropped_links = 5,
             .status = 2,
             .status_text = "broken"},
            {.trace_id = TRACE_ID,
             .span_id = SPAN_ID,
             .name = "second",
             .kind = 1,
             .start_ns = 1,
             .end_ns = 2},
            {.scope = &scope_one_again,
             .trace_id = TRACE_ID,
             .span_id = OTHER_ID,
             .name = "third",
             .kind = 1,
             .start_ns = 1,
             .end_ns = 2,
             .status = 1,
             .status_text = "not sent with ok"},
        };
        resource_a(&resource);
        otlp_spans(&buf, &resource, spans, COUNT_OF(spans));
        expect_bytes(&buf, vector_spans);
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(metrics_are_what_another_encoder_makes_of_them)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        const struct telemetry_exemplar exemplar = {.time_ns = 3,
                                                    .value = 1.5,
                                                    .trace_id = TRACE_ID,
                                                    .span_id = SPAN_ID,
                                                    .attributes = SRUN_KVS(SRUN_INT("user", 9))};
        const uint64_t buckets[] = {1, 2, 3}, positive[] = {1, 0, 300}, negative[] = {7};
        const double bounds[] = {0.5, 1.0};
        const struct telemetry_point gauge[] = {
            {.attributes = SRUN_KVS(SRUN_STR("k", "v")),
             .start_ns = 1,
             .time_ns = 2,
             .integer = -5},
            {.time_ns = 2, .is_double = true},
        };
        const struct telemetry_point total = {
            .start_ns = 1, .time_ns = 2, .exemplars = &exemplar, .exemplar_count = 1};
        const struct telemetry_point histogram[] = {
            {.attributes = SRUN_KVS(SRUN_INT("k", 1)),
             .start_ns = 1,
             .time_ns = 2,
             .count = 6,
             .has_sum = true,
             .has_min_max = true,
             .min = -1,
             .max = 4,
             .buckets = buckets,
             .bucket_count = 3},
            {.time_ns = 2, .count = 1},
        };
        const struct telemetry_point exponential = {
            .start_ns = 1,
            .time_ns = 2,
            .count = 9,
            .sum = 2.5,
            .has_sum = true,
            .has_min_max = true,
            .min = 1,
            .max = 2,
            .scale = -2,
            .zero_count = 1,
            .positive_offset = -3,
            .positive = positive,
            .positive_count = 3,
            .negative = negative,
            .negative_count = 1,
        };
        const struct telemetry_metric metrics[] = {
            {.scope = &scope_one,
             .name = "g",
             .unit = "By",
             .help = "a gauge",
             .points = gauge,
             .point_count = 2},
            {.scope = &scope_one,
             .name = "s",
             .unit = "1",
             .kind = TELEMETRY_SUM,
             .monotonic = true,
             .points = &total,
             .point_count = 1},
            {.scope = &scope_one,
             .name = "h",
             .kind = TELEMETRY_HISTOGRAM,
             .delta = true,
             .bounds = bounds,
             .bound_count = 2,
             .points = histogram,
             .point_count = 2},
            {.scope = &scope_one,
             .name = "x",
             .kind = TELEMETRY_EXPONENTIAL_HISTOGRAM,
             .points = &exponential,
             .point_count = 1},
        };
        resource_a(&resource);
        otlp_metrics(&buf, &resource, metrics, COUNT_OF(metrics));
        expect_bytes(&buf, vector_metrics);
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(logs_are_what_another_encoder_makes_of_them)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        const struct telemetry_log logs[] = {
            {.scope = &scope_one,
             .time_ns = 5,
             .observed_ns = 6,
             .severity = 17,
             .severity_text = "ERROR",
             .body = "hello",
             .attributes = SRUN_KVS(SRUN_STR("k", "v")),
             .dropped_attributes = 2,
             .trace_id = TRACE_ID,
             .span_id = SPAN_ID,
             .flags = 1},
            {.scope = &scope_one, .observed_ns = 6, .severity = 5, .body = ""},
        };
        resource_a(&resource);
        otlp_logs(&buf, &resource, logs, COUNT_OF(logs));
        expect_bytes(&buf, vector_logs);
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(an_event_has_its_name_in_field_12)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        const struct telemetry_log log = {.scope = &scope_one, .event_name = "order.paid"};
        resource_a(&resource);
        otlp_logs(&buf, &resource, &log, 1);
        ck_assert_ptr_nonnull(memmem(buf.data, buf.size, "\x62\x0aorder.paid", 12));
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(the_smallest_request_is_the_one_written_down_by_hand)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        const struct telemetry_span span = {.name = "n"};
        otlp_resource(&resource, NULL);
        otlp_spans(&buf, &resource, &span, 1);
        /* request {1: {1: {} resource, 2: {1: {} scope, 2: {5: "n"} span}}} */
        expect_bytes(&buf, "0a0b"
                           "0a00"
                           "1207"
                           "0a00"
                           "1203"
                           "2a016e");
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(no_items_are_no_request)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        resource_a(&resource);
        otlp_spans(&buf, &resource, NULL, 0);
        otlp_metrics(&buf, &resource, NULL, 0);
        otlp_logs(&buf, &resource, NULL, 0);
        ck_assert_uint_eq(buf.size, 0);
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(lengths_take_the_fewest_bytes_whatever_was_guessed)
    {
        for (size_t guess = 1; guess <= 4; guess++) {
            for (size_t bits = 0; bits < 22; bits++) {
                auto_buf struct buf buf = {0};
                size_t size = (size_t)1 << bits;
                struct wire_mark mark = wire_open(&buf, 1, guess);
                for (size_t i = 0; i < size; i++)
                    buf_add(&buf, "x", 1);
                wire_close(&buf, mark);
                struct wire_reader in = {(unsigned char *)buf.data,
                                         (unsigned char *)buf.data + buf.size, false};
                struct wire_field field;
                ck_assert(wire_next(&in, &field));
                ck_assert_uint_eq(field.size, size);
                ck_assert_uint_eq(buf.size, 1 + (bits + 7) / 7 + size);
                ck_assert(field.data[0] == 'x' && field.data[size - 1] == 'x');
                ck_assert(!wire_next(&in, &field) && !in.bad);
            }
        }
    }
END_TEST

/* The scopes of a request and how many items each holds. */
static size_t groups_of(const struct buf *buf, size_t *items)
{
    struct wire_reader request = {(unsigned char *)buf->data,
                                  (unsigned char *)buf->data + buf->size, false};
    struct wire_field field;
    size_t groups = 0;
    *items = 0;
    ck_assert(wire_next(&request, &field));
    struct wire_reader resource = {field.data, field.data + field.size, false};
    while (wire_next(&resource, &field)) {
        if (field.number != 2)
            continue;
        groups++;
        struct wire_reader scope = {field.data, field.data + field.size, false};
        while (wire_next(&scope, &field))
            *items += field.number == 2;
        ck_assert(!scope.bad);
    }
    ck_assert(!resource.bad);
    return groups;
}

START_TEST(items_of_a_scope_stand_together_wherever_they_came)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        struct telemetry_scope scopes[100];
        char names[100][8];
        struct telemetry_span spans[400] = {0};
        for (int i = 0; i < 100; i++) {
            snprintf(names[i], sizeof names[i], "s%d", i);
            scopes[i] = (struct telemetry_scope){names[i], "", ""};
        }
        size_t items = 0;
        otlp_resource(&resource, &nothing);
        for (int i = 0; i < 400; i++)
            spans[i].scope = &scopes[i % 60];
        otlp_spans(&buf, &resource, spans, 400);
        ck_assert_uint_eq(groups_of(&buf, &items), 60);
        ck_assert_uint_eq(items, 400);

        /* More scopes than are remembered: more groups, and still each item once. */
        for (int i = 0; i < 400; i++)
            spans[i].scope = &scopes[i % 100];
        buf.size = 0;
        otlp_spans(&buf, &resource, spans, 400);
        ck_assert_uint_eq(groups_of(&buf, &items), 64 + 36 * 4);
        ck_assert_uint_eq(items, 400);
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(a_reused_buffer_is_not_grown_again)
    {
        auto_buf struct buf buf = {0};
        struct otlp_resource resource;
        struct telemetry_span spans[100] = {0};
        resource_a(&resource);
        otlp_spans(&buf, &resource, spans, 100);
        const char *data = buf.data;
        for (int i = 0; i < 10; i++) {
            buf.size = 0;
            otlp_spans(&buf, &resource, spans, 100);
            ck_assert_ptr_eq(buf.data, data);
        }
        otlp_resource_free(&resource);
    }
END_TEST

START_TEST(each_bad_byte_becomes_one_replacement)
    {
        const struct {
            const char *text, *fixed;
        } cases[] = {
            {"\xff", "\xef\xbf\xbd"},
            {"a\xc3", "a\xef\xbf\xbd"},
            {"\xed\xa0\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"},
            {"0123456789\xc3\xa9\xff\xc3\xa9", "0123456789\xc3\xa9\xef\xbf\xbd\xc3\xa9"},
            {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            auto_buf struct buf buf = {0};
            wire_text(&buf, 1, cases[i].text);
            ck_assert_uint_eq((unsigned char)buf.data[1], strlen(cases[i].fixed));
            ck_assert_uint_eq(buf.size, 2 + strlen(cases[i].fixed));
            ck_assert_mem_eq(buf.data + 2, cases[i].fixed, strlen(cases[i].fixed));
        }
    }
END_TEST

START_TEST(the_reader_refuses_what_is_no_protobuf)
    {
        static const struct {
            const char *bytes;
            size_t size;
        } cases[] = {
            {"\x00\x01", 2},                                      /* field 0 */
            {"\x0a\x05xx", 4},                                    /* longer than the rest */
            {"\x08", 1},                                          /* no value */
            {"\x08\x80", 2},                                      /* half a varint */
            {"\x0b", 1},                                          /* a group */
            {"\x09\x01\x02", 3},                                  /* half a number */
            {"\x0d\x01\x02", 3},                                  /* half a number */
            {"\x0f\x01", 2},                                      /* no such type */
            {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* 65 bits */
            {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length of 2^64-1 */
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            /* In memory of its own size, so that a look behind the end is seen. */
            unsigned char *bytes = malloc(cases[i].size);
            memcpy(bytes, cases[i].bytes, cases[i].size);
            struct wire_reader in = {bytes, bytes + cases[i].size, false};
            struct wire_field field;
            ck_assert_msg(!wire_next(&in, &field) && in.bad, "case %zu", i);
            ck_assert(!wire_next(&in, &field));
            free(bytes);
        }
    }
END_TEST

int main(void)
{
    return HARNESS(
        "otlp", spans_are_what_another_encoder_makes_of_them,
        metrics_are_what_another_encoder_makes_of_them, logs_are_what_another_encoder_makes_of_them,
        an_event_has_its_name_in_field_12, the_smallest_request_is_the_one_written_down_by_hand,
        no_items_are_no_request, lengths_take_the_fewest_bytes_whatever_was_guessed,
        items_of_a_scope_stand_together_wherever_they_came, a_reused_buffer_is_not_grown_again,
        each_bad_byte_becomes_one_replacement, the_reader_refuses_what_is_no_protobuf);
}
