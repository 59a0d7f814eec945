/* SPDX-License-Identifier: MIT
 *
 * Views: which instruments they are about, other names, several metrics of one instrument, and what
 * is told of names that clash.
 */
#include "metering.h"
#include "telemetry/self.h"
#include "telemetry/series.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#define OPTIONS SRUN_INSTRUMENT

static const char *const nothing[] = {NULL}, *const code[] = {"code", NULL};

static void view(struct metering *m, const char *pattern, const struct srun_view *view)
{
    srun_err err = {0};
    ck_assert_msg(telemetry_view(m->meters, pattern, view, &err) == 0, "%s", err.text);
}

static void refused(struct metering *m, const char *pattern, const struct srun_view *view)
{
    srun_err err = {0};
    ck_assert_int_eq(telemetry_view(m->meters, pattern, view, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, pattern));
}

START_TEST(a_view_gives_another_name_and_help)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "old.name", SRUN_VIEW(.name = "new.name", .help = "As the program says."));
        srun_instrument *counter = srun_counter(m.meter, "Old.Name", OPTIONS(.help = "As it was."));
        ck_assert_ptr_eq(srun_counter(m.meter, "Old.Name", OPTIONS(.help = "As it was.")), counter);
        srun_add(counter, 3, NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "new.name", ""), 3);
        ck_assert_str_eq(metering_metric(&m, "new.name")->help, "As the program says.");
        ck_assert_ptr_null(metering_metric(&m, "Old.Name"));
        srun_add(srun_counter(m.meter, "other.name", NULL), 1, NULL);
        ck_assert_uint_eq(metering_warnings(&m), 0);
        metering_close(&m);
    }
END_TEST

START_TEST(a_view_is_about_a_kind_and_a_meter)
    {
        struct metering m;
        metering_open(&m);
        srun_meter *other = telemetry_meter(m.meters, "other", "");
        view(&m, "a", SRUN_VIEW(.kind = SRUN_KIND_HISTOGRAM, .drop = 1));
        view(&m, "a", SRUN_VIEW(.kind = SRUN_KIND_OBSERVABLE_COUNTER, .drop = 1));
        view(&m, "b", SRUN_VIEW(.meter = "OTH*", .drop = 1));
        srun_add(srun_counter(m.meter, "a", NULL), 1, NULL);
        srun_record(srun_histogram(other, "a", NULL), 1, NULL);
        srun_add(srun_counter(m.meter, "b", NULL), 2, NULL);
        srun_add(srun_counter(other, "b", NULL), 3, NULL);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 2);
        ck_assert_int_eq(metering_int(&m, "a", ""), 1);
        ck_assert_int_eq(metering_int(&m, "b", ""), 2);
        ck_assert_uint_eq(metering_warnings(&m), 0);
        metering_close(&m);
    }
END_TEST

START_TEST(what_makes_no_sense_is_refused)
    {
        struct metering m;
        metering_open(&m);
        refused(&m, "a", SRUN_VIEW(.kind = 8));
        refused(&m, "a", SRUN_VIEW(.kind = -1));
        refused(&m, "a", SRUN_VIEW(.name = "1"));
        refused(&m, "a*", SRUN_VIEW(.name = "b"));
        refused(&m, "?", SRUN_VIEW(.name = "b"));
        refused(&m, "a", SRUN_VIEW(.name = "b", .drop = 1));
        metering_close(&m);
    }
END_TEST

START_TEST(several_views_make_several_metrics)
    {
        static const double bounds[] = {10};
        struct metering m;
        metering_open(&m);
        view(&m, "h", SRUN_VIEW(.bounds = bounds, .bound_count = 1, .keep = code));
        view(&m, "h", SRUN_VIEW(.name = "h.all", .exponential = 1, .keep = nothing));
        view(&m, "h", SRUN_VIEW(.name = "h.limited", .limit = 1));
        view(&m, "h", SRUN_VIEW(.limit = 7)); /* has no name of its own: the first one counts */
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        ck_assert_ptr_eq(srun_histogram(m.meter, "h", NULL), histogram);
        for (int i = 0; i < 10; i++)
            srun_record(histogram, i * 2, SRUN_KVS(SRUN_INT("user", i), SRUN_INT("code", i % 2)));
        ck_assert_uint_eq(metering_collect(&m, m.reader), 3);
        ck_assert_uint_eq(metering_metric(&m, "h")->point_count, 2);
        ck_assert_uint_eq(metering_metric(&m, "h")->bound_count, 1);
        ck_assert_uint_eq(metering_point(&m, "h", "code=\"1\"")->count, 5);
        ck_assert_int_eq(metering_metric(&m, "h.all")->kind, TELEMETRY_EXPONENTIAL_HISTOGRAM);
        ck_assert_uint_eq(metering_point(&m, "h.all", "")->count, 10);
        ck_assert_double_eq(metering_point(&m, "h.all", "")->sum, 90);
        ck_assert_uint_eq(metering_point(&m, "h.limited", "otel_metric_overflow=\"true\"")->count,
                          9);
        ck_assert_uint_eq(metering_warnings(&m), 1); /* of the limit */
        metering_close(&m);
    }
END_TEST

START_TEST(a_bound_series_goes_to_each)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW(.keep = code));
        view(&m, "n", SRUN_VIEW(.name = "total", .keep = nothing));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series *one = srun_bind(counter, SRUN_KVS(SRUN_INT("code", 1), SRUN_INT("user", 1)));
        ck_assert_ptr_eq(srun_bind(counter, SRUN_KVS(SRUN_INT("user", 2), SRUN_INT("code", 1))),
                         one);
        srun_series *two = srun_bind(counter, SRUN_KVS(SRUN_INT("code", 2)));
        ck_assert_ptr_ne(one, two);
        srun_series_add(one, 1);
        srun_series_add(two, 10);
        srun_series_add(srun_bind(counter, NULL), 100);
        srun_add(counter, 1000, NULL);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", "code=\"1\""), 1);
        ck_assert_int_eq(metering_int(&m, "n", "code=\"2\""), 10);
        ck_assert_int_eq(metering_int(&m, "n", ""), 1100);
        ck_assert_int_eq(metering_int(&m, "total", ""), 1111);
        metering_close(&m);
    }
END_TEST

START_TEST(every_call_reaches_each_and_is_dropped_once)
    {
        struct metering m;
        metering_open(&m);
        static const char *const names[] = {"c", "r", "g", "h"};
        for (size_t i = 0; i < 4; i++) {
            view(&m, names[i], SRUN_VIEW(.name = "first"));
            view(&m, names[i], SRUN_VIEW());
        }
        srun_instrument *counter = srun_counter(telemetry_meter(m.meters, "1", ""), "c", NULL);
        srun_instrument *real =
            srun_counter(telemetry_meter(m.meters, "2", ""), "r", OPTIONS(.real = 1));
        srun_instrument *gauge =
            srun_gauge(telemetry_meter(m.meters, "3", ""), "g", OPTIONS(.real = 1));
        srun_instrument *histogram = srun_histogram(telemetry_meter(m.meters, "4", ""), "h", NULL);
        srun_add(counter, 1, NULL);
        srun_add_real(real, 0.5, NULL);
        srun_add(real, 1, NULL);
        srun_set(gauge, 1, NULL);
        srun_set_real(gauge, 2.5, NULL);
        srun_record(histogram, 3, NULL);
        srun_series_record(srun_bind(histogram, NULL), 4);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 8);
        ck_assert_int_eq(metering_int(&m, "c", ""), 1);
        ck_assert_double_eq(metering_real(&m, "r", ""), 1.5);
        ck_assert_double_eq(metering_real(&m, "g", ""), 2.5);
        ck_assert_uint_eq(metering_point(&m, "h", "")->count, 2);
        ck_assert_uint_eq(metering_stats(&m).dropped, 0);
        srun_add(counter, -1, NULL);
        srun_series_set(srun_bind(counter, NULL), 1);
        srun_set_real(gauge, NAN, NULL);
        srun_record(histogram, -1, NULL);
        ck_assert_uint_eq(metering_stats(&m).dropped, 4);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_warnings(&m), 3); /* each instrument once */
        metering_close(&m);
    }
END_TEST

/* Without end new sets are bound, as by who binds for each request: those that go to the same
 * series are one. */
START_TEST(sets_that_are_bound_do_not_pile_up)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW(.limit = 5));
        view(&m, "n", SRUN_VIEW(.name = "total", .keep = nothing));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series *last = NULL;
        for (int i = 0; i < 1000; i++)
            srun_series_add(last = srun_bind(counter, SRUN_KVS(SRUN_INT("i", i))), 1);
        ck_assert_ptr_eq(srun_bind(counter, SRUN_KVS(SRUN_INT("i", 5000))), last);
        ck_assert_uint_eq(counter->count, 6);
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", 7777)));
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", "otel_metric_overflow=\"true\""), 996);
        ck_assert_int_eq(metering_int(&m, "total", ""), 1001);
        metering_close(&m);
    }
END_TEST

/* Pairs of series are more than either has: beyond both limits together they are counted as
 * overflow of each. */
START_TEST(pairs_have_a_limit_and_lose_nothing)
    {
        static const char *const a[] = {"a", NULL}, *const b[] = {"b", NULL};
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW(.name = "by.a", .keep = a, .limit = 10));
        view(&m, "n", SRUN_VIEW(.name = "by.b", .keep = b, .limit = 10));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int i = 0; i < 100; i++)
            srun_series_add(
                srun_bind(counter, SRUN_KVS(SRUN_INT("a", i / 10), SRUN_INT("b", i % 10))), 1);
        (void)metering_collect(&m, m.reader);
        for (size_t metric = 0; metric < m.count; metric++) {
            int64_t sum = 0;
            for (size_t i = 0; i < m.metrics[metric].point_count; i++)
                sum += m.metrics[metric].points[i].integer;
            ck_assert_int_eq(sum, 100);
        }
        ck_assert_uint_eq(counter->count, 20);
        ck_assert_int_eq(metering_int(&m, "by.a", "otel_metric_overflow=\"true\""), 80);
        metering_close(&m);
    }
END_TEST

START_TEST(limits_that_are_large_together_are_no_small_one)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW(.limit = 1U << 31));
        view(&m, "n", SRUN_VIEW(.name = "other", .limit = 1U << 31));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series_add(srun_bind(counter, SRUN_KVS(SRUN_INT("a", 1))), 1);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", "a=\"1\""), 1);
        ck_assert_int_eq(metering_int(&m, "other", "a=\"1\""), 1);
        metering_close(&m);
    }
END_TEST

START_TEST(an_exception_stands_before_its_rule)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "http.size", SRUN_VIEW(.drop = 1));
        view(&m, "http.*", SRUN_VIEW(.keep = nothing));
        view(&m, "http.size", SRUN_VIEW(.name = "size", .keep = code));
        srun_add(srun_counter(m.meter, "http.size", NULL), 1, SRUN_KVS(SRUN_INT("code", 1)));
        srun_add(srun_counter(m.meter, "http.count", NULL), 2, SRUN_KVS(SRUN_INT("code", 1)));
        ck_assert_uint_eq(metering_collect(&m, m.reader), 2);
        ck_assert_int_eq(metering_int(&m, "size", "code=\"1\""), 1);
        ck_assert_int_eq(metering_int(&m, "http.count", ""), 2);
        ck_assert_uint_eq(metering_warnings(&m), 0);
        metering_close(&m);
    }
END_TEST

static void tell(void *user, srun_observer *observer)
{
    int64_t *value = user;
    srun_observe(observer, *value, SRUN_KVS(SRUN_INT("code", 1)));
    srun_observe(observer, *value, SRUN_KVS(SRUN_INT("code", 2)));
    srun_observe(observer, -1, NULL);
}

START_TEST(what_is_observed_goes_to_each)
    {
        int64_t value = 5;
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW());
        view(&m, "n", SRUN_VIEW(.name = "total", .keep = nothing));
        srun_observable *observable = srun_observable_counter(m.meter, "n", NULL, tell, &value);
        for (int i = 1; i < 3; i++) {
            (void)metering_collect(&m, m.reader);
            ck_assert_int_eq(metering_int(&m, "n", "code=\"2\""), 5);
            ck_assert_int_eq(metering_int(&m, "total", ""), 10);
            ck_assert_uint_eq(metering_stats(&m).dropped, (uint64_t)i);
        }
        srun_unregister(observable);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 0);
        metering_close(&m);
    }
END_TEST

START_TEST(names_that_clash_are_told_once_with_both_definitions)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "a", SRUN_VIEW(.name = "n"));
        srun_instrument *first = srun_counter(m.meter, "a", OPTIONS(.unit = "By"));
        ck_assert_uint_eq(metering_warnings(&m), 0);
        srun_instrument *second = srun_histogram(m.meter, "N", NULL);
        ck_assert_uint_eq(metering_warnings(&m), 1);
        ck_assert_ptr_nonnull(strstr(metering_log(&m), "one=\"counter a of int64, unit By\""));
        ck_assert_ptr_nonnull(strstr(metering_log(&m), "other=\"histogram N of double\""));
        (void)srun_histogram(m.meter, "N", NULL);
        (void)srun_counter(m.meter, "a", OPTIONS(.unit = "By"));
        srun_add(first, 1, NULL);
        srun_record(second, 1, NULL);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 2); /* both are there */
        ck_assert_uint_eq(metering_warnings(&m), 1);
        (void)srun_counter(telemetry_meter(m.meters, "other", ""), "n", NULL);
        ck_assert_uint_eq(metering_warnings(&m), 1);
        view(&m, "twice", SRUN_VIEW(.name = "same"));
        view(&m, "twice", SRUN_VIEW(.name = "same", .limit = 5));
        (void)srun_counter(m.meter, "twice", NULL);
        ck_assert_uint_eq(metering_warnings(&m), 2);
        metering_close(&m);
    }
END_TEST

START_TEST(exemplars_of_each_have_the_attributes_that_it_drops)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW());
        view(&m, "n", SRUN_VIEW(.name = "total", .keep = nothing));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        telemetry_self.current = (struct srun_span_context){
            .trace_id = {1}, .span_id = {1}, .flags = SRUN_TRACE_SAMPLED};
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("code", 7)));
        telemetry_self.current = (struct srun_span_context){0};
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_point(&m, "n", "code=\"7\"")->exemplar_count, 1);
        ck_assert_ptr_null(metering_point(&m, "n", "code=\"7\"")->exemplars[0].attributes);
        ck_assert_uint_eq(metering_point(&m, "total", "")->exemplar_count, 1);
        ck_assert_int_eq(metering_point(&m, "total", "")->exemplars[0].attributes[0].value.i, 7);
        metering_close(&m);
    }
END_TEST

START_TEST(a_forked_child_awaits_nothing)
    {
        struct metering m;
        metering_open(&m);
        view(&m, "n", SRUN_VIEW());
        view(&m, "n", SRUN_VIEW(.name = "total", .keep = nothing));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series *series = srun_bind(counter, NULL);
        pthread_mutex_lock(&m.meters->lock); /* as by a thread that the child does not have */
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(5 * (unsigned)harness_slowness());
            srun_series_add(series, 1);
            srun_add(counter, 1, SRUN_KVS(SRUN_INT("new", 1)));
            srun_series_add(srun_bind(counter, SRUN_KVS(SRUN_INT("other", 1))), 1);
            _exit(0);
        }
        pthread_mutex_unlock(&m.meters->lock);
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        srun_series_add(series, 1);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "total", ""), 1);
        metering_close(&m);
    }
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 2000, SETS = 50 };

static void *count(void *arg)
{
    srun_instrument *counter = arg;
    for (int i = 0; i < ROUNDS; i++) {
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i % SETS), SRUN_INT("j", i % 7)));
        srun_series_add(srun_bind(counter, SRUN_KVS(SRUN_INT("i", i % SETS), SRUN_INT("j", 1))), 1);
    }
    return NULL;
}

START_TEST(threads_that_bind_and_look_up_lose_nothing)
    {
        static const char *const i_only[] = {"i", NULL};
        struct metering m;
        pthread_t threads[THREADS];
        metering_open(&m);
        view(&m, "n", SRUN_VIEW(.name = "all"));
        view(&m, "n", SRUN_VIEW(.name = "some", .keep = i_only));
        view(&m, "n", SRUN_VIEW(.name = "few", .limit = 10));
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, count, counter), 0);
        for (int i = 0; i < 50; i++)
            (void)metering_collect(&m, m.reader);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_join(threads[i], NULL);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 3);
        for (size_t metric = 0; metric < 3; metric++) {
            int64_t sum = 0;
            for (size_t i = 0; i < m.metrics[metric].point_count; i++)
                sum += m.metrics[metric].points[i].integer;
            ck_assert_int_eq(sum, 2 * THREADS * ROUNDS);
        }
        ck_assert_uint_eq(metering_metric(&m, "some")->point_count, SETS);
        ck_assert_uint_eq(metering_metric(&m, "few")->point_count, 11);
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "metrics_view", a_view_gives_another_name_and_help, a_view_is_about_a_kind_and_a_meter,
        what_makes_no_sense_is_refused, several_views_make_several_metrics,
        a_bound_series_goes_to_each, every_call_reaches_each_and_is_dropped_once,
        sets_that_are_bound_do_not_pile_up, pairs_have_a_limit_and_lose_nothing,
        limits_that_are_large_together_are_no_small_one, an_exception_stands_before_its_rule,
        what_is_observed_goes_to_each, names_that_clash_are_told_once_with_both_definitions,
        exemplars_of_each_have_the_attributes_that_it_drops, a_forked_child_awaits_nothing,
        threads_that_bind_and_look_up_lose_nothing);
}
