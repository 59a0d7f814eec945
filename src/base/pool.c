/* SPDX-License-Identifier: MIT
 *
 * One lock. A worker that leaves puts itself on a list, from which the owner joins it when it next
 * comes by, so that no thread is ever left behind unjoined.
 */
#include "base/pool.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LINGER (250 * NS_PER_MS)
#define LAST_BREATH (1 * NS_PER_S) /* a thread has left its work and only has to end */

struct worker {
    struct pool *pool;
    struct worker *next; /* in the list of those that have left */
    pthread_t thread;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job was queued, or the pool closes */
    pthread_cond_t left; /* a worker has left */
    struct pool_job *first, **end;
    struct worker *gone; /* left, to be joined */
    unsigned width, workers, lost, idle, queued;
    bool closing;
    bool starved; /* a worker that is wanted could not be made */
};

int pool_new(struct pool **out, unsigned width)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)thread_cond_init(&pool->work); /* with these attributes glibc cannot fail */
    (void)thread_cond_init(&pool->left);
    pool->end = &pool->first;
    pool->width = width;
    *out = pool;
    return 0;
}

void pool_widen(struct pool *pool, unsigned width)
{
    pthread_mutex_lock(&pool->lock);
    if (width > pool->width)
        pool->width = width;
    pool->starved |= pool->queued > pool->idle; /* pool_tend makes threads for those that wait */
    pthread_mutex_unlock(&pool->lock);
}

static struct pool_job *take_job_locked(struct pool *pool)
{
    struct pool_job *job = pool->first;
    if (job == NULL)
        return NULL;
    pool->first = job->next;
    if (pool->first == NULL)
        pool->end = &pool->first;
    pool->queued--;
    return job;
}

/* The next job; NULL when the worker should leave: closed, or nothing to do for a while. */
static struct pool_job *wait_for_job_locked(struct pool *pool)
{
    int64_t until = clock_real_now() + LINGER;
    struct pool_job *job;
    pool->idle++;
    while ((job = take_job_locked(pool)) == NULL && !pool->closing)
        if (!thread_cond_wait_until(&pool->work, &pool->lock, until)) {
            job = take_job_locked(pool);
            break;
        }
    pool->idle--;
    return job;
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct pool *pool = self->pool;
    thread_name_self("ops");

    pthread_mutex_lock(&pool->lock);
    struct pool_job *job;
    bool lost = false;
    while (!lost && (job = wait_for_job_locked(pool)) != NULL) {
        job->state = POOL_JOB_RUNNING;
        job->thread = pthread_self();
        job->tid = gettid();
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        lost = job->lost; /* came home after all, but its place has been taken */
        job->state = POOL_JOB_IDLE;
        pthread_mutex_unlock(&pool->lock);
        job->done(job); /* from here on the job may be queued again */
        pthread_mutex_lock(&pool->lock);
    }
    pool->workers -= lost ? 0 : 1;
    pool->lost -= lost ? 1 : 0;
    self->next = pool->gone;
    pool->gone = self;
    pthread_cond_broadcast(&pool->left);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Joins those that have left: they only have to return. */
static void bury_locked(struct pool *pool)
{
    while (pool->gone != NULL) {
        struct worker *worker = pool->gone;
        pool->gone = worker->next;
        pthread_mutex_unlock(&pool->lock);
        (void)thread_join(worker->thread, LAST_BREATH);
        free(worker);
        pthread_mutex_lock(&pool->lock);
    }
}

static int add_worker_locked(struct pool *pool)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return -ENOMEM;
    worker->pool = pool;
    int rc = thread_start(&worker->thread, 0, worker_main, worker);
    if (rc < 0)
        free(worker);
    else
        pool->workers++;
    return rc;
}

static int add_worker_on_need_locked(struct pool *pool)
{
    bury_locked(pool);
    return pool->idle <= pool->queued && pool->workers < pool->width ? add_worker_locked(pool) : 0;
}

static void queue_locked(struct pool *pool, struct pool_job *job)
{
    job->next = NULL;
    job->state = POOL_JOB_QUEUED;
    job->lost = false;
    *pool->end = job;
    pool->end = &job->next;
    pool->queued++;
    pthread_cond_signal(&pool->work);
}

int pool_submit(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    int rc = add_worker_on_need_locked(pool);
    if (rc == 0 || pool->workers > 0) {
        pool->starved |= rc < 0; /* it need not wait for those that are busy */
        queue_locked(pool, job);
        rc = 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void pool_queue(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    pool->starved = add_worker_on_need_locked(pool) < 0 || pool->starved;
    queue_locked(pool, job);
    pthread_mutex_unlock(&pool->lock);
}

/* A thread for each job that waits for one, as far as there may be so many. False: one could not be
 * made. */
static bool add_missing_workers_locked(struct pool *pool)
{
    unsigned missing = pool->queued > pool->idle ? pool->queued - pool->idle : 0;
    for (; missing > 0 && pool->workers < pool->width; missing--)
        if (add_worker_locked(pool) < 0)
            return false;
    return true;
}

bool pool_tend(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->starved)
        pool->starved = !add_missing_workers_locked(pool);
    bool starved = pool->starved;
    pthread_mutex_unlock(&pool->lock);
    return starved;
}

bool pool_with_thread(struct pool *pool, struct pool_job *job,
                      void (*then)(void *arg, pthread_t thread, int tid), void *arg)
{
    pthread_mutex_lock(&pool->lock);
    bool running = job->state == POOL_JOB_RUNNING;
    if (running)
        then(arg, job->thread, job->tid); /* it cannot leave the job without the lock */
    pthread_mutex_unlock(&pool->lock);
    return running;
}

static void unqueue_locked(struct pool *pool, const struct pool_job *job)
{
    struct pool_job **place = &pool->first;
    while (*place != job)
        place = &(*place)->next;
    *place = job->next;
    if (*place == NULL)
        pool->end = place;
    pool->queued--;
}

bool pool_lose(struct pool *pool, struct pool_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool queued = job->state == POOL_JOB_QUEUED;
    if (queued) {
        unqueue_locked(pool, job);
        job->state = POOL_JOB_IDLE;
    } else if (job->state == POOL_JOB_RUNNING && !job->lost) {
        job->lost = true;
        pool->workers--;
        pool->lost++;
        if (pool->queued > pool->idle && add_worker_locked(pool) < 0)
            pool->starved = true;
    }
    pthread_mutex_unlock(&pool->lock);
    return queued;
}

bool pool_await_lost(struct pool *pool, int64_t limit_ns)
{
    int64_t until = clock_real_now() + limit_ns;
    pthread_mutex_lock(&pool->lock);
    while (pool->lost > 0 && thread_cond_wait_until(&pool->left, &pool->lock, until))
        ;
    bool home = pool->lost == 0;
    pthread_mutex_unlock(&pool->lock);
    return home;
}

struct pool *pool_free(struct pool *pool, int64_t limit_ns)
{
    if (pool == NULL)
        return NULL;
    int64_t until = clock_real_now() + limit_ns;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    while (pool->workers + pool->lost > 0 && /* one that was lost may be on its way home */
           thread_cond_wait_until(&pool->left, &pool->lock, until))
        ;
    bury_locked(pool);
    bool empty = pool->workers == 0 && pool->lost == 0;
    pthread_mutex_unlock(&pool->lock);
    if (!empty)
        return pool;
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->left);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}
