/* SPDX-License-Identifier: MIT
 *
 * Exemplars: which measurements become one, where they are kept, who is told of them; and that no
 * two are ever mixed up.
 */
#include "base/libc.h"
#include "metering.h"
#include "telemetry/prometheus.h"
#include "telemetry/self.h"
#include "telemetry/series.h"

#include <pthread.h>
#include <srun/trace.h>
#include <stdatomic.h>

#define OPTIONS SRUN_INSTRUMENT

/* From here on this thread is in a span whose ids tell its number. */
static void enter(uint8_t number, bool sampled)
{
    struct srun_span_context context = {.flags = sampled ? SRUN_TRACE_SAMPLED : 0};
    memset(context.trace_id, number, sizeof context.trace_id);
    memset(context.span_id, number, sizeof context.span_id);
    telemetry_self.current = context;
}

static void leave(void)
{
    telemetry_self.current = (struct srun_span_context){0};
}

static const struct telemetry_point *collected(struct metering *m, struct telemetry_reader *reader,
                                               const char *name)
{
    (void)metering_collect(m, reader);
    const struct telemetry_point *point = metering_point(m, name, "");
    ck_assert_msg(point != NULL, "there is no %s", name);
    return point;
}

START_TEST(a_measurement_in_a_sampled_span_becomes_one)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_add(counter, 1, NULL);
        ck_assert_uint_eq(collected(&m, m.reader, "n")->exemplar_count, 0);
        enter(7, false);
        srun_add(counter, 2, NULL);
        ck_assert_uint_eq(collected(&m, m.reader, "n")->exemplar_count, 0);
        enter(9, true);
        srun_add(counter, -3, NULL); /* is not counted */
        srun_add(counter, INT64_MAX, NULL);
        leave();
        const struct telemetry_point *point = collected(&m, m.reader, "n");
        ck_assert_uint_eq(point->exemplar_count, 1);
        const struct telemetry_exemplar *exemplar = &point->exemplars[0];
        ck_assert(exemplar->is_integer);
        ck_assert_int_eq(exemplar->integer, INT64_MAX);
        ck_assert_uint_eq(exemplar->trace_id[0], 9);
        ck_assert_uint_eq(exemplar->span_id[7], 9);
        ck_assert_uint_gt(exemplar->time_ns, point->start_ns);
        ck_assert_uint_le(exemplar->time_ns, point->time_ns);
        ck_assert_ptr_null(exemplar->attributes);
        metering_close(&m);
    }
END_TEST

START_TEST(every_call_offers_its_value)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *sums[] = {srun_up_down_counter(m.meter, "up", NULL),
                                   srun_counter(m.meter, "real", OPTIONS(.real = 1))};
        srun_instrument *gauge = srun_gauge(m.meter, "gauge", OPTIONS(.real = 1));
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        srun_instrument *exponential = srun_histogram(m.meter, "e", OPTIONS(.exponential = 1));
        enter(1, true);
        srun_series_add(srun_bind(sums[0], NULL), -5);
        srun_add_real(sums[1], 0.5, NULL);
        srun_set_real(gauge, 1.5, NULL);
        srun_record(histogram, 2.5, NULL);
        srun_series_record(srun_bind(exponential, NULL), 3.5);
        leave();
        static const char *const names[] = {"up", "real", "gauge", "h", "e"};
        static const double values[] = {-5, 0.5, 1.5, 2.5, 3.5};
        for (size_t i = 0; i < 5; i++) {
            const struct telemetry_point *point = collected(&m, m.reader, names[i]);
            ck_assert_uint_eq(point->exemplar_count, 1);
            ck_assert_double_eq(point->exemplars[0].value, values[i]);
        }
        metering_close(&m);
    }
END_TEST

START_TEST(a_histogram_keeps_the_last_one_of_each_bucket)
    {
        static const double bounds[] = {10, 20};
        static const double values[] = {5, 10, 15, 12, 99, 3};
        struct metering m;
        metering_open(&m);
        srun_instrument *histogram =
            srun_histogram(m.meter, "h", OPTIONS(.bounds = bounds, .bound_count = 2));
        for (size_t i = 0; i < 6; i++) {
            enter((uint8_t)(i + 1), true);
            srun_record(histogram, values[i], NULL);
        }
        leave();
        const struct telemetry_point *point = collected(&m, m.reader, "h");
        ck_assert_uint_eq(point->exemplar_count, 3);
        ck_assert_double_eq(point->exemplars[0].value, 3);
        ck_assert_double_eq(point->exemplars[1].value, 12);
        ck_assert_double_eq(point->exemplars[2].value, 99);
        ck_assert_uint_eq(point->exemplars[1].trace_id[3], 4);
        metering_close(&m);
    }
END_TEST

/* Each of many has the same chance to be kept, in each interval anew. */
START_TEST(a_sum_keeps_some_of_an_interval)
    {
        enum { MANY = 50, INTERVALS = 200 };
        unsigned late = 0, all = 0;
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int interval = 0; interval < INTERVALS; interval++) {
            enter(1, true);
            for (int i = 0; i < MANY; i++)
                srun_add(counter, i, NULL);
            leave();
            const struct telemetry_point *point = collected(&m, m.deltas, "n");
            ck_assert_uint_ge(point->exemplar_count, 1);
            ck_assert_uint_le(point->exemplar_count, 4);
            for (size_t i = 0; i < point->exemplar_count; i++, all++)
                late += point->exemplars[i].integer >= MANY / 2;
        }
        ck_assert_uint_gt(late * 4, all); /* about one half; below a quarter: once in 10^12 */
        ck_assert_uint_lt(late * 4, all * 3);
        metering_close(&m);
    }
END_TEST

START_TEST(differences_have_those_of_their_interval_and_totals_the_last_ones)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        enter(1, true);
        srun_add(counter, 1, NULL);
        srun_record(histogram, 1, NULL);
        leave();
        ck_assert_uint_eq(collected(&m, m.reader, "n")->exemplar_count, 1);
        ck_assert_uint_eq(collected(&m, m.deltas, "n")->exemplar_count, 1);
        ck_assert_uint_eq(metering_point(&m, "h", "")->exemplar_count, 1);
        srun_add(counter, 1, NULL);
        srun_record(histogram, 1, NULL);
        ck_assert_uint_eq(collected(&m, m.deltas, "n")->exemplar_count, 0);
        ck_assert_uint_eq(metering_point(&m, "h", "")->exemplar_count, 0);
        ck_assert_uint_eq(collected(&m, m.reader, "n")->exemplar_count, 1);
        ck_assert_uint_eq(metering_point(&m, "h", "")->exemplar_count, 1);
        enter(2, true);
        srun_add(counter, 1, NULL);
        leave();
        (void)metering_collect(&m, m.reader); /* takes nothing from the other one */
        ck_assert_uint_eq(collected(&m, m.deltas, "n")->exemplar_count, 1);
        ck_assert_uint_eq(metering_point(&m, "n", "")->exemplars[0].trace_id[0], 2);
        metering_close(&m);
    }
END_TEST

START_TEST(the_filter_says_which)
    {
        struct metering m;
        metering_open(&m);
        telemetry_exemplars(m.meters, TELEMETRY_EXEMPLARS_NEVER);
        srun_instrument *none = srun_counter(m.meter, "none", NULL);
        enter(1, true);
        srun_add(none, 1, NULL);
        leave();
        telemetry_exemplars(m.meters, TELEMETRY_EXEMPLARS_ALWAYS);
        srun_instrument *all = srun_counter(m.meter, "all", NULL);
        srun_add(all, 1, NULL);
        ck_assert_uint_eq(collected(&m, m.reader, "none")->exemplar_count, 0);
        const struct telemetry_point *point = metering_point(&m, "all", "");
        ck_assert_uint_eq(point->exemplar_count, 1);
        ck_assert_uint_eq(point->exemplars[0].trace_id[0], 0);
        auto_buf struct buf out = {0};
        (void)prometheus_write(&out, m.metrics, m.count, NULL, true);
        ck_assert_ptr_nonnull(strstr(out.data, "all_total{otel_scope_name=\"test\"} 1 # {} 1 1"));
        metering_close(&m);
    }
END_TEST

START_TEST(attributes_that_a_view_drops_are_kept_here)
    {
        static const char *const keep[] = {"code", NULL};
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(telemetry_view(m.meters, "n", SRUN_VIEW(.keep = keep), NULL), 0);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        enter(1, true);
        srun_add(counter, 1,
                 SRUN_KVS(SRUN_STR("user", "al\"ice"), SRUN_INT("code", 200), SRUN_INT("id", 7)));
        leave();
        (void)metering_collect(&m, m.reader);
        const struct telemetry_point *point = metering_point(&m, "n", "code=\"200\"");
        ck_assert_uint_eq(point->exemplar_count, 1);
        const struct srun_kv *kv = point->exemplars[0].attributes;
        ck_assert_str_eq(kv[0].key, "id");
        ck_assert_int_eq(kv[0].value.i, 7);
        ck_assert_str_eq(kv[1].key, "user");
        ck_assert_str_eq(kv[1].value.str, "al\"ice");
        ck_assert_int_eq(kv[2].type, SRUN_KV_END);
        auto_buf struct buf out = {0};
        (void)prometheus_write(&out, m.metrics, m.count, NULL, true);
        ck_assert_ptr_nonnull(
            strstr(out.data, ",span_id=\"0101010101010101\",id=\"7\",user=\"al\\\"ice\"} 1 1"));
        char large[300];
        memset(large, 'x', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        enter(2, true);
        srun_add(counter, 1, SRUN_KVS(SRUN_STR("user", large), SRUN_INT("code", 1)));
        leave();
        (void)metering_collect(&m, m.reader);
        point = metering_point(&m, "n", "code=\"1\"");
        ck_assert_uint_eq(point->exemplar_count, 1);
        ck_assert_ptr_null(point->exemplars[0].attributes);
        metering_close(&m);
    }
END_TEST

/* 63 of the 128 characters are those of the ids. */
START_TEST(labels_of_an_exemplar_have_128_characters_at_most)
    {
        char value[65];
        for (size_t size = 60; size <= 64; size++) {
            auto_buf struct buf out = {0};
            memset(value, '"', size);
            value[size] = '\0';
            prometheus_exemplar(
                &out, &(struct telemetry_exemplar){.trace_id = {1},
                                                   .span_id = {1},
                                                   .attributes = SRUN_KVS(SRUN_STR("ab", value))});
            ck_assert_int_eq(strstr(out.data, ",ab=") != NULL, size + 2 <= 65);
        }
        auto_buf struct buf out = {0}, twice = {0};
        prometheus_exemplar(
            &out, &(struct telemetry_exemplar){.trace_id = {1},
                                               .span_id = {1},
                                               .attributes = SRUN_KVS(SRUN_STR(
                                                   "x", "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"))});
        ck_assert_ptr_nonnull(strstr(out.data, ",x="));
        prometheus_exemplar(&twice, &(struct telemetry_exemplar){
                                        .trace_id = {1},
                                        .span_id = {1},
                                        .attributes = SRUN_KVS(SRUN_STR("trace.id", "5"))});
        ck_assert_ptr_null(strstr(twice.data, "5\""));
    }
END_TEST

/* What malloc has given away so far; where it does not say, nothing. */
static size_t allocated(void)
{
    struct libc_heap heap = {0};
    (void)libc_heap(&heap);
    return heap.used;
}

START_TEST(offering_allocates_nothing)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        srun_record(histogram, 1, NULL);
        enter(1, true);
        srun_record(histogram, 1, NULL);
        size_t before = allocated();
        for (int i = 0; i < 1000; i++)
            srun_record(histogram, i, NULL);
        ck_assert_uint_eq(allocated(), before);
        leave();
        metering_close(&m);
    }
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4 };

struct crowd {
    srun_instrument *counter, *histogram, *exponential, *filtered;
    atomic_bool stop;
    atomic_uint numbers;
};

/* Everything in a measurement tells the number of the thread. */
static void *measure(void *arg)
{
    struct crowd *crowd = arg;
    unsigned number = atomic_fetch_add(&crowd->numbers, 1) + 1;
    enter((uint8_t)number, true);
    while (!atomic_load(&crowd->stop)) {
        srun_add(crowd->counter, (int64_t)number, NULL);
        srun_record(crowd->histogram, (double)number, NULL);
        srun_record(crowd->exponential, (double)number, NULL);
        srun_add(crowd->filtered, (int64_t)number,
                 SRUN_KVS(SRUN_INT("a", number), SRUN_INT("b", number)));
    }
    leave();
    return NULL;
}

static size_t check_all(const struct metering *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct telemetry_point *point = &m->metrics[i].points[0];
        for (size_t k = 0; k < point->exemplar_count; k++, count++) {
            const struct telemetry_exemplar *one = &point->exemplars[k];
            unsigned number = one->trace_id[0];
            ck_assert_uint_gt(number, 0);
            ck_assert_double_eq(one->value, number);
            ck_assert_uint_ge(one->time_ns, point->start_ns);
            for (size_t byte = 0; byte < 16; byte++)
                ck_assert_uint_eq(one->trace_id[byte], number);
            for (size_t byte = 0; byte < 8; byte++)
                ck_assert_uint_eq(one->span_id[byte], number);
            if (one->attributes != NULL) {
                ck_assert_int_eq(one->attributes[0].value.i, number);
                ck_assert_int_eq(one->attributes[1].value.i, number);
            }
        }
    }
    return count;
}

START_TEST(no_two_measurements_are_ever_mixed_up)
    {
        static const char *const keep[] = {NULL};
        struct crowd crowd = {0};
        struct metering m;
        pthread_t threads[THREADS];
        size_t count = 0, deltas = 0;
        metering_open(&m);
        ck_assert_int_eq(telemetry_view(m.meters, "filtered", SRUN_VIEW(.keep = keep), NULL), 0);
        crowd.counter = srun_counter(m.meter, "n", NULL);
        crowd.histogram = srun_histogram(m.meter, "h", NULL);
        crowd.exponential = srun_histogram(m.meter, "e", OPTIONS(.exponential = 1));
        crowd.filtered = srun_counter(m.meter, "filtered", NULL);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, measure, &crowd), 0);
        for (int i = 0; i < 200 / harness_slowness() || count == 0 || deltas == 0; i++) {
            (void)metering_collect(&m, m.reader);
            count += check_all(&m);
            (void)metering_collect(&m, m.deltas);
            deltas += check_all(&m);
        }
        atomic_store(&crowd.stop, true);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_join(threads[i], NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_ge(check_all(&m), 4);
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_exemplar", a_measurement_in_a_sampled_span_becomes_one,
                   every_call_offers_its_value, a_histogram_keeps_the_last_one_of_each_bucket,
                   a_sum_keeps_some_of_an_interval,
                   differences_have_those_of_their_interval_and_totals_the_last_ones,
                   the_filter_says_which, attributes_that_a_view_drops_are_kept_here,
                   labels_of_an_exemplar_have_128_characters_at_most, offering_allocates_nothing,
                   no_two_measurements_are_ever_mixed_up);
}
