/* SPDX-License-Identifier: MIT
 *
 * The threads that export telemetry: they leave signals to the program, but can be profiled, and
 * the handler that a program has for SIGPROF does not run in them.
 */
#include "profile/cpu.h"
#include "profile/gate.h"
#include "profile/names.h"
#include "profile/threads.h"
#include "tracing.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define HELD_BACK 1
#else
#define HELD_BACK 0
#endif

static void on_prof(int signo)
{
    (void)signo;
}

/* An exporter that says in which thread it is, and works there until it is told to stop. */
static struct telemetry_exporter busy;
static _Atomic int exporting; /* the thread */
static atomic_bool enough;
static sigset_t mask;
static int tell_fd = -1; /* who waits until it has worked for a while, seen by a profile */

static bool is_profiled(void)
{
    struct sigaction now;
    return sigaction(SIGPROF, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

static int64_t worked_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* For half a second of its own time, however long that takes. */
static void work_under_a_profile(void)
{
    while (!is_profiled())
        ;
    for (int64_t end = worked_ns() + NS_PER_S / 2; worked_ns() < end;)
        ;
    (void)!write(tell_fd, "x", 1);
}

__attribute__((noinline)) static void export_busily(struct telemetry_exporter *exporter,
                                                    const struct telemetry_span *spans,
                                                    size_t count, int64_t deadline_ns,
                                                    struct telemetry_result *out)
{
    (void)exporter, (void)spans, (void)deadline_ns;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    atomic_store(&exporting, gettid());
    if (tell_fd >= 0)
        work_under_a_profile();
    while (!atomic_load(&enough))
        ;
    *out = (struct telemetry_result){.accepted = count};
}

static void free_none(struct telemetry_exporter *exporter)
{
    (void)exporter;
}

static bool is_exporting(void *arg)
{
    (void)arg;
    return atomic_load(&exporting) != 0;
}

static void begin_export(void)
{
    struct traces_options options = traces_defaults();
    srun_err err = {0};
    busy = (struct telemetry_exporter){.spans = export_busily, .free = free_none};
    options.exporter = &busy;
    options.batch = 1;
    ck_assert_msg(traces_open(&traces, &options, &err) == 0, "%s", err.text);
    tracer = traces_tracer(traces, &(struct telemetry_scope){.name = "test"});
    srun_span span = srun_span_start(tracer, "s", NULL);
    srun_span_end(&span);
    ck_assert(harness_wait(is_exporting, NULL, 10000));
}

static void end_export(void)
{
    atomic_store(&enough, true);
    (void)traces_shutdown(traces, soon(10000));
    traces = traces_free(traces);
    ck_assert_ptr_null(traces);
}

/* Faults are reported on whatever thread they come. */
static bool is_fault(int signo)
{
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE ||
           signo == SIGABRT || signo == SIGTRAP || signo == SIGSYS;
}

START_TEST(leave_all_signals_but_faults_and_one_to_the_program)
    {
        begin_export();
        ck_assert(!gate_is_blocked_by(atomic_load(&exporting)));
        ck_assert_int_eq(sigismember(&mask, SIGPROF), 0);
        for (int signo = 1; signo < SIGRTMAX; signo++)
            if (signo != SIGPROF && signo != SIGKILL && signo != SIGSTOP &&
                (signo < 32 || signo >= SIGRTMIN))
                ck_assert_msg(sigismember(&mask, signo) == !is_fault(signo), "signal %d", signo);
        end_export();
    }
END_TEST

static bool is_late(const struct threads *threads)
{
    bool late = false;
    for (size_t i = 0; i < threads->count; i++)
        late |= threads->all[i].tid == atomic_load(&exporting) && threads->all[i].silent != NULL &&
                strstr(threads->all[i].silent, "within") != NULL;
    return late;
}

START_TEST(say_what_they_do)
    {
        struct threads threads = {0};
        srun_err err = {0};
        bool found = false;
        begin_export();
        do { /* one that lacks a processor may not answer in time */
            threads_free(&threads);
            ck_assert_msg(threads_ask(-1, &threads, &err) == 0, "%s", err.text);
        } while (is_late(&threads));
        for (size_t i = 0; i < threads.count; i++) {
            const struct thread_stack *stack = &threads.all[i];
            if (stack->tid != atomic_load(&exporting))
                continue;
            found = true;
            ck_assert_str_eq(stack->name, "srun:spans");
            ck_assert_msg(stack->silent == NULL, "%s", stack->silent);
            ck_assert_uint_gt(stack->depth, 2);
        }
        ck_assert(found);
        threads_free(&threads);
        end_export();
    }
END_TEST

START_TEST(are_sampled)
    {
        struct profile profile;
        srun_err err = {0};
        uint64_t samples = 0;
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        const struct cpu_ask ask = {.span_ns = 60 * NS_PER_S, .hz = 100, .cancel_fd = ends[0]};
        tell_fd = ends[1];
        begin_export();
        ck_assert_msg(cpu_profile(&ask, &profile, &err) == 0, "%s", err.text);
        for (size_t i = 0; i < profile.stacks.count; i++) {
            const struct stack *stack = &profile.stacks.all[i];
            if (strcmp(profile.stacks.names[stack->name], "srun:spans") == 0)
                samples += stack->values[0];
        }
        ck_assert_uint_gt(samples, 0);
        ck_assert_ptr_null(strstr(profile.remarks.data, "block SIGPROF"));
        profile_free(&profile);
        end_export();
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
END_TEST

START_TEST(do_not_run_the_handler_of_the_program)
    {
        ck_assert(signal(SIGPROF, on_prof) == SIG_DFL);
        begin_export();
        ck_assert(gate_is_blocked_by(atomic_load(&exporting)));
        end_export();
    }
END_TEST

/* Who waits for the signal with sigwait has it blocked everywhere: a thread that let it in would
 * have the default action done, which ends the program. */
START_TEST(keep_it_blocked_when_they_were_made_so)
    {
        sigset_t prof, pending;
        (void)sigemptyset(&prof);
        (void)sigaddset(&prof, SIGPROF);
        ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &prof, NULL), 0);
        begin_export();
        ck_assert(gate_is_blocked_by(atomic_load(&exporting)));
        ck_assert_int_eq(kill(getpid(), SIGPROF), 0);
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert_int_eq(sigismember(&pending, SIGPROF), 1);
        end_export();
    }
END_TEST

int main(void)
{
    if (HELD_BACK)
        return HARNESS("profile_own", leave_all_signals_but_faults_and_one_to_the_program,
                       do_not_run_the_handler_of_the_program,
                       keep_it_blocked_when_they_were_made_so);
    return HARNESS("profile_own", leave_all_signals_but_faults_and_one_to_the_program,
                   say_what_they_do, are_sampled, do_not_run_the_handler_of_the_program,
                   keep_it_blocked_when_they_were_made_so);
}
