/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/ensure.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

int thread_start(pthread_t *out, size_t stack_bytes, void *(*body)(void *), void *arg)
{
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return -rc;
    if (stack_bytes != 0) {
        const size_t page = 4096, smallest = (size_t)PTHREAD_STACK_MIN;
        size_t pages = stack_bytes / page + (stack_bytes % page != 0);
        stack_bytes = pages > SIZE_MAX / page ? SIZE_MAX / page * page : pages * page;
        rc =
            pthread_attr_setstacksize(&attributes, stack_bytes < smallest ? smallest : stack_bytes);
    }
    if (rc == 0)
        rc = pthread_create(out, &attributes, body, arg);
    (void)pthread_attr_destroy(&attributes);
    return -rc;
}

/* A fault that is blocked ends the process all the same, but without the handler's report. */
static void let_faults_in(sigset_t *blocked)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigdelset(blocked, faults[i]);
}

/* Whoever blocks SIGPROF everywhere, to fetch it with sigwait, would be killed by a thread that
 * lets it in; so it stays as it is. A handler is looked for here, not by the new thread: it may get
 * to run so late that a profile has begun and the handler is ours. */
int thread_start_deaf(pthread_t *out, void *(*body)(void *), void *arg)
{
    struct sigaction now;
    sigset_t blocked, before;
    (void)sigfillset(&blocked);
    let_faults_in(&blocked);
    bool known = sigaction(SIGPROF, NULL, &now) == 0;
    if (known && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN))
        (void)sigdelset(&blocked, SIGPROF);
    (void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
    int rc = thread_start(out, 0, body, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void thread_block_in_handler(sigset_t *out)
{
    memset(out, 0xff, sizeof *out); /* sigfillset leaves out the signal of pthread_cancel */
    let_faults_in(out);
}

void thread_name_self(const char *name)
{
    char text[16];
    (void)snprintf(text, sizeof text, THREAD_NAMES "%.10s", name); /* cut on purpose */
    (void)pthread_setname_np(pthread_self(), text);                /* a name is a nicety */
}

#if defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
/* musl has no pthread_clockjoin_np; this sanitizer does not know it, and would take the thread for
 * a leak. */
static int join_until(pthread_t thread, int64_t until_ns)
{
    const struct timespec moment = timespec_of(NS_PER_MS);
    int rc;
    while ((rc = pthread_tryjoin_np(thread, NULL)) == EBUSY && clock_real_now() < until_ns)
        (void)nanosleep(&moment, NULL);
    return rc == EBUSY ? ETIMEDOUT : rc;
}
#else
static int join_until(pthread_t thread, int64_t until_ns)
{
    const struct timespec until = timespec_of(until_ns);
    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until);
}
#endif

int thread_join(pthread_t thread, int64_t limit_ns)
{
    return -join_until(thread, clock_real_now() + limit_ns);
}

bool thread_part_with(pthread_t thread, bool ends, int64_t limit_ns)
{
    if (ends && thread_join(thread, limit_ns) == 0)
        return true;
    (void)pthread_detach(thread);
    return false;
}

int thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int rc = pthread_condattr_init(&attributes);
    if (rc != 0)
        return -rc;
    rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return -rc;
}

bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
    if (until_ns == INT64_MAX)
        return pthread_cond_wait(cond, lock) == 0;
    struct timespec until = timespec_of(until_ns);
    int rc = pthread_cond_timedwait(cond, lock, &until);
    ENSURE(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}
