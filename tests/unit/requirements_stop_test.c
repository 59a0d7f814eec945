/* SPDX-License-Identifier: MIT
 *
 * What was asked for of the states and the stop, one test per requirement; each names its row.
 */
#include "cast.h"

/* The time that a stop is given, in ms. */
static int64_t time_to_stop(struct stage *stage, struct actor *actor)
{
    char entry[64];
    (void)snprintf(entry, sizeof entry, "%s.stop", actor->name);
    trace_wait(&stage->trace, entry);
    return srun_context_time_left_ms(atomic_load(&actor->stop_ctx));
}

/* SEED-13 */
START_TEST(shares_a_short_graceful_period_and_carries_unused_time_forward)
    {
        struct stage stage;
        struct gate gate_a = GATE_CLOSED, gate_b = GATE_CLOSED;
        struct actor a = {.name = "a", .stop = AT_THE_GATE, .gate = &gate_a};
        struct actor b = {.name = "b", .stop = AT_THE_GATE, .gate = &gate_b};
        stage_open(&stage, SRUN_CONFIG(.timeouts.graceful_ms = 50000));
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_start(&stage);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(time_to_stop(&stage, &b), 25000); /* two of 30 s do not fit into 50 s */
        srun_test_advance_ms(stage.test, 1000);
        gate_open(&gate_b);
        ck_assert_int_eq(time_to_stop(&stage, &a), 30000); /* what b has not used is there for a */
        gate_open(&gate_a);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

/* Three limits of 290 years are more than a time can hold. */
START_TEST(shares_the_graceful_period_however_long_each_may_take)
    {
        struct stage stage;
        struct gate gates[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED};
        struct actor actors[3];
        const char *const names[] = {"a", "b", "c"};
        stage_open(&stage, SRUN_CONFIG(.timeouts.graceful_ms = 60000));
        for (int i = 0; i < 3; i++) {
            actors[i] = (struct actor){.name = names[i], .stop = AT_THE_GATE, .gate = &gates[i]};
            stage_add_with(&stage, &actors[i], SRUN_OPTIONS(.stop_ms = INT64_MAX / NS_PER_MS));
        }
        stage_start(&stage);
        stage_wait(&stage, "c", SRUN_RUNNING);
        stage_terminate(&stage);
        for (int i = 2; i >= 0; i--) {
            ck_assert_int_eq(time_to_stop(&stage, &actors[i]), 60000 / (i + 1));
            gate_open(&gates[i]);
        }
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

static void hang_everywhere(void)
{
    static struct gate never = GATE_CLOSED;
    struct stage stage;
    struct actor a = {.name = "a"}, b = {.name = "b", .run = DEAF, .gate = &never};
    struct actor c = {.name = "c", .stop = AT_THE_GATE, .gate = &never};
    struct actor d = {.name = "d", .run = DEAF, .stop = AT_THE_GATE, .gate = &never};
    stage_open(&stage, NULL);
    stage_add(&stage, &a);
    stage_add(&stage, &b);
    stage_add(&stage, &c);
    stage_add(&stage, &d);
    stage_start(&stage);
    stage_wait(&stage, "d", SRUN_RUNNING);
    stage_terminate(&stage);
    for (int i = 0; i < 300 && !stage_info(&stage, "b").stuck; i++)
        srun_test_advance_ms(stage.test, 1000);
    ck_assert_int_eq(stage_finish(&stage), 4); /* a needs no time */
    ck_assert_uint_eq(srun_runner_stuck(stage.runner), 3);
    ck_assert_int_le(srun_test_now_ms(stage.test), 300000 + 1000);
    ck_assert(trace_has(&stage.trace, "a.stop"));
    ck_assert(stage_info(&stage, "c").stuck);
    leave_the_scene();
}

/* SEED-13, SEED-14 */
START_TEST(waits_for_nothing_without_a_deadline)
    {
        in_a_process_of_its_own(hang_everywhere);
    }
END_TEST

/* SEED-15, SEED-16, SEED-17, SEED-18 */
START_TEST(shows_each_state_in_order_to_listeners_and_in_the_log)
    {
        struct stage stage;
        struct trace states;
        struct actor db = {.name = "db"};
        trace_init(&states);
        stage_open(&stage, SRUN_CONFIG(.log.level = SRUN_LEVEL_DEBUG));
        ck_assert_int_eq(srun_runner_listen(stage.runner, on_transition, &states, NULL), 0);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_clear(&stage);
        assert_trace(&states, "db.INITIATING db.INITIATED db.STARTING db.RUNNING db.SHUTTING_DOWN "
                              "db.STOPPED");
        assert_logged(&stage, "INITIATING");
        assert_logged(&stage, "SHUTTING_DOWN");
        stage_close(&stage);
        trace_destroy(&states);
    }
END_TEST

struct observer {
    srun_state in_init, in_run, in_stop;
};

static srun_state state_seen_from(srun_context *ctx)
{
    return (srun_state)srun_runner_state(srun_context_runner(ctx), srun_context_name(ctx));
}

static int observe_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    ((struct observer *)self)->in_init = state_seen_from(ctx);
    return 0;
}

static int observe_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    ((struct observer *)self)->in_run = state_seen_from(ctx);
    (void)srun_ready(ctx);
    return srun_sleep_ms(ctx, -1);
}

static int observe_stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    ((struct observer *)self)->in_stop = state_seen_from(ctx);
    return 0;
}

/* SEED-16, SEED-17, SEED-18 */
START_TEST(enters_a_state_before_it_calls_the_verb)
    {
        struct stage stage;
        struct observer seen = {0};
        const struct srun_service_ops ops = {
            .size = sizeof ops, .init = observe_init, .run = observe_run, .stop = observe_stop};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &seen, NULL, NULL), 0);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq((int)seen.in_init, SRUN_INITIATING);
        ck_assert_int_eq((int)seen.in_run, SRUN_STARTING);
        ck_assert_int_eq((int)seen.in_stop, SRUN_SHUTTING_DOWN);
        stage_close(&stage);
    }
END_TEST

/* SEED-18 */
START_TEST(is_stopped_only_when_stop_and_run_have_returned)
    {
        struct stage stage;
        struct gate gate = GATE_CLOSED;
        struct actor below = {.name = "below"};
        struct actor deaf = {.name = "deaf", .run = DEAF, .gate = &gate};
        stage_open(&stage, NULL);
        stage_add(&stage, &below);
        stage_add(&stage, &deaf);
        stage_start(&stage);
        stage_wait(&stage, "deaf", SRUN_RUNNING);
        stage_terminate(&stage);
        trace_wait(&stage.trace, "deaf.stop");
        srun_test_advance_ms(stage.test, 5000);
        ck_assert_int_eq(srun_runner_state(stage.runner, "deaf"), SRUN_SHUTTING_DOWN);
        ck_assert_int_eq(srun_runner_state(stage.runner, "below"), SRUN_RUNNING);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(stage_info(&stage, "deaf").stop_took_ms, 5000);
        stage_close(&stage);
    }
END_TEST

/* SEED-19 */
START_TEST(keeps_the_state_running_after_run_has_returned)
    {
        struct stage stage;
        struct actor job = {.name = "job", .run = FINISHES}, web = {.name = "web"};
        stage_open(&stage, NULL);
        stage_add(&stage, &job);
        stage_add(&stage, &web);
        stage_start(&stage);
        stage_wait(&stage, "web", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_state(stage.runner, "job"), SRUN_RUNNING);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 1);
        ck_assert(!stage_info(&stage, "job").failed);
        stage_close(&stage);
    }
END_TEST

/* SEED-20 */
START_TEST(starts_a_stopped_service_again)
    {
        struct stage stage;
        struct trace states;
        struct gate gate = GATE_CLOSED;
        struct actor job = {.name = "job", .run = DEAF, .gate = &gate, .run_code = 0};
        trace_init(&states);
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_listen(stage.runner, on_transition, &states, NULL), 0);
        stage_add_with(&stage, &job,
                       SRUN_OPTIONS(.restart.when = SRUN_RESTART_ALWAYS, .restart.limit = 1));
        stage_start(&stage);
        stage_wait(&stage, "job", SRUN_RUNNING);
        gate_open(&gate); /* it finishes, which it must not, in each of its lives */
        stage_pass_time(&stage, is_two, &job.lives);
        (void)stage_finish(&stage);
        stage_clear(&stage);
        trace_wait(&states, "job.STOPPED");
        ck_assert_ptr_nonnull(strstr(states.text, "job.STOPPED job.INITIATING job.INITIATED"));
        stage_close(&stage);
        trace_destroy(&states);
    }
END_TEST

START_TEST(says_that_a_service_has_finished_that_was_always_to_run)
    {
        struct stage stage;
        struct actor job = {.name = "job", .run = FINISHES};
        stage_open(&stage, NULL);
        stage_add_with(&stage, &job,
                       SRUN_OPTIONS(.restart = {.when = SRUN_RESTART_ALWAYS,
                                                .backoff_min_ms = 1,
                                                .backoff_max_ms = 1,
                                                .limit = 1}));
        stage_start(&stage);
        stage_pass_time(&stage, is_two, &job.lives);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_ptr_nonnull(strstr(stage_cause(&stage).text, "service job: run: has finished"));
        stage_close(&stage);
    }
END_TEST

/* SEED-21, SEED-22 */
START_TEST(stops_and_cancels_in_exact_reverse_order_one_after_another)
    {
        struct stage stage;
        struct gate gates[3] = {GATE_CLOSED, GATE_CLOSED, GATE_CLOSED};
        struct actor cast[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
        stage_open(&stage, NULL);
        for (int i = 0; i < 3; i++) {
            cast[i].stop = AT_THE_GATE;
            cast[i].gate = &gates[i];
            stage_add(&stage, &cast[i]);
        }
        stage_start(&stage);
        stage_wait(&stage, "c", SRUN_RUNNING);
        stage_terminate(&stage);
        for (int i = 2; i >= 0; i--) {
            (void)time_to_stop(&stage, &cast[i]);
            for (int other = 0; other < i; other++) {
                ck_assert(!srun_cancelled(atomic_load(&cast[other].ctx)));
                ck_assert_int_eq(srun_runner_state(stage.runner, cast[other].name), SRUN_RUNNING);
            }
            gate_open(&gates[i]);
        }
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "requirements_stop", shares_a_short_graceful_period_and_carries_unused_time_forward,
        shares_the_graceful_period_however_long_each_may_take, waits_for_nothing_without_a_deadline,
        shows_each_state_in_order_to_listeners_and_in_the_log,
        enters_a_state_before_it_calls_the_verb, is_stopped_only_when_stop_and_run_have_returned,
        keeps_the_state_running_after_run_has_returned, starts_a_stopped_service_again,
        says_that_a_service_has_finished_that_was_always_to_run,
        stops_and_cancels_in_exact_reverse_order_one_after_another);
}
