/* SPDX-License-Identifier: MIT
 *
 * What was asked for of the start, one test per requirement; each names its row. Of states and
 * the stop: requirements_stop_test.c.
 */
#include "cast.h"

#include <signal.h>

#define ROUNDS 20

/* SEED-1 */
static int add_one_that_finishes(srun_runner *runner, void *user, srun_err *err)
{
    static struct actor job;
    (void)err;
    job = (struct actor){.name = "job", .run = FINISHES};
    cast_add(runner, &job, user, NULL);
    return 0;
}

START_TEST(owns_main_and_returns_an_exit_code_instead_of_exiting)
    {
        struct trace trace;
        trace_init(&trace);
        int log = memory_file();
        char *argv[] = {"program", NULL};
        int code = srun_main(1, argv, SRUN_CONFIG(.log.fd_plus_one = log + 1),
                             add_one_that_finishes, &trace);
        ck_assert_int_eq(code, 0);
        assert_trace(&trace, "job.init job.run job.stop job.destroy");
        (void)close(log);
        trace_destroy(&trace);
    }
END_TEST

/* SEED-2 */
START_TEST(stops_once_and_gracefully_on_each_exit_signal)
    {
        static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};
        for (size_t i = 0; i < 3; i++) {
            struct stage stage;
            struct actor db = {.name = "db"};
            stage_open(&stage, NULL);
            stage_add(&stage, &db);
            stage_start(&stage);
            stage_wait(&stage, "db", SRUN_RUNNING);
            ck_assert_int_eq(srun_test_signal(stage.test, signals[i]), 0);
            ck_assert_int_eq(stage_finish(&stage), 0);
            ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_SIGNAL);
            ck_assert_int_eq(stage_cause(&stage).signo, signals[i]);
            stage_clear(&stage);
            trace_wait(&stage.trace, "db.cancelled");
            ck_assert_ptr_nonnull(strstr(stage.trace.text, "db.stop"));
            ck_assert_ptr_null(strstr(strstr(stage.trace.text, "db.stop") + 1, "db.stop"));
            stage_close(&stage);
        }
    }
END_TEST

/* SEED-2 */
START_TEST(counts_a_signal_that_arrives_during_registration)
    {
        struct trace trace;
        struct actor db = {.name = "db"};
        srun_runner *runner = NULL;
        srun_cause cause;
        trace_init(&trace);
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        ck_assert_int_eq(raise(SIGTERM), 0);
        cast_add(runner, &db, &trace, NULL);
        ck_assert_int_eq(srun_runner_run(runner), 0);
        srun_runner_cause(runner, &cause);
        ck_assert_int_eq((int)cause.kind, SRUN_CAUSE_SIGNAL);
        ck_assert_int_eq(cause.signo, SIGTERM);
        (void)srun_runner_free(runner);
        assert_trace(&trace, "db.destroy");
        (void)close(log);
        trace_destroy(&trace);
    }
END_TEST

/* Both are waiting when the runner starts to look; the signal is looked at first. */
START_TEST(words_the_cause_by_what_came_first_when_two_come_at_once)
    {
        srun_runner *runner = NULL;
        srun_cause cause;
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        ck_assert_int_eq(raise(SIGTERM), 0);
        ck_assert_int_eq(srun_runner_shutdown(runner, -EIO, "the disk is gone"), 0);
        ck_assert_int_eq(srun_runner_run(runner), 1);
        srun_runner_cause(runner, &cause);
        ck_assert_int_eq((int)cause.kind, SRUN_CAUSE_SIGNAL);
        ck_assert_int_eq(strncmp(cause.text, "SIGTERM", 7), 0);
        ck_assert_ptr_nonnull(strstr(memory_text(log), "also=\"the disk is gone\""));
        (void)srun_runner_free(runner);
        (void)close(log);
    }
END_TEST

/* SEED-3 */
START_TEST(ignores_a_hangup_with_one_warning_when_upgrades_are_disabled)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, SRUN_CONFIG(.upgrade.disabled = 1));
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(srun_test_signal(stage.test, SIGHUP), 0);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_RUNNING);
        ck_assert_int_eq(srun_test_finish(stage.test, 20), -ETIMEDOUT);
        const char *first = strstr(memory_text(stage.log), "SIGHUP ignored");
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_null(strstr(first + 1, "SIGHUP ignored"));
        stage_close(&stage);
    }
END_TEST

/* SEED-4 */
START_TEST(leaves_nothing_behind_and_says_so)
    {
        for (int i = 0; i < ROUNDS; i++) {
            struct stage stage;
            struct actor db = {.name = "db"}, web = {.name = "web", .polled = true};
            stage_open(&stage, SRUN_CONFIG(.debug.leaks = 1));
            stage_add(&stage, &db);
            stage_add(&stage, &web);
            stage_start(&stage);
            stage_wait(&stage, "web", SRUN_RUNNING);
            stage_terminate(&stage);
            ck_assert_int_eq(stage_finish(&stage), 0);
            stage_clear(&stage);
            assert_logged(&stage, "nothing leaked");
            stage_close(&stage);
        }
    }
END_TEST

/* SEED-5 */
START_TEST(takes_a_service_with_any_single_verb)
    {
        struct stage stage;
        struct actor inits = {.name = "inits", .only_init = true};
        struct actor runs = {.name = "runs", .only_run = true};
        struct actor asks = {.name = "asks", .only_ready = true};
        struct actor stops = {.name = "stops", .only_stop = true};
        stage_open(&stage, NULL);
        stage_add(&stage, &inits);
        stage_add(&stage, &runs);
        stage_add(&stage, &asks);
        stage_add(&stage, &stops);
        stage_start(&stage);
        stage_wait(&stage, "stops", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(atomic_load(&asks.ready_calls), 1);
        assert_trace(&stage.trace, "inits.init runs.run stops.stop runs.cancelled");
        stage_close(&stage);
    }
END_TEST

static int log_a_line(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    SRUN_INFO(srun_context_log(ctx), "a line of my own");
    return 0;
}

/* SEED-6 */
START_TEST(names_the_service_in_each_of_its_log_lines)
    {
        struct stage stage;
        const struct srun_service_ops ops = {.size = sizeof ops, .init = log_a_line};
        stage_open(&stage, SRUN_CONFIG(.log.level = SRUN_LEVEL_DEBUG));
        ck_assert_int_eq(srun_runner_add(stage.runner, "ledger", &ops, NULL, NULL, NULL), 0);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        assert_logged(&stage, "a line of my own");
        char *text = strdup(memory_text(stage.log)), *rest = NULL;
        int lines = 0;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            bool ours = strstr(line, "a line of my own") || strstr(line, "INITIATING ") ||
                        strstr(line, "RUNNING ");
            ck_assert_msg(!ours || strstr(line, "logger_scope=ledger"), "no name in: %s", line);
            lines += ours;
        }
        ck_assert_int_ge(lines, 3);
        free(text);
        stage_close(&stage);
    }
END_TEST

/* SEED-6 */
START_TEST(refuses_empty_and_duplicate_names_when_they_are_added)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        const struct srun_service_ops ops = actor_ops(&db);
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        ck_assert_int_eq(srun_runner_add(stage.runner, "", &ops, &db, NULL, NULL), -EINVAL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &db, NULL, NULL), -EEXIST);
        ck_assert_uint_eq(srun_runner_services(stage.runner, NULL, 0), 1);
        stage_close(&stage);
    }
END_TEST

struct given {
    const char *name;
    srun_runner *runner;
    srun_logger *log;
    void *user;
    int64_t left;
};

static int look_around(void *self, srun_context *ctx, srun_err *err)
{
    struct given *given = self;
    *given = (struct given){srun_context_name(ctx), srun_context_runner(ctx), srun_context_log(ctx),
                            srun_context_user(ctx), srun_context_time_left_ms(ctx)};
    return err != NULL && err->text[0] == '\0' ? 0 : -EINVAL;
}

/* SEED-7 */
START_TEST(gives_init_its_logger_its_name_and_the_users_pointer)
    {
        struct stage stage;
        struct given given = {0};
        const struct srun_service_ops ops = {.size = sizeof ops, .init = look_around};
        stage_open(&stage, SRUN_CONFIG(.user = &given));
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &given, NULL, NULL), 0);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_str_eq(given.name, "db");
        ck_assert_ptr_eq(given.runner, stage.runner);
        ck_assert_ptr_nonnull(given.log);
        ck_assert_ptr_ne(given.log, srun_runner_log(stage.runner));
        ck_assert_ptr_eq(given.user, &given);
        ck_assert_int_eq(given.left, 60000);
        stage_close(&stage);
    }
END_TEST

/* One service whose init waits to be cancelled: when does the run end, and how? */
static void assert_init_ends_after(const struct srun_config *config,
                                   const struct srun_service_options *options, int64_t ms)
{
    struct stage stage;
    struct actor db = {.name = "db", .init = UNTIL_CANCELLED, .init_code = -ECANCELED};
    stage_open(&stage, config);
    stage_add_with(&stage, &db, options);
    stage_start(&stage);
    trace_wait(&stage.trace, "db.init");
    srun_test_advance_ms(stage.test, ms - 1);
    ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_INITIATING);
    ck_assert(!srun_cancelled(atomic_load(&db.ctx)));
    srun_test_advance_ms(stage.test, 1);
    ck_assert_int_eq(stage_finish(&stage), 3);
    ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_INIT_TIMEOUT);
    ck_assert_str_eq(stage_cause(&stage).service, "db");
    ck_assert_str_eq(stage_cause(&stage).phase, "init");
    stage_clear(&stage);
    assert_trace(&stage.trace, "db.init db.destroy"); /* init failed: there is nothing to stop */
    stage_close(&stage);
}

/* SEED-8 */
START_TEST(gives_init_sixty_seconds_or_what_was_configured_or_what_the_service_asks)
    {
        assert_init_ends_after(NULL, NULL, 60000);
        assert_init_ends_after(SRUN_CONFIG(.timeouts.init_ms = 5000), NULL, 5000);
        assert_init_ends_after(SRUN_CONFIG(.timeouts.init_ms = 5000), SRUN_OPTIONS(.init_ms = 7000),
                               7000);
    }
END_TEST

/* SEED-9, SEED-21 */
START_TEST(runs_all_inits_in_order_before_any_run)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_add(&stage, &c);
        stage_start(&stage);
        stage_wait(&stage, "c", SRUN_RUNNING);
        assert_trace(&stage.trace, "a.init b.init c.init a.run b.run c.run");
        stage_close(&stage);
    }
END_TEST

/* SEED-9 */
START_TEST(runs_nothing_when_an_init_fails)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b"};
        struct actor c = {.name = "c", .init_code = -ECONNREFUSED}, d = {.name = "d"};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_add(&stage, &c);
        stage_add(&stage, &d);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        stage_clear(&stage);
        assert_trace(&stage.trace, "a.init b.init c.init b.stop a.stop "
                                   "d.destroy c.destroy b.destroy a.destroy");
        stage_close(&stage);
    }
END_TEST

/* SEED-10 */
START_TEST(lets_run_block_or_return_and_keeps_a_background_service_running)
    {
        struct stage stage;
        struct actor blocks = {.name = "blocks"};
        struct actor returns = {.name = "returns", .run = BACKGROUND};
        stage_open(&stage, NULL);
        stage_add(&stage, &returns);
        stage_add(&stage, &blocks);
        stage_start(&stage);
        stage_wait(&stage, "returns", SRUN_RUNNING);
        stage_wait(&stage, "blocks", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 3600 * 1000);
        ck_assert_int_eq(srun_runner_state(stage.runner, "returns"), SRUN_RUNNING);
        ck_assert(stage_info(&stage, "returns").background);
        ck_assert(!stage_info(&stage, "blocks").background);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

/* SEED-11 */
START_TEST(starts_the_next_service_only_when_the_one_before_is_ready)
    {
        struct stage stage;
        struct actor slow = {.name = "slow", .run = MUTE}, next = {.name = "next"};
        stage_open(&stage, NULL);
        stage_add(&stage, &slow);
        stage_add(&stage, &next);
        stage_start(&stage);
        trace_wait(&stage.trace, "slow.run");
        srun_test_advance_ms(stage.test, 30000);
        ck_assert_int_eq(srun_runner_state(stage.runner, "slow"), SRUN_STARTING);
        ck_assert_int_eq(srun_runner_state(stage.runner, "next"), SRUN_INITIATED);
        ck_assert_int_eq(srun_ready(atomic_load(&slow.ctx)), 0);
        stage_wait(&stage, "next", SRUN_RUNNING);
        assert_trace(&stage.trace, "slow.init next.init slow.run next.run");
        stage_close(&stage);
    }
END_TEST

/* When does a service that never gets ready end the program? */
static void assert_ready_ends_after(bool polled, const struct srun_config *config, int64_t ms)
{
    struct stage stage;
    struct actor db = {.name = "db", .run = MUTE, .polled = polled, .not_yet = -1};
    stage_open(&stage, config);
    stage_add(&stage, &db);
    stage_start(&stage);
    trace_wait(&stage.trace, "db.run");
    srun_test_advance_ms(stage.test, ms - 1);
    ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_STARTING);
    srun_test_advance_ms(stage.test, 1);
    ck_assert_int_eq(stage_finish(&stage), 3);
    ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_READY_TIMEOUT);
    stage_close(&stage);
}

/* SEED-12 */
START_TEST(waits_sixty_seconds_or_as_configured_for_readiness_pushed_or_polled)
    {
        assert_ready_ends_after(false, NULL, 60000);
        assert_ready_ends_after(true, NULL, 60000);
        assert_ready_ends_after(true, SRUN_CONFIG(.timeouts.ready_ms = 900), 900);
    }
END_TEST

struct asked {
    struct stage *stage;
    int calls;
};

/* Has the control thread heard the answer of the n-th call? */
static int ready_by_number(void *self, srun_context *ctx, srun_err *err)
{
    struct actor *actor = self;
    (void)ctx;
    return srun_fail(err, -EAGAIN, "answer %d;", atomic_fetch_add(&actor->ready_calls, 1) + 1);
}

static bool has_been_answered(void *arg)
{
    const struct asked *asked = arg;
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "answer %d;", asked->calls);
    return strcmp(stage_info(asked->stage, "db").error, wanted) == 0;
}

/* SEED-12 */
START_TEST(asks_for_readiness_after_1_2_4_and_up_to_50_ms)
    {
        static const int gaps[] = {1, 2, 4, 8, 16, 32, 50, 50, 50};
        struct stage stage;
        struct actor db = {.name = "db", .run = MUTE, .polled = true};
        struct srun_service_ops ops = actor_ops(&db);
        ops.ready = ready_by_number;
        stage_open(&stage, NULL);
        db.trace = &stage.trace;
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &db, NULL, NULL), 0);
        stage_start(&stage);
        for (int i = 0; i < (int)(sizeof gaps / sizeof gaps[0]); i++) {
            struct asked asked = {&stage, i + 1};
            ck_assert(harness_wait(has_been_answered, &asked, 10000));
            srun_test_advance_ms(stage.test, gaps[i] - 1);
            srun_test_advance_ms(stage.test, 0);
            ck_assert_int_eq(atomic_load(&db.ready_calls), i + 1);
            srun_test_advance_ms(stage.test, 1);
        }
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS("requirements", owns_main_and_returns_an_exit_code_instead_of_exiting,
                   stops_once_and_gracefully_on_each_exit_signal,
                   counts_a_signal_that_arrives_during_registration,
                   words_the_cause_by_what_came_first_when_two_come_at_once,
                   ignores_a_hangup_with_one_warning_when_upgrades_are_disabled,
                   leaves_nothing_behind_and_says_so, takes_a_service_with_any_single_verb,
                   names_the_service_in_each_of_its_log_lines,
                   refuses_empty_and_duplicate_names_when_they_are_added,
                   gives_init_its_logger_its_name_and_the_users_pointer,
                   gives_init_sixty_seconds_or_what_was_configured_or_what_the_service_asks,
                   runs_all_inits_in_order_before_any_run, runs_nothing_when_an_init_fails,
                   lets_run_block_or_return_and_keeps_a_background_service_running,
                   starts_the_next_service_only_when_the_one_before_is_ready,
                   waits_sixty_seconds_or_as_configured_for_readiness_pushed_or_polled,
                   asks_for_readiness_after_1_2_4_and_up_to_50_ms);
}
