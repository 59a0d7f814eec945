/* SPDX-License-Identifier: MIT
 *
 * The virtual clock and the injected signals, as a test of a service sees them.
 */
#include "base/fd.h"
#include "cast.h"
#include "runner.h"

#include <signal.h>

struct sleeper {
    srun_test **test;
    struct trace *trace;
    const char *name;
    int64_t ms, woke_at;
};

static int sleep_once(void *self, srun_context *ctx, srun_err *err)
{
    struct sleeper *sleeper = self;
    (void)err;
    (void)srun_ready(ctx);
    trace_add(sleeper->trace, sleeper->name, "sleeps");
    if (srun_sleep_ms(ctx, sleeper->ms) == 0) {
        sleeper->woke_at = srun_test_now_ms(*sleeper->test);
        trace_add(sleeper->trace, sleeper->name, "woke");
    }
    return 0;
}

static void add_sleeper(struct stage *stage, struct sleeper *sleeper)
{
    sleeper->test = &stage->test;
    sleeper->trace = &stage->trace;
    sleeper->woke_at = -1;
    ck_assert_int_eq(srun_serve(stage->runner, sleeper->name, sleep_once, sleeper, NULL), 0);
}

static unsigned count_of(struct srun_context *ctx)
{
    unsigned count = 0;
    pthread_mutex_lock(&ctx->lock);
    for (const struct context_sleeper *at = ctx->sleepers; at != NULL; at = at->next)
        count++;
    pthread_mutex_unlock(&ctx->lock);
    return count;
}

static unsigned count_sleepers(const struct stage *stage)
{
    unsigned count = 0;
    for (unsigned i = 0; i < stage->runner->count; i++)
        count += count_of(&stage->runner->services[i]->life);
    return count;
}

static void wait_for_sleepers(const struct stage *stage, unsigned wanted)
{
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    while (count_sleepers(stage) != wanted && harness_now_ms() < end)
        (void)usleep(100);
    ck_assert_uint_eq(count_sleepers(stage), wanted);
}

/* In ms, of the first service. */
static int64_t next_sleeper(const struct stage *stage)
{
    return context_sleeps_until(&stage->runner->services[0]->life) / NS_PER_MS;
}

struct context_sleepers_of {
    struct stage *stage;
    int64_t first, second;
    srun_context *ctx;
};

static void *sleep_second(void *arg)
{
    struct context_sleepers_of *two = arg;
    if (srun_sleep_ms(two->ctx, two->second) == 0)
        trace_add(&two->stage->trace, "second", "woke");
    return NULL;
}

/* Two threads of one service sleep on its context. */
static int sleep_on_two_threads(void *self, srun_context *ctx, srun_err *err)
{
    struct context_sleepers_of *two = self;
    pthread_t thread;
    two->ctx = ctx;
    int rc = pthread_create(&thread, NULL, sleep_second, two);
    if (rc != 0)
        return srun_fail(err, -rc, "no thread");
    if (srun_sleep_ms(ctx, two->first) == 0)
        trace_add(&two->stage->trace, "first", "woke");
    return -pthread_join(thread, NULL);
}

START_TEST(stands_still_until_the_test_moves_it)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        srun_test_advance_ms(stage.test, 250);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 250);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        (void)usleep(20000);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 250);
        srun_test_advance_ms(stage.test, -5);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 250);
        stage_close(&stage);
    }
END_TEST

/* The clock is read by the sleeper itself, right after it woke: it must not have been moved on. */
START_TEST(serves_sleepers_in_order_of_time)
    {
        for (int round = 0; round < 20; round++) {
            struct stage stage;
            struct sleeper cast[] = {{.name = "late", .ms = 300},
                                     {.name = "soon", .ms = 100},
                                     {.name = "mid", .ms = 200}};
            stage_open(&stage, NULL);
            for (int i = 0; i < 3; i++)
                add_sleeper(&stage, &cast[i]);
            stage_start(&stage);
            stage_wait(&stage, "mid", SRUN_RUNNING);
            wait_for_sleepers(&stage, 3);
            int64_t seen[3] = {0};
            for (int i = 0; i < 3; i++) {
                srun_test_advance_ms(stage.test, 100);
                seen[i] = srun_test_now_ms(stage.test);
                trace_wait(&stage.trace, i == 0 ? "soon.woke" : i == 1 ? "mid.woke" : "late.woke");
            }
            ck_assert_int_eq(cast[1].woke_at, seen[0]);
            ck_assert_int_eq(cast[2].woke_at, seen[1]);
            ck_assert_int_eq(cast[0].woke_at, seen[2]);
            stage_close(&stage);
        }
    }
END_TEST

START_TEST(stops_at_each_time_that_somebody_waits_for)
    {
        for (int round = 0; round < 50; round++) {
            struct stage stage;
            struct context_sleepers_of two = {.first = 100, .second = 200};
            stage_open(&stage, NULL);
            ck_assert_int_eq(srun_serve(stage.runner, "two", sleep_on_two_threads, &two, NULL), 0);
            two.stage = &stage;
            stage_start(&stage);
            stage_wait(&stage, "two", SRUN_RUNNING);
            wait_for_sleepers(&stage, 2);
            srun_test_advance_ms(stage.test, 150);
            trace_wait(&stage.trace, "first.woke");
            ck_assert(!trace_has(&stage.trace, "second.woke"));
            ck_assert_int_eq(next_sleeper(&stage), 200);
            srun_test_advance_ms(stage.test, 50);
            trace_wait(&stage.trace, "second.woke");
            stage_close(&stage);
        }
    }
END_TEST

/* When sleepers of different times are due within one step, none is still asleep after it. */
START_TEST(has_woken_all_that_were_due_when_it_returns)
    {
        for (int round = 0; round < 50; round++) {
            struct stage stage;
            struct sleeper cast[] = {
                {.name = "a", .ms = 10}, {.name = "b", .ms = 20}, {.name = "c", .ms = 30}};
            stage_open(&stage, NULL);
            for (int i = 0; i < 3; i++)
                add_sleeper(&stage, &cast[i]);
            stage_start(&stage);
            stage_wait(&stage, "c", SRUN_RUNNING);
            wait_for_sleepers(&stage, 3);
            srun_test_advance_ms(stage.test, 30);
            ck_assert_uint_eq(count_sleepers(&stage), 0);
            stage_close(&stage);
        }
    }
END_TEST

START_TEST(lets_a_limit_of_sixty_seconds_pass_in_no_time)
    {
        struct stage stage;
        struct actor db = {.name = "db", .init = UNTIL_CANCELLED, .init_code = -ECANCELED};
        int64_t start = harness_now_ms();
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        trace_wait(&stage.trace, "db.init");
        srun_test_advance_ms(stage.test, 60000);
        ck_assert_int_eq(stage_finish(&stage), 3);
        ck_assert_int_lt(harness_now_ms() - start, 30000);
        stage_close(&stage);
    }
END_TEST

START_TEST(serves_deadlines_of_the_runner_in_order_of_time)
    {
        struct stage stage;
        struct actor db = {.name = "db", .stop = UNTIL_CANCELLED};
        stage_open(&stage, SRUN_CONFIG(.timeouts = {.deadline_ms = 1000, .drain_ms = 500}));
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 0);
        srun_test_advance_ms(stage.test, 1499);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_RUNNING);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0); /* it drains */
        srun_test_advance_ms(stage.test, 1);
        trace_wait(&stage.trace, "db.stop");
        srun_test_advance_ms(stage.test, 30000);
        ck_assert_int_eq(stage_finish(&stage), 4);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_DEADLINE);
        stage_close(&stage);
    }
END_TEST

static void force_the_end(void)
{
    static struct gate never = GATE_CLOSED;
    struct stage stage;
    struct actor db = {.name = "db", .stop = AT_THE_GATE, .gate = &never};
    stage_open(&stage, NULL);
    stage_add(&stage, &db);
    stage_start(&stage);
    stage_wait(&stage, "db", SRUN_RUNNING);
    (void)srun_test_signal(stage.test, SIGINT);
    trace_wait(&stage.trace, "db.stop");
    ck_assert_int_eq(srun_test_finish(stage.test, 10), -ETIMEDOUT);
    (void)srun_test_signal(stage.test, SIGINT);
    ck_assert_int_eq(stage_finish(&stage), 130);
    ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0);
    assert_logged(&stage, "in the way of the end");
    leave_the_scene();
}

START_TEST(answers_130_for_a_stop_that_was_forced)
    {
        in_a_process_of_its_own(force_the_end);
    }
END_TEST

START_TEST(does_not_force_when_sigterm_is_repeated)
    {
        struct stage stage;
        struct gate gate = GATE_CLOSED;
        struct actor db = {.name = "db", .stop = AT_THE_GATE, .gate = &gate};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        for (int i = 0; i < 5; i++)
            stage_terminate(&stage);
        ck_assert_int_eq(srun_test_finish(stage.test, 20), -ETIMEDOUT);
        assert_logged(&stage, "already stopping");
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(says_where_a_service_stands_that_it_waited_for_in_vain)
    {
        struct stage stage;
        struct actor db = {.name = "db", .run = MUTE};
        srun_err err = {0};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        ck_assert_int_eq(srun_test_finish(stage.test, 0), SRUN_ESTATE);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_STARTING);
        ck_assert_int_eq(srun_test_wait_state(stage.test, "db", SRUN_RUNNING, 10, &err),
                         -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(err.text, "STARTING"));
        ck_assert_int_eq(srun_test_wait_state(stage.test, "dp", SRUN_RUNNING, 10, &err), -ENOENT);
        ck_assert_int_eq(srun_test_finish(stage.test, 10), -ETIMEDOUT);
        stage_close(&stage);
    }
END_TEST

START_TEST(takes_times_that_are_too_long_for_the_clock_for_never)
    {
        struct stage stage;
        struct actor db = {.name = "db"}; /* sleeps without a limit */
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        ck_assert_int_eq(srun_test_wait_state(stage.test, "db", SRUN_RUNNING, INT64_MAX, NULL), 0);
        ck_assert_int_eq(srun_test_wait_state(stage.test, "db", SRUN_STARTING, INT64_MIN, NULL),
                         -ETIMEDOUT);
        ck_assert_int_eq(srun_test_finish(stage.test, -1), -ETIMEDOUT);
        srun_test_advance_ms(stage.test, INT64_MAX);
        srun_test_advance_ms(stage.test, INT64_MAX);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_RUNNING);
        ck_assert(!trace_has(&stage.trace, "db.cancelled"));
        stage_terminate(&stage);
        ck_assert_int_eq(srun_test_finish(stage.test, INT64_MAX), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(stops_what_still_runs_when_it_is_freed)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b", .stop = UNTIL_CANCELLED};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_clear(&stage);
        ck_assert_ptr_null(stage.test);
        ck_assert(trace_has(&stage.trace, "b.stop"));
        ck_assert(trace_has(&stage.trace, "a.stop"));
        ck_assert(trace_has(&stage.trace, "a.destroy"));
        stage_close(&stage);
    }
END_TEST

static int run_elsewhere(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    return SRUN_RUN_BACKGROUND;
}

/* What a busy machine makes of a verb. */
static void work_for_ms(int64_t ms)
{
    int64_t end = harness_now_ms() + ms;
    while (harness_now_ms() < end)
        ;
}

static int stop_with_some_work(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    work_for_ms(2000);
    trace_add(self, "db", "stopped");
    return 0;
}

static void note_the_end(void *self)
{
    trace_add(self, "db", "destroy");
}

START_TEST(lets_a_stop_that_works_come_to_its_end_when_it_is_freed)
    {
        struct stage stage;
        const struct srun_service_ops ops = {.size = sizeof ops,
                                             .run = run_elsewhere,
                                             .stop = stop_with_some_work,
                                             .destroy = note_the_end};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &stage.trace, NULL, NULL), 0);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        stage_clear(&stage);
        assert_trace(&stage.trace, "db.stopped db.destroy"); /* a stuck one is not destroyed */
        stage_close(&stage);
    }
END_TEST

static int check_with_some_work(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    work_for_ms(atomic_fetch_add((atomic_int *)self, 1) > 0 ? 2000 : 0);
    return 0;
}

START_TEST(lets_a_health_check_that_works_come_home_before_the_clock_moves_on)
    {
        struct stage stage;
        struct srun_health health;
        atomic_int checks = 0;
        const struct srun_service_ops ops = {
            .size = sizeof ops, .run = run_elsewhere, .health = check_with_some_work};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &checks, NULL, NULL), 0);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 1200);
        ck_assert_int_eq(atomic_load(&checks), 2);
        ck_assert_int_eq(srun_runner_health(stage.runner, "db", &health), 0);
        ck_assert_int_eq(health.took_ms, 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(lets_many_live_in_one_process)
    {
        enum { MANY = 8 };
        static struct stage stages[MANY];
        static struct actor cast[MANY];
        for (int i = 0; i < MANY; i++) {
            cast[i] = (struct actor){.name = "db"};
            stage_open(&stages[i], NULL);
            stage_add(&stages[i], &cast[i]);
            stage_start(&stages[i]);
        }
        for (int i = 0; i < MANY; i++) {
            stage_wait(&stages[i], "db", SRUN_RUNNING);
            srun_test_advance_ms(stages[i].test, i);
        }
        for (int i = 0; i < MANY; i++) {
            ck_assert_int_eq(srun_test_now_ms(stages[i].test), i);
            stage_close(&stages[i]);
        }
    }
END_TEST

/* It may be awake for another matter, and take the event for that one's. */
START_TEST(the_control_thread_hears_whatever_it_is_told)
    {
        struct actor db = {.name = "db"};
        struct stage stage;
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        int64_t end = harness_now_ms() + REAL_LIMIT_MS; /* they take seconds on an idle machine */
        for (int i = 0; i < 20000 && harness_now_ms() < end; i++) {
            int64_t begun = clock_real_now();
            fd_event_raise(stage.runner->inbox.event);
            while (clock_real_now() < begun + (int64_t)(i % 500) * 200)
                ; /* until it may just have woken up */
            srun_test_advance_ms(stage.test, 0);
            ck_assert_int_lt(clock_real_now() - begun, 9 * NS_PER_S); /* if it is lost: ten */
        }
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS("testing", stands_still_until_the_test_moves_it,
                   serves_sleepers_in_order_of_time, stops_at_each_time_that_somebody_waits_for,
                   has_woken_all_that_were_due_when_it_returns,
                   lets_a_limit_of_sixty_seconds_pass_in_no_time,
                   serves_deadlines_of_the_runner_in_order_of_time,
                   answers_130_for_a_stop_that_was_forced, does_not_force_when_sigterm_is_repeated,
                   says_where_a_service_stands_that_it_waited_for_in_vain,
                   takes_times_that_are_too_long_for_the_clock_for_never,
                   stops_what_still_runs_when_it_is_freed,
                   lets_a_stop_that_works_come_to_its_end_when_it_is_freed,
                   lets_a_health_check_that_works_come_home_before_the_clock_moves_on,
                   lets_many_live_in_one_process, the_control_thread_hears_whatever_it_is_told);
}
