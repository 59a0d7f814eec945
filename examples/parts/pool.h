/* SPDX-License-Identifier: MIT
 *
 * A bounded queue of jobs and the threads that do them, as two services:
 *
 *   jobs      the queue, which is simply there from its init on
 *   workers   in the background: run starts the threads, stop lets them finish what was accepted
 *
 * Add who makes jobs after the pool: then it stops first. workers is auxiliary, so a program whose
 * other services have finished ends when the queue is empty. Threads: any, between init and stop.
 */
#ifndef POOL_H
#define POOL_H

#include <pthread.h>
#include <srun/srun.h>
#include <stdbool.h>

#define POOL_THREADS_MAX 64
#define POOL_QUEUE_MAX 32

/* The program sets the first three before the services start; the rest is the pool's. */
struct pool {
    /* Does a job, on a thread of the pool: true when it is done. ctx is that of workers, which
     * promise a heartbeat every 10 s. Each job that was accepted comes here once, also one that is
     * left when the time to stop is over: then pool_pause_ms is false, and so is this, at once. */
    bool (*work)(void *user, srun_context *ctx, void *job);
    void *user;
    int64_t threads; /* 1 to POOL_THREADS_MAX */

    pthread_mutex_t lock;           /* guards what follows */
    pthread_cond_t pushed, changed; /* for workers; for who waits, and for stop */
    void *queue[POOL_QUEUE_MAX];
    unsigned head, waiting, busy;
    int64_t accepted, done;
    bool closed; /* nothing more is accepted */
    bool over;   /* what is not done will not be done */

    pthread_t ids[POOL_THREADS_MAX];
    unsigned started;
    srun_context *ctx; /* of workers */
};

struct pool_counts {
    int64_t accepted, done;
    unsigned waiting; /* in the queue */
};

/* Adds both services. */
int pool_add(srun_runner *runner, struct pool *pool, srun_err *err);

/* False: there is no place, or the pool is being stopped. */
bool pool_push(struct pool *pool, void *job);

/* In work: takes ms milliseconds, and keeps the promise of a heartbeat meanwhile. False when cut
 * short, because the time is over; 0 just asks. */
bool pool_pause_ms(struct pool *pool, int64_t ms);

struct pool_counts pool_counts(struct pool *pool);

#endif
