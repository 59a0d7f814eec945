/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "clock.h"

#include <errno.h>

#define HEARTBEAT_MS 10000 /* and a wait takes a second of it at most */

/* For ms milliseconds at most. As long as threads wake up, the pool is alive. */
static void nap_locked(struct pool *pool, pthread_cond_t *event, int64_t ms)
{
    struct timespec at = timespec_of_ms(monotonic_ms() + (ms < 1000 ? ms : 1000));
    if (pool->ctx != NULL)
        srun_heartbeat(pool->ctx);
    pthread_cond_timedwait(event, &pool->lock, &at);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static int jobs_init(void *self, srun_context *ctx, srun_err *err)
{
    struct pool *pool = self;
    (void)ctx, (void)err;
    pthread_mutex_init(&pool->lock, NULL);
    monotonic_cond_init(&pool->pushed);
    monotonic_cond_init(&pool->changed);
    return 0;
}

bool pool_push(struct pool *pool, void *job)
{
    pthread_mutex_lock(&pool->lock);
    bool accepted = pool->waiting < POOL_QUEUE_MAX && !pool->closed;
    if (accepted) {
        pool->queue[(pool->head + pool->waiting++) % POOL_QUEUE_MAX] = job;
        pool->accepted++;
        pthread_cond_signal(&pool->pushed);
    }
    pthread_mutex_unlock(&pool->lock);
    return accepted;
}

/* Takes the oldest job; waits for one. False when there will be none any more. */
static bool pop(struct pool *pool, void **job)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->waiting == 0 && !pool->closed)
        nap_locked(pool, &pool->pushed, 1000);
    bool taken = pool->waiting > 0;
    if (taken) {
        *job = pool->queue[pool->head];
        pool->head = (pool->head + 1) % POOL_QUEUE_MAX;
        pool->waiting--;
        pool->busy++;
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

static void finish(struct pool *pool, bool done)
{
    pthread_mutex_lock(&pool->lock);
    pool->busy--;
    pool->done += done;
    if (pool->closed)
        pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_pause_ms(struct pool *pool, int64_t ms)
{
    int64_t until = monotonic_ms() + ms, left;
    pthread_mutex_lock(&pool->lock);
    while (!pool->over && (left = until - monotonic_ms()) > 0)
        nap_locked(pool, &pool->changed, left);
    bool whole = !pool->over;
    pthread_mutex_unlock(&pool->lock);
    return whole;
}

struct pool_counts pool_counts(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct pool_counts counts = {
        .accepted = pool->accepted, .done = pool->done, .waiting = pool->waiting};
    pthread_mutex_unlock(&pool->lock);
    return counts;
}

static int jobs_stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    struct pool_counts told = pool_counts(self);
    SRUN_INFO(srun_context_log(ctx), "all told", SRUN_INT("accepted", told.accepted),
              SRUN_INT("done", told.done), SRUN_INT("left", told.accepted - told.done));
    return 0;
}

/* --- workers --------------------------------------------------------------------------------- */

static void *thread_main(void *user)
{
    struct pool *pool = user;
    void *job;
    while (pop(pool, &job)) {
        srun_heartbeat(pool->ctx);
        finish(pool, pool->work(pool->user, pool->ctx, job));
    }
    return NULL;
}

/* Under the lock, because a stop that comes early may find run still at it. */
static int workers_run(void *self, srun_context *ctx, srun_err *err)
{
    struct pool *pool = self;
    int rc = 0;
    pthread_mutex_lock(&pool->lock);
    pool->ctx = ctx;
    while (rc == 0 && !pool->closed && pool->started < pool->threads) {
        rc = pthread_create(&pool->ids[pool->started], NULL, thread_main, pool);
        pool->started += rc == 0;
    }
    pthread_mutex_unlock(&pool->lock);
    if (rc != 0)
        return srun_fail(err, -rc, "worker %u: %s", pool->started, srun_strerror(-rc));
    return SRUN_RUN_BACKGROUND;
}

/* Finishes what was accepted, in nine tenths of the time there is; the rest is for the joining. */
static int workers_stop(void *self, srun_context *ctx, srun_err *err)
{
    struct pool *pool = self;
    int64_t time_ms = srun_context_time_left_ms(ctx), left;
    int64_t until = monotonic_ms() + time_ms - time_ms / 10;

    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    pthread_cond_broadcast(&pool->pushed);
    while (pool->waiting + pool->busy > 0 && (left = until - monotonic_ms()) > 0)
        nap_locked(pool, &pool->changed, left);
    pool->over = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);

    for (; pool->started > 0; pool->started--)
        pthread_join(pool->ids[pool->started - 1], NULL);
    if (pool->done < pool->accepted)
        return srun_fail(err, -ETIMEDOUT, "%lld jobs were left",
                         (long long)(pool->accepted - pool->done));
    return 0;
}

int pool_add(srun_runner *runner, struct pool *pool, srun_err *err)
{
    static const struct srun_service_ops jobs = {
        .size = sizeof jobs, .init = jobs_init, .stop = jobs_stop};
    static const struct srun_service_ops workers = {
        .size = sizeof workers, .run = workers_run, .stop = workers_stop};
    int rc = srun_runner_add(runner, "jobs", &jobs, pool, NULL, err);
    if (rc < 0)
        return rc;
    return srun_runner_add(runner, "workers", &workers, pool,
                           SRUN_OPTIONS(.auxiliary = 1, .heartbeat_ms = HEARTBEAT_MS), err);
}
