/* SPDX-License-Identifier: MIT
 *
 * A context: what one verb may ask, and how it is told to end. A service has two: `life` for init,
 * run and ready, cancelled when its turn to stop comes; and `stopping` for stop, cancelled when
 * stop overruns. The control thread cancels; any thread asks.
 */
#ifndef CONTEXT_H
#define CONTEXT_H

#include "base/clock.h"

#include <pthread.h>
#include <srun/context.h>
#include <stdatomic.h>
#include <stdbool.h>

struct service;

struct context_sleeper {
    int64_t until;
    int tid;
    struct context_sleeper *next;
};

struct srun_context {
    struct service *service;
    const struct clock *clock;
    _Atomic bool cancelled;
    _Atomic int64_t deadline;         /* of the present phase, INT64_MAX when there is none */
    pthread_mutex_t lock;             /* guards what follows */
    pthread_cond_t changed;           /* cancelled, or the virtual clock has moved */
    int cancel_fd;                    /* -1 until asked for */
    struct context_sleeper *sleepers; /* on the virtual clock, each on its thread's stack */
    srun_cause cause;                 /* fixed once cancelled */
};

/* 0 or a negative errno. */
int context_init(struct srun_context *ctx, struct service *service, const struct clock *clock);
void context_destroy(struct srun_context *ctx);

/* Once per life; later calls do nothing. */
void context_cancel(struct srun_context *ctx, const srun_cause *cause);

/* For a new life. Nothing of the old one runs any more. */
void context_reset(struct srun_context *ctx);

void context_set_deadline(struct srun_context *ctx, int64_t deadline);

/* The virtual clock has moved: wakes the sleepers. */
void context_wake(struct srun_context *ctx);

/* Waits, up to a monotonic time, until those sleepers that are due have woken. */
void context_settle(struct srun_context *ctx, int64_t limit);

/* Does this thread sleep on the virtual clock? */
bool context_has_sleeper(struct srun_context *ctx, int tid);

/* When its earliest sleeper on the virtual clock is due; INT64_MAX: nobody sleeps with a limit. */
int64_t context_sleeps_until(struct srun_context *ctx);

#endif
