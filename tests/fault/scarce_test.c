/* SPDX-License-Identifier: MIT
 *
 * Not pretended: a process that may have no more threads, memory or descriptors. And what happens
 * when they lack at the very end, when services have to be stopped.
 */
#include "leftovers.h"
#include "scenario.h"
#include "signals.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int quiet = -1; /* where logs go */

static char *wrong; /* what the child says is wrong; both see it */
enum { WRONG_SIZE = 1024 };

static void open_quiet(void)
{
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(quiet, 0);
    wrong = mmap(NULL, WRONG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(wrong, MAP_FAILED);
}

static void set_limit(int resource, rlim_t value)
{
    const struct rlimit limit = {value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0)
        _exit(99);
}

/* The limit of threads does not hold for root. */
static void no_more_threads(void)
{
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        _exit(99);
    set_limit(RLIMIT_NPROC, 0);
}

/* What is mapped now, and not enough for the stack of a thread. */
static void no_more_memory(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        _exit(99);
    (void)fclose(file);
    set_limit(RLIMIT_AS, (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + 4 * 1024 * 1024);
}

static int run_services(void)
{
    srun_runner *runner = NULL;
    srun_cause cause;
    srun_err err = {0};
    struct srun_config config = world_config(quiet);
    if (srun_runner_new(&runner, &config, &err) < 0 || world_setup(runner, NULL, &err) < 0)
        return 98;
    int code = srun_runner_run(runner);
    srun_runner_cause(runner, &cause);
    (void)srun_runner_free(runner);
    if (world_is_rolled_back(WORLD_SERVICES, wrong, WRONG_SIZE))
        wrong[0] = '\0';
    if (cause.kind != SRUN_CAUSE_SERVICE_ERROR || strcmp(cause.service, "db") != 0)
        (void)snprintf(wrong, WRONG_SIZE, "the cause is %s", cause.text);
    return code;
}

static int in_child(void (*limit)(void), int (*act)(void))
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(quiet, STDERR_FILENO);
        limit();
        _exit(act());
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

START_TEST(ends_with_1_when_the_user_may_have_no_more_threads)
    {
        open_quiet();
        ck_assert_int_eq(in_child(no_more_threads, run_services), 1);
        ck_assert_str_eq(wrong, "");
        close(quiet);
    }
END_TEST

START_TEST(ends_with_1_when_there_is_no_memory_for_a_stack)
    {
        open_quiet();
        if (harness_slowness() == 1) { /* the sanitizers map terabytes */
            ck_assert_int_eq(in_child(no_more_memory, run_services), 1);
            ck_assert_str_eq(wrong, "");
        }
        close(quiet);
    }
END_TEST

static void nothing(void) {}

/* With n descriptors to spare, for each n until it is enough. */
static int new_with_few_descriptors(void)
{
    struct srun_config config = world_config(quiet);
    int free_fd = dup(quiet);
    (void)close(free_fd);
    for (rlim_t spare = 0; spare < 16; spare++) {
        srun_runner *runner = NULL;
        srun_err err = {0};
        const struct rlimit limit = {(rlim_t)free_fd + spare, 1024};
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        int rc = srun_runner_new(&runner, &config, &err);
        (void)srun_runner_free(runner);
        if (rc == 0)
            return spare > 0 ? 0 : 97;
        if (rc != -EMFILE || err.text[0] == '\0')
            return 96;
    }
    return 95;
}

START_TEST(needs_a_few_descriptors_and_says_so)
    {
        open_quiet();
        ck_assert_int_eq(in_child(nothing, new_with_few_descriptors), 0);
        close(quiet);
    }
END_TEST

/* --- at the end ------------------------------------------------------------------------------ */

static void turn_for_ms(srun_runner *runner, int64_t ms)
{
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    int64_t end = harness_now_ms() + ms;
    while (harness_now_ms() < end && srun_runner_dispatch(runner) > 0)
        (void)poll(&wait, 1, 20);
}

static bool pool_has_threads(void)
{
    static struct leftovers now;
    leftovers_look(&now);
    for (unsigned i = 0; i < now.thread_count; i++)
        if (strcmp(now.threads[i].name, "srun:ops") == 0)
            return true;
    return false;
}

static void lack_threads_for_the_stop(void *arg)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    char text[768];
    int told;
    struct srun_config config = world_config(quiet);
    (void)arg;
    world_begin();
    ck_assert_int_eq(srun_runner_new(&runner, &config, &err), 0);
    ck_assert_int_eq(world_setup(runner, NULL, &err), 0);
    ck_assert_int_eq(srun_runner_start(runner, &err), 0);
    while (!srun_runner_is_ready(runner))
        turn_for_ms(runner, 20);
    while (pool_has_threads()) /* the idle ones leave after a while */
        turn_for_ms(runner, 20);
    scenario_arm();
    ck_assert_int_eq(srun_runner_shutdown(runner, 0, "now"), 0);
    turn_for_ms(runner, 20000 * harness_slowness());
    (void)scenario_disarm();
    SCENARIO_ASSERT(srun_runner_dispatch(runner) == 0, "it has not ended");
    SCENARIO_ASSERT(srun_runner_exit_code(runner) == 0, "%d", srun_runner_exit_code(runner));
    SCENARIO_ASSERT(world_exits(&told) == 1 && told == 0, "hooks.exited");
    (void)srun_runner_free(runner);
    bool good = world_is_rolled_back(WORLD_SERVICES, text, sizeof text);
    SCENARIO_ASSERT(good, "%s", text);
    SCENARIO_ASSERT(world_transitions() == 6 * WORLD_SERVICES, "%u", world_transitions());
}

START_TEST(stops_every_service_though_a_thread_for_it_lacks_at_first)
    {
        open_quiet();
        scenario_each("stop", FAULT_SYSTEM, lack_threads_for_the_stop, NULL);
        close(quiet);
    }
END_TEST

/* The process had a terminal; whether it still has cannot be seen without a descriptor. */
static void hang_up(void *arg)
{
    struct signals signals = {0};
    srun_err err = {0};
    int sender;
    bool lost = false;
    (void)arg;
    ck_assert_int_eq(signals_hold(&signals, true, &err), 0);
    signals.had_terminal = true;
    signals.leader = getpid(); /* whose hang-ups tell of it */
    ck_assert_int_eq(kill(getpid(), SIGHUP), 0);
    fault_arm(FAULT_DESCRIPTOR, 2, false); /* the first reads the signal */
    ck_assert_int_eq(signals_next(&signals, &sender, &lost), SIGHUP);
    ck_assert_uint_eq(fault_disarm(), 1);
    ck_assert_str_eq(fault_name(), "open");
    ck_assert(!lost);
    signals_release(&signals);
}

START_TEST(takes_no_lack_of_descriptors_for_a_lost_terminal)
    {
        hang_up(NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.scarce", ends_with_1_when_the_user_may_have_no_more_threads,
                   ends_with_1_when_there_is_no_memory_for_a_stack,
                   needs_a_few_descriptors_and_says_so,
                   stops_every_service_though_a_thread_for_it_lacks_at_first,
                   takes_no_lack_of_descriptors_for_a_lost_terminal);
}
