/* SPDX-License-Identifier: MIT
 *
 * Pushing: on the interval, on a flush, at the end; and exporters that fail or hang.
 */
#include "metering.h"
#include "telemetry/periodic.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

/* Keeps the sum of "n" of each export. */
struct kept {
    struct telemetry_exporter exporter;
    pthread_mutex_t lock;
    unsigned calls, overlapping, inside;
    int64_t value, sum; /* of the last one; of all */
    int64_t time_left;  /* of the last one, until its deadline */
    sigset_t mask;      /* of the thread that exports */
    sem_t exported, entered, go;
    sem_t asked; /* to interrupt, with or without a call */
    bool hangs, fails, freed, interrupted;
};

static void export_metrics(struct telemetry_exporter *exporter,
                           const struct telemetry_metric *metrics, size_t count,
                           int64_t deadline_ns, struct telemetry_result *out)
{
    struct kept *kept = (struct kept *)(void *)exporter;
    pthread_mutex_lock(&kept->lock);
    kept->calls++;
    kept->overlapping += kept->inside++ > 0;
    kept->value = metrics[0].points[0].integer;
    kept->sum += kept->value;
    kept->time_left = deadline_ns - clock_real_now();
    (void)pthread_sigmask(SIG_BLOCK, NULL, &kept->mask);
    bool hangs = kept->hangs, fails = kept->fails;
    pthread_mutex_unlock(&kept->lock);
    ck_assert_int_gt(deadline_ns, clock_real_now() - 10 * NS_PER_S);
    *out = (struct telemetry_result){.accepted = count, .attempts = 1};
    if (hangs) {
        (void)sem_post(&kept->entered);
        while (sem_wait(&kept->go) < 0)
            ;
    }
    if (fails) {
        out->code = -ECONNREFUSED;
        out->lost = 1;
        (void)snprintf(out->text, sizeof out->text, "nobody listens");
    }
    pthread_mutex_lock(&kept->lock);
    kept->inside--;
    pthread_mutex_unlock(&kept->lock);
    (void)sem_post(&kept->exported);
}

/* Without a call it does nothing. */
static void interrupt(struct telemetry_exporter *exporter)
{
    struct kept *kept = (struct kept *)(void *)exporter;
    pthread_mutex_lock(&kept->lock);
    bool flies = kept->inside > 0;
    if (flies) {
        kept->interrupted = true;
        kept->hangs = false;
    }
    pthread_mutex_unlock(&kept->lock);
    (void)sem_post(&kept->asked);
    if (flies)
        (void)sem_post(&kept->go);
}

static void release(struct telemetry_exporter *exporter)
{
    ((struct kept *)(void *)exporter)->freed = true;
}

struct pushing {
    struct metering m;
    struct kept kept;
    struct telemetry_periodic *periodic;
    srun_series *series;
};

static void pushing_open(struct pushing *p, int64_t interval_ms, bool delta)
{
    metering_open(&p->m);
    (void)telemetry_reader_free(p->m.deltas);
    p->m.deltas = NULL;
    p->kept = (struct kept){
        .exporter = {.metrics = export_metrics, .interrupt = interrupt, .free = release}};
    (void)pthread_mutex_init(&p->kept.lock, NULL);
    (void)sem_init(&p->kept.exported, 0, 0);
    (void)sem_init(&p->kept.entered, 0, 0);
    (void)sem_init(&p->kept.go, 0, 0);
    (void)sem_init(&p->kept.asked, 0, 0);
    p->series = srun_bind(srun_counter(p->m.meter, "n", NULL), NULL);
    ck_assert_int_eq(
        telemetry_periodic_open(&p->periodic, p->m.meters,
                                &(struct telemetry_periodic_options){.exporter = &p->kept.exporter,
                                                                     .reader.delta = delta,
                                                                     .interval_ms = interval_ms,
                                                                     .log = p->m.log}),
        0);
}

static int64_t soon(void)
{
    return clock_real_now() + 20 * NS_PER_S * harness_slowness();
}

static void pushing_close(struct pushing *p)
{
    (void)telemetry_periodic_shutdown(p->periodic, soon());
    ck_assert_ptr_null(telemetry_periodic_free(p->periodic));
    ck_assert(p->kept.freed);
    ck_assert_uint_eq(p->kept.overlapping, 0);
    metering_close(&p->m);
}

static void *flush_for_long(void *arg)
{
    struct pushing *p = arg;
    (void)telemetry_periodic_flush(p->periodic, soon());
    return NULL;
}

START_TEST(exports_on_the_interval_and_once_more_at_the_end)
    {
        struct pushing p;
        pushing_open(&p, 1, false);
        srun_series_add(p.series, 5);
        for (int i = 0; i < 3; i++)
            while (sem_wait(&p.kept.exported) < 0)
                ;
        srun_series_add(p.series, 1);
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, soon()), 0);
        ck_assert_int_eq(p.kept.value, 6);
        ck_assert_uint_ge(p.kept.calls, 4);
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, soon()), 0);
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, soon()), -ECANCELED);
        pushing_close(&p);
    }
END_TEST

START_TEST(a_flush_has_what_came_before_it)
    {
        struct pushing p;
        pushing_open(&p, 0, false);
        for (int64_t i = 1; i <= 500; i++) {
            srun_series_add(p.series, 1);
            ck_assert_int_eq(telemetry_periodic_flush(p.periodic, soon()), 0);
            ck_assert_int_eq(p.kept.value, i);
        }
        ck_assert_uint_eq(p.kept.calls, 500);
        ck_assert(sigismember(&p.kept.mask, SIGTERM) == 1); /* signals are the program's */
        ck_assert(sigismember(&p.kept.mask, SIGSEGV) == 0); /* but a crash is reported */
        pushing_close(&p);
    }
END_TEST

START_TEST(differences_that_are_pushed_add_up)
    {
        struct telemetry_periodic_stats stats;
        struct pushing p;
        pushing_open(&p, 1, true);
        for (int i = 0; i < 1000; i++) {
            srun_series_add(p.series, 1);
            if (i % 100 == 0)
                ck_assert_int_eq(telemetry_periodic_flush(p.periodic, soon()), 0);
        }
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, soon()), 0);
        ck_assert_int_eq(p.kept.sum, 1000);
        telemetry_periodic_stats(p.periodic, &stats);
        ck_assert_uint_eq(stats.points,
                          p.kept.calls); /* nothing is sent when nothing has happened */
        ck_assert_uint_eq(stats.lost, 0);
        pushing_close(&p);
    }
END_TEST

START_TEST(a_failure_is_told_once_until_it_works_again)
    {
        struct telemetry_periodic_stats stats;
        struct pushing p;
        pushing_open(&p, 0, false);
        p.kept.fails = true;
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(telemetry_periodic_flush(p.periodic, soon()), -ECONNREFUSED);
        ck_assert_uint_eq(metering_warnings(&p.m), 1);
        ck_assert_ptr_nonnull(strstr(metering_log(&p.m), "nobody listens"));
        p.kept.fails = false;
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, soon()), 0);
        ck_assert_ptr_nonnull(strstr(metering_log(&p.m), "metrics are exported again"));
        telemetry_periodic_stats(p.periodic, &stats);
        ck_assert_uint_eq(stats.failures, 5);
        ck_assert_uint_eq(stats.lost, 5);
        ck_assert_uint_eq(stats.exports, 6);
        pushing_close(&p);
    }
END_TEST

START_TEST(a_flush_and_the_end_keep_their_deadline)
    {
        struct pushing p;
        pushing_open(&p, 0, false);
        p.kept.hangs = true;
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, clock_real_now() + 20 * NS_PER_MS),
                         -ETIMEDOUT);
        while (sem_wait(&p.kept.entered) < 0) /* it is being sent, and would be for ever */
            ;
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, clock_real_now() + 5 * NS_PER_S),
                         0);
        ck_assert(p.kept.interrupted); /* the one in flight; the last one went through */
        ck_assert_uint_eq(p.kept.calls, 2);
        pushing_close(&p);
    }
END_TEST

START_TEST(the_end_collects_first_and_sends_beside_what_follows)
    {
        struct pushing p;
        pushing_open(&p, 0, false);
        p.kept.hangs = true;
        int64_t until = clock_real_now() + 30 * NS_PER_S;
        ck_assert_int_eq(telemetry_periodic_close(p.periodic, until), 0);
        while (sem_wait(&p.kept.entered) < 0) /* it is being sent */
            ;
        ck_assert_int_eq(telemetry_periodic_close(p.periodic, until), 0);
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, until), -ECANCELED);
        (void)sem_post(&p.kept.go);
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, until), 0);
        ck_assert_uint_eq(p.kept.calls, 1);
        ck_assert(!p.kept.interrupted);
        pushing_close(&p);
    }
END_TEST

static bool has_ended(void *arg)
{
    struct pushing *p = arg;
    struct telemetry_periodic_stats stats;
    telemetry_periodic_stats(p->periodic, &stats);
    return stats.exports >= 2;
}

START_TEST(who_gave_up_waiting_does_not_spoil_the_next_export)
    {
        struct pushing p;
        pthread_t thread;
        pushing_open(&p, 0, false);
        p.kept.hangs = true;
        ck_assert_int_eq(pthread_create(&thread, NULL, flush_for_long, &p), 0);
        while (sem_wait(&p.kept.entered) < 0)
            ;
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, clock_real_now() + NS_PER_MS),
                         -ETIMEDOUT);
        p.kept.hangs = false;
        (void)sem_post(&p.kept.go);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert(harness_wait(has_ended, &p, 10000));
        ck_assert_uint_eq(p.kept.calls, 2);
        ck_assert_int_gt(p.kept.time_left, 10 * NS_PER_S);
        pushing_close(&p);
    }
END_TEST

static void hold(void *user, srun_observer *observer)
{
    struct pushing *p = user;
    srun_observe(observer, 1, NULL);
    (void)sem_post(&p->kept.entered);
    while (sem_wait(&p->kept.go) < 0)
        ;
}

static void *collect(void *arg)
{
    struct pushing *p = arg;
    (void)metering_collect(&p->m, p->m.reader);
    return NULL;
}

START_TEST(what_could_not_be_collected_in_time_is_no_success)
    {
        struct telemetry_periodic_stats stats = {0};
        struct pushing p;
        pthread_t thread;
        pushing_open(&p, 0, false);
        (void)srun_observable_gauge(p.m.meter, "slow", NULL, hold, &p);
        ck_assert_int_eq(pthread_create(&thread, NULL, collect, &p), 0);
        while (sem_wait(&p.kept.entered) < 0)
            ;
        /* Time enough for its thread to begin; later, the export would have its usual time. */
        ck_assert_int_eq(telemetry_periodic_flush(p.periodic, clock_real_now() + NS_PER_S),
                         -ETIMEDOUT);
        while (stats.exports == 0)
            telemetry_periodic_stats(p.periodic, &stats);
        ck_assert_uint_eq(stats.failures, 1);
        ck_assert_int_eq(stats.last_code, -ETIMEDOUT);
        for (int i = 0; i < 3; i++) /* this collect, and the last export */
            (void)sem_post(&p.kept.go);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        pushing_close(&p);
    }
END_TEST

/* The first time until an interrupt has come. */
static void hold_until_interrupted(void *user, srun_observer *observer)
{
    struct pushing *p = user;
    static _Atomic bool again;
    srun_observe(observer, 1, NULL);
    (void)sem_post(&p->kept.entered);
    if (!atomic_exchange(&again, true))
        while (sem_wait(&p->kept.asked) < 0)
            ;
}

START_TEST(an_export_that_begins_after_the_interrupt_is_interrupted_too)
    {
        struct pushing p;
        pthread_t thread;
        pushing_open(&p, 0, false);
        p.kept.hangs = true;
        (void)srun_observable_gauge(p.m.meter, "slow", NULL, hold_until_interrupted, &p);
        ck_assert_int_eq(pthread_create(&thread, NULL, flush_for_long, &p), 0);
        while (sem_wait(&p.kept.entered) < 0) /* it is collecting */
            ;
        int64_t until = clock_real_now() + 5 * NS_PER_S;
        ck_assert_int_eq(telemetry_periodic_shutdown(p.periodic, until), 0);
        ck_assert(p.kept.interrupted);
        ck_assert_uint_eq(p.kept.calls, 2);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        pushing_close(&p);
    }
END_TEST

START_TEST(without_an_exporter_there_is_nothing)
    {
        struct telemetry_periodic *periodic = NULL;
        struct metering m;
        metering_open(&m);
        ck_assert_int_eq(
            telemetry_periodic_open(&periodic, m.meters, &(struct telemetry_periodic_options){0}),
            -EINVAL);
        ck_assert_int_eq(telemetry_periodic_shutdown(NULL, 0), 0);
        ck_assert_ptr_null(telemetry_periodic_free(NULL));
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_periodic", exports_on_the_interval_and_once_more_at_the_end,
                   a_flush_has_what_came_before_it, differences_that_are_pushed_add_up,
                   a_failure_is_told_once_until_it_works_again,
                   a_flush_and_the_end_keep_their_deadline,
                   the_end_collects_first_and_sends_beside_what_follows,
                   who_gave_up_waiting_does_not_spoil_the_next_export,
                   what_could_not_be_collected_in_time_is_no_success,
                   an_export_that_begins_after_the_interrupt_is_interrupted_too,
                   without_an_exporter_there_is_nothing);
}
