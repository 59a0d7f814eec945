/* SPDX-License-Identifier: MIT
 *
 * The runner and its callers' mistakes: what is refused when a service is added, calls at the wrong
 * time or from the wrong process, and what a runner gives back to the process when it is freed.
 */
#include "cast.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static struct actor somebody = {.name = "somebody"};

static int add_named(srun_runner *runner, const char *name, srun_err *err)
{
    const struct srun_service_ops ops = {.size = sizeof ops, .run = actor_run};
    return srun_runner_add(runner, name, &ops, &somebody, NULL, err);
}

static int add_with(struct stage *stage, const char *name,
                    const struct srun_service_options *options, srun_err *err)
{
    const struct srun_service_ops ops = {.size = sizeof ops, .stop = actor_stop};
    somebody.trace = &stage->trace;
    return srun_runner_add(stage->runner, name, &ops, &somebody, options, err);
}

START_TEST(refuses_names_that_are_empty_too_long_or_not_printable)
    {
        struct stage stage;
        char name[302];
        static const char *const bad[] = {"", "a\nb", "a\tb", "\x1b[31m", "\xff\xfe", "a\x7f"};
        stage_open(&stage, NULL);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            srun_err err = {0};
            ck_assert_int_eq(add_named(stage.runner, bad[i], &err), -EINVAL);
            ck_assert_int_eq(err.code, -EINVAL);
            ck_assert_msg(strpbrk(err.text, "\n\t\x1b") == NULL, "printed as it came: %s",
                          err.text);
        }
        ck_assert_int_eq(add_named(stage.runner, NULL, NULL), -EINVAL);
        memset(name, 'n', sizeof name);
        name[300] = '\0';
        ck_assert_int_eq(add_named(stage.runner, name, NULL), -EINVAL);
        name[256] = '\0';
        ck_assert_int_eq(add_named(stage.runner, name, NULL), -EINVAL);
        name[255] = '\0';
        ck_assert_int_eq(add_named(stage.runner, name, NULL), 0);
        ck_assert_int_eq(add_named(stage.runner, "Löschdienst №1", NULL), 0);
        ck_assert_str_eq(stage_info(&stage, name).name, name);
        stage_close(&stage);
    }
END_TEST

START_TEST(says_which_service_has_the_name_already)
    {
        struct stage stage;
        srun_err err = {0};
        stage_open(&stage, NULL);
        ck_assert_int_eq(add_named(stage.runner, "a", NULL), 0);
        ck_assert_int_eq(add_named(stage.runner, "b", NULL), 0);
        ck_assert_int_eq(add_named(stage.runner, "b", &err), -EEXIST);
        ck_assert_str_eq(err.text, "service \"b\": the name is taken by service number 2");
        stage_close(&stage);
    }
END_TEST

START_TEST(refuses_a_service_without_verbs)
    {
        struct stage stage;
        const struct srun_service_ops none = {.size = sizeof none},
                                      destroys = {.size = sizeof destroys,
                                                  .destroy = actor_destroy};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "a", NULL, NULL, NULL, NULL), -EINVAL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "a", &none, NULL, NULL, NULL), -EINVAL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "a", &destroys, NULL, NULL, NULL), -EINVAL);
        ck_assert_int_eq(srun_serve(stage.runner, "a", NULL, NULL, NULL), -EINVAL);
        ck_assert_uint_eq(srun_runner_services(stage.runner, NULL, 0), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(accepts_shorter_structs_and_longer_ones_with_a_zero_tail)
    {
        struct stage stage;
        struct {
            struct srun_service_ops ops;
            void *newer[2];
        } longer = {.ops = {.size = sizeof longer, .run = actor_run}};
        struct {
            struct srun_service_options options;
            void *newer[2];
        } wider = {.options = {.size = sizeof wider}};
        struct srun_service_ops shorter = {.size = offsetof(struct srun_service_ops, ready),
                                           .run = actor_run,
                                           .ready = actor_ready};
        srun_err err = {0};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "shorter", &shorter, NULL, NULL, NULL), 0);
        ck_assert_int_eq(
            srun_runner_add(stage.runner, "longer", &longer.ops, NULL, &wider.options, NULL), 0);
        longer.newer[1] = &stage;
        ck_assert_int_eq(srun_runner_add(stage.runner, "newer", &longer.ops, NULL, NULL, &err),
                         -E2BIG);
        longer.newer[1] = NULL;
        wider.newer[0] = &stage;
        ck_assert_int_eq(
            srun_runner_add(stage.runner, "newer", &longer.ops, NULL, &wider.options, &err),
            -E2BIG);
        shorter.size = 0;
        ck_assert_int_eq(srun_runner_add(stage.runner, "zero", &shorter, NULL, NULL, &err),
                         -EINVAL);
        shorter = (struct srun_service_ops){
            .size = sizeof shorter, .run = actor_run, .reserved = {[2] = &stage}};
        ck_assert_int_lt(srun_runner_add(stage.runner, "reserved", &shorter, NULL, NULL, &err), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(refuses_a_configuration_that_is_newer_or_out_of_range)
    {
        struct {
            struct srun_config config;
            void *newer[2];
        } longer = {.config = {.size = sizeof longer}};
        srun_test *test = NULL;
        longer.newer[0] = &test;
        ck_assert_int_eq(srun_test_new(&test, &longer.config, NULL), -E2BIG);
        ck_assert_int_eq(srun_test_new(&test, SRUN_CONFIG(.timeouts.stop_ms = -1), NULL), -EINVAL);
        ck_assert_ptr_null(test);
        longer.newer[0] = NULL;
        ck_assert_int_eq(srun_test_new(&test, &longer.config, NULL), 0);
        (void)srun_test_free(test);
    }
END_TEST

START_TEST(refuses_negative_times_and_names_the_field)
    {
        struct stage stage;
        const struct {
            const char *field;
            struct srun_service_options options;
        } bad[] = {{"init_ms", {.init_ms = -1}},
                   {"ready_ms", {.ready_ms = INT64_MIN}},
                   {"stop_ms", {.stop_ms = -1}},
                   {"heartbeat_ms", {.heartbeat_ms = -1}},
                   {"restart.backoff_min_ms", {.restart.backoff_min_ms = -1}},
                   {"restart.backoff_max_ms", {.restart.backoff_max_ms = -1}},
                   {"restart.window_ms", {.restart.window_ms = -1}},
                   {"restart.limit", {.restart.limit = 33}},
                   {"restart.when", {.restart.when = (srun_restart)3}}};
        stage_open(&stage, NULL);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            srun_err err = {0};
            struct srun_service_options options = bad[i].options;
            options.size = sizeof options;
            ck_assert_int_eq(add_with(&stage, "a", &options, &err), -EINVAL);
            ck_assert_msg(strstr(err.text, bad[i].field) != NULL, "no %s in: %s", bad[i].field,
                          err.text);
        }
        stage_close(&stage);
    }
END_TEST

START_TEST(takes_the_longest_times_for_never)
    {
        struct stage stage;
        const int64_t longest = INT64_MAX / NS_PER_MS;
        stage_open(&stage, NULL);
        srun_test_advance_ms(stage.test, 1000);
        struct actor db = {.name = "db"};
        stage_add_with(&stage, &db,
                       SRUN_OPTIONS(.init_ms = longest, .ready_ms = longest, .stop_ms = longest,
                                    .heartbeat_ms = longest, .restart.window_ms = longest));
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 1000);
        ck_assert(!stage_info(&stage, "db").heartbeat_missed);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(suggests_the_name_that_an_unknown_dependency_meant)
    {
        struct stage stage;
        srun_err err = {0};
        const char *const typo[] = {"postgers", NULL}, *const right[] = {"postgres", NULL};
        const char *const itself[] = {"ledger", NULL};
        stage_open(&stage, NULL);
        ck_assert_int_eq(add_with(&stage, "postgres", NULL, NULL), 0);
        ck_assert_int_eq(add_with(&stage, "ledger", SRUN_OPTIONS(.depends = typo), &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "did you mean postgres?"));
        ck_assert_int_eq(add_with(&stage, "ledger", SRUN_OPTIONS(.depends = itself), NULL),
                         -EINVAL);
        ck_assert_int_eq(add_with(&stage, "ledger", SRUN_OPTIONS(.depends = right), NULL), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(refuses_a_group_whose_members_are_not_neighbours)
    {
        struct stage stage;
        srun_err err = {0};
        stage_open(&stage, NULL);
        ck_assert_int_eq(add_with(&stage, "a", SRUN_OPTIONS(.group = "g"), NULL), 0);
        ck_assert_int_eq(add_with(&stage, "b", SRUN_OPTIONS(.group = "g"), NULL), 0);
        ck_assert_int_eq(add_with(&stage, "c", NULL, NULL), 0);
        ck_assert_int_eq(add_with(&stage, "d", SRUN_OPTIONS(.group = "g"), &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "closed by service c"));
        stage_close(&stage);
    }
END_TEST

START_TEST(copies_what_it_is_given)
    {
        struct stage stage;
        char name[] = "db", group[] = "g";
        struct actor db = {.name = "db"};
        struct srun_service_ops ops = actor_ops(&db);
        struct srun_service_options options = {.size = sizeof options, .group = group};
        stage_open(&stage, NULL);
        db.trace = &stage.trace;
        ck_assert_int_eq(srun_runner_add(stage.runner, name, &ops, &db, &options, NULL), 0);
        memset(name, 'x', 2);
        memset(group, 'x', 1);
        memset(&ops, 0, sizeof ops);
        memset(&options, 0xff, sizeof options);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        stage_close(&stage);
    }
END_TEST

START_TEST(refuses_what_comes_after_the_start)
    {
        struct stage stage;
        srun_err err = {0};
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        ck_assert_int_eq(srun_test_signal(stage.test, SIGTERM), SRUN_ESTATE);
        stage_start(&stage);
        ck_assert_int_eq(add_named(stage.runner, "late", &err), SRUN_ESTATE);
        ck_assert_int_eq(srun_serve(stage.runner, "late", actor_run, &db, &err), SRUN_ESTATE);
        ck_assert_int_eq(srun_runner_listen(stage.runner, on_transition, NULL, &err), SRUN_ESTATE);
        ck_assert_int_eq(srun_runner_start(stage.runner, &err), SRUN_ESTATE);
        ck_assert_int_eq(srun_test_start(stage.test, &err), SRUN_ESTATE);
        ck_assert_int_eq(srun_test_signal(stage.test, SIGUSR1), -EINVAL);
        stage_close(&stage);
    }
END_TEST

START_TEST(dispatches_only_between_start_and_end)
    {
        srun_runner *runner = NULL;
        int log = memory_file();
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        ck_assert_int_lt(srun_runner_dispatch(runner), 0);
        ck_assert_int_eq(srun_runner_start(runner, NULL), 0);
        while (srun_runner_dispatch(runner) > 0)
            (void)usleep(100);
        ck_assert_int_eq(srun_runner_dispatch(runner), 0);
        ck_assert_int_eq(srun_runner_start(runner, NULL), SRUN_ESTATE);
        ck_assert_int_eq(srun_runner_shutdown(runner, 0, "late"), SRUN_ESTATE);
        ck_assert_int_eq(srun_runner_exit_code(runner), 0);
        (void)srun_runner_free(runner);
        (void)close(log);
    }
END_TEST

START_TEST(destroys_in_reverse_order_what_was_never_started)
    {
        struct stage stage;
        struct actor a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
        stage_open(&stage, NULL);
        stage_add(&stage, &a);
        stage_add(&stage, &b);
        stage_add(&stage, &c);
        stage_clear(&stage);
        assert_trace(&stage.trace, "c.destroy b.destroy a.destroy");
        stage_close(&stage);
        ck_assert_ptr_null(srun_runner_free(NULL));
        ck_assert_ptr_null(srun_test_free(NULL));
    }
END_TEST

START_TEST(lets_one_runner_of_a_process_own_the_signals)
    {
        srun_runner *first = NULL, *second = NULL, *third = NULL;
        srun_err err = {0};
        ck_assert_int_eq(srun_runner_new(&first, NULL, NULL), 0);
        ck_assert_int_eq(srun_runner_new(&second, NULL, &err), -EBUSY);
        ck_assert_ptr_nonnull(strstr(err.text, "signals.disabled"));
        ck_assert_int_eq(srun_runner_new(&second, SRUN_CONFIG(.signals.disabled = 1), NULL), 0);
        (void)srun_runner_free(first);
        ck_assert_int_eq(srun_runner_new(&third, NULL, NULL), 0);
        (void)srun_runner_free(third);
        (void)srun_runner_free(second);
    }
END_TEST

static void assert_blocked(int signo, bool wanted)
{
    sigset_t mask;
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, signo), wanted);
}

START_TEST(gives_the_signal_mask_and_sigpipe_back)
    {
        static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};
        struct sigaction before, during, after;
        srun_runner *runner = NULL;
        sigset_t own;
        (void)sigemptyset(&own);
        (void)sigaddset(&own, SIGINT); /* blocked before, and so it stays */
        ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &own, NULL), 0);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &before), 0);
        ck_assert_int_eq(srun_runner_new(&runner, NULL, NULL), 0);
        for (size_t i = 0; i < 4; i++)
            assert_blocked(ours[i], true);
        assert_blocked(SIGUSR1, false);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &during), 0);
        ck_assert(during.sa_handler == SIG_IGN);
        (void)srun_runner_free(runner);
        for (size_t i = 0; i < 4; i++)
            assert_blocked(ours[i], ours[i] == SIGINT);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &after), 0);
        ck_assert(after.sa_handler == before.sa_handler);
    }
END_TEST

START_TEST(leaves_sigpipe_and_the_signals_alone_when_told_to)
    {
        struct sigaction now;
        srun_runner *runner = NULL;
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.signals.keep_sigpipe = 1), NULL), 0);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &now), 0);
        ck_assert(now.sa_handler == SIG_DFL);
        (void)srun_runner_free(runner);
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.signals.disabled = 1), NULL), 0);
        assert_blocked(SIGTERM, false);
        (void)srun_runner_free(runner);
    }
END_TEST

START_TEST(answers_a_second_parse_as_the_first)
    {
        struct stage stage;
        srun_err first = {0}, second = {0};
        char *bad[] = {"program", "--no-such-flag", NULL}, *good[] = {"program", NULL};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_parse(stage.runner, 2, bad, &first), SRUN_EUSAGE);
        ck_assert_int_eq(srun_runner_parse(stage.runner, 1, good, &second), SRUN_EUSAGE);
        ck_assert_str_eq(first.text, second.text);
        ck_assert_int_eq(srun_test_start(stage.test, &second), SRUN_EUSAGE);
        stage_close(&stage);
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_parse(stage.runner, 1, good, NULL), 0);
        ck_assert_int_eq(srun_runner_parse(stage.runner, 2, bad, NULL), 0);
        stage_close(&stage);
    }
END_TEST

static void *ask_to_stop(void *arg)
{
    srun_runner *runner = arg;
    for (int i = 0; i < 50; i++) {
        int rc = srun_runner_shutdown(runner, i == 25 ? -EIO : 0, "one of many");
        if (rc != 0 && rc != SRUN_ESTATE)
            return runner;
    }
    return NULL;
}

START_TEST(takes_many_requests_to_stop_from_any_thread_at_once)
    {
        enum { THREADS = 8 };
        struct stage stage;
        struct actor db = {.name = "db"};
        pthread_t threads[THREADS];
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_to_stop, stage.runner), 0);
        for (int i = 0; i < THREADS; i++) {
            void *wrong = NULL;
            ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
            ck_assert_ptr_null(wrong);
        }
        ck_assert_int_ge(stage_finish(&stage), 0);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_REQUEST);
        ck_assert_str_eq(stage_cause(&stage).text, "one of many");
        stage_close(&stage);
    }
END_TEST

START_TEST(fails_when_the_request_to_stop_says_so)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(srun_runner_shutdown(stage.runner, -ENOSPC, "the disk is full"), 0);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_int_eq(stage_cause(&stage).code, -ENOSPC);
        ck_assert_str_eq(stage_cause(&stage).text, "the disk is full");
        ck_assert_int_eq(srun_runner_shutdown(stage.runner, 0, NULL), SRUN_ESTATE);
        stage_close(&stage);
    }
END_TEST

START_TEST(honours_a_request_to_stop_that_comes_before_the_start)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        ck_assert_int_eq(srun_runner_shutdown(stage.runner, 0, "changed my mind"), 0);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert(!trace_has(&stage.trace, "db.run"));
        stage_close(&stage);
    }
END_TEST

START_TEST(is_not_ready_while_a_service_restarts)
    {
        struct stage stage;
        struct gate gate = GATE_CLOSED;
        struct actor below = {.name = "below"};
        struct actor job = {.name = "job", .run = DEAF, .gate = &gate};
        stage_open(&stage, NULL);
        stage_add(&stage, &below);
        stage_add_with(&stage, &job, SRUN_OPTIONS(.restart.when = SRUN_RESTART_ALWAYS));
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0);
        stage_start(&stage);
        stage_wait(&stage, "job", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 1);
        gate_open(&gate);
        stage_wait(&stage, "job", SRUN_STOPPED);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0);
        ck_assert_int_eq(srun_runner_state(stage.runner, "below"), SRUN_RUNNING);
        stage_close(&stage);
    }
END_TEST

/* Is RUNNING, and in its first life fails then. */
static int fail_once(void *self, srun_context *ctx, srun_err *err)
{
    atomic_int *lives = self;
    (void)srun_ready(ctx);
    while (srun_runner_state(srun_context_runner(ctx), "job") != SRUN_RUNNING)
        (void)usleep(100);
    if (atomic_fetch_add(lives, 1) == 0)
        return srun_fail(err, -EIO, "only once");
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

START_TEST(tells_of_the_present_life_of_a_restarted_service)
    {
        struct stage stage;
        atomic_int lives = 0;
        const struct srun_service_ops ops = {.size = sizeof ops, .run = fail_once};
        stage_open(&stage, NULL);
        ck_assert_int_eq(srun_runner_add(stage.runner, "job", &ops, &lives,
                                         SRUN_OPTIONS(.restart.when = SRUN_RESTART_ON_FAILURE),
                                         NULL),
                         0);
        stage_start(&stage);
        while (atomic_load(&lives) == 0)
            (void)usleep(100);
        stage_wait(&stage, "job", SRUN_STOPPED); /* the clock stands still: not yet restarted */
        ck_assert(stage_info(&stage, "job").failed);
        stage_pass_time(&stage, is_two, &lives);
        struct srun_service_info info = stage_info(&stage, "job");
        ck_assert_int_eq((int)info.state, SRUN_RUNNING);
        ck_assert_uint_eq(info.restarts, 1);
        ck_assert(!info.failed);
        ck_assert_int_eq(info.stop_took_ms, -1);
        ck_assert_str_eq(info.error, "only once");
        stage_close(&stage);
    }
END_TEST

START_TEST(knows_how_long_a_service_is_what_it_is_from_the_start_on)
    {
        srun_runner *runner = NULL;
        struct srun_service_info info;
        ck_assert_int_eq(srun_runner_new(&runner, NULL, NULL), 0);
        ck_assert_int_eq(srun_serve(runner, "job", fail_once, NULL, NULL), 0);
        ck_assert_uint_eq(srun_runner_services(runner, &info, 1), 1);
        ck_assert_int_lt(info.in_state_ms, REAL_LIMIT_MS);
        (void)srun_runner_free(runner);
    }
END_TEST

START_TEST(answers_what_is_asked_of_it)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        struct srun_run_info info;
        stage_open(&stage, SRUN_CONFIG(.name = "bank", .version = "1.2.3"));
        stage_add(&stage, &db);
        srun_runner_info(stage.runner, &info);
        ck_assert_str_eq(info.name, "bank");
        ck_assert_str_eq(info.version, "1.2.3");
        ck_assert_int_eq(info.pid, getpid());
        ck_assert_uint_eq(info.generation, 1);
        ck_assert_int_eq(srun_runner_state(stage.runner, "nobody"), -ENOENT);
        ck_assert_int_eq(srun_runner_state(stage.runner, NULL), -ENOENT);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_STOPPED);
        ck_assert_int_eq(stage_info(&stage, "db").init_took_ms, -1);
        ck_assert_ptr_null(srun_runner_log(NULL));
        ck_assert_str_eq(srun_cause_name(SRUN_CAUSE_SERVICE_ERROR), "service_error");
        ck_assert_str_eq(srun_cause_name((srun_cause_kind)99), "unknown");
        stage_close(&stage);
    }
END_TEST

static srun_cause seen_cause;
static int seen_code, seen_calls;

static void at_the_end(void *user, const srun_cause *cause, int exit_code)
{
    (void)user;
    seen_cause = *cause;
    seen_code = exit_code;
    seen_calls++;
}

static void own_handler(int signo)
{
    (void)signo;
}

START_TEST(leaves_a_crash_handler_alone_that_the_program_has_set)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        struct sigaction now, own = {.sa_handler = own_handler};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        ck_assert_int_eq(sigaction(SIGFPE, &own, NULL), 0);
        stage_close(&stage);
        ck_assert_int_eq(sigaction(SIGFPE, NULL, &now), 0);
        ck_assert(now.sa_handler == own_handler);
    }
END_TEST

START_TEST(calls_the_exit_hook_once_with_cause_and_code)
    {
        struct stage stage;
        struct actor a = {.name = "a", .stop_code = -EIO};
        stage_open(&stage, SRUN_CONFIG(.hooks.exited = at_the_end));
        stage_add(&stage, &a);
        stage_start(&stage);
        stage_wait(&stage, "a", SRUN_RUNNING);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 1);
        stage_close(&stage);
        ck_assert_int_eq(seen_calls, 1);
        ck_assert_int_eq(seen_code, 1);
        ck_assert_int_eq((int)seen_cause.kind, SRUN_CAUSE_SIGNAL);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "runner", refuses_names_that_are_empty_too_long_or_not_printable,
        says_which_service_has_the_name_already, refuses_a_service_without_verbs,
        accepts_shorter_structs_and_longer_ones_with_a_zero_tail,
        refuses_a_configuration_that_is_newer_or_out_of_range,
        refuses_negative_times_and_names_the_field, takes_the_longest_times_for_never,
        suggests_the_name_that_an_unknown_dependency_meant,
        refuses_a_group_whose_members_are_not_neighbours, copies_what_it_is_given,
        refuses_what_comes_after_the_start, dispatches_only_between_start_and_end,
        destroys_in_reverse_order_what_was_never_started,
        lets_one_runner_of_a_process_own_the_signals, gives_the_signal_mask_and_sigpipe_back,
        leaves_sigpipe_and_the_signals_alone_when_told_to, answers_a_second_parse_as_the_first,
        takes_many_requests_to_stop_from_any_thread_at_once, fails_when_the_request_to_stop_says_so,
        honours_a_request_to_stop_that_comes_before_the_start,
        is_not_ready_while_a_service_restarts, tells_of_the_present_life_of_a_restarted_service,
        knows_how_long_a_service_is_what_it_is_from_the_start_on, answers_what_is_asked_of_it,
        leaves_a_crash_handler_alone_that_the_program_has_set,
        calls_the_exit_hook_once_with_cause_and_code);
}
