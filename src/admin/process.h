/* SPDX-License-Identifier: MIT
 *
 * What the kernel says of this process and its threads, as numbers. Threads: any.
 */
#ifndef ADMIN_PROCESS_H
#define ADMIN_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* What is not known is below 0. */
struct process {
    int64_t cpu_ns;       /* all threads, those that have ended too */
    int64_t rss, vsize;   /* bytes */
    int64_t fds, max_fds; /* max_fds: below 0 as well when there is no limit */
    int64_t threads;
    int64_t switches; /* of contexts, wanted and not, by all threads */
    int64_t start_ms; /* Unix time */
};

void process_read(struct process *out);

/* When a process was started, Unix time; -1: it has gone. */
int64_t process_start_ms(int pid);

struct process_thread {
    int tid;
    char name[20];
    char state; /* as in /proc: R, S, D, ... */
    int64_t cpu_ms;
};

#define PROCESS_THREADS_MAX 10000

/* By tid; owned by the caller (free), NULL when there is none. 0 or a negative errno. */
int process_threads(struct process_thread **out, size_t *count);

#endif
