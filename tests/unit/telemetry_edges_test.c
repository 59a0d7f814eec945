/* SPDX-License-Identifier: MIT
 *
 * What is rare in telemetry: members that have no key or no text, points without what most have,
 * numbers that lie apart, replies with fields of the wrong type.
 */
#include "base/duration.h"
#include "base/ensure.h"
#include "harness.h"
#include "telemetry/baggage.h"
#include "telemetry/endpoint.h"
#include "telemetry/exponential.h"
#include "telemetry/labels.h"
#include "telemetry/otlp.h"
#include "telemetry/prometheus.h"
#include "telemetry/reply.h"
#include "telemetry/retry.h"
#include "telemetry/rules.h"

#include <errno.h>
#include <math.h>

/* --- baggage, rules -------------------------------------------------------------------------- */

START_TEST(a_key_of_baggage_is_a_token)
    {
        static const char *const bad[] = {"", "a b", "a\x7f", "a\xff", "(", "a="};
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert(!baggage_is_key(bad[i], strlen(bad[i])));
        ck_assert(baggage_is_key("a~!", 3));
    }
END_TEST

START_TEST(a_value_of_baggage_is_encoded_where_it_is_not_plain)
    {
        char out[32];
        size_t size = baggage_encode("a~ \x7f\xff,%", out, sizeof out);
        ck_assert_uint_eq(size, 17);
        ck_assert_mem_eq(out, "a~%20%7F%FF%2C%25", 17);
        ck_assert_uint_eq(baggage_encode("abc", out, 2), 3);
    }
END_TEST

START_TEST(a_value_of_baggage_is_decoded_where_it_is_encoded)
    {
        static const char value[] = "%41%4a%zz%4z%4";
        const struct baggage_member member = {.value = value, .value_size = sizeof value - 1};
        char out[32];
        ck_assert_uint_eq(baggage_decode(&member, out, sizeof out), 10);
        ck_assert_str_eq(out, "AJ%zz%4z%4");
    }
END_TEST

START_TEST(too_much_baggage_is_none)
    {
        static char text[SRUN_BAGGAGE_MAX + 1];
        static struct baggage baggage, larger;
        char out[SRUN_BAGGAGE_MAX + 1];
        baggage_add(&baggage, text, sizeof text);
        ck_assert(baggage.too_much);
        ck_assert_uint_eq(baggage_text(&baggage, out), 0);
        memset(text, 'v', sizeof text); /* one by one they fit */
        larger.count = 2;
        for (int i = 0; i < 2; i++)
            larger.members[i] = (struct baggage_member){.key = i == 0 ? "a" : "b",
                                                        .key_size = 1,
                                                        .value = text,
                                                        .value_size = SRUN_BAGGAGE_MAX / 2};
        ck_assert_uint_eq(baggage_text(&larger, out), 0);
    }
END_TEST

START_TEST(bounds_are_finite_and_rise)
    {
        double endless[] = {-INFINITY}, some[] = {1, INFINITY}, equal[] = {1, 1};
        size_t one = 1, two = 2, more = 2;
        ck_assert(!rules_bounds(endless, &one));
        ck_assert(rules_bounds(some, &two));
        ck_assert_uint_eq(two, 1);
        ck_assert(!rules_bounds(equal, &more));
        ck_assert(!rules_unit("a\x7f"));
        ck_assert_str_eq(endpoint_signal(TELEMETRY_LOGS), "logs");
    }
END_TEST

/* --- exponential histograms ------------------------------------------------------------------ */

static uint64_t in_buckets(const struct exponential *histogram)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < histogram->used; i++)
        sum += histogram->buckets[i];
    return sum;
}

START_TEST(histograms_that_lie_apart_are_merged_into_coarser_ones)
    {
        static const double values[][2] = {{1, 1e300}, {1e300, 1}, {1, 1e-300}, {1e-300, 1}};
        for (size_t i = 0; i < COUNT_OF(values); i++) {
            struct exponential sum, other;
            exponential_init(&sum);
            exponential_init(&other);
            exponential_record(&sum, values[i][0]);
            exponential_record(&other, values[i][1]);
            exponential_record(&other, values[i][1] * 1.5);
            exponential_merge(&sum, &other);
            ck_assert_uint_eq(in_buckets(&sum), 3);
            ck_assert_uint_eq(sum.count, 3);
            ck_assert(sum.min == fmin(values[i][0], values[i][1]));
        }
    }
END_TEST

START_TEST(a_histogram_that_begins_within_and_ends_beyond_is_merged)
    {
        struct exponential sum = {.scale = 5, .offset = 0, .used = 1, .count = 1, .buckets = {1}};
        struct exponential other = {.scale = 5, .offset = 100, .used = 100, .count = 2};
        other.buckets[0] = other.buckets[99] = 1;
        exponential_merge(&sum, &other);
        ck_assert_int_eq(sum.scale, 4);
        ck_assert_uint_eq(in_buckets(&sum), 3);
    }
END_TEST

START_TEST(a_histogram_of_zeros_is_merged_without_buckets)
    {
        struct exponential sum, zeros;
        exponential_init(&sum);
        exponential_init(&zeros);
        exponential_record(&sum, 1);
        exponential_record(&zeros, 0);
        exponential_merge(&sum, &zeros);
        ck_assert_uint_eq(in_buckets(&sum), 1);
        ck_assert_uint_eq(sum.zero_count, 1);
        ck_assert(sum.min == 0 && sum.max == 1);
    }
END_TEST

START_TEST(what_was_before_is_only_taken_from_where_something_is_now)
    {
        static const double apart[] = {1e-300, 1e300};
        for (size_t i = 0; i < COUNT_OF(apart); i++) {
            struct exponential now, before;
            exponential_init(&now);
            exponential_init(&before);
            exponential_record(&now, 1);
            exponential_record(&before, apart[i]);
            exponential_subtract(&now, &before);
            ck_assert_uint_eq(in_buckets(&now), 1);
        }
    }
END_TEST

/* --- labels ---------------------------------------------------------------------------------- */

START_TEST(labels_take_each_kind_of_value)
    {
        static const struct srun_kv kvs[] = {
            SRUN_TEXT("void", NULL, 3), SRUN_CODE("eperm", EPERM), SRUN_CODE("again", -EPERM),
            SRUN_STR("null", NULL),     SRUN_BOOL("no", 0),        SRUN_BOOL("yes", 1),
            SRUN_STR("quantile", "q"),  SRUN_STR("le", "l"),       SRUN_STR("let", "it"),
            {.type = SRUN_KV_INT},      SRUN_STR("", "nor here"),  SRUN_KV_END_};
        struct srun_kv list[LABELS_MAX + 1];
        static unsigned char kept[LABELS_SIZE_MAX];
        auto_buf struct buf out = {0};
        struct labels labels;
        ck_assert(labels_read(&labels, kvs, NULL, 1));
        ck_assert_uint_eq(labels.count, 9);
        labels_keep(&labels, kept);
        labels_list(kept, labels.count, list);
        labels_text(&out, list);
        ck_assert_str_eq(
            out.data, "again=\"Operation not permitted\",eperm=\"Operation not permitted\","
                      "exported_le=\"l\",let=\"it\",no=\"false\",null=\"\",exported_quantile=\"q\","
                      "void=\"\",yes=\"true\"");
    }
END_TEST

START_TEST(labels_are_others_when_a_key_or_a_value_differs)
    {
        static const struct srun_kv first[] = {SRUN_INT("number", 1), SRUN_STR("text", "one"),
                                               SRUN_KV_END_};
        static const struct srun_kv others[][3] = {
            {SRUN_INT("number", 2), SRUN_STR("text", "one"), SRUN_KV_END_},
            {SRUN_INT("numbed", 1), SRUN_STR("text", "one"), SRUN_KV_END_},
            {SRUN_INT("number", 1), SRUN_STR("text", "two"), SRUN_KV_END_},
            {SRUN_INT("number", 1), SRUN_STR("text", "ones"), SRUN_KV_END_},
            {SRUN_INT("number", 1), SRUN_STR("text", "a text of more than sixteen"), SRUN_KV_END_},
        };
        static unsigned char kept[LABELS_SIZE_MAX];
        struct labels labels;
        ck_assert(labels_read(&labels, first, NULL, 1));
        labels_keep(&labels, kept);
        ck_assert(labels_are(&labels, kept));
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            ck_assert(labels_read(&labels, others[i], NULL, 1));
            ck_assert(!labels_are(&labels, kept));
        }
    }
END_TEST

START_TEST(labels_that_are_not_kept_are_the_others)
    {
        static const char *const keep[] = {"longer", "kept", NULL};
        static const struct srun_kv kvs[] = {SRUN_INT("kept", 1), SRUN_INT("long", 2),
                                             SRUN_INT("", 3), SRUN_KV_END_};
        struct srun_kv out[LABELS_MAX + 1], many[LABELS_MAX + 2];
        ck_assert(labels_others(kvs, keep, out));
        ck_assert_str_eq(out[0].key, "long");
        ck_assert_int_eq(out[1].type, SRUN_KV_END);
        for (size_t i = 0; i <= LABELS_MAX; i++)
            many[i] = kvs[1];
        many[LABELS_MAX + 1] = kvs[3];
        ck_assert(!labels_others(many, keep, out));
    }
END_TEST

START_TEST(labels_that_are_too_large_are_refused)
    {
        static char large[LABELS_SIZE_MAX + 1];
        struct labels labels;
        memset(large, 'x', sizeof large - 1);
        ck_assert(!labels_read(&labels, SRUN_KVS(SRUN_INT(large, 1)), NULL, 1));
        ck_assert(!labels_read(&labels, SRUN_KVS(SRUN_STR("k", large)), NULL, 1));
    }
END_TEST

/* --- OTLP ------------------------------------------------------------------------------------ */

static size_t size_of_attribute(struct srun_kv kv)
{
    const struct srun_kv kvs[] = {kv, SRUN_KV_END_};
    auto_buf struct buf out = {0};
    otlp_attributes(&out, 1, kvs);
    return out.size;
}

START_TEST(attributes_without_a_key_are_left_out)
    {
        ck_assert_uint_eq(size_of_attribute((struct srun_kv){.type = SRUN_KV_INT}), 0);
        ck_assert_uint_eq(size_of_attribute(SRUN_INT("", 1)), 0);
        ck_assert_uint_gt(size_of_attribute(SRUN_CODE("k", -EPERM)), 0);
        ck_assert_uint_gt(size_of_attribute(SRUN_NS("k", 1)), 0);
        struct srun_kv sized = SRUN_INT("key and more", 1);
        sized.key_size = 3;
        ck_assert_uint_eq(size_of_attribute(sized), size_of_attribute(SRUN_INT("key", 1)));
        const struct srun_kv open = {.key = "key", .type = SRUN_KV_INT, .value.i = 1};
        ck_assert_uint_eq(size_of_attribute(open), size_of_attribute(SRUN_INT("key", 1)));
        sized.type = (enum srun_kv_type)99; /* of a later library: a value that is not set */
        ck_assert_uint_lt(size_of_attribute(sized), size_of_attribute(SRUN_INT("key", 1)));
    }
END_TEST

static void write_metric(struct buf *out, enum telemetry_metric_kind kind,
                         const struct telemetry_point *point, const struct telemetry_scope *scope)
{
    const struct telemetry_metric metric = {
        .scope = scope, .name = "m", .kind = kind, .points = point, .point_count = 1};
    struct otlp_resource resource;
    otlp_resource(&resource, NULL);
    otlp_metrics(out, &resource, &metric, 1);
    otlp_resource_free(&resource);
}

START_TEST(points_have_what_was_counted_and_no_more)
    {
        static const struct telemetry_exemplar exemplars[] = {{.is_integer = true, .integer = 7},
                                                              {.value = 0.5}};
        static const uint64_t buckets[] = {1, 2};
        const struct telemetry_point bare = {.count = 1};
        const struct telemetry_point full = {.count = 1,
                                             .has_sum = true,
                                             .has_min_max = true,
                                             .buckets = buckets,
                                             .bucket_count = 1,
                                             .positive = buckets,
                                             .positive_count = 2,
                                             .negative = buckets,
                                             .negative_count = 1,
                                             .exemplars = exemplars,
                                             .exemplar_count = 2};
        static const enum telemetry_metric_kind kinds[] = {
            TELEMETRY_HISTOGRAM, TELEMETRY_EXPONENTIAL_HISTOGRAM, TELEMETRY_SUM};
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
            auto_buf struct buf less = {0}, more = {0};
            write_metric(&less, kinds[i], &bare, NULL);
            write_metric(&more, kinds[i], &full, NULL);
            ck_assert(!less.failed && !more.failed);
            ck_assert_uint_lt(less.size, more.size);
        }
    }
END_TEST

/* A group of metrics has its scope once. */
static size_t size_with_scopes(const struct telemetry_scope *one, const struct telemetry_scope *two)
{
    const struct telemetry_point point = {.integer = 1};
    const struct telemetry_metric metrics[] = {
        {.scope = one, .name = "a", .points = &point, .point_count = 1},
        {.scope = two, .name = "b", .points = &point, .point_count = 1}};
    auto_buf struct buf out = {0};
    struct otlp_resource resource;
    otlp_resource(&resource, NULL);
    otlp_metrics(&out, &resource, metrics, 2);
    otlp_resource_free(&resource);
    ck_assert(!out.failed);
    return out.size;
}

START_TEST(scopes_are_the_same_when_all_of_their_texts_are)
    {
        static const struct telemetry_scope nothing = {NULL, NULL, NULL}, empty = {"", "", ""},
                                            one = {"x", "1", "u"}, again = {"x", "1", "u"};
        static const struct telemetry_scope others[] = {
            {"y", "1", "u"}, {"x", "2", "u"}, {"x", "1", "v"}};
        ck_assert_uint_eq(size_with_scopes(&nothing, &empty), size_with_scopes(NULL, NULL));
        ck_assert_uint_eq(size_with_scopes(&empty, &nothing), size_with_scopes(NULL, NULL));
        size_t same = size_with_scopes(&one, &again);
        for (size_t i = 0; i < COUNT_OF(others); i++)
            ck_assert_uint_gt(size_with_scopes(&one, &others[i]), same);
    }
END_TEST

START_TEST(a_request_with_a_resource_that_failed_has_failed)
    {
        const struct telemetry_point point = {.integer = 1};
        const struct telemetry_metric metric = {.name = "a", .points = &point, .point_count = 1};
        for (int i = 0; i < 2; i++) {
            auto_buf struct buf out = {0};
            struct otlp_resource resource;
            otlp_resource(&resource, NULL);
            *(i == 0 ? &resource.resource.failed : &resource.schema_url.failed) = true;
            otlp_metrics(&out, &resource, &metric, 1);
            ck_assert(out.failed);
            otlp_metrics(&out, &resource, &metric, 1); /* nor does it recover */
            ck_assert(out.failed);
            otlp_resource_free(&resource);
        }
    }
END_TEST

/* --- Prometheus ------------------------------------------------------------------------------ */

START_TEST(of_attributes_that_are_too_large_no_label_is_made)
    {
        static char large[LABELS_SIZE_MAX + 1];
        memset(large, 'x', sizeof large - 1);
        auto_buf struct buf out = {0};
        prometheus_labels(&out, SRUN_KVS(SRUN_STR("k", large)));
        ck_assert_uint_eq(out.size, 0);
        ck_assert(!out.failed);
    }
END_TEST

static void expect_exemplar(struct telemetry_exemplar exemplar, const char *wanted)
{
    auto_buf struct buf out = {0};
    exemplar.value = 0.5;
    prometheus_exemplar(&out, &exemplar);
    ck_assert_str_eq(out.data, wanted);
}

START_TEST(an_exemplar_shows_its_attributes_with_or_without_a_trace)
    {
        const struct srun_kv *one = SRUN_KVS(SRUN_STR("a", "1"));
        const struct srun_kv *id = SRUN_KVS(SRUN_STR("span_id", "1"));
        const struct srun_kv *like = SRUN_KVS(SRUN_STR("spam_id", "1"));
        expect_exemplar((struct telemetry_exemplar){.attributes = one}, " # {a=\"1\"} 0.5 0.000");
        expect_exemplar((struct telemetry_exemplar){.attributes = id}, " # {} 0.5 0.000");
        expect_exemplar((struct telemetry_exemplar){.attributes = like},
                        " # {spam_id=\"1\"} 0.5 0.000");
        expect_exemplar((struct telemetry_exemplar){.attributes = one, .trace_id = {1}},
                        " # {trace_id=\"01000000000000000000000000000000\","
                        "span_id=\"0000000000000000\",a=\"1\"} 0.5 0.000");
    }
END_TEST

START_TEST(a_sum_that_may_fall_is_a_gauge)
    {
        static const struct telemetry_scope scope = {"s", NULL, ""};
        const struct telemetry_point point = {.integer = 1};
        const struct telemetry_metric metric = {.scope = &scope,
                                                .name = "a",
                                                .kind = TELEMETRY_SUM,
                                                .points = &point,
                                                .point_count = 1};
        auto_buf struct buf out = {0};
        (void)prometheus_write(&out, &metric, 1, NULL, false);
        ck_assert_ptr_nonnull(strstr(out.data, "# TYPE a gauge\na{otel_scope_name=\"s\"} 1\n"));
    }
END_TEST

START_TEST(of_exemplars_the_newest_is_shown)
    {
        static const struct telemetry_exemplar exemplars[] = {{.value = 3, .time_ns = 1500000000},
                                                              {.value = 1, .time_ns = 2000000000},
                                                              {.value = 2, .time_ns = 1000000000}};
        const struct telemetry_point point = {
            .integer = 1, .exemplars = exemplars, .exemplar_count = 3};
        const struct telemetry_metric metric = {.name = "a",
                                                .kind = TELEMETRY_SUM,
                                                .monotonic = true,
                                                .points = &point,
                                                .point_count = 1};
        auto_buf struct buf out = {0};
        (void)prometheus_write(&out, &metric, 1, NULL, true);
        ck_assert_ptr_nonnull(strstr(out.data, "a_total 1 # {} 1 2.000\n"));
    }
END_TEST

/* --- replies --------------------------------------------------------------------------------- */

START_TEST(fields_of_a_wrong_type_in_a_reply_say_nothing)
    {
        static const char partial[] = "\x08\x01"          /* 1 is no message */
                                      "\x12\x01x"         /* 2 */
                                      "\x0a\x06\x0a\x01x" /* within 1: 1 is no number, */
                                      "\x10\x01\x18";     /* 2 is no text */
        struct reply_partial out;
        ck_assert(!reply_partial(partial, sizeof partial - 1, &out)); /* and 3 is cut */
        ck_assert(reply_partial(partial, 5, &out));
        ck_assert(out.rejected == 0 && out.text[0] == '\0');
        static const char twice[] = "\x0a\x01\x18\x0a\x01\x18"; /* bad, and bad again */
        ck_assert(!reply_partial(twice, sizeof twice - 1, &out));

        static const char status[] = "\x0a\x01x\x10\x01\x18\x01\x20\x01";
        struct reply_status said;
        ck_assert(reply_status(status, sizeof status - 1, &said));
        ck_assert(said.code == 0 && said.text[0] == '\0' && said.retry_ns == -1);
    }
END_TEST

#define INFO "google.rpc.RetryInfo"
#define URL "\x0a\x15/" INFO

/* The details of a status, each an Any, and the wait that follows from them. */
static const struct detail_case {
    const char *data;
    size_t size;
    int64_t wait_ns;
} details[] = {
#define DETAIL(literal, wait)                                                                      \
    {                                                                                              \
        literal, sizeof(literal) - 1, wait                                                         \
    }
    DETAIL("\x1a\x17" URL, 0),                           /* without a value */
    DETAIL("\x1a\x16\x0a\x14" INFO, 0),                  /* without a slash */
    DETAIL("\x1a\x17\x0a\x15x" INFO, -1),                /* the end of another name */
    DETAIL("\x1a\x05\x0a\x03/rp", -1),                   /* a short one */
    DETAIL("\x1a\x17\x0a\x15/google.rpc.RetryInfX", -1), /* another one */
    DETAIL("\x1a\x04\x08\x01\x10\x01", -1),              /* of wrong types */
    DETAIL("\x1a\x18" URL "\x12", -1),                   /* cut */
    DETAIL("\x1a\x1d" URL "\x12\x04\x0a\x02\x08\x02", 2 * NS_PER_S),
    DETAIL("\x1a\x1b" URL "\x12\x02\x08\x01", 0),                 /* its delay is no message */
    DETAIL("\x1a\x1c" URL "\x12\x03\x12\x01x", 0),                /* nor its field 2 */
    DETAIL("\x1a\x1a" URL "\x12\x01\x0a", -1),                    /* cut within */
    DETAIL("\x1a\x1f" URL "\x12\x06\x0a\x04\x0a\x00\x12\x00", 0), /* seconds are no number */
    DETAIL("\x1a\x1c" URL "\x12\x03\x0a\x01\x08", 0),             /* seconds are cut */
    DETAIL("\x1a\x26" URL "\x12\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
           0), /* negative */
    DETAIL("\x1a\x26" URL "\x12\x0d\x0a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0),
    DETAIL("\x1a\x25" URL "\x12\x0c\x0a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
           (INT64_MAX / NS_PER_S - 3) * NS_PER_S),
    DETAIL("\x1a\x1d" URL "\x12\x04\x0a\x02\x08\x02"
           "\x1a\x1d" URL "\x12\x04\x0a\x02\x08\x03",
           2 * NS_PER_S), /* the first one counts */
};

START_TEST(the_wait_is_that_of_a_retry_info_that_can_be_read)
    {
        for (size_t i = 0; i < COUNT_OF(details); i++) {
            struct reply_status out;
            ck_assert_msg(reply_status(details[i].data, details[i].size, &out), "%zu", i);
            ck_assert_msg(out.retry_ns == details[i].wait_ns, "%zu: %lld", i,
                          (long long)out.retry_ns);
        }
    }
END_TEST

START_TEST(a_status_that_is_too_long_for_a_header_is_none)
    {
        static char text[20000];
        struct reply_status out;
        memset(text, 'A', sizeof text - 1);
        ck_assert(!reply_status_base64(text, &out));
        ck_assert(!reply_status_base64("A===", &out));
        ck_assert(!reply_status_base64("AA=A", &out));
        ck_assert(!reply_status_base64("[]{}", &out));
        ck_assert(!reply_status_base64("+/-_", &out)); /* bytes, but no status */
    }
END_TEST

START_TEST(characters_of_a_reply_are_shown_whole)
    {
        char out[32];
        static const char text[] = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf0\x9f";
        reply_shown(out, sizeof out, text, sizeof text - 1);
        ck_assert_str_eq(out, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80??");
    }
END_TEST

START_TEST(what_a_receiver_says_stands_in_the_text)
    {
        static const char says[] = "\x0a\x05\x12\x03mhm", some[] = "\x0a\x02\x08\x01",
                          status[] = "\x12\x02no";
        struct retry_answer answer;
        struct transport_reply reply = {.http_status = 200,
                                        .body = (const void *)says,
                                        .size = sizeof says - 1,
                                        .retry_after = ""};
        retry_judge(&reply, false, 0, &answer);
        ck_assert_str_eq(answer.text, "the receiver says: mhm");
        reply.body = (const void *)some;
        reply.size = sizeof some - 1;
        retry_judge(&reply, false, 0, &answer);
        ck_assert_str_eq(answer.text, "rejected in part: no reason given");
        reply.http_status = 199;
        reply.body = (const void *)status;
        reply.size = sizeof status - 1;
        retry_judge(&reply, false, 0, &answer);
        ck_assert_str_eq(answer.text, "HTTP status 199: no");
    }
END_TEST

int main(void)
{
    return HARNESS(
        "telemetry_edges", a_key_of_baggage_is_a_token,
        a_value_of_baggage_is_encoded_where_it_is_not_plain,
        a_value_of_baggage_is_decoded_where_it_is_encoded, too_much_baggage_is_none,
        bounds_are_finite_and_rise, histograms_that_lie_apart_are_merged_into_coarser_ones,
        what_was_before_is_only_taken_from_where_something_is_now, labels_take_each_kind_of_value,
        labels_are_others_when_a_key_or_a_value_differs, labels_that_are_not_kept_are_the_others,
        labels_that_are_too_large_are_refused, attributes_without_a_key_are_left_out,
        points_have_what_was_counted_and_no_more, scopes_are_the_same_when_all_of_their_texts_are,
        a_request_with_a_resource_that_failed_has_failed, a_sum_that_may_fall_is_a_gauge,
        of_exemplars_the_newest_is_shown, a_histogram_of_zeros_is_merged_without_buckets,
        a_histogram_that_begins_within_and_ends_beyond_is_merged,
        of_attributes_that_are_too_large_no_label_is_made,
        an_exemplar_shows_its_attributes_with_or_without_a_trace,
        fields_of_a_wrong_type_in_a_reply_say_nothing,
        the_wait_is_that_of_a_retry_info_that_can_be_read,
        a_status_that_is_too_long_for_a_header_is_none, characters_of_a_reply_are_shown_whole,
        what_a_receiver_says_stands_in_the_text);
}
