/* SPDX-License-Identifier: MIT
 *
 * What earlier runners of this kind got wrong, and this one must not. The clock is virtual: where
 * it still shows zero at the end, nothing was waited for.
 */
#include "cast.h"

#include <signal.h>

#define MANY 100

/* A failed init once waited for the whole graceful period. */
START_TEST(ends_at_once_when_an_init_fails)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b", .init_code = -EIO};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        ck_assert(trace_has(&stage.trace, "a.stop"));
        stage_close(&stage);
    }
END_TEST

/* And so did a service that did not get ready. */
START_TEST(ends_at_the_limit_and_no_later_when_a_service_does_not_get_ready)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b", .run = MUTE};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add_with(&stage, &b, SRUN_OPTIONS(.ready_ms = 1000));
        stage_start(&stage);
        trace_wait(&stage.trace, "b.run");
        srun_test_advance_ms(stage.test, 1000);
        ck_assert_int_eq(stage_finish(&stage), 3);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 1000);
        ck_assert(trace_has(&stage.trace, "a.stop"));
        stage_close(&stage);
    }
END_TEST

START_TEST(does_not_hide_a_failed_stop_behind_a_clean_cause)
    {
        struct stage stage;
        struct actor a = {.name = "a", .stop_code = -EIO}, b = {.name = "b"};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_SIGNAL);
        assert_logged(&stage, "stop of a went wrong");
        stage_close(&stage);
    }
END_TEST

START_TEST(blames_the_signal_and_not_init_when_one_interrupts_the_other)
    {
        struct stage stage;
        struct actor a = {.name = "a"};
        struct actor b = {.name = "b", .init = UNTIL_CANCELLED, .init_code = -ECANCELED};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        trace_wait(&stage.trace, "b.init");
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_SIGNAL);
        stage_clear(&stage);
        assert_trace(&stage.trace, "a.init b.init a.stop b.destroy a.destroy");
        stage_close(&stage);
    }
END_TEST

static void hang_in_the_middle(void)
{
    static struct gate never = GATE_CLOSED, gate = GATE_CLOSED;
    struct stage stage;
    struct actor first = {.name = "first", .stop = AT_THE_GATE, .gate = &gate};
    struct actor last = {.name = "last"};
    struct actor hangs = {.name = "hangs", .stop = AT_THE_GATE, .gate = &never};
    stage_open(&stage, NULL);
    stage_add(&stage, &first);
    stage_add(&stage, &hangs);
    stage_add(&stage, &last);
    stage_start(&stage);
    stage_wait(&stage, "last", SRUN_RUNNING);
    stage_terminate(&stage);
    trace_wait(&stage.trace, "hangs.stop");
    srun_test_advance_ms(stage.test, 30000);
    srun_test_advance_ms(stage.test, 1000);
    trace_wait(&stage.trace, "first.stop");
    ck_assert_int_eq(srun_context_time_left_ms(atomic_load(&first.stop_ctx)), 30000);
    gate_open(&gate);
    ck_assert_int_eq(stage_finish(&stage), 4);
    ck_assert_int_eq(srun_test_now_ms(stage.test), 31000);
    ck_assert(!trace_has(&stage.trace, "first.destroy"));
    assert_logged(&stage, "stuck, given up");
    leave_the_scene();
}

START_TEST(gives_each_service_its_own_time_to_stop_when_another_hangs)
    {
        in_a_process_of_its_own(hang_in_the_middle);
    }
END_TEST

START_TEST(takes_a_run_that_fails_before_it_is_ready_for_a_failure)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b", .run_code = -EADDRINUSE, .run = FINISHES};
        struct actor c = {.name = "c"};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_add(&stage, &c);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        ck_assert(!trace_has(&stage.trace, "c.run"));
        ck_assert(trace_has(&stage.trace, "c.stop"));
        stage_close(&stage);
    }
END_TEST

START_TEST(tells_the_error_of_the_service_in_the_cause)
    {
        struct stage stage;
        struct actor b = {.name = "b", .run_code = -EADDRINUSE, .run = FINISHES};
        stage_open(&stage, NULL);
        stage_add(&stage, &b);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        srun_cause cause = stage_cause(&stage);
        ck_assert_int_eq((int)cause.kind, SRUN_CAUSE_SERVICE_ERROR);
        ck_assert_int_eq(cause.code, -EADDRINUSE);
        ck_assert_str_eq(cause.service, "b");
        ck_assert_str_eq(cause.phase, "run");
        ck_assert_str_eq(cause.text, "service b: run: run of b went wrong");
        ck_assert_str_eq(stage_info(&stage, "b").error, "run of b went wrong");
        ck_assert(stage_info(&stage, "b").failed);
        stage_close(&stage);
    }
END_TEST

/* A run that had returned once took the state back from RUNNING. */
START_TEST(never_takes_a_state_back)
    {
        struct stage stage;
        struct trace states;
        struct actor job = {.name = "job", .run = FINISHES};
        trace_init(&states);
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_listen(stage.runner, on_transition, &states, NULL), 0);
        stage_add(&stage, &job);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_clear(&stage);
        assert_trace(&states, "job.INITIATING job.INITIATED job.STARTING job.RUNNING "
                              "job.SHUTTING_DOWN job.STOPPED");
        stage_close(&stage);
        trace_destroy(&states);
    }
END_TEST

START_TEST(starts_a_hundred_services_without_a_single_fixed_sleep)
    {
        static struct actor cast[MANY];
        static char names[MANY][8];
        struct stage stage;
        stage_open(&stage, NULL);
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(names[i], sizeof names[i], "s%d", i);
            cast[i] = (struct actor){.name = names[i]};
            stage_add(&stage, &cast[i]);
        }
        stage_start(&stage);
        stage_wait(&stage, names[MANY - 1], SRUN_RUNNING);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        stage_close(&stage);
    }
END_TEST

static bool asked_often(void *arg)
{
    const struct actor *actor = arg;
    return atomic_load(&actor->ready_calls) > 20;
}

START_TEST(asks_for_readiness_until_the_limit_and_not_three_times)
    {
        struct stage stage;
        struct actor db = {.name = "db", .polled = true, .not_yet = 20};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_pass_time(&stage, asked_often, &db);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(atomic_load(&db.ready_calls), 21);
        stage_close(&stage);
    }
END_TEST

START_TEST(loses_no_stop_that_comes_in_the_first_instant)
    {
        for (int i = 0; i < 50; i++) {
            struct stage stage;
            struct actor job = {.name = "job"};
            stage_open(&stage, NULL);
            stage_add(&stage, &job);
            stage_start(&stage);
            stage_terminate(&stage);
            ck_assert_int_eq(stage_finish(&stage), 0);
            ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
            stage_close(&stage);
        }
    }
END_TEST

START_TEST(ends_when_all_but_auxiliary_services_have_finished)
    {
        struct stage stage;
        struct actor admin = {.name = "admin"}, job = {.name = "job", .run = FINISHES};
        stage_open(&stage, NULL);
        stage_add_with(&stage, &admin, SRUN_OPTIONS(.auxiliary = 1));
        stage_add(&stage, &job);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_ALL_EXITED);
        ck_assert_int_eq(srun_test_now_ms(stage.test), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(ends_a_runner_without_services_at_once)
    {
        struct stage stage;
        stage_open(&stage, NULL);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        assert_logged(&stage, "no service was added");
        stage_close(&stage);
    }
END_TEST

/* Members of a group: all stop together, and every error is heard. */
START_TEST(stops_a_whole_group_at_once_and_hears_each_error)
    {
        enum { MEMBERS = 6 };
        static struct actor cast[MEMBERS];
        static char names[MEMBERS][8];
        static struct gate gate = GATE_CLOSED;
        struct stage stage;
        stage_open(&stage, NULL);
        for (int i = 0; i < MEMBERS; i++) {
            (void)snprintf(names[i], sizeof names[i], "m%d", i);
            cast[i] = (struct actor){
                .name = names[i], .stop = AT_THE_GATE, .gate = &gate, .stop_code = -EIO};
            stage_add_with(&stage, &cast[i], SRUN_OPTIONS(.group = "workers"));
        }
        stage_start(&stage);
        for (int i = 0; i < MEMBERS; i++)
            stage_wait(&stage, names[i], SRUN_RUNNING);
        stage_terminate(&stage);
        for (int i = 0; i < MEMBERS; i++) {
            char entry[16];
            (void)snprintf(entry, sizeof entry, "m%d.stop", i);
            trace_wait(&stage.trace, entry);
        }
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 1);
        for (int i = 0; i < MEMBERS; i++)
            ck_assert(stage_info(&stage, names[i]).failed);
        stage_close(&stage);
    }
END_TEST

/* SEED-42: with upgrades enabled, services that know nothing of them were once left out. */
START_TEST(runs_every_service_whether_upgrades_are_enabled_or_not)
    {
        for (int disabled = 0; disabled <= 1; disabled++) {
            struct stage stage;
            struct actor a = {.name = "a"}, b = {.name = "b"};
            stage_open(&stage, SRUN_CONFIG(.upgrade.disabled = disabled));
            stage_add(&stage, &a);
            stage_add(&stage, &b);
            stage_start(&stage);
            stage_wait(&stage, "b", SRUN_RUNNING);
            assert_trace(&stage.trace, "a.init b.init a.run b.run");
            stage_close(&stage);
        }
    }
END_TEST

struct swift {
    struct gate *finish, *stop;
    struct trace *trace;
    const char *name;
};

static int swift_run(void *self, srun_context *ctx, srun_err *err)
{
    struct swift *swift = self;
    (void)err;
    (void)srun_ready(ctx);
    gate_pass(swift->finish);
    return 0;
}

static int swift_stop(void *self, srun_context *ctx, srun_err *err)
{
    struct swift *swift = self;
    (void)ctx, (void)err;
    trace_add(swift->trace, swift->name, "stop");
    gate_pass(swift->stop);
    return 0;
}

/* A few slow stops must not use up the time of another that restarts as well. */
START_TEST(stops_restarting_services_at_the_same_time)
    {
        enum { SERVICES = 5 };
        static const char *const names[SERVICES] = {"a", "b", "c", "d", "e"};
        static struct gate finish = GATE_CLOSED, stop = GATE_CLOSED;
        const struct srun_service_ops ops = {
            .size = sizeof ops, .run = swift_run, .stop = swift_stop};
        struct swift cast[SERVICES];
        struct stage stage;
        stage_open(&stage, NULL);
        for (int i = 0; i < SERVICES; i++) {
            cast[i] = (struct swift){&finish, &stop, &stage.trace, names[i]};
            ck_assert_int_eq(srun_runner_add(stage.runner, names[i], &ops, &cast[i],
                                             SRUN_OPTIONS(.restart.when = SRUN_RESTART_ALWAYS),
                                             NULL),
                             0);
        }
        stage_start(&stage);
        stage_wait(&stage, "e", SRUN_RUNNING);
        gate_open(&finish);
        for (int i = 0; i < SERVICES; i++) {
            char entry[16];
            (void)snprintf(entry, sizeof entry, "%s.stop", names[i]);
            trace_wait(&stage.trace, entry);
        }
        gate_open(&stop);
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS("known_defects", ends_at_once_when_an_init_fails,
                   ends_at_the_limit_and_no_later_when_a_service_does_not_get_ready,
                   does_not_hide_a_failed_stop_behind_a_clean_cause,
                   blames_the_signal_and_not_init_when_one_interrupts_the_other,
                   gives_each_service_its_own_time_to_stop_when_another_hangs,
                   takes_a_run_that_fails_before_it_is_ready_for_a_failure,
                   tells_the_error_of_the_service_in_the_cause, never_takes_a_state_back,
                   starts_a_hundred_services_without_a_single_fixed_sleep,
                   asks_for_readiness_until_the_limit_and_not_three_times,
                   loses_no_stop_that_comes_in_the_first_instant,
                   ends_when_all_but_auxiliary_services_have_finished,
                   ends_a_runner_without_services_at_once,
                   stops_a_whole_group_at_once_and_hears_each_error,
                   runs_every_service_whether_upgrades_are_enabled_or_not,
                   stops_restarting_services_at_the_same_time);
}
