/* SPDX-License-Identifier: MIT
 *
 * What a verb may ask of its context: whether, when and why it has to end, how much time it has,
 * and for more of it.
 */
#include "base/proc.h"
#include "cast.h"

#include <poll.h>

static bool readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ck_assert_int_ge(fd, 0);
    return poll(&wait, 1, 0) == 1;
}

static struct stage stage;
static struct gate gate;
static struct actor db;

/* One service that is RUNNING. */
static srun_context *open_with(const struct actor *as, const struct srun_service_options *options)
{
    gate = (struct gate)GATE_CLOSED;
    memcpy(&db, as, sizeof db);
    db.name = "db";
    db.gate = &gate;
    stage_open(&stage, NULL);
    stage_add_with(&stage, &db, options);
    stage_start(&stage);
    stage_wait(&stage, "db", as->run == MUTE ? SRUN_STARTING : SRUN_RUNNING);
    trace_wait(&stage.trace, "db.run");
    return atomic_load(&db.ctx);
}

START_TEST(has_a_descriptor_that_becomes_and_stays_readable_when_cancelled)
    {
        srun_context *ctx = open_with(&(struct actor){.run = DEAF}, NULL);
        int fd = srun_cancel_fd(ctx);
        ck_assert_int_eq(srun_cancel_fd(ctx), fd);
        ck_assert(!readable(fd));
        ck_assert_int_eq(srun_cancelled(ctx), 0);
        stage_terminate(&stage);
        ck_assert_int_eq(srun_cancelled(ctx), 1);
        for (int i = 0; i < 3; i++)
            ck_assert(readable(fd));
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert(readable(fd));
        stage_close(&stage);
    }
END_TEST

START_TEST(has_a_readable_descriptor_also_when_asked_after_the_cancellation)
    {
        srun_context *ctx = open_with(&(struct actor){.run = DEAF}, NULL);
        stage_terminate(&stage);
        ck_assert(readable(srun_cancel_fd(ctx)));
        gate_open(&gate);
        stage_close(&stage);
    }
END_TEST

START_TEST(wakes_a_sleeper_at_once_when_cancelled)
    {
        srun_context *ctx = open_with(&(struct actor){.run = STAYS}, NULL);
        stage_terminate(&stage);
        trace_wait(&stage.trace, "db.cancelled");
        ck_assert_int_eq(srun_sleep_ms(ctx, 1000), -ECANCELED);
        ck_assert_int_eq(srun_sleep_ms(ctx, -1), -ECANCELED);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(does_not_sleep_for_no_time)
    {
        srun_context *ctx = open_with(&(struct actor){.run = STAYS}, NULL);
        ck_assert_int_eq(srun_sleep_ms(ctx, 0), 0);
        stage_close(&stage);
    }
END_TEST

static int sleep_for_real(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    int64_t *took = self, start = harness_now_ms();
    int rc = srun_sleep_ms(ctx, 30);
    *took = harness_now_ms() - start;
    return rc;
}

START_TEST(sleeps_as_long_as_it_is_asked_to_on_the_real_clock)
    {
        srun_runner *runner = NULL;
        int64_t took = 0;
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        ck_assert_int_eq(srun_serve(runner, "sleeper", sleep_for_real, &took, NULL), 0);
        ck_assert_int_eq(srun_runner_run(runner), 0);
        ck_assert_int_ge(took, 29);
        (void)srun_runner_free(runner);
        (void)close(log);
    }
END_TEST

START_TEST(tells_the_time_left_in_each_phase)
    {
        struct gate init = GATE_CLOSED, stop = GATE_CLOSED;
        struct actor own = {.name = "db", .init = AT_THE_GATE, .run = MUTE, .init_gate = &init};
        stage_open(&stage, NULL);
        stage_add_with(&stage, &own,
                       SRUN_OPTIONS(.init_ms = 1000, .ready_ms = 2000, .stop_ms = 3000));
        own.stop = AT_THE_GATE;
        own.gate = &stop;
        stage_start(&stage);
        trace_wait(&stage.trace, "db.init");
        srun_context *ctx = atomic_load(&own.ctx);
        srun_test_advance_ms(stage.test, 400);
        ck_assert_int_eq(srun_context_time_left_ms(ctx), 600);
        gate_open(&init);
        trace_wait(&stage.trace, "db.run");
        srun_test_advance_ms(stage.test, 500);
        ck_assert_int_eq(srun_context_time_left_ms(ctx), 1500);
        ck_assert_int_eq(srun_ready(ctx), 0);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(srun_context_time_left_ms(ctx), -1);
        stage_terminate(&stage);
        trace_wait(&stage.trace, "db.stop");
        srun_context *stopping = atomic_load(&own.stop_ctx);
        ck_assert_int_eq(srun_context_time_left_ms(stopping), 3000);
        srun_test_advance_ms(stage.test, 2999);
        ck_assert_int_eq(srun_context_time_left_ms(stopping), 1);
        gate_open(&stop);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(extends_the_present_phase_and_never_shortens_it)
    {
        srun_context *ctx = open_with(&(struct actor){.run = MUTE}, SRUN_OPTIONS(.ready_ms = 1000));
        ck_assert_int_eq(srun_extend_ms(ctx, 10), 0);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_context_time_left_ms(ctx), 1000);
        ck_assert_ptr_null(strstr(memory_text(stage.log), "takes longer"));
        ck_assert_int_eq(srun_extend_ms(ctx, 5000), 0);
        srun_test_advance_ms(stage.test, 0);
        assert_logged(&stage, "takes longer");
        ck_assert_int_eq(srun_context_time_left_ms(ctx), 5000);
        srun_test_advance_ms(stage.test, 4999);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_STARTING);
        ck_assert_int_eq(srun_extend_ms(ctx, 0), -EINVAL);
        ck_assert_int_eq(srun_extend_ms(ctx, -1), -EINVAL);
        srun_test_advance_ms(stage.test, 1);
        ck_assert_int_eq(stage_finish(&stage), 3);
        stage_close(&stage);
    }
END_TEST

/* Two that come so close together that they are heard at once. */
START_TEST(keeps_the_longer_of_two_extensions)
    {
        srun_context *ctx = open_with(&(struct actor){.run = MUTE}, SRUN_OPTIONS(.ready_ms = 1000));
        for (int i = 0; i < 200; i++) {
            ck_assert_int_eq(srun_extend_ms(ctx, 5000), 0);
            ck_assert_int_eq(srun_extend_ms(ctx, 1), 0);
            srun_test_advance_ms(stage.test, 0);
            ck_assert_int_eq(srun_context_time_left_ms(ctx), 5000);
            srun_test_advance_ms(stage.test, 1000);
        }
        stage_close(&stage);
    }
END_TEST

START_TEST(refuses_to_extend_what_has_no_limit)
    {
        srun_context *ctx = open_with(&(struct actor){.run = STAYS}, NULL);
        ck_assert_int_eq(srun_extend_ms(ctx, 1000), SRUN_ESTATE);
        stage_close(&stage);
    }
END_TEST

START_TEST(is_ready_once_and_only_while_it_starts)
    {
        srun_context *ctx = open_with(&(struct actor){.run = MUTE}, NULL);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(srun_ready(ctx), 0);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(srun_ready(ctx), 0);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(srun_ready(ctx), SRUN_ESTATE);
        stage_close(&stage);
    }
END_TEST

START_TEST(says_why_it_was_cancelled)
    {
        srun_context *ctx = open_with(&(struct actor){.run = DEAF}, NULL);
        ck_assert_ptr_null(srun_context_cause(ctx));
        ck_assert_int_eq(srun_runner_shutdown(stage.runner, 0, "lunch"), 0);
        trace_wait(&stage.trace, "db.stop");
        const srun_cause *cause = srun_context_cause(ctx);
        ck_assert_ptr_nonnull(cause);
        ck_assert_int_eq((int)cause->kind, SRUN_CAUSE_REQUEST);
        ck_assert_str_eq(cause->text, "lunch");
        cause = srun_context_cause(atomic_load(&db.stop_ctx)); /* stop is told why it was called */
        ck_assert_ptr_nonnull(cause);
        ck_assert_int_eq((int)cause->kind, SRUN_CAUSE_REQUEST);
        gate_open(&gate);
        stage_close(&stage);
    }
END_TEST

START_TEST(cancels_the_context_of_stop_only_at_its_limit)
    {
        (void)open_with(&(struct actor){.stop = UNTIL_CANCELLED}, SRUN_OPTIONS(.stop_ms = 3000));
        stage_terminate(&stage);
        trace_wait(&stage.trace, "db.stop");
        srun_context *ctx = atomic_load(&db.stop_ctx);
        srun_test_advance_ms(stage.test, 2999);
        ck_assert(!srun_cancelled(ctx));
        srun_test_advance_ms(stage.test, 1);
        ck_assert(srun_cancelled(ctx));
        ck_assert_int_eq((int)srun_context_cause(ctx)->kind, SRUN_CAUSE_STOP_TIMEOUT);
        ck_assert_int_eq(stage_finish(&stage), 4);
        stage_close(&stage);
    }
END_TEST

/* The init overruns the time that is left to it, and comes home before it is given up. */
START_TEST(does_not_begin_a_stop_with_a_cancelled_context_after_a_late_init)
    {
        static struct gate init_gate = GATE_CLOSED, stop_gate = GATE_CLOSED;
        struct actor late = {.name = "late",
                             .init = AT_THE_GATE,
                             .init_gate = &init_gate,
                             .stop = AT_THE_GATE,
                             .gate = &stop_gate};
        struct stage own;
        stage_open(&own, NULL);
        stage_add_with(&own, &late, SRUN_OPTIONS(.stop_ms = 3000));
        stage_start(&own);
        trace_wait(&own.trace, "late.init");
        stage_terminate(&own);
        srun_test_advance_ms(own.test, 3500);
        assert_logged(&own, "overruns its limit");
        gate_open(&init_gate);
        trace_wait(&own.trace, "late.stop");
        srun_context *ctx = atomic_load(&late.stop_ctx);
        ck_assert(!srun_cancelled(ctx));
        ck_assert_int_eq(srun_context_time_left_ms(ctx), 3000);
        gate_open(&stop_gate);
        ck_assert_int_eq(stage_finish(&own), 4);
        stage_close(&own);
    }
END_TEST

static bool heartbeat_missed(void)
{
    return stage_info(&stage, "db").heartbeat_missed;
}

START_TEST(misses_a_heartbeat_that_was_promised_and_hears_it_come_back)
    {
        srun_context *ctx =
            open_with(&(struct actor){.run = STAYS}, SRUN_OPTIONS(.heartbeat_ms = 100));
        for (int i = 0; i < 10; i++) {
            srun_heartbeat(ctx);
            srun_test_advance_ms(stage.test, 90);
            ck_assert(!heartbeat_missed());
        }
        srun_test_advance_ms(stage.test, 10);
        ck_assert(heartbeat_missed());
        assert_logged(&stage, "heartbeat missed");
        srun_heartbeat(ctx);
        srun_test_advance_ms(stage.test, 99);
        srun_heartbeat(ctx);
        srun_test_advance_ms(stage.test, 1);
        ck_assert(!heartbeat_missed());
        stage_close(&stage);
    }
END_TEST

START_TEST(expects_no_heartbeat_that_was_not_promised)
    {
        (void)open_with(&(struct actor){.run = STAYS}, NULL);
        srun_test_advance_ms(stage.test, INT64_C(1000) * 3600 * 24 * 365);
        ck_assert(!heartbeat_missed());
        stage_close(&stage);
    }
END_TEST

static atomic_int finished_tid;

static int finish_at_once(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    atomic_store(&finished_tid, gettid());
    return 0;
}

static bool thread_has_gone(void *arg)
{
    struct proc_list threads;
    int tid = atomic_load(&finished_tid);
    (void)arg;
    ck_assert_int_eq(proc_threads(&threads), 0);
    bool gone = tid != 0 && !proc_list_has(&threads, tid);
    proc_list_free(&threads);
    return gone;
}

/* Else the watchdog of systemd would end the others. */
START_TEST(expects_no_heartbeat_of_a_service_that_has_finished)
    {
        const struct srun_service_ops job = {.size = sizeof job, .run = finish_at_once};
        struct actor other = {.name = "other"};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &job, NULL,
                                         SRUN_OPTIONS(.heartbeat_ms = 100), NULL),
                         0);
        stage_add(&stage, &other);
        stage_start(&stage);
        stage_wait(&stage, "other", SRUN_RUNNING);
        ck_assert(harness_wait(thread_has_gone, NULL, 10000));
        srun_test_advance_ms(stage.test, 0); /* what it has said is heard */
        srun_test_advance_ms(stage.test, 1000);
        ck_assert(!heartbeat_missed());
        ck_assert_int_eq((int)stage_info(&stage, "db").state, SRUN_RUNNING);
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "context", has_a_descriptor_that_becomes_and_stays_readable_when_cancelled,
        has_a_readable_descriptor_also_when_asked_after_the_cancellation,
        wakes_a_sleeper_at_once_when_cancelled, does_not_sleep_for_no_time,
        sleeps_as_long_as_it_is_asked_to_on_the_real_clock, tells_the_time_left_in_each_phase,
        extends_the_present_phase_and_never_shortens_it, keeps_the_longer_of_two_extensions,
        refuses_to_extend_what_has_no_limit, is_ready_once_and_only_while_it_starts,
        says_why_it_was_cancelled, cancels_the_context_of_stop_only_at_its_limit,
        does_not_begin_a_stop_with_a_cancelled_context_after_a_late_init,
        misses_a_heartbeat_that_was_promised_and_hears_it_come_back,
        expects_no_heartbeat_that_was_not_promised,
        expects_no_heartbeat_of_a_service_that_has_finished);
}
