/* SPDX-License-Identifier: MIT
 *
 * A timer for each thread of the process, which counts that thread's own processor time and signals
 * that thread: armed from outside, so that no thread has to help. Unlike setitimer's these do not
 * outlive an exec, are not inherited, and do not wake who sleeps. Threads: one at a time.
 */
#ifndef PROFILE_TIMERS_H
#define PROFILE_TIMERS_H

#include "profile/stacks.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct timer {
    int tid;
    timer_t id;
    bool armed;      /* else the kernel has refused one */
    bool active;     /* was seen at work since its name was read */
    unsigned missed; /* looks at the threads since it was there */
    char name[STACKS_NAME];
};

struct timers {
    struct timer *all; /* by tid */
    size_t count, capacity;
    int64_t period_ns;
    uint64_t seed;    /* for where in its first period each one begins */
    unsigned refused; /* threads without one: see RLIMIT_SIGPENDING */
};

/* Arms the threads that are new, forgets those that have gone. 0 or a negative errno; then some are
 * not armed, and the next call tries again. */
int timers_update(struct timers *timers);

/* Another period for all, at once. */
void timers_set_period(struct timers *timers, int64_t period_ns);

/* The name of a thread that is or was among them; "?" for a stranger. Marks it as active. */
const char *timers_name(struct timers *timers, int tid);

/* Is a signal from one of these timers? The program may have some of its own. Async-signal-safe. */
bool timers_sent(const siginfo_t *info);

/* Deletes all. A signal of theirs may still be on its way. */
void timers_stop(struct timers *timers);

#endif
