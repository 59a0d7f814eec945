/* SPDX-License-Identifier: MIT
 *
 * What all threads are doing: each is asked by a signal and answers with its stack, all at the same
 * time and with one deadline. A thread that blocks the signal is not asked, but named. Calls that
 * sleep (nanosleep, poll, epoll_wait) end early with EINTR in the threads asked, as they may at any
 * time; so it is done once a second at most. Threads: ask any; the handler's part a handler.
 */
#ifndef PROFILE_THREADS_H
#define PROFILE_THREADS_H

#include "profile/profile.h"
#include "profile/ring.h"

#include <signal.h>
#include <srun/error.h>

struct thread_stack {
    int tid;
    char name[STACKS_NAME];
    char state;         /* as in /proc: R, S, D, ... */
    const char *silent; /* why there is no stack, static; or NULL */
    char waits_in[48];  /* silent: the kernel's word for it, or "" */
    uintptr_t sp;       /* where it was interrupted */
    uint32_t depth;
    uintptr_t frames[RING_FRAMES];
};

struct threads {
    struct thread_stack *all; /* by tid */
    size_t count;
    int64_t start_ns, duration_ns; /* Unix time; how long they were asked for */
    struct modules *modules;
    const struct module *known;
};

/* 0; -ECANCELED: cancel_fd has become readable; and as gate_open; -ENOMEM; a negative errno. */
int threads_ask(int cancel_fd, struct threads *out, srun_err *err);
void threads_free(struct threads *threads);

static inline void auto_threads_cleanup(struct threads *threads)
{
    threads_free(threads);
}

#define auto_threads __attribute__((cleanup(auto_threads_cleanup)))

/* The same as a profile that counts threads; whoever is silent has the frame STACK_SILENT. Takes
 * the modules away from it. */
void threads_to_profile(struct threads *threads, struct profile *out);

void threads_on_question(const siginfo_t *info, const void *context);

#endif
