/* SPDX-License-Identifier: MIT
 *
 * Verbs that take long on the pool keep no other verb from being called.
 */
#include "cast.h"
#include "runner.h"

#include <poll.h>

enum { MEMBERS = 6 };

static const char *const names[MEMBERS] = {"a", "b", "c", "d", "e", "f"};

struct slow {
    struct gate *ready, *stop; /* NULL: none */
    struct trace *trace;
    const char *name;
};

static int slow_ready(void *self, srun_context *ctx, srun_err *err)
{
    const struct slow *slow = self;
    (void)ctx, (void)err;
    trace_add(slow->trace, slow->name, "ready");
    gate_pass(slow->ready);
    return 0;
}

static int slow_stop(void *self, srun_context *ctx, srun_err *err)
{
    const struct slow *slow = self;
    (void)ctx, (void)err;
    trace_add(slow->trace, slow->name, "stop");
    if (slow->stop != NULL)
        gate_pass(slow->stop);
    return 0;
}

static void wait_for_each(struct trace *trace, const char *what)
{
    for (int i = 0; i < MEMBERS; i++) {
        char entry[16];
        (void)snprintf(entry, sizeof entry, "%s.%s", names[i], what);
        trace_wait(trace, entry);
    }
}

START_TEST(stop_a_whole_group_at_once_while_its_ready_has_not_returned)
    {
        static struct gate ready = GATE_CLOSED, stop = GATE_CLOSED;
        const struct srun_service_ops ops = {
            .size = sizeof ops, .ready = slow_ready, .stop = slow_stop};
        struct slow cast[MEMBERS];
        struct stage stage;
        stage_open(&stage, NULL);
        for (int i = 0; i < MEMBERS; i++) {
            cast[i] = (struct slow){&ready, &stop, &stage.trace, names[i]};
            ck_assert_int_eq(srun_runner_add(stage.runner, names[i], &ops, &cast[i],
                                             SRUN_OPTIONS(.group = "g"), NULL),
                             0);
        }
        stage_start(&stage);
        wait_for_each(&stage.trace, "ready");
        stage_terminate(&stage);
        wait_for_each(&stage.trace, "stop");
        gate_open(&ready);
        gate_open(&stop);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

/* Lets its clients go for as long as they like. */
static int until_told_to_stop(void *self, srun_context *ctx, int draining, srun_err *err)
{
    const struct slow *slow = self;
    (void)draining, (void)err;
    trace_add(slow->trace, slow->name, "drain");
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static bool turn_until(srun_runner *runner, bool (*probe)(srun_runner *runner, void *arg),
                       void *arg)
{
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    while (!probe(runner, arg) && harness_now_ms() < end) {
        struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
        (void)poll(&wait, 1, 10);
        (void)srun_runner_dispatch(runner);
    }
    return probe(runner, arg);
}

static bool all_run(srun_runner *runner, void *arg)
{
    (void)arg;
    return srun_runner_state(runner, names[MEMBERS - 1]) == SRUN_RUNNING;
}

static bool all_drain(srun_runner *runner, void *trace)
{
    bool all = true;
    (void)runner;
    for (int i = 0; i < MEMBERS; i++) {
        char entry[16];
        (void)snprintf(entry, sizeof entry, "%s.drain", names[i]);
        all = all && trace_has(trace, entry);
    }
    return all;
}

static bool has_ended(srun_runner *runner, void *arg)
{
    (void)arg;
    return srun_runner_dispatch(runner) == 0;
}

START_TEST(tell_each_service_of_a_drain_and_stop_it_in_the_midst)
    {
        const struct srun_service_ops ops = {
            .size = sizeof ops, .on_drain = until_told_to_stop, .stop = slow_stop};
        struct slow cast[MEMBERS];
        struct trace trace;
        srun_runner *runner = NULL;
        trace_init(&trace);
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        for (int i = 0; i < MEMBERS; i++) {
            cast[i] = (struct slow){NULL, NULL, &trace, names[i]};
            ck_assert_int_eq(srun_runner_add(runner, names[i], &ops, &cast[i], NULL, NULL), 0);
        }
        struct actor stays = {.name = "stays", .run = BACKGROUND}; /* keeps the program alive */
        cast_add(runner, &stays, &trace, NULL);
        ck_assert_int_eq(srun_runner_start(runner, NULL), 0);
        ck_assert(turn_until(runner, all_run, NULL));
        for (int i = 0; i < MEMBERS; i++)
            service_tell_drain(runner_find(runner, names[i]), true);
        ck_assert_msg(turn_until(runner, all_drain, &trace), "%s", trace.text);
        ck_assert_int_eq(srun_runner_shutdown(runner, 0, "enough"), 0);
        ck_assert(turn_until(runner, has_ended, NULL));
        ck_assert_int_eq(srun_runner_exit_code(runner), 0);
        wait_for_each(&trace, "stop");
        (void)srun_runner_free(runner);
        (void)close(log);
        trace_destroy(&trace);
    }
END_TEST

/* --- one that was given up ------------------------------------------------------------------- */

static struct gate web_gate = GATE_CLOSED, db_gate = GATE_CLOSED;

static int drain_for_too_long(void *self, srun_context *ctx, int draining, srun_err *err)
{
    const struct slow *slow = self;
    (void)ctx, (void)draining, (void)err;
    trace_add(slow->trace, slow->name, "drain");
    gate_pass(&web_gate);
    return 0;
}

static bool web_drains(srun_runner *runner, void *trace)
{
    (void)runner;
    return trace_has(trace, "web.drain");
}

static bool db_stops(srun_runner *runner, void *trace)
{
    (void)runner;
    return trace_has(trace, "db.stop");
}

static bool web_runs(srun_runner *runner, void *arg)
{
    (void)arg;
    return srun_runner_state(runner, "web") == SRUN_RUNNING;
}

static void give_up_before_its_stop(void)
{
    const struct srun_service_ops db_ops = {.size = sizeof db_ops, .stop = slow_stop};
    const struct srun_service_ops web_ops = {
        .size = sizeof web_ops, .on_drain = drain_for_too_long, .stop = slow_stop};
    struct actor stays = {.name = "stays", .run = BACKGROUND};
    struct trace trace;
    srun_runner *runner = NULL;
    trace_init(&trace);
    struct slow db = {NULL, &db_gate, &trace, "db"}, web = {NULL, NULL, &trace, "web"};
    ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.timeouts.stuck_grace_ms = 10), NULL), 0);
    cast_add(runner, &stays, &trace, NULL);
    ck_assert_int_eq(srun_runner_add(runner, "db", &db_ops, &db, NULL, NULL), 0);
    ck_assert_int_eq(
        srun_runner_add(runner, "web", &web_ops, &web, SRUN_OPTIONS(.stop_ms = 10), NULL), 0);
    ck_assert_int_eq(srun_runner_start(runner, NULL), 0);
    ck_assert(turn_until(runner, web_runs, NULL));
    service_tell_drain(runner_find(runner, "web"), true);
    ck_assert(turn_until(runner, web_drains, &trace));
    ck_assert_int_eq(srun_runner_shutdown(runner, 0, "enough"), 0);
    ck_assert(turn_until(runner, db_stops, &trace));
    gate_open(&web_gate); /* it comes home while what it needs is being stopped */
    ck_assert(pool_await_lost(runner->pool, REAL_LIMIT_MS * NS_PER_MS));
    ck_assert_msg(!trace_has(&trace, "web.stop"), "%s", trace.text);
    gate_open(&db_gate);
    ck_assert(turn_until(runner, has_ended, NULL));
    ck_assert_int_eq(srun_runner_exit_code(runner), 4);
    ck_assert_uint_eq(srun_runner_stuck(runner), 1);
}

START_TEST(call_no_stop_of_a_service_that_was_given_up)
    {
        in_a_process_of_its_own(give_up_before_its_stop);
    }
END_TEST

int main(void)
{
    return HARNESS("calls", stop_a_whole_group_at_once_while_its_ready_has_not_returned,
                   tell_each_service_of_a_drain_and_stop_it_in_the_midst,
                   call_no_stop_of_a_service_that_was_given_up);
}
