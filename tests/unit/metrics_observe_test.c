/* SPDX-License-Identifier: MIT
 *
 * Callbacks: when they are asked, what becomes of what they do not tell, those that hang, and those
 * that are taken back.
 */
#include "base/libc.h"
#include "metering.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct source {
    int64_t value;
    double real;
    int first, count; /* sets that are told */
    atomic_uint calls;
    sem_t entered, go;
    bool hangs;
    srun_observable *observable; /* to be taken back by itself */
    srun_meter *meter;           /* to be used from within */
};

static void source_init(struct source *source)
{
    *source = (struct source){.count = 1};
    (void)sem_init(&source->entered, 0, 0);
    (void)sem_init(&source->go, 0, 0);
}

static void tell_one(void *user, srun_observer *observer)
{
    struct source *source = user;
    (void)atomic_fetch_add(&source->calls, 1);
    srun_observe(observer, source->value, NULL);
}

static void tell_sets(void *user, srun_observer *observer)
{
    struct source *source = user;
    for (int i = source->first; i < source->first + source->count; i++)
        srun_observe(observer, source->value, SRUN_KVS(SRUN_INT("i", i)));
}

static void hang(void *user, srun_observer *observer)
{
    struct source *source = user;
    (void)atomic_fetch_add(&source->calls, 1);
    (void)sem_post(&source->entered);
    while (sem_wait(&source->go) < 0)
        ;
    srun_observe(observer, source->value, NULL);
}

START_TEST(callbacks_are_asked_only_when_somebody_collects)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        ck_assert_ptr_nonnull(srun_observable_counter(m.meter, "n", NULL, tell_one, &source));
        ck_assert_uint_eq(atomic_load(&source.calls), 0);
        source.value = 10;
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", ""), 10);
        ck_assert(metering_metric(&m, "n")->monotonic);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 10);
        source.value = 15;
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 5);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", ""), 15);
        ck_assert_uint_eq(atomic_load(&source.calls), 4);
        metering_close(&m);
    }
END_TEST

static void tell_real(void *user, srun_observer *observer)
{
    struct source *source = user;
    srun_observe_real(observer, source->real, NULL);
}

/* A source that is less than it was has begun anew, as when what it counts was opened again. */
START_TEST(a_counter_that_falls_has_begun_anew)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        (void)srun_observable_counter(m.meter, "n", NULL, tell_one, &source);
        (void)srun_observable_counter(m.meter, "r", SRUN_INSTRUMENT(.real = 1), tell_real, &source);
        source.value = 100;
        source.real = 100;
        (void)metering_collect(&m, m.reader);
        uint64_t start = metering_point(&m, "n", "")->start_ns;
        uint64_t told = metering_point(&m, "n", "")->time_ns;
        (void)metering_collect(&m, m.deltas);
        uint64_t delta_told = metering_point(&m, "n", "")->time_ns;
        source.value = 20;
        source.real = 20;
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 20);
        ck_assert_double_eq(metering_real(&m, "r", ""), 20);
        ck_assert_uint_eq(metering_point(&m, "n", "")->start_ns, delta_told);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", ""), 20);
        ck_assert_double_eq(metering_real(&m, "r", ""), 20);
        ck_assert_uint_gt(metering_point(&m, "n", "")->start_ns, start);
        ck_assert_uint_ge(metering_point(&m, "n", "")->start_ns, told);
        ck_assert_uint_lt(metering_point(&m, "n", "")->start_ns,
                          metering_point(&m, "n", "")->time_ns);
        source.value =
            5; /* this time the other reader sees it first; nothing is lost for this one */
        source.real = 5;
        (void)metering_collect(&m, m.reader);
        source.value = 30;
        source.real = 30;
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 30);
        ck_assert_double_eq(metering_real(&m, "r", ""), 30);
        (void)metering_collect(&m, m.deltas);
        ck_assert_ptr_null(metering_metric(&m, "n"));
        metering_close(&m);
    }
END_TEST

static void tell_wrongly(void *user, srun_observer *observer)
{
    (void)user;
    srun_observe(observer, -1, NULL);
    srun_observe_real(observer, 1, NULL);
    srun_observe_real(observer, NAN, NULL);
}

START_TEST(what_does_not_fit_is_dropped_and_counted)
    {
        struct metering m;
        metering_open(&m);
        (void)srun_observable_counter(m.meter, "n", NULL, tell_wrongly, NULL);
        (void)srun_observable_gauge(m.meter, "g", SRUN_INSTRUMENT(.real = 1), tell_wrongly, NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_stats(&m).dropped, 4);
        ck_assert_ptr_null(metering_metric(&m, "n"));
        ck_assert_double_eq(metering_real(&m, "g", ""), 1);
        metering_close(&m);
    }
END_TEST

START_TEST(what_is_not_told_any_more_is_not_shown)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        source.count = 3;
        (void)srun_observable_gauge(m.meter, "g", NULL, tell_sets, &source);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "g")->point_count, 3);
        source.first = 2;
        source.count = 1;
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "g")->point_count, 1);
        ck_assert_ptr_nonnull(metering_point(&m, "g", "i=\"2\""));
        source.count = 0;
        (void)metering_collect(&m, m.reader);
        ck_assert_ptr_null(metering_metric(&m, "g"));
        metering_close(&m);
    }
END_TEST

START_TEST(sets_that_come_and_go_do_not_use_up_the_limit)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        source.value = 1;
        source.count = 20;
        (void)srun_observable_counter(m.meter, "n", SRUN_INSTRUMENT(.limit = 50), tell_sets,
                                      &source);
        for (int round = 0; round < 100; round++, source.first += 20) {
            (void)metering_collect(&m, m.reader);
            ck_assert_uint_eq(metering_metric(&m, "n")->point_count, 20);
            ck_assert_ptr_null(metering_point(&m, "n", "otel_metric_overflow=\"true\""));
        }
        source.count = 60;
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", "otel_metric_overflow=\"true\"") +
                             (int64_t)metering_metric(&m, "n")->point_count - 1,
                         60);
        metering_close(&m);
    }
END_TEST

START_TEST(a_view_adds_up_the_sets_that_it_makes_one)
    {
        static const char *const keep[] = {NULL};
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        source.value = 3;
        source.count = 4;
        ck_assert_int_eq(telemetry_view(m.meters, "n", SRUN_VIEW(.keep = keep), NULL), 0);
        (void)srun_observable_counter(m.meter, "n", NULL, tell_sets, &source);
        for (int i = 0; i < 2; i++) {
            (void)metering_collect(&m, m.reader);
            ck_assert_int_eq(metering_int(&m, "n", ""), 12);
        }
        metering_close(&m);
    }
END_TEST

static void use_the_meter(void *user, srun_observer *observer)
{
    struct source *source = user;
    srun_add(srun_counter(source->meter, "within", NULL), 1, SRUN_KVS(SRUN_INT("a", 1)));
    (void)srun_observable_gauge(source->meter, "later", NULL, tell_one, source);
    srun_observe(observer, 1, NULL);
}

START_TEST(a_callback_may_use_its_meter)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        source.meter = m.meter;
        (void)srun_observable_gauge(m.meter, "g", NULL, use_the_meter, &source);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "g", ""), 1);
        ck_assert_int_eq(metering_int(&m, "within", "a=\"1\""), 1);
        metering_close(&m);
    }
END_TEST

static size_t collect_briefly(struct metering *m)
{
    m->count = telemetry_collect(m->reader, clock_real_now() + 50 * NS_PER_MS, &m->metrics);
    return m->count;
}

/* Until the callback hangs. Where the machine is busy it may not even have begun in time: then it
 * was taken back, and is asked again. */
static void collect_until_it_hangs(struct metering *m, struct source *source)
{
    struct timespec until;
    do {
        (void)collect_briefly(m);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
    } while (sem_clockwait(&source->entered, CLOCK_MONOTONIC, &until) != 0);
}

START_TEST(a_callback_that_hangs_costs_the_deadline_and_is_left_out)
    {
        struct source stuck, well;
        struct metering m;
        metering_open(&m);
        source_init(&stuck);
        source_init(&well);
        well.value = 7;
        (void)srun_observable_gauge(m.meter, "stuck", NULL, hang, &stuck);
        (void)srun_observable_gauge(m.meter, "well", NULL, tell_one, &well);
        collect_until_it_hangs(&m, &stuck);
        ck_assert_ptr_null(metering_metric(&m, "stuck"));
        do /* asks the other one only, and that when it has answered the last time */
            (void)metering_collect(&m, m.reader);
        while (metering_metric(&m, "well") == NULL);
        ck_assert_uint_eq(atomic_load(&stuck.calls), 1);
        ck_assert_ptr_null(metering_metric(&m, "stuck"));
        ck_assert_int_eq(metering_int(&m, "well", ""), 7);
        ck_assert_uint_ge(metering_stats(&m).late, 2);
        ck_assert_ptr_nonnull(strstr(metering_log(&m), "name=stuck"));
        (void)sem_post(&stuck.go);
        ck_assert(telemetry_meters_settle(m.meters));
        (void)sem_post(&stuck.go);
        stuck.value = 9;
        (void)metering_collect(&m, m.reader); /* now it is asked again */
        ck_assert_int_eq(metering_int(&m, "stuck", ""), 9);
        ck_assert_int_eq(metering_int(&m, "well", ""), 7);
        metering_close(&m);
    }
END_TEST

static void *unregister_it(void *arg)
{
    struct source *source = arg;
    srun_unregister(source->observable);
    (void)sem_post(&source->entered);
    return NULL;
}

START_TEST(taking_back_waits_for_the_call_that_runs)
    {
        struct source source;
        struct metering m;
        pthread_t thread;
        metering_open(&m);
        source_init(&source);
        source.observable = srun_observable_gauge(m.meter, "g", NULL, hang, &source);
        collect_until_it_hangs(&m, &source);
        ck_assert_int_eq(pthread_create(&thread, NULL, unregister_it, &source), 0);
        ck_assert_int_ne(sem_trywait(&source.entered), 0);
        (void)sem_post(&source.go);
        (void)sem_wait(&source.entered);
        (void)pthread_join(thread, NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(atomic_load(&source.calls), 1);
        ck_assert_ptr_null(metering_metric(&m, "g"));
        metering_close(&m);
    }
END_TEST

static void tell_and_leave(void *user, srun_observer *observer)
{
    struct source *source = user;
    (void)atomic_fetch_add(&source->calls, 1);
    srun_observe(observer, 1, NULL);
    srun_unregister(source->observable);
}

START_TEST(a_callback_may_take_itself_back)
    {
        struct source source;
        struct metering m;
        metering_open(&m);
        source_init(&source);
        source.observable = srun_observable_gauge(m.meter, "g", NULL, tell_and_leave, &source);
        (void)srun_observable_gauge(m.meter, "h", NULL, tell_one, &source);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "g", ""), 1);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(atomic_load(&source.calls), 3);
        ck_assert_ptr_null(metering_metric(&m, "g"));
        metering_close(&m);
    }
END_TEST

enum { ROUNDS = 300 };

static void *collect_often(void *arg)
{
    struct telemetry_reader *reader = arg;
    const struct telemetry_metric *metrics;
    for (int i = 0; i < ROUNDS; i++)
        (void)telemetry_collect(reader, clock_real_now() + 60 * NS_PER_S, &metrics);
    return NULL;
}

START_TEST(registering_and_taking_back_may_race_with_collectors)
    {
        struct source source;
        struct metering m;
        pthread_t threads[2];
        metering_open(&m);
        source_init(&source);
        ck_assert_int_eq(pthread_create(&threads[0], NULL, collect_often, m.reader), 0);
        ck_assert_int_eq(pthread_create(&threads[1], NULL, collect_often, m.deltas), 0);
        for (int i = 0; i < ROUNDS; i++) {
            srun_observable *one = srun_observable_counter(m.meter, "n", NULL, tell_one, &source);
            srun_observable *two = srun_observable_gauge(m.meter, "g", NULL, tell_sets, &source);
            srun_unregister(one);
            srun_unregister(two);
        }
        for (int i = 0; i < 2; i++)
            (void)pthread_join(threads[i], NULL);
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(m.count, 0);
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_observe", callbacks_are_asked_only_when_somebody_collects,
                   a_counter_that_falls_has_begun_anew, what_does_not_fit_is_dropped_and_counted,
                   what_is_not_told_any_more_is_not_shown,
                   sets_that_come_and_go_do_not_use_up_the_limit,
                   a_view_adds_up_the_sets_that_it_makes_one, a_callback_may_use_its_meter,
                   a_callback_that_hangs_costs_the_deadline_and_is_left_out,
                   taking_back_waits_for_the_call_that_runs, a_callback_may_take_itself_back,
                   registering_and_taking_back_may_race_with_collectors);
}
