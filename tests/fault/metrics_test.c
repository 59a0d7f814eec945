/* SPDX-License-Identifier: MIT
 *
 * Metrics without memory or threads: what is made works or measures nothing, what is counted is not
 * lost, and a page is whole or says that it is not.
 */
#include "base/clock.h"
#include "scenario.h"
#include "telemetry/meter.h"
#include "telemetry/prometheus.h"
#include "telemetry/self.h"

#include <stdio.h>
#include <string.h>

static void observe(void *user, srun_observer *observer)
{
    (void)user;
    srun_observe(observer, 7, SRUN_KVS(SRUN_INT("a", 1)));
}

/* One instrument as three metrics, looked up and bound. */
static void use_views(struct telemetry_meters *meters, srun_meter *meter)
{
    static const char *const keep[] = {"a", NULL};
    static const double bounds[] = {1, 2};
    (void)telemetry_view(meters, "v*", SRUN_VIEW(.keep = keep, .meter = "te*"), NULL);
    (void)telemetry_view(meters, "v", SRUN_VIEW(.name = "w", .help = "x", .exponential = 1), NULL);
    (void)telemetry_view(meters, "v", SRUN_VIEW(.name = "h", .bounds = bounds, .bound_count = 2),
                         NULL);
    srun_instrument *many = srun_histogram(meter, "v", NULL);
    SCENARIO_ASSERT(many != NULL, "NULL");
    for (int i = 0; i < 20; i++) {
        srun_record(many, i, SRUN_KVS(SRUN_INT("a", i), SRUN_INT("b", i)));
        srun_series_record(srun_bind(many, SRUN_KVS(SRUN_INT("a", i))), i);
    }
}

/* Everything once; whatever fails, nothing breaks and nothing is left. */
static void use_all(void *arg)
{
    struct telemetry_meters *meters = NULL;
    struct telemetry_reader *reader = NULL;
    const struct telemetry_metric *metrics = NULL;
    (void)arg;
    scenario_arm();
    int rc = telemetry_meters_new(&meters, NULL);
    if (rc == 0) {
        srun_meter *meter = telemetry_meter(meters, "test", "1");
        srun_instrument *counter = srun_counter(meter, "n", SRUN_INSTRUMENT(.help = "x"));
        srun_instrument *histogram = srun_histogram(meter, "h", NULL);
        srun_instrument *other = srun_histogram(meter, "e", SRUN_INSTRUMENT(.exponential = 1));
        SCENARIO_ASSERT(counter != NULL && histogram != NULL && other != NULL, "NULL");
        for (int i = 0; i < 40; i++)
            srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i)));
        telemetry_self.current = (struct srun_span_context){
            .trace_id = {1}, .span_id = {1}, .flags = SRUN_TRACE_SAMPLED};
        srun_record(histogram, 1, SRUN_KVS(SRUN_INT("i", 1)));
        srun_record(other, 1, NULL);
        use_views(meters, meter);
        telemetry_self.current = (struct srun_span_context){0};
        srun_observable *observable = srun_observable_gauge(meter, "g", NULL, observe, NULL);
        if (telemetry_reader_new(&reader, meters,
                                 &(struct telemetry_reader_options){.delta = true}) == 0) {
            struct buf out = {0};
            size_t count =
                telemetry_collect(reader, clock_real_now() + INT64_C(20000000000), &metrics);
            (void)prometheus_write(&out, metrics, count, NULL, true);
            SCENARIO_ASSERT(out.failed || strstr(out.data, "# EOF\n") != NULL, "%s", out.data);
            buf_free(&out);
        }
        srun_unregister(observable);
    }
    (void)scenario_disarm();
    if (rc == 0)
        (void)telemetry_meters_settle(meters);
    (void)telemetry_reader_free(reader);
    (void)telemetry_meters_free(meters);
}

START_TEST(without_memory_or_threads_nothing_breaks)
    {
        scenario_each("metrics", FAULT_MEMORY | FAULT_THREAD, use_all, NULL);
    }
END_TEST

/* An instrument that is there counts all, together if it cannot count apart. */
static void count_all(void *arg)
{
    struct telemetry_meters *meters = NULL;
    struct telemetry_reader *reader = NULL;
    const struct telemetry_metric *metrics = NULL;
    (void)arg;
    ck_assert_int_eq(telemetry_meters_new(&meters, NULL), 0);
    ck_assert_int_eq(telemetry_reader_new(&reader, meters, NULL), 0);
    srun_instrument *counter = srun_counter(telemetry_meter(meters, "test", ""), "n", NULL);
    scenario_arm();
    for (int i = 0; i < 100; i++)
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i)));
    (void)scenario_disarm();
    size_t count = telemetry_collect(reader, INT64_MAX, &metrics);
    int64_t sum = 0;
    for (size_t i = 0; count > 0 && i < metrics[0].point_count; i++)
        sum += metrics[0].points[i].integer;
    SCENARIO_ASSERT(sum == 100, "%lld", (long long)sum);
    (void)telemetry_reader_free(reader);
    (void)telemetry_meters_free(meters);
}

/* The same, counted in three metrics. */
static void count_in_each(void *arg)
{
    struct telemetry_meters *meters = NULL;
    struct telemetry_reader *reader = NULL;
    const struct telemetry_metric *metrics = NULL;
    (void)arg;
    ck_assert_int_eq(telemetry_meters_new(&meters, NULL), 0);
    ck_assert_int_eq(telemetry_reader_new(&reader, meters, NULL), 0);
    ck_assert_int_eq(telemetry_view(meters, "n", SRUN_VIEW(), NULL), 0);
    ck_assert_int_eq(telemetry_view(meters, "n", SRUN_VIEW(.name = "m", .limit = 5), NULL), 0);
    srun_instrument *counter = srun_counter(telemetry_meter(meters, "test", ""), "n", NULL);
    scenario_arm();
    for (int i = 0; i < 50; i++) {
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i)));
        srun_series_add(srun_bind(counter, SRUN_KVS(SRUN_INT("i", i))), 1);
    }
    (void)scenario_disarm();
    size_t count = telemetry_collect(reader, INT64_MAX, &metrics);
    SCENARIO_ASSERT(count == 2, "%zu", count);
    for (size_t metric = 0; metric < count; metric++) {
        int64_t sum = 0;
        for (size_t i = 0; i < metrics[metric].point_count; i++)
            sum += metrics[metric].points[i].integer;
        SCENARIO_ASSERT(sum == 100, "%s: %lld", metrics[metric].name, (long long)sum);
    }
    (void)telemetry_reader_free(reader);
    (void)telemetry_meters_free(meters);
}

START_TEST(what_is_counted_in_several_metrics_is_not_lost)
    {
        scenario_each("counting in each", FAULT_MEMORY, count_in_each, NULL);
    }
END_TEST

START_TEST(what_is_counted_is_not_lost)
    {
        scenario_each("counting", FAULT_MEMORY, count_all, NULL);
    }
END_TEST

/* Labels that nobody has rendered yet need memory while the page is written. */
static void write_page(void *arg)
{
    const struct telemetry_point points[] = {
        {.attributes = SRUN_KVS(SRUN_STR("route", "/a"))},
        {.attributes = SRUN_KVS(SRUN_STR("route", "/b"))},
    };
    const struct telemetry_metric metric = {.name = "n", .points = points, .point_count = 2};
    const struct telemetry_resource resource = {.attributes = SRUN_KVS(SRUN_STR("a", "b"))};
    struct buf out = {0};
    (void)arg;
    scenario_arm();
    (void)prometheus_write(&out, &metric, 1, &resource, false);
    (void)scenario_disarm();
    SCENARIO_ASSERT(out.failed || (strstr(out.data, "n{route=\"/a\"} 0\n") != NULL &&
                                   strstr(out.data, "n{route=\"/b\"} 0\n") != NULL &&
                                   strstr(out.data, "target_info{a=\"b\"} 1\n") != NULL),
                    "%s", out.data);
    buf_free(&out);
}

START_TEST(a_page_without_its_labels_is_no_page)
    {
        scenario_each("writing", FAULT_MEMORY, write_page, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.metrics", without_memory_or_threads_nothing_breaks,
                   what_is_counted_is_not_lost, what_is_counted_in_several_metrics_is_not_lost,
                   a_page_without_its_labels_is_no_page);
}
