/* SPDX-License-Identifier: MIT
 *
 * The signal and the timers of profiles beside what a program does with its own: other handlers,
 * timers, threads that end, forks.
 */
#include "base/duration.h"
#include "base/ensure.h"
#include "harness.h"
#include "profile/cpu.h"
#include "profile/gate.h"
#include "profile/timers.h"
#include "profiling.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define HELD_BACK 1
#else
#define HELD_BACK 0
#endif

static struct profile take(int64_t span_ns, unsigned hz)
{
    struct profile profile;
    srun_err err = {0};
    const struct cpu_ask ask = {span_ns, hz, -1};
    ck_assert_msg(cpu_profile(&ask, &profile, &err) == 0, "%s", err.text);
    return profile;
}

/* --- the signal ------------------------------------------------------------------------------ */

/* Whoever leaves it by another way, with siglongjmp or a cancellation, would be waited for. */
START_TEST(lets_no_signal_into_its_handler_but_faults)
    {
        static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
        struct sigaction now;
        ck_assert_int_eq(gate_open(NULL), 0);
        ck_assert_int_eq(sigaction(SIGPROF, NULL, &now), 0);
        gate_close();
        unsigned blocked = 0;
        for (int signo = 1; signo <= SIGRTMAX; signo++) /* 32 is that of pthread_cancel */
            blocked += sigismember(&now.sa_mask, signo) == 1;
        for (size_t i = 0; i < COUNT_OF(faults); i++)
            ck_assert_int_eq(sigismember(&now.sa_mask, faults[i]), 0);
        ck_assert_uint_eq(blocked, (unsigned)SIGRTMAX - COUNT_OF(faults) - 2); /* KILL, STOP */
        ck_assert_int_eq(sigismember(&now.sa_mask, 32), 1);
    }
END_TEST

START_TEST(takes_no_timer_of_the_program_for_its_own)
    {
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
        const struct itimerspec often = {{.tv_nsec = NS_PER_MS}, {.tv_nsec = NS_PER_MS}};
        ck_assert(signal(SIGPROF, SIG_IGN) == SIG_DFL);
        ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
        ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
        struct profile profile = take(300 * NS_PER_MS, 1);
        ck_assert_int_eq(timer_delete(timer), 0);
        uint64_t samples = 0;
        for (size_t i = 0; i < profile.stacks.count; i++)
            samples += profile.stacks.all[i].values[0];
        ck_assert_uint_le(samples, 1);
        profile_free(&profile);
    }
END_TEST

/* --- timers ---------------------------------------------------------------------------------- */

static void *wait_to_read(void *arg)
{
    char byte;
    while (read(*(int *)arg, &byte, 1) < 0)
        ;
    return NULL;
}

/* The first list without a thread may be wrong: the kernel may leave one out that lives. */
START_TEST(keeps_the_timer_of_a_thread_that_one_list_leaves_out)
    {
        pthread_t thread;
        int pipe_of[2];
        struct timers timers = {.period_ns = 1000000 * NS_PER_S}; /* it never fires */
        ck_assert_int_eq(pipe(pipe_of), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_to_read, &pipe_of[0]), 0);
        ck_assert_int_eq(timers_update(&timers), 0);
        size_t before = timers.count;
        (void)close(pipe_of[1]);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        bool armed = false;
        while (timers.all[before - 1].missed == 0) { /* the kernel's list may still have it */
            armed = timers.all[before - 1].armed;    /* then perhaps no longer */
            ck_assert_int_eq(timers_update(&timers), 0);
        }
        ck_assert_uint_eq(timers.count, before);
        ck_assert(timers.all[before - 1].armed == armed);
        ck_assert_int_eq(timers_update(&timers), 0);
        ck_assert_uint_eq(timers.count, before - 1);
        timers_stop(&timers);
        (void)close(pipe_of[0]);
    }
END_TEST

/* --- forks ----------------------------------------------------------------------------------- */

static int cancel[2];

static void *take_for_long(void *arg)
{
    struct buf out = {0};
    const struct admin_profile_ask ask = {
        .what = ADMIN_CPU, .form = ADMIN_TOP, .span_ns = 300 * NS_PER_S, .cancel_fd = cancel[0]};
    ck_assert_int_eq(profiling_take(&ask, &out, NULL), 0);
    buf_free(&out);
    return arg;
}

static bool has_begun(void *arg)
{
    struct sigaction now;
    (void)arg;
    return sigaction(SIGPROF, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

/* What a child gets that asks for a profile: it leaves with 0, or with the error. */
static int take_in_child(void)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct buf out = {0};
        const struct admin_profile_ask ask = {
            .what = ADMIN_CPU, .form = ADMIN_TOP, .span_ns = NS_PER_MS, .cancel_fd = -1};
        int rc = profiling_take(&ask, &out, NULL);
        buf_free(&out);
        _exit(-rc);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

START_TEST(refuses_a_profile_in_a_child_whose_parent_was_taking_one)
    {
        pthread_t other;
        ck_assert_int_eq(pipe(cancel), 0);
        ck_assert_int_eq(take_in_child(), 0);
        ck_assert_int_eq(pthread_create(&other, NULL, take_for_long, NULL), 0);
        ck_assert(harness_wait(has_begun, NULL, 10000));
        ck_assert_int_eq(take_in_child(), -ENOTSUP);
        ck_assert_int_eq(write(cancel[1], "x", 1), 1);
        ck_assert_int_eq(pthread_join(other, NULL), 0);
        ck_assert_int_eq(take_in_child(), 0);
        (void)close(cancel[0]);
        (void)close(cancel[1]);
    }
END_TEST

int main(void)
{
    if (HELD_BACK)
        return HARNESS("profile_signal", keeps_the_timer_of_a_thread_that_one_list_leaves_out);
    return HARNESS("profile_signal", lets_no_signal_into_its_handler_but_faults,
                   takes_no_timer_of_the_program_for_its_own,
                   keeps_the_timer_of_a_thread_that_one_list_leaves_out,
                   refuses_a_profile_in_a_child_whose_parent_was_taking_one);
}
