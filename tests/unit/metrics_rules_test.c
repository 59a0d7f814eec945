/* SPDX-License-Identifier: MIT
 *
 * Making instruments: names, units, the same twice, bounds, views; and handles that do nothing.
 */
#include "metering.h"
#include "telemetry/series.h"

#include <errno.h>
#include <srun/runner.h>
#include <sys/wait.h>

#define OPTIONS SRUN_INSTRUMENT

/* Does it count? */
static bool works(struct metering *m, srun_instrument *instrument, const char *name)
{
    srun_add(instrument, 1, NULL);
    (void)metering_collect(m, m->reader);
    return metering_point(m, name, "") != NULL;
}

START_TEST(names_follow_the_rules_of_opentelemetry)
    {
        char longest[257];
        memset(longest, 'a', 255);
        longest[255] = '\0';
        const char *const good[] = {"a", "A", "http.server.requests", "a-b_c/d.9", longest};
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            struct metering m;
            metering_open(&m);
            ck_assert(works(&m, srun_counter(m.meter, good[i], NULL), good[i]));
            ck_assert_uint_eq(metering_warnings(&m), 0);
            metering_close(&m);
        }
        strcpy(longest + 255, "a");
        const char *const bad[] = {"",    "1a",       "_a",   ".a",    "a b",
                                   "a\n", "\xc3\xa4", "a{b}", longest, NULL};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct metering m;
            metering_open(&m);
            srun_instrument *instrument = srun_counter(m.meter, bad[i], NULL);
            ck_assert_ptr_nonnull(instrument);
            srun_add(instrument, 1, NULL);
            srun_series_add(srun_bind(instrument, NULL), 1);
            ck_assert_uint_eq(metering_collect(&m, m.reader), 0);
            ck_assert_uint_eq(metering_warnings(&m), 1);
            metering_close(&m);
        }
    }
END_TEST

START_TEST(a_unit_that_is_none_is_left_out)
    {
        struct metering m;
        metering_open(&m);
        const char *const bad[] = {
            "\n", "\xc3\xa4", "0123456789012345678901234567890123456789012345678901234567890123"};
        const char *const names[] = {"a", "b", "c"};
        for (size_t i = 0; i < 3; i++)
            ck_assert(
                works(&m, srun_counter(m.meter, names[i], OPTIONS(.unit = bad[i])), names[i]));
        ck_assert_str_eq(metering_metric(&m, "a")->unit, "");
        ck_assert_uint_eq(metering_warnings(&m), 3);
        ck_assert(works(&m, srun_counter(m.meter, "d", OPTIONS(.unit = "{request}/s")), "d"));
        ck_assert_str_eq(metering_metric(&m, "d")->unit, "{request}/s");
        ck_assert_uint_eq(metering_warnings(&m), 3);
        metering_close(&m);
    }
END_TEST

START_TEST(the_same_name_answers_the_same_instrument)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *first =
            srun_counter(m.meter, "Requests", OPTIONS(.help = "x", .unit = "1"));
        ck_assert_ptr_eq(srun_counter(m.meter, "Requests", OPTIONS(.help = "x", .unit = "1")),
                         first);
        ck_assert_uint_eq(metering_warnings(&m), 0);
        ck_assert_ptr_eq(srun_counter(m.meter, "rEQUESTS", OPTIONS(.help = "x", .unit = "1")),
                         first);
        ck_assert_uint_eq(metering_warnings(&m), 1); /* the first spelling wins */
        ck_assert_ptr_eq(srun_counter(m.meter, "Requests", OPTIONS(.help = "y", .unit = "1")),
                         first);
        ck_assert_ptr_eq(srun_counter(m.meter, "Requests", OPTIONS(.help = "x", .unit = "s")),
                         first);
        ck_assert_uint_eq(metering_warnings(&m), 3);
        ck_assert(works(&m, first, "Requests"));
        ck_assert_uint_eq(m.count, 1);
        ck_assert_str_eq(m.metrics[0].unit, "1");
        ck_assert_str_eq(m.metrics[0].help, "x");
        metering_close(&m);
    }
END_TEST

START_TEST(another_kind_of_the_same_name_works_beside_it)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_instrument *gauge = srun_gauge(m.meter, "n", NULL);
        srun_instrument *real = srun_counter(m.meter, "n", OPTIONS(.real = 1));
        ck_assert_ptr_ne(counter, gauge);
        ck_assert_ptr_ne(counter, real);
        ck_assert_ptr_eq(srun_gauge(m.meter, "n", NULL), gauge);
        ck_assert_uint_eq(metering_warnings(&m), 2);
        srun_add(counter, 1, NULL);
        srun_set(gauge, 5, NULL);
        srun_add_real(real, 0.5, NULL);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 3);
        metering_close(&m);
    }
END_TEST

START_TEST(scopes_do_not_share_instruments)
    {
        struct metering m;
        metering_open(&m);
        srun_meter *other = telemetry_meter(m.meters, "other", "2");
        ck_assert_ptr_eq(telemetry_meter(m.meters, "other", "2"), other);
        ck_assert_ptr_ne(srun_counter(other, "n", NULL), srun_counter(m.meter, "n", NULL));
        ck_assert_uint_eq(metering_warnings(&m), 0);
        metering_close(&m);
    }
END_TEST

static size_t bounds_of(struct metering *m, const char *name,
                        const struct srun_instrument_options *options)
{
    srun_record(srun_histogram(m->meter, name, options), 1, NULL);
    (void)metering_collect(m, m->reader);
    const struct telemetry_point *point = metering_point(m, name, "");
    ck_assert_uint_eq(point->bucket_count, metering_metric(m, name)->bound_count + 1);
    return metering_metric(m, name)->bound_count;
}

START_TEST(bounds_have_to_ascend)
    {
        static const double twice[] = {1, 1}, falling[] = {2, 1}, nan_inside[] = {1, NAN, 2},
                            minus[] = {-INFINITY, 1}, ends_infinite[] = {1, 2, INFINITY};
        static double many[501];
        struct metering m;
        metering_open(&m);
        for (int i = 0; i < 501; i++)
            many[i] = i;
        ck_assert_uint_eq(bounds_of(&m, "usual", NULL), 15);
        ck_assert_double_eq(metering_metric(&m, "usual")->bounds[14], 10000);
        ck_assert_uint_eq(bounds_of(&m, "seconds", OPTIONS(.unit = "s")), 14);
        ck_assert_double_eq(metering_metric(&m, "seconds")->bounds[0], 0.005);
        ck_assert_double_eq(metering_metric(&m, "seconds")->bounds[13], 10);
        ck_assert_uint_eq(bounds_of(&m, "inf", OPTIONS(.bounds = ends_infinite, .bound_count = 3)),
                          2);
        ck_assert_uint_eq(bounds_of(&m, "most", OPTIONS(.bounds = many, .bound_count = 500)), 500);
        ck_assert_uint_eq(bounds_of(&m, "none", OPTIONS(.bounds = many, .bound_count = 0)), 0);
        ck_assert_uint_eq(metering_warnings(&m), 0);
        ck_assert_uint_eq(bounds_of(&m, "a", OPTIONS(.bounds = twice, .bound_count = 2)), 15);
        ck_assert_uint_eq(bounds_of(&m, "b", OPTIONS(.bounds = falling, .bound_count = 2)), 15);
        ck_assert_uint_eq(bounds_of(&m, "c", OPTIONS(.bounds = nan_inside, .bound_count = 3)), 15);
        ck_assert_uint_eq(bounds_of(&m, "d", OPTIONS(.bounds = minus, .bound_count = 2)), 15);
        ck_assert_uint_eq(bounds_of(&m, "e", OPTIONS(.bounds = many, .bound_count = 501)), 15);
        ck_assert_uint_eq(metering_warnings(&m), 5);
        metering_close(&m);
    }
END_TEST

START_TEST(options_of_a_newer_program_are_left_out_with_a_warning)
    {
        struct {
            struct srun_instrument_options options;
            size_t more;
        } newer = {.options = {.size = sizeof newer, .unit = "s"}, .more = 1};
        struct metering m;
        metering_open(&m);
        ck_assert(works(&m, srun_counter(m.meter, "a", &newer.options), "a"));
        ck_assert_str_eq(metering_metric(&m, "a")->unit, "");
        ck_assert_uint_eq(metering_warnings(&m), 1);
        newer.more = 0;
        ck_assert(works(&m, srun_counter(m.meter, "b", &newer.options), "b"));
        ck_assert_str_eq(metering_metric(&m, "b")->unit, "s");
        ck_assert_uint_eq(metering_warnings(&m), 1);
        metering_close(&m);
    }
END_TEST

/* --- views ----------------------------------------------------------------------------------- */

START_TEST(a_view_drops_by_a_pattern)
    {
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(telemetry_view(m.meters, "http.*.si?e", SRUN_VIEW(.drop = 1), NULL), 0);
        ck_assert(!works(&m, srun_counter(m.meter, "HTTP.server.size", NULL), "HTTP.server.size"));
        ck_assert(works(&m, srun_counter(m.meter, "http.server.sizes", NULL), "http.server.sizes"));
        ck_assert(works(&m, srun_counter(m.meter, "xhttp.server.size", NULL), "xhttp.server.size"));
        ck_assert_uint_eq(m.count, 2);
        metering_close(&m);
    }
END_TEST

START_TEST(a_view_keeps_some_attributes_and_loses_no_count)
    {
        static const char *const keep[] = {"code", NULL};
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(telemetry_view(m.meters, "*", SRUN_VIEW(.keep = keep), NULL), 0);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int i = 0; i < 100; i++)
            srun_add(
                counter, 1,
                SRUN_KVS(SRUN_INT("user", i), SRUN_INT("code", i % 2), SRUN_STR("codes", "x")));
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("user", 1)));
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", "code=\"0\""), 50);
        ck_assert_int_eq(metering_int(&m, "n", "code=\"1\""), 50);
        ck_assert_int_eq(metering_int(&m, "n", ""), 1);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, 3);
        metering_close(&m);
    }
END_TEST

START_TEST(a_view_sets_bounds_limit_and_the_first_one_counts)
    {
        static const double bounds[] = {1, 2};
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(
            telemetry_view(m.meters, "a*", SRUN_VIEW(.bounds = bounds, .bound_count = 2), NULL), 0);
        ck_assert_int_eq(
            telemetry_view(m.meters, "*", SRUN_VIEW(.exponential = 1, .limit = 1), NULL), 0);
        ck_assert_uint_eq(bounds_of(&m, "ab", OPTIONS(.unit = "s")), 2);
        srun_instrument *other = srun_histogram(m.meter, "b", NULL);
        srun_record(other, 1, SRUN_KVS(SRUN_INT("x", 1)));
        srun_record(other, 1, SRUN_KVS(SRUN_INT("x", 2)));
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_metric(&m, "b")->kind, TELEMETRY_EXPONENTIAL_HISTOGRAM);
        ck_assert_ptr_nonnull(metering_point(&m, "b", "otel_metric_overflow=\"true\""));
        ck_assert_ptr_null(metering_point(&m, "b", "x=\"2\""));
        metering_close(&m);
    }
END_TEST

START_TEST(a_view_that_makes_no_sense_is_refused)
    {
        static const double falling[] = {2, 1};
        srun_err err = {0};
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(telemetry_view(m.meters, "", SRUN_VIEW(.drop = 1), &err), -EINVAL);
        ck_assert_int_eq(telemetry_view(m.meters, NULL, SRUN_VIEW(.drop = 1), &err), -EINVAL);
        ck_assert_int_eq(telemetry_view(m.meters, "a", NULL, &err), -EINVAL);
        ck_assert_int_eq(
            telemetry_view(m.meters, "a", SRUN_VIEW(.bounds = falling, .bound_count = 2), &err),
            -EINVAL);
        ck_assert_int_eq(telemetry_view(m.meters, "a", SRUN_VIEW(.reserved = {m.meters}), &err),
                         -EINVAL);
        metering_close(&m);
    }
END_TEST

/* --- handles --------------------------------------------------------------------------------- */

static void observe_nothing(void *user, srun_observer *observer)
{
    (void)user, (void)observer;
}

START_TEST(null_handles_do_nothing)
    {
        srun_instrument *counter = srun_counter(NULL, "n", NULL);
        ck_assert_ptr_nonnull(counter);
        ck_assert_ptr_nonnull(srun_bind(NULL, NULL));
        srun_series *const series[] = {srun_bind(counter, SRUN_KVS(SRUN_INT("a", 1))), NULL};
        srun_instrument *const instruments[] = {counter, NULL};
        for (int i = 0; i < 2; i++) {
            srun_series_add(series[i], 1);
            srun_series_add_real(series[i], 1);
            srun_series_set(series[i], 1);
            srun_series_set_real(series[i], 1);
            srun_series_record(series[i], 1);
            srun_add(instruments[i], 1, NULL);
            srun_add_real(instruments[i], 1, SRUN_KVS(SRUN_INT("a", 1)));
            srun_set(instruments[i], 1, NULL);
            srun_set_real(instruments[i], 1, NULL);
            srun_record(instruments[i], 1, NULL);
        }
        srun_observable *observable = srun_observable_gauge(NULL, "n", NULL, observe_nothing, NULL);
        ck_assert_ptr_nonnull(observable);
        srun_unregister(observable);
        srun_unregister(NULL);
        srun_observe(NULL, 1, NULL);
        srun_observe_real(NULL, 1, NULL);
        ck_assert_ptr_null(srun_context_meter(NULL));
        ck_assert_ptr_null(srun_runner_meter(NULL));
    }
END_TEST

START_TEST(what_does_not_fit_the_instrument_is_dropped_counted_and_told_once)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "counter", NULL);
        srun_instrument *real = srun_counter(m.meter, "real", OPTIONS(.real = 1));
        srun_instrument *gauge = srun_gauge(m.meter, "gauge", NULL);
        srun_instrument *histogram = srun_histogram(m.meter, "histogram", NULL);
        srun_add(counter, -1, NULL);
        srun_add_real(counter, 1, NULL);
        srun_set(counter, 1, NULL);
        srun_record(counter, 1, NULL);
        srun_add_real(real, NAN, NULL);
        srun_add_real(real, INFINITY, NULL);
        srun_add_real(real, -0.5, NULL);
        srun_add(real, -1, NULL);
        srun_set_real(gauge, 1, NULL);
        srun_add(gauge, 1, NULL);
        srun_record(histogram, NAN, NULL);
        srun_record(histogram, -1, NULL);
        srun_record(histogram, INFINITY, NULL);
        ck_assert_uint_eq(metering_stats(&m).dropped, 13);
        ck_assert_uint_eq(metering_warnings(&m), 0); /* never on the hot path */
        for (int i = 0; i < 3; i++)
            (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_warnings(&m), 4);
        ck_assert_int_eq(metering_int(&m, "counter", ""), 0);
        ck_assert_ptr_null(metering_metric(&m, "gauge")); /* it was never set */
        srun_add(real, 2, NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_double_eq(metering_real(&m, "real", ""), 2);
        metering_close(&m);
    }
END_TEST

START_TEST(a_forked_child_changes_and_awaits_nothing)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series *series = srun_bind(counter, NULL);
        srun_series_add(series, 1);
        pid_t child = fork();
        if (child == 0) {
            const struct telemetry_metric *metrics;
            srun_series_add(series, 1);
            srun_add(counter, 1, SRUN_KVS(SRUN_INT("new", 1)));
            srun_add(srun_counter(m.meter, "other", NULL), 1, NULL);
            srun_unregister(srun_observable_gauge(m.meter, "g", NULL, observe_nothing, NULL));
            _exit(telemetry_meter(m.meters, "x", "") == NULL &&
                          telemetry_collect(m.reader, INT64_MAX, &metrics) == 0
                      ? 0
                      : 1);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", ""), 1);
        ck_assert_uint_eq(m.count, 1);
        metering_close(&m);
    }
END_TEST

START_TEST(a_forked_child_awaits_no_thread_that_records)
    {
        struct metering m;
        metering_open(&m);
        srun_series *series =
            srun_bind(srun_histogram(m.meter, "h", SRUN_INSTRUMENT(.exponential = 1)), NULL);
        for (unsigned i = 0; i < series_stripes(series); i++)
            pthread_mutex_lock(&series->exponential[i].lock); /* as by one on each processor */
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(5 * (unsigned)harness_slowness());
            srun_series_record(series, 1);
            _exit(0);
        }
        for (unsigned i = 0; i < series_stripes(series); i++)
            pthread_mutex_unlock(&series->exponential[i].lock);
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        srun_series_record(series, 1);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_point(&m, "h", "")->count, 1);
        metering_close(&m);
    }
END_TEST

START_TEST(a_service_and_the_program_have_meters_of_their_own)
    {
        srun_err err = {0};
        srun_runner *runner = NULL;
        ck_assert_int_eq(
            srun_runner_new(&runner, SRUN_CONFIG(.name = "shop", .signals.disabled = 1), &err), 0);
        srun_meter *meter = srun_runner_meter(runner);
        ck_assert_ptr_nonnull(meter);
        ck_assert_ptr_eq(srun_runner_meter(runner), meter);
        ck_assert_int_eq(srun_runner_view(runner, "x", SRUN_VIEW(.drop = 1), &err), 0);
        ck_assert_int_eq(srun_runner_view(runner, "", SRUN_VIEW(.drop = 1), &err), -EINVAL);
        srun_add(srun_counter(meter, "n", NULL), 1, NULL);
        (void)srun_runner_free(runner);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "metrics_rules", names_follow_the_rules_of_opentelemetry, a_unit_that_is_none_is_left_out,
        the_same_name_answers_the_same_instrument, another_kind_of_the_same_name_works_beside_it,
        scopes_do_not_share_instruments, bounds_have_to_ascend,
        options_of_a_newer_program_are_left_out_with_a_warning, a_view_drops_by_a_pattern,
        a_view_keeps_some_attributes_and_loses_no_count,
        a_view_sets_bounds_limit_and_the_first_one_counts, a_view_that_makes_no_sense_is_refused,
        null_handles_do_nothing, what_does_not_fit_the_instrument_is_dropped_counted_and_told_once,
        a_forked_child_changes_and_awaits_nothing, a_forked_child_awaits_no_thread_that_records,
        a_service_and_the_program_have_meters_of_their_own);
}
