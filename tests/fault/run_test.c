/* SPDX-License-Identifier: MIT
 *
 * Whole lives, from start to exit code, when the system refuses: on the virtual clock, in a loop of
 * the program's own, and by srun_main in a process of its own. Whatever fails, the run ends with a
 * documented exit code, and all that was initiated is stopped once, in reverse order.
 */
#include "leftovers.h"
#include "scenario.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <srun/testing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int quiet = -1; /* where logs go */

static void open_quiet(void)
{
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(quiet, 0);
    fault_output_fd(quiet);
}

/* An end that is right for a run in which so many calls failed. */
static void assert_end(const srun_runner *runner, int code, unsigned failed)
{
    srun_cause cause;
    int told = -1;
    unsigned exits = world_exits(&told);
    srun_runner_cause(runner, &cause);
    SCENARIO_ASSERT(code == 0 || code == 1, "%d: %s", code, cause.text);
    SCENARIO_ASSERT((code != 0) == (cause.kind == SRUN_CAUSE_SERVICE_ERROR), "%s", cause.text);
    SCENARIO_ASSERT(code == 0 || failed > 0, "%d: %s", code, cause.text);
    SCENARIO_ASSERT(code == 0 || scenario_is_told(-cause.code), "%s", cause.text);
    SCENARIO_ASSERT(code == 0 || cause.service[0] != '\0', "%s", cause.text);
    SCENARIO_ASSERT(srun_runner_stuck(runner) == 0, "stuck");
    SCENARIO_ASSERT(exits == 1 && told == code, "hooks.exited: %d", told);
}

static void assert_rolled_back(void)
{
    char text[768];
    bool good = world_is_rolled_back(WORLD_SERVICES, text, sizeof text);
    SCENARIO_ASSERT(good, "%s", text);
}

/* --- on the virtual clock -------------------------------------------------------------------- */

/* Lets time pass until the last service runs, or the end has come. */
static void let_it_start(srun_test *test)
{
    int64_t end = harness_now_ms() + 20000 * harness_slowness();
    while (harness_now_ms() < end) {
        if (srun_runner_is_ready(srun_test_runner(test)) || srun_test_finish(test, 0) >= 0)
            return;
        if (srun_test_wait_state(test, "http", SRUN_RUNNING, 2, NULL) < 0)
            srun_test_advance_ms(test, 5);
    }
    SCENARIO_ASSERT(false, "it neither starts nor ends");
}

static int let_it_end(srun_test *test)
{
    int64_t end = harness_now_ms() + 20000 * harness_slowness();
    while (harness_now_ms() < end) {
        int code = srun_test_finish(test, 20);
        if (code >= 0)
            return code;
        srun_test_advance_ms(test, 5);
    }
    SCENARIO_ASSERT(false, "it does not end");
    return -1;
}

static void live_on_a_virtual_clock(void *arg)
{
    srun_test *test = NULL;
    srun_err err = {0};
    struct srun_config config = world_config(quiet);
    (void)arg;
    world_begin();
    ck_assert_msg(srun_test_new(&test, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(world_setup(srun_test_runner(test), NULL, &err), 0);
    scenario_arm();
    int rc = srun_test_start(test, &err);
    if (rc == 0) {
        let_it_start(test);
        (void)srun_test_signal(test, SIGTERM);
        int code = let_it_end(test);
        assert_end(srun_test_runner(test), code, scenario_disarm());
    } else {
        (void)scenario_disarm();
        scenario_assert_error(rc, &err);
    }
    (void)srun_test_free(test);
    assert_rolled_back();
}

START_TEST(lives_on_a_virtual_clock_without_memory)
    {
        open_quiet();
        scenario_each("virtual clock, memory", FAULT_MEMORY, live_on_a_virtual_clock, NULL);
        close(quiet);
    }
END_TEST

START_TEST(lives_on_a_virtual_clock_without_descriptors)
    {
        open_quiet();
        scenario_each("virtual clock, descriptors", FAULT_DESCRIPTOR, live_on_a_virtual_clock,
                      NULL);
        close(quiet);
    }
END_TEST

START_TEST(counts_a_thread_that_cannot_be_made_as_a_failed_start)
    {
        open_quiet();
        scenario_each("virtual clock, threads", FAULT_THREAD, live_on_a_virtual_clock, NULL);
        close(quiet);
    }
END_TEST

START_TEST(does_not_notice_interruptions)
    {
        open_quiet();
        scenario_each("virtual clock, interrupted", FAULT_INTERRUPT, live_on_a_virtual_clock, NULL);
        close(quiet);
    }
END_TEST

/* A start that found no memory can be tried again. */
static void start_twice(void *arg)
{
    srun_test *test = NULL;
    srun_err err = {0};
    struct srun_config config = world_config(quiet);
    (void)arg;
    world_begin();
    ck_assert_msg(srun_test_new(&test, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(world_setup(srun_test_runner(test), NULL, &err), 0);
    ck_assert_int_eq(srun_runner_parse(srun_test_runner(test), 0, NULL, &err), 0);
    scenario_arm();
    int rc = srun_test_start(test, &err);
    (void)scenario_disarm();
    if (rc < 0)
        SCENARIO_ASSERT(srun_test_start(test, &err) == 0, "again: %s", err.text);
    let_it_start(test);
    SCENARIO_ASSERT(srun_test_signal(test, SIGTERM) == 0, "the signal");
    (void)let_it_end(test);
    (void)srun_test_free(test);
    assert_rolled_back();
}

START_TEST(starts_at_the_second_attempt)
    {
        open_quiet();
        scenario_each("started twice", FAULT_SYSTEM, start_twice, NULL);
        close(quiet);
    }
END_TEST

/* --- in a loop of one's own ------------------------------------------------------------------ */

/* Turns the loop until the end; asks for the end as soon as all runs. */
static void turn_to_the_end(srun_runner *runner)
{
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    int64_t end = harness_now_ms() + 20000 * harness_slowness();
    bool asked = false;
    while (srun_runner_dispatch(runner) > 0) {
        if (srun_runner_is_ready(runner) && !asked)
            asked = srun_runner_shutdown(runner, 0, "seen enough") == 0;
        (void)poll(&wait, 1, 1000);
        SCENARIO_ASSERT(harness_now_ms() < end, "it hangs");
    }
}

static void live_in_a_loop(void *arg)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    struct srun_config config = world_config(quiet);
    (void)arg;
    world_begin();
    ck_assert_msg(srun_runner_new(&runner, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(world_setup(runner, NULL, &err), 0);
    scenario_arm();
    int rc = srun_runner_start(runner, &err);
    if (rc == 0) {
        turn_to_the_end(runner);
        assert_end(runner, srun_runner_exit_code(runner), scenario_disarm());
    } else {
        (void)scenario_disarm();
        scenario_assert_error(rc, &err);
    }
    (void)srun_runner_free(runner);
    assert_rolled_back();
}

/* A service manager that listens. */
static int open_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", harness_folder());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    return fd;
}

START_TEST(lives_in_a_loop_without_memory_or_descriptors)
    {
        open_quiet();
        int manager = open_manager();
        scenario_each("own loop", FAULT_MEMORY | FAULT_DESCRIPTOR, live_in_a_loop, NULL);
        close(manager);
        close(quiet);
    }
END_TEST

START_TEST(lives_in_a_loop_without_threads)
    {
        open_quiet();
        scenario_each("own loop, threads", FAULT_THREAD, live_in_a_loop, NULL);
        scenario_each("own loop, interrupted", FAULT_INTERRUPT, live_in_a_loop, NULL);
        close(quiet);
    }
END_TEST

/* --- in a process of its own ----------------------------------------------------------------- */

/* What the child says, in memory that both see. */
static struct report {
    bool finished; /* srun_main returned */
    unsigned failed;
    long lost_blocks;
    char name[32], wrong[768];
} * report;

static int ask_for_the_end(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    if (kill(getpid(), SIGTERM) < 0)
        return -errno;
    while (srun_sleep_ms(ctx, -1) == 0)
        ;
    return 0;
}

static int setup_with_a_signal(srun_runner *runner, void *user, srun_err *err)
{
    int rc = world_setup(runner, user, err);
    return rc < 0 ? rc : srun_serve(runner, "end", ask_for_the_end, NULL, err);
}

static void run_in_child(bool lasting)
{
    struct leftovers before;
    struct srun_config config = world_config(quiet);
    char *argv[] = {"world", "--number=2", NULL};
    long blocks = fault_blocks();
    config.signals.disabled = 0;
    if (lasting)
        config.timeouts.stop_ms = config.timeouts.ready_ms = config.timeouts.stuck_grace_ms = 100;
    (void)dup2(quiet, STDERR_FILENO); /* what is reported there is meant */
    world_begin();
    leftovers_look(&before);
    scenario_arm();
    int code = srun_main(2, argv, &config, setup_with_a_signal, NULL);
    report->failed = scenario_disarm();
    report->lost_blocks = fault_blocks() - blocks;
    report->finished = true;
    (void)snprintf(report->name, sizeof report->name, "%s", fault_name());
    if (leftovers_none(&before, report->wrong, sizeof report->wrong) &&
        world_is_in_order(report->wrong, sizeof report->wrong))
        report->wrong[0] = '\0';
    _exit(code);
}

/* Forks, and returns the exit code. */
static int run_child(bool lasting)
{
    int status;
    memset(report, 0, sizeof *report);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        run_in_child(lasting);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d: %s", WTERMSIG(status), scenario_point());
    if (!report->finished || report->failed > 0)
        scenario_failed_elsewhere(report->finished ? report->name : "something");
    return WEXITSTATUS(status);
}

static void main_fails_once(void *arg)
{
    (void)arg;
    int code = run_child(false);
    SCENARIO_ASSERT(report->finished, "it left with %d", code);
    SCENARIO_ASSERT(code == 0 || (report->failed > 0 && code == 1), "%d", code);
    SCENARIO_ASSERT(report->wrong[0] == '\0', "%s", report->wrong);
    SCENARIO_ASSERT(report->lost_blocks == 0, "%ld", report->lost_blocks);
}

/* A thread that can never be made may leave a stop undone; then the process says so, and goes. */
static void main_fails_from_then_on(void *arg)
{
    (void)arg;
    int code = run_child(true);
    SCENARIO_ASSERT(code == 0 || code == 1 || code == 3 || code == 4, "%d", code);
    SCENARIO_ASSERT(report->finished || code == 4, "it left with %d", code);
    SCENARIO_ASSERT(report->wrong[0] == '\0', "%s", report->wrong);
}

static void share_report(void)
{
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(report, MAP_FAILED);
}

START_TEST(main_answers_a_documented_exit_code)
    {
        open_quiet();
        share_report();
        scenario_each("srun_main", FAULT_SYSTEM, main_fails_once, NULL);
        close(quiet);
    }
END_TEST

START_TEST(main_ends_also_when_no_more_threads_can_be_made)
    {
        open_quiet();
        share_report();
        scenario_each_lasting("srun_main, no more threads", FAULT_THREAD, main_fails_from_then_on,
                              NULL);
        close(quiet);
    }
END_TEST

START_TEST(main_ends_also_when_there_is_no_more_memory)
    {
        open_quiet();
        share_report();
        scenario_each_lasting("srun_main, no more memory", FAULT_MEMORY, main_fails_from_then_on,
                              NULL);
        close(quiet);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    return HARNESS("fault.run", lives_on_a_virtual_clock_without_memory,
                   lives_on_a_virtual_clock_without_descriptors,
                   counts_a_thread_that_cannot_be_made_as_a_failed_start,
                   does_not_notice_interruptions, starts_at_the_second_attempt,
                   lives_in_a_loop_without_memory_or_descriptors, lives_in_a_loop_without_threads,
                   main_answers_a_documented_exit_code,
                   main_ends_also_when_no_more_threads_can_be_made,
                   main_ends_also_when_there_is_no_more_memory);
}
