/* SPDX-License-Identifier: MIT */
#include "profile/timers.h"

#include "base/duration.h"
#include "base/proc.h"
#include "base/random.h"
#include "profile/gate.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const char mark; /* whose address the signals of these timers have with them */

bool timers_sent(const siginfo_t *info)
{
    return info->si_code == SI_TIMER && info->si_value.sival_ptr == &mark;
}

/* The clock of a thread by its number: pthread_getcpuclockid makes the same, of a pthread_t. */
static clockid_t clock_of(int tid)
{
    enum { PER_THREAD = 4, SCHEDULED = 2 };
    return (clockid_t)(~(unsigned)tid << 3 | PER_THREAD | SCHEDULED);
}

/* A first period of random length, so that also what runs for less than one is seen as often as its
 * share is. */
static int64_t first_of(struct timers *timers)
{
    return 1 + (int64_t)(random_next(&timers->seed) % (uint64_t)timers->period_ns);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

static void set(struct timers *timers, struct timer *timer)
{
    const struct itimerspec when = {.it_interval = timespec_of(timers->period_ns),
                                    .it_value = timespec_of(first_of(timers))};
    (void)timer_settime(timer->id, 0, &when, NULL); /* cannot fail, or the thread has gone */
}

static void arm(struct timers *timers, struct timer *timer)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = GATE_SIGNAL};
    event.sigev_notify_thread_id = timer->tid;
    event.sigev_value.sival_ptr = (void *)(uintptr_t)&mark;
    timer->armed = timer_create(clock_of(timer->tid), &event, &timer->id) == 0;
    if (timer->armed)
        set(timers, timer);
    else if (errno == EAGAIN)
        timers->refused++;
}

static void disarm(struct timer *timer)
{
    if (timer->armed)
        (void)timer_delete(timer->id);
    timer->armed = false;
}

/* Its thread has ended, and the number went to another one: then it will never fire again. */
static bool is_stale(const struct timer *timer)
{
    struct itimerspec now;
    return timer->armed && timer_gettime(timer->id, &now) == 0 && now.it_value.tv_sec == 0 &&
           now.it_value.tv_nsec == 0;
}

static int ascending(const void *a, const void *b)
{
    int left = ((const struct timer *)a)->tid, right = ((const struct timer *)b)->tid;
    return left < right ? -1 : left > right;
}

/* Among the first ones, which are in order. */
static struct timer *find(const struct timers *timers, size_t count, int tid)
{
    const struct timer key = {.tid = tid};
    return count > 0 ? bsearch(&key, timers->all, count, sizeof key, ascending) : NULL;
}

static void read_name(struct timer *timer)
{
    char text[STACKS_NAME];
    proc_thread_name(timer->tid, text, sizeof text);
    timer->active = false;
    if (strcmp(text, "?") != 0 || timer->name[0] == '\0')
        memcpy(timer->name, text, sizeof text);
}

/* Behind the others, whatever its number. */
static int add(struct timers *timers, int tid)
{
    if (timers->count == timers->capacity) {
        size_t capacity = timers->capacity > 0 ? timers->capacity * 2 : 64;
        void *grown = realloc(timers->all, capacity * sizeof timers->all[0]);
        if (grown == NULL)
            return -ENOMEM;
        timers->all = grown;
        timers->capacity = capacity;
    }
    struct timer *timer = &timers->all[timers->count++];
    *timer = (struct timer){.tid = tid};
    read_name(timer);
    arm(timers, timer);
    return 0;
}

static void renew(struct timers *timers, struct timer *timer)
{
    timer->missed = 0;
    if (timer->active)
        read_name(timer);
    if (!is_stale(timer))
        return;
    disarm(timer);
    read_name(timer);
    arm(timers, timer);
}

/* It is kept for another round: a sample may still be on its way, and the kernel's list may leave
 * one out that lives, when the one before it ends just then. */
static void forget_gone(struct timers *timers)
{
    size_t kept = 0;
    for (size_t i = 0; i < timers->count; i++) {
        if (timers->all[i].missed < 2)
            timers->all[kept++] = timers->all[i];
        else
            disarm(&timers->all[i]);
    }
    timers->count = kept;
}

int timers_update(struct timers *timers)
{
    struct proc_list threads;
    int rc = proc_threads(&threads);
    if (rc < 0)
        return rc;
    size_t known = timers->count;
    for (size_t i = 0; i < known; i++)
        timers->all[i].missed++;
    for (size_t i = 0; i < threads.count && rc == 0; i++) {
        struct timer *timer = find(timers, known, threads.numbers[i]);
        if (timer != NULL)
            renew(timers, timer);
        else
            rc = add(timers, threads.numbers[i]);
    }
    proc_list_free(&threads);
    if (rc == 0) /* else not all were looked for */
        forget_gone(timers);
    if (timers->count > 0)
        qsort(timers->all, timers->count, sizeof timers->all[0], ascending);
    return rc;
}

void timers_set_period(struct timers *timers, int64_t period_ns)
{
    timers->period_ns = period_ns;
    for (size_t i = 0; i < timers->count; i++)
        if (timers->all[i].armed)
            set(timers, &timers->all[i]);
}

const char *timers_name(struct timers *timers, int tid)
{
    struct timer *timer = find(timers, timers->count, tid);
    if (timer == NULL)
        return "?";
    timer->active = true;
    return timer->name;
}

void timers_stop(struct timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        disarm(&timers->all[i]);
    free(timers->all);
    *timers = (struct timers){0};
}
