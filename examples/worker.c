/* SPDX-License-Identifier: MIT
 *
 * A queue and a pool of workers, in five services that show what a service can be:
 *
 *   settings  init only: checks the flags before anything runs
 *   jobs      init and stop: a bounded queue that is simply there
 *   workers   in the background: run starts the threads, stop lets them finish what was accepted
 *   report    a loop that may fail (--fail.every) and is started again
 *   source    one line with srun_serve: makes the jobs, and is done after --jobs of them
 *
 * workers and report are auxiliary: when source has finished, the program ends. The stop goes the
 * other way round: no more jobs, then the workers finish what lies in the queue, then the queue.
 */
#define _GNU_SOURCE /* pthread_condattr_setclock */
#include <srun/srun.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define WORKERS_MAX 64
#define QUEUE_MAX 32
#define JOB_MS_MAX 3600000

struct work {
    int64_t workers, jobs, job_ms, report_ms, fail_every;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    int64_t queue[QUEUE_MAX];
    unsigned head, count;
    int64_t accepted, done;
    bool closed;    /* nothing more is accepted */
    bool abandoned; /* what is not done will not be done */

    pthread_t threads[WORKERS_MAX];
    unsigned started;
    srun_context *workers_ctx;
    int64_t reports;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for a change, for ms milliseconds or a second at most, and keeps the promise of a
 * heartbeat: as long as workers wake up, the pool is alive. */
static void nap_locked(struct work *work, int64_t ms)
{
    int64_t until = now_ms() + (ms < 1000 ? ms : 1000);
    struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    if (work->workers_ctx != NULL)
        srun_heartbeat(work->workers_ctx);
    pthread_cond_timedwait(&work->changed, &work->lock, &at);
}

/* settings */

static int settings_init(void *self, srun_context *ctx, srun_err *err)
{
    const struct work *work = self;
    if (work->workers < 1 || work->workers > WORKERS_MAX)
        return srun_fail(err, -EINVAL, "--workers=%lld: accepted are 1 to %d",
                         (long long)work->workers, WORKERS_MAX);
    if (work->job_ms < 0 || work->job_ms > JOB_MS_MAX)
        return srun_fail(err, -EINVAL, "--job.ms=%lld: accepted are 0 to %d",
                         (long long)work->job_ms, JOB_MS_MAX);
    if (work->jobs < 0 || work->fail_every < 0 || work->report_ms <= 0)
        return srun_fail(err, -EINVAL, "--jobs and --fail.every are 0 or more, --report is more");
    SRUN_INFO(srun_context_log(ctx), "settings", SRUN_INT("workers", work->workers),
              SRUN_INT("jobs", work->jobs), SRUN_MS("job", work->job_ms));
    return 0;
}

/* jobs */

static int jobs_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    struct work *work = self;
    pthread_mutex_init(&work->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&work->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return 0;
}

/* True when the job was accepted, false when there is no place. */
static bool jobs_push(struct work *work, int64_t job)
{
    pthread_mutex_lock(&work->lock);
    bool accepted = work->count < QUEUE_MAX && !work->closed;
    if (accepted) {
        work->queue[(work->head + work->count++) % QUEUE_MAX] = job;
        work->accepted++;
        pthread_cond_broadcast(&work->changed);
    }
    pthread_mutex_unlock(&work->lock);
    return accepted;
}

/* Takes the oldest job; waits for one. False when there will be none any more. */
static bool jobs_pop(struct work *work, int64_t *job)
{
    pthread_mutex_lock(&work->lock);
    while (work->count == 0 && !work->closed)
        nap_locked(work, 1000);
    bool taken = work->count > 0 && !work->abandoned;
    if (taken) {
        *job = work->queue[work->head];
        work->head = (work->head + 1) % QUEUE_MAX;
        work->count--;
        pthread_cond_broadcast(&work->changed);
    }
    pthread_mutex_unlock(&work->lock);
    return taken;
}

/* What a job does here: take its time. False when it was abandoned. */
static bool job_do(struct work *work)
{
    int64_t until = now_ms() + work->job_ms;
    pthread_mutex_lock(&work->lock);
    while (!work->abandoned && now_ms() < until)
        nap_locked(work, until - now_ms());
    bool done = !work->abandoned;
    work->done += done;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->lock);
    return done;
}

static int jobs_stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    const struct work *work = self;
    SRUN_INFO(srun_context_log(ctx), "all told", SRUN_INT("accepted", work->accepted),
              SRUN_INT("done", work->done), SRUN_INT("left", work->accepted - work->done));
    return 0;
}

static const struct srun_service_ops jobs_ops = {
    .size = sizeof jobs_ops,
    .init = jobs_init,
    .stop = jobs_stop,
};

/* workers */

static void *worker_main(void *user)
{
    struct work *work = user;
    int64_t job;
    while (jobs_pop(work, &job) && job_do(work))
        SRUN_DEBUG(srun_context_log(work->workers_ctx), "job done", SRUN_INT("job", job));
    return NULL;
}

/* Under the lock, because a stop that comes early may find run still at it. */
static int workers_run(void *self, srun_context *ctx, srun_err *err)
{
    struct work *work = self;
    int rc = 0;
    pthread_mutex_lock(&work->lock);
    work->workers_ctx = ctx;
    while (rc == 0 && !work->closed && work->started < work->workers) {
        rc = pthread_create(&work->threads[work->started], NULL, worker_main, work);
        work->started += rc == 0;
    }
    pthread_mutex_unlock(&work->lock);
    if (rc != 0)
        return srun_fail(err, -rc, "worker %u: %s", work->started, srun_strerror(-rc));
    return SRUN_RUN_BACKGROUND;
}

/* Finishes what was accepted, in nine tenths of the time there is; the rest is for the joining. */
static int workers_stop(void *self, srun_context *ctx, srun_err *err)
{
    struct work *work = self;
    int64_t left_ms = srun_context_time_left_ms(ctx);
    int64_t until = now_ms() + left_ms - left_ms / 10;

    pthread_mutex_lock(&work->lock);
    work->closed = true;
    pthread_cond_broadcast(&work->changed);
    while (work->done < work->accepted && now_ms() < until)
        nap_locked(work, until - now_ms());
    work->abandoned = true;
    pthread_cond_broadcast(&work->changed);
    pthread_mutex_unlock(&work->lock);

    for (; work->started > 0; work->started--)
        pthread_join(work->threads[work->started - 1], NULL);
    if (work->done < work->accepted)
        return srun_fail(err, -ETIMEDOUT, "%lld jobs were left",
                         (long long)(work->accepted - work->done));
    return 0;
}

static const struct srun_service_ops workers_ops = {
    .size = sizeof workers_ops,
    .run = workers_run,
    .stop = workers_stop,
};

/* report */

static int report_run(void *self, srun_context *ctx, srun_err *err)
{
    struct work *work = self;
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, work->report_ms) == 0) {
        work->reports++;
        if (work->fail_every > 0 && work->reports % work->fail_every == 0)
            return srun_fail(err, -EPIPE, "report %lld was not taken", (long long)work->reports);
        pthread_mutex_lock(&work->lock);
        int64_t done = work->done;
        unsigned waiting = work->count;
        pthread_mutex_unlock(&work->lock);
        SRUN_INFO(srun_context_log(ctx), "report", SRUN_INT("done", done),
                  SRUN_UINT("waiting", waiting));
    }
    return 0;
}

/* source */

static int source_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    struct work *work = self;
    int64_t job = 0;
    while (!srun_cancelled(ctx) && (work->jobs == 0 || job < work->jobs)) {
        if (jobs_push(work, job))
            job++;
        else
            srun_sleep_ms(ctx, 5); /* full; unlike a condition, this wakes up for a stop */
    }
    SRUN_INFO(srun_context_log(ctx), "no more jobs", SRUN_INT("made", job));
    return 0;
}

/* main */

static int add_flags(srun_runner *runner, struct work *work, srun_err *err)
{
    int rc = srun_flag_int(runner, &work->workers, "workers", 4, "threads that do jobs", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &work->jobs, "jobs", 0, "how many to do; 0: until stopped", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &work->job_ms, "job.ms", 10, "milliseconds a job takes", err);
    if (rc == 0)
        rc = srun_flag_duration_ms(runner, &work->report_ms, "report", 5000, "time between reports",
                                   err);
    if (rc == 0)
        rc = srun_flag_int(runner, &work->fail_every, "fail.every", 0, "every Nth report fails",
                           err);
    return rc;
}

static int add_services(srun_runner *runner, struct work *work, srun_err *err)
{
    static const struct srun_service_ops settings = {
        .size = sizeof settings,
        .init = settings_init,
    };
    static const struct srun_service_ops report = {.size = sizeof report, .run = report_run};

    int rc = srun_runner_add(runner, "settings", &settings, work, NULL, err);
    if (rc == 0)
        rc = srun_runner_add(runner, "jobs", &jobs_ops, work, NULL, err);
    if (rc == 0)
        rc = srun_runner_add(runner, "workers", &workers_ops, work,
                             SRUN_OPTIONS(.auxiliary = 1, .heartbeat_ms = 10000), err);
    if (rc == 0)
        rc = srun_runner_add(runner, "report", &report, work,
                             SRUN_OPTIONS(.auxiliary = 1, .restart.when = SRUN_RESTART_ON_FAILURE),
                             err);
    if (rc == 0)
        rc = srun_serve(runner, "source", source_run, work, err);
    return rc;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    int rc = add_flags(runner, user, err);
    return rc == 0 ? add_services(runner, user, err) : rc;
}

int main(int argc, char **argv)
{
    static struct work work;
    return srun_main(argc, argv, SRUN_CONFIG(.name = "worker", .version = "1.0.0"), setup, &work);
}
