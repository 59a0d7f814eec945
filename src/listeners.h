/* SPDX-License-Identifier: MIT
 *
 * Tells the program of every change of state, in order, on a pool thread: the control thread only
 * puts it into a ring and never waits. Threads: add and prepare before run; tell from control.
 */
#ifndef LISTENERS_H
#define LISTENERS_H

#include "base/pool.h"

#include <pthread.h>
#include <srun/runner.h>

typedef void listener(void *user, const struct srun_transition *what);

struct listeners {
    struct pool *pool;
    struct {
        listener *call;
        void *user;
    } * list;
    size_t count;
    struct pool_job job;
    pthread_mutex_t lock; /* guards what follows */
    struct srun_transition *ring;
    size_t capacity, head, waiting;
    bool busy;     /* the job is queued or runs; who sets it queues the job, without the lock */
    uint64_t lost; /* overwritten before a slow listener was told */
};

void listeners_init(struct listeners *listeners, struct pool *pool);
void listeners_destroy(struct listeners *listeners);

/* 0 or -ENOMEM. */
int listeners_add(struct listeners *listeners, listener *call, void *user);

/* Makes room for what so many services may tell while nobody listens. 0 or -ENOMEM. */
int listeners_prepare(struct listeners *listeners, size_t services);

void listeners_tell(struct listeners *listeners, const struct srun_transition *what);

#endif
