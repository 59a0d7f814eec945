/* SPDX-License-Identifier: MIT
 *
 * A small pool of threads for calls that may take long. Threads are started on need, leave after
 * 250 ms without work, and are at most `width`, one more for each job that was declared lost.
 * Jobs are embedded in what they work for, so submitting never allocates.
 * Threads: pool_queue from any; the rest from one owner; jobs run on the pool.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job);  /* the work */
    void (*done)(struct pool_job *job); /* tells the owner, who may submit it again at once */
    struct pool_job *next;              /* the rest is the pool's */
    enum { POOL_JOB_IDLE, POOL_JOB_QUEUED, POOL_JOB_RUNNING } state;
    bool lost;
    pthread_t thread; /* while running */
    int tid;
};

/* 0 or -ENOMEM. */
int pool_new(struct pool **out, unsigned width);

/* Never fewer than this many threads from now on. */
void pool_widen(struct pool *pool, unsigned width);

/* Queues the job. 0; a negative errno when no thread could be started for it and none is there:
 * then it is not queued. */
int pool_submit(struct pool *pool, struct pool_job *job);

/* Queues the job, whether there is a thread for it or not: for what must be called in any case. */
void pool_queue(struct pool *pool, struct pool_job *job);

/* Makes the threads that could not be made when a job was queued. While it answers true one is
 * missing, and it is to be called again after a while. */
bool pool_tend(struct pool *pool);

/* Calls back with the thread that runs the job, while it certainly lives; false: it is not running.
 */
bool pool_with_thread(struct pool *pool, struct pool_job *job,
                      void (*then)(void *arg, pthread_t thread, int tid), void *arg);

/* The job will not return in time: its thread no longer counts. A job that is only queued is
 * taken out of the queue: true, it will not run. */
bool pool_lose(struct pool *pool, struct pool_job *job);

/* Waits up to limit_ns until every thread whose job was lost has come home and left; have they? */
bool pool_await_lost(struct pool *pool, int64_t limit_ns);

/* Lets idle threads go at once and waits up to limit_ns for the busy ones, lost or not. NULL when
 * all have ended and the pool is freed; else the pool, which is left as it is. */
struct pool *pool_free(struct pool *pool, int64_t limit_ns);

#endif
