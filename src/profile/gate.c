/* SPDX-License-Identifier: MIT */
#include "profile/gate.h"

#include "base/proc.h"
#include "base/symbol.h"
#include "base/thread.h"
#include "profile/cpu.h"
#include "profile/threads.h"
#include "profile/timers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next two */
static unsigned users;
static struct sigaction before;
static _Atomic unsigned inside; /* handlers that run */

/* There when the thread sanitizer is in the program. */
extern void __tsan_init(void) __attribute__((weak));

/* What comes from elsewhere (kill, a timer of the program) is nobody's here. */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    int error = errno;
    atomic_fetch_add(&inside, 1);
    if (timers_sent(info))
        cpu_on_timer(info, context);
    else if (info->si_code == SI_QUEUE && info->si_pid == getpid())
        threads_on_question(info, context);
    atomic_fetch_sub(&inside, 1);
    errno = error;
}

static bool is_free(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) == 0 &&
           (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

static int refuse(const struct sigaction *action, srun_err *err)
{
    char text[160];
    symbol_describe((const void *)(uintptr_t)action->sa_handler, text, sizeof text);
    return srun_fail(err, -EBUSY,
                     "SIGPROF is taken: the program has a handler of its own for it, %s", text);
}

static int install_locked(srun_err *err)
{
    /* Restarts what it interrupts, and keeps off small stacks where the thread has another one. */
    struct sigaction ours = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_RESTART | (int)SA_ONSTACK};
    thread_block_in_handler(&ours.sa_mask); /* gate_settle waits for its end */
    if (&__tsan_init != NULL)
        return srun_fail(err, -ENOTSUP,
                         "no profiles under the thread sanitizer: it holds signals back");
    if (sigaction(GATE_SIGNAL, NULL, &before) < 0)
        return srun_fail(err, -errno, "sigaction: %m");
    if (!is_free(&before))
        return refuse(&before, err);
    if (sigaction(GATE_SIGNAL, &ours, NULL) < 0)
        return srun_fail(err, -errno, "sigaction: %m");
    return 0;
}

int gate_open(srun_err *err)
{
    pthread_mutex_lock(&lock);
    int rc = users == 0 ? install_locked(err) : 0;
    users += rc == 0;
    pthread_mutex_unlock(&lock);
    return rc;
}

/* A signal that is still on its way would end the program once the default action is back: ignored
 * for a moment, it is thrown away. */
static void remove_locked(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction now;
    if (sigaction(GATE_SIGNAL, NULL, &now) < 0 || now.sa_sigaction != on_signal)
        return; /* the program has taken it meanwhile */
    (void)sigaction(GATE_SIGNAL, &ignore, NULL);
    (void)sigaction(GATE_SIGNAL, &before, NULL);
}

void gate_close(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0)
        remove_locked();
    pthread_mutex_unlock(&lock);
    gate_settle();
}

void gate_settle(void)
{
    while (atomic_load(&inside) > 0)
        proc_wait_a_moment();
}

bool gate_is_blocked_by(int tid)
{
    static const char field[] = "\nSigBlk:\t";
    char status[PROC_STATUS_MAX];
    proc_thread_status(tid, status);
    const char *at = strstr(status, field);
    return at != NULL &&
           (strtoull(at + sizeof field - 1, NULL, 16) & (1ULL << (GATE_SIGNAL - 1))) != 0;
}
