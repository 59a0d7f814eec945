/* SPDX-License-Identifier: MIT
 *
 * Threads with a name and a bounded join; locks and conditions on the monotonic clock.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts a joinable thread. stack_bytes 0 = the system's default. 0 or a negative errno. */
int thread_start(pthread_t *out, size_t stack_bytes, void *(*body)(void *), void *arg);

/* The same for one that leaves signals to the program: it blocks all but those of faults, which it
 * may have itself, and SIGPROF, by which profiles see it; these it inherits as they are. When the
 * program has a handler for SIGPROF (or a profile runs just now), that is blocked too. A handler
 * that the program installs later runs in all threads that let the signal in, these included. */
int thread_start_deaf(pthread_t *out, void *(*body)(void *), void *arg);

/* What a handler blocks that must not be left half done, by a longjmp out of another handler or a
 * pthread_cancel: all signals, the C library's own too, but those that tell of a fault of its own,
 * which end the program when they are blocked. For sa_mask. */
void thread_block_in_handler(sigset_t *out);

#define THREAD_NAMES "srun:" /* how the names of our threads begin */

/* Names the calling thread "srun:<name>", cut to the 15 bytes that Linux keeps. */
void thread_name_self(const char *name);

/* Joins a thread that is about to end; -ETIMEDOUT when it has not by limit_ns from now. */
int thread_join(pthread_t thread, int64_t limit_ns);

/* The last thing to be done with a thread. True: it was joined. False: it is not about to end, as
 * ends says, or has not by limit_ns from now; should it ever, the system takes it away. */
bool thread_part_with(pthread_t thread, bool ends, int64_t limit_ns);

/* 0 or a negative errno. */
int thread_cond_init(pthread_cond_t *cond);

/* Waits on a condition made by thread_cond_init until a monotonic time (INT64_MAX: no limit).
 * False when the time has come. May wake early. */
bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);

#endif
