/* SPDX-License-Identifier: MIT
 *
 * A runner on a virtual clock. The harness's thread is its control thread; the test's thread moves
 * the clock and waits. Signals are handed over as a value, so any number of tests share a process.
 */
#include <srun/testing.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/thread.h"
#include "runner.h"

#include <errno.h>
#include <stdlib.h>

/* In real time: for the control thread to follow the clock; for one to answer; and how long nothing
 * happens when all that are left wait for the clock. Who is on his way, and only lacks a processor,
 * is no rest: he has the first of them. */
#define SETTLE_LIMIT (10 * NS_PER_S)
#define MOMENT_MS 10
#define REST (300 * NS_PER_MS)

#define END_OF_TIME (INT64_MAX / 2) /* what waits for ever is not due by then */

enum gate { GATE_SHUT, GATE_OPEN, GATE_NO_ENTRY };

struct srun_test {
    srun_runner *runner;
    pthread_t control;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    enum gate gate;       /* the control thread waits before it */
    pthread_cond_t turned;
    uint64_t asked, answered; /* pokes of the control thread, and those it has acted on */
    int64_t wake;             /* when the control thread is due, after the last turn */
    int signo;                /* to be handed over, 0 = none */
    bool over;
};

/* False when there is nothing to control. */
static bool pass_gate(srun_test *test)
{
    pthread_mutex_lock(&test->lock);
    while (test->gate == GATE_SHUT)
        (void)pthread_cond_wait(&test->turned,
                                &test->lock); /* as long as srun_runner_start takes */
    bool open = test->gate == GATE_OPEN;
    pthread_mutex_unlock(&test->lock);
    return open;
}

static void set_gate(srun_test *test, enum gate gate)
{
    pthread_mutex_lock(&test->lock);
    test->gate = gate;
    pthread_cond_broadcast(&test->turned);
    pthread_mutex_unlock(&test->lock);
}

static void *control_main(void *arg)
{
    srun_test *test = arg;
    thread_name_self("control");
    bool alive = pass_gate(test);
    while (alive) {
        pthread_mutex_lock(&test->lock);
        uint64_t asked = test->asked;
        int signo = test->signo;
        test->signo = 0;
        pthread_mutex_unlock(&test->lock);

        if (signo != 0)
            control_signal(test->runner, signo, 0, false);
        alive = control_turn(test->runner, 0) > 0;

        pthread_mutex_lock(&test->lock);
        test->answered = asked;
        bool asked_since = test->asked != asked; /* the turn may have taken its event */
        test->wake = control_wake(test->runner);
        test->over = !alive;
        pthread_cond_broadcast(&test->turned);
        pthread_mutex_unlock(&test->lock);
        if (alive && !asked_since)
            fd_poller_await(test->runner->poller);
    }
    return NULL;
}

/* Makes the control thread take a turn, and waits until it has. */
static void poke(srun_test *test)
{
    int64_t until = clock_real_now() + SETTLE_LIMIT;
    pthread_mutex_lock(&test->lock);
    uint64_t mine = ++test->asked;
    fd_event_raise(test->runner->inbox.event);
    while (!test->over && test->answered < mine &&
           thread_cond_wait_until(&test->turned, &test->lock, until))
        ;
    pthread_mutex_unlock(&test->lock);
}

int srun_test_new(srun_test **out, const struct srun_config *config, srun_err *err)
{
    srun_test *test = calloc(1, sizeof *test);
    if (test == NULL)
        return srun_fail(err, -ENOMEM, "test: out of memory");
    int rc = runner_new(&test->runner, config, true, err);
    if (rc < 0) {
        free(test);
        return rc;
    }
    test->wake = SEQUENCE_NEVER;
    (void)pthread_mutex_init(&test->lock, NULL);
    (void)thread_cond_init(&test->turned);
    *out = test;
    return 0;
}

srun_runner *srun_test_runner(srun_test *test)
{
    return test->runner;
}

int srun_test_start(srun_test *test, srun_err *err)
{
    if (test->started)
        return srun_fail(err, SRUN_ESTATE, "test: started before");
    /* The thread first: a runner that has started cannot be left without one. */
    set_gate(test, GATE_SHUT);
    int rc = thread_start(&test->control, 0, control_main, test);
    if (rc < 0)
        return srun_fail(err, rc, "test: thread: %s", srun_strerror(rc));
    rc = srun_runner_start(test->runner, err);
    test->started = rc == 0;
    set_gate(test, test->started ? GATE_OPEN : GATE_NO_ENTRY);
    if (!test->started)
        (void)thread_join(test->control, SETTLE_LIMIT);
    return rc;
}

/* Waits until a state has changed since *seen; false when the time is over. */
static bool wait_for_change(srun_runner *runner, uint64_t *seen, int64_t until)
{
    bool in_time = true;
    pthread_mutex_lock(&runner->lock);
    while (in_time && runner->changes == *seen)
        in_time = thread_cond_wait_until(&runner->changed, &runner->lock, until);
    *seen = runner->changes;
    pthread_mutex_unlock(&runner->lock);
    return in_time;
}

int srun_test_wait_state(srun_test *test, const char *service, srun_state state, int64_t limit_ms,
                         srun_err *err)
{
    srun_runner *runner = test->runner;
    int64_t until = clock_after_ms(clock_real_now(), limit_ms);
    uint64_t seen = 0;
    int now;
    do
        now = srun_runner_state(runner, service);
    while (now >= 0 && now != (int)state && wait_for_change(runner, &seen, until));
    if (now < 0)
        return srun_fail(err, now, "test: no service is named %s", service);
    if (now != (int)state)
        return srun_fail(err, -ETIMEDOUT, "test: service %s is %s, not %s", service,
                         srun_state_name((srun_state)now), srun_state_name(state));
    return 0;
}

/* The next time at which a sleeping service is due. */
static int64_t sleepers_due(const srun_runner *runner)
{
    int64_t due = SEQUENCE_NEVER;
    for (unsigned i = 0; i < runner->count; i++) {
        int64_t life = context_sleeps_until(&runner->services[i]->life);
        int64_t stopping = context_sleeps_until(&runner->services[i]->stopping);
        due = life < due ? life : due;
        due = stopping < due ? stopping : due;
    }
    return due;
}

/* The next time at which somebody is due: the control thread, or a sleeping service. */
static int64_t next_due(srun_test *test)
{
    pthread_mutex_lock(&test->lock);
    int64_t due = test->started && !test->over ? test->wake : SEQUENCE_NEVER;
    pthread_mutex_unlock(&test->lock);
    int64_t sleepers = sleepers_due(test->runner);
    return sleepers < due ? sleepers : due;
}

/* Health checks that are in flight come home before the clock moves on, unless they wait for the
 * clock, or have been waited for once. */
static void settle_checks(srun_test *test)
{
    int64_t now = clock_real_now(), since = now, limit = now + SETTLE_LIMIT;
    if (!test->started)
        return;
    poke(test);
    while (checkup_is_busy(test->runner, now >= since + REST)) {
        proc_wait_a_moment();
        poke(test);
        now = clock_real_now();
        if (now < limit && proc_works(THREAD_NAMES "ops"))
            since = now;
    }
}

static void move_clock(srun_test *test, int64_t to)
{
    srun_runner *runner = test->runner;
    atomic_store(&runner->clock.virtual_ns, to);
    int64_t limit = clock_real_now() + SETTLE_LIMIT;
    for (unsigned i = 0; i < runner->count; i++) {
        context_wake(&runner->services[i]->life);
        context_wake(&runner->services[i]->stopping);
    }
    for (unsigned i = 0; i < runner->count; i++) {
        context_settle(&runner->services[i]->life, limit);
        context_settle(&runner->services[i]->stopping, limit);
    }
    if (test->started)
        poke(test);
}

void srun_test_advance_ms(srun_test *test, int64_t ms)
{
    int64_t now = clock_now(&test->runner->clock), target = clock_after_ms(now, ms);
    target = target < END_OF_TIME ? target : END_OF_TIME;
    settle_checks(test); /* what has happened so far happens before the clock moves */
    while (now < target) {
        int64_t due = next_due(test);
        now = due > now && due < target ? due : target;
        move_clock(test, now);
        settle_checks(test);
    }
}

int64_t srun_test_now_ms(const srun_test *test)
{
    return clock_now(&test->runner->clock) / NS_PER_MS;
}

int srun_test_signal(srun_test *test, int signo)
{
    if (signo != SIGTERM && signo != SIGINT && signo != SIGQUIT && signo != SIGHUP)
        return -EINVAL;
    if (!test->started)
        return SRUN_ESTATE;
    pthread_mutex_lock(&test->lock);
    test->signo = signo;
    pthread_mutex_unlock(&test->lock);
    poke(test);
    return 0;
}

int srun_test_finish(srun_test *test, int64_t limit_ms)
{
    int64_t until = clock_after_ms(clock_real_now(), limit_ms);
    if (!test->started)
        return SRUN_ESTATE;
    pthread_mutex_lock(&test->lock);
    while (!test->over && thread_cond_wait_until(&test->turned, &test->lock, until))
        ;
    bool over = test->over;
    pthread_mutex_unlock(&test->lock);
    return over ? srun_runner_exit_code(test->runner) : -ETIMEDOUT;
}

/* Waits until the run is over, or no state has changed for a while. */
static void wait_for_rest(srun_test *test, int64_t limit)
{
    uint64_t seen = 0;
    int64_t since = clock_real_now(), now = since;
    while (now - since < REST && srun_test_finish(test, MOMENT_MS) == -ETIMEDOUT) {
        now = clock_real_now();
        if (wait_for_change(test->runner, &seen, now) || (now < limit && proc_works(THREAD_NAMES)))
            since = now;
    }
}

/* Asks for the end and goes from one due time to the next. A service that sleeps and is due gets a
 * moment of real time to answer before the next one comes. Before a limit passes there is more of
 * it: on a busy machine, who only has to get to run would overrun it. */
static void end_by_all_means(srun_test *test)
{
    int64_t limit = clock_real_now() + SETTLE_LIMIT;
    (void)srun_runner_shutdown(test->runner, 0, "the test is over");
    for (int i = 0; i < 1000 && srun_test_finish(test, MOMENT_MS) == -ETIMEDOUT; i++) {
        if (next_due(test) < sleepers_due(test->runner))
            wait_for_rest(test, limit);
        int64_t now = clock_now(&test->runner->clock), due = next_due(test);
        if (due != SEQUENCE_NEVER && due > now)
            move_clock(test, due);
        else
            poke(test);
    }
}

srun_test *srun_test_free(srun_test *test)
{
    if (test == NULL)
        return NULL;
    if (test->started) {
        end_by_all_means(test);
        if (thread_join(test->control, SETTLE_LIMIT) < 0)
            return NULL; /* it still uses all this */
    }
    (void)srun_runner_free(test->runner);
    (void)pthread_cond_destroy(&test->turned);
    (void)pthread_mutex_destroy(&test->lock);
    free(test);
    return NULL;
}
