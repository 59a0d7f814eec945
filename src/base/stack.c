/* SPDX-License-Identifier: MIT
 *
 * One request at a time: the asker fills `request`, sends the signal, and waits on a semaphore.
 * The handler of the thread asked for unwinds into it. While an answer that was begun is late,
 * nobody else is asked. The handler keeps errno, takes no lock, and allocates nothing (glibc's
 * backtrace is lock-free once libgcc is loaded, which stack_acquire sees to). It runs on the
 * thread's alternate stack, if there is one: its own may be small, and nearly used up.
 *
 * A thread that sleeps and blocks the signal is not asked: waiting for it would hold up the asker.
 * One that is awake may block it for a moment only, as each does in the handler itself.
 */
#include "base/stack.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/libc.h"
#include "base/proc.h"
#include "base/symbol.h"
#include "base/thread.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIGNAL SIGURG
#define STACK_SIGNAL_BIT (1ULL << (STACK_SIGNAL - 1))
#define ANSWER_LIMIT_S 1 /* a busy machine may take its time; most answer at once */
#define ANSWER_LIMIT (ANSWER_LIMIT_S * NS_PER_S)

#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static bool installed;
static struct sigaction before;
static bool owed; /* somebody has begun to answer and was not waited for: ask nobody else before */

static struct {
    _Atomic int tid; /* whom it is for; 0 = nobody. Taken by the one that answers */
    _Atomic bool filled;
    sem_t answered;
    void *frames[STACK_FRAMES];
    int count;
} request;

static void on_signal(int signo)
{
    (void)signo;
    int error = errno, self = gettid();
    if (atomic_compare_exchange_strong(&request.tid, &self, 0)) {
        request.count = backtrace(request.frames, STACK_FRAMES);
        atomic_store(&request.filled, true);
        (void)sem_post(&request.answered);
    }
    errno = error;
}

void stack_acquire(void)
{
    pthread_mutex_lock(&lock);
    if (users++ == 0) {
        void *warm[2];
        (void)backtrace(warm, 2);
        (void)sem_init(&request.answered, 0, 0);
        struct sigaction ours = {.sa_handler = on_signal, .sa_flags = (int)SA_ONSTACK};
        thread_block_in_handler(&ours.sa_mask); /* what it has begun, it ends */
        (void)sigaction(STACK_SIGNAL, NULL, &before);
        installed = before.sa_handler == SIG_DFL && sigaction(STACK_SIGNAL, &ours, NULL) == 0;
    }
    pthread_mutex_unlock(&lock);
}

void stack_release(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0 && installed) {
        struct sigaction now;
        bool ours = sigaction(STACK_SIGNAL, NULL, &now) == 0 && now.sa_handler == on_signal;
        if (ours) /* else the program has taken it meanwhile */
            (void)sigaction(STACK_SIGNAL, &before, NULL);
        installed = false;
    }
    pthread_mutex_unlock(&lock);
}

void stack_interrupt(pthread_t thread)
{
    pthread_mutex_lock(&lock);
    if (installed)
        (void)pthread_kill(thread, STACK_SIGNAL);
    pthread_mutex_unlock(&lock);
}

static size_t append(char *out, size_t size, size_t used, const char *text)
{
    int length = snprintf(out + used, size - used, "%s", text);
    size_t sum = used + (length > 0 ? (size_t)length : 0);
    return sum < size ? sum : size - 1;
}

void stack_format(void *const *frames, int count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        char text[160];
        symbol_describe(frames[i], text, sizeof text);
        if (i > 0)
            used = append(out, size, used, " < ");
        used = append(out, size, used, text);
    }
}

/* What the kernel says of a thread; when it says nothing: awake, and blocks nothing. */
static void look_at(int tid, bool *blocks, bool *sleeps)
{
    static const char state[] = "\nState:\t", blocked[] = "\nSigBlk:\t";
    char status[PROC_STATUS_MAX];
    proc_thread_status(tid, status);
    const char *at = strstr(status, state);
    *sleeps = at != NULL && at[sizeof state - 1] == 'S';
    at = strstr(status, blocked);
    *blocks = at != NULL && (strtoull(at + sizeof blocked - 1, NULL, 16) & STACK_SIGNAL_BIT) != 0;
}

static void describe_from_outside(int tid, const char *why, char *out, size_t size)
{
    char call[128], channel[64];
    proc_thread_file(tid, "syscall", call, sizeof call);
    proc_thread_file(tid, "wchan", channel, sizeof channel);
    call[strcspn(call, "\n")] = '\0';
    (void)snprintf(out, size, "no answer%s; syscall %s, waits in %s", why,
                   call[0] != '\0' ? call : "unknown", channel[0] != '\0' ? channel : "unknown");
}

static bool wait_for_answer(int64_t limit)
{
    int64_t until = clock_real_now() + limit;
    struct timespec at = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    int rc;
    do
        rc = sem_clockwait(&request.answered, CLOCK_MONOTONIC, &at);
    while (rc < 0 && errno == EINTR);
    return rc == 0 && atomic_exchange(&request.filled, false);
}

/* The frames of this file's handler and of the signal trampoline say nothing. */
#define HANDLER_FRAMES 2

/* NULL: the frames are there. Otherwise what "no answer" is followed by. */
static const char *capture_locked(pthread_t thread, int tid)
{
    static const char deaf[] = " (it blocks SIGURG)";
    static const char late[] = " within " TEXT_OF(ANSWER_LIMIT_S) "s";
    if (owed && wait_for_answer(0))
        owed = false;
    if (!installed)
        return " (the program uses SIGURG)";
    if (owed)
        return " (another thread still owes one)";
    bool blocks, sleeps;
    look_at(tid, &blocks, &sleeps);
    if (blocks && sleeps)
        return deaf;
    atomic_store(&request.tid, tid);
    if (pthread_kill(thread, STACK_SIGNAL) == 0 && wait_for_answer(ANSWER_LIMIT))
        return NULL;
    int expected = tid;
    if (atomic_compare_exchange_strong(&request.tid, &expected, 0)) { /* nobody will answer now */
        look_at(tid, &blocks, &sleeps);
        return blocks ? deaf : late;
    }
    owed = !wait_for_answer(ANSWER_LIMIT); /* it had begun to: it has no lock to wait for */
    return owed ? late : NULL;
}

void stack_describe(pthread_t thread, int tid, char *out, size_t size)
{
    pthread_mutex_lock(&lock);
    const char *why = capture_locked(thread, tid);
    if (why != NULL)
        describe_from_outside(tid, why, out, size);
    else if (request.count > HANDLER_FRAMES)
        stack_format(request.frames + HANDLER_FRAMES, request.count - HANDLER_FRAMES, out, size);
    else
        (void)snprintf(out, size, "empty");
    pthread_mutex_unlock(&lock);
}
