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
#include "parts/pool.h"

#include <errno.h>

#define JOB_MS_MAX 3600000

struct worker {
    int64_t jobs, job_ms, report_ms, fail_every, reports;
    struct pool pool;
};

static int settings_init(void *self, srun_context *ctx, srun_err *err)
{
    const struct worker *worker = self;
    int64_t threads = worker->pool.threads;
    if (threads < 1 || threads > POOL_THREADS_MAX)
        return srun_fail(err, -EINVAL, "--workers=%lld: accepted are 1 to %d", (long long)threads,
                         POOL_THREADS_MAX);
    if (worker->job_ms < 0 || worker->job_ms > JOB_MS_MAX)
        return srun_fail(err, -EINVAL, "--job.ms=%lld: accepted are 0 to %d",
                         (long long)worker->job_ms, JOB_MS_MAX);
    if (worker->jobs < 0 || worker->fail_every < 0 || worker->report_ms <= 0)
        return srun_fail(err, -EINVAL, "--jobs and --fail.every are 0 or more, --report is more");
    SRUN_INFO(srun_context_log(ctx), "settings", SRUN_INT("workers", threads),
              SRUN_INT("jobs", worker->jobs), SRUN_MS("job", worker->job_ms));
    return 0;
}

/* What a job does here: take its time. */
static bool work(void *user, srun_context *ctx, void *job)
{
    struct worker *worker = user;
    if (!pool_pause_ms(&worker->pool, worker->job_ms))
        return false;
    SRUN_DEBUG(srun_context_log(ctx), "job done", SRUN_INT("job", (intptr_t)job));
    return true;
}

static int report_run(void *self, srun_context *ctx, srun_err *err)
{
    struct worker *worker = self;
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, worker->report_ms) == 0) {
        worker->reports++;
        if (worker->fail_every > 0 && worker->reports % worker->fail_every == 0)
            return srun_fail(err, -EPIPE, "report %lld was not taken", (long long)worker->reports);
        struct pool_counts counts = pool_counts(&worker->pool);
        SRUN_INFO(srun_context_log(ctx), "report", SRUN_INT("done", counts.done),
                  SRUN_UINT("waiting", counts.waiting));
    }
    return 0;
}

/* A job here is a number. */
static int source_run(void *self, srun_context *ctx, srun_err *err)
{
    struct worker *worker = self;
    intptr_t job = 0;
    (void)err;
    while (!srun_cancelled(ctx) && (worker->jobs == 0 || job < worker->jobs)) {
        if (pool_push(&worker->pool, (void *)job))
            job++;
        else
            srun_sleep_ms(ctx, 5); /* full; unlike a condition, this wakes up for a stop */
    }
    SRUN_INFO(srun_context_log(ctx), "no more jobs", SRUN_INT("made", job));
    return 0;
}

static int add_flags(srun_runner *runner, struct worker *worker, srun_err *err)
{
    int rc =
        srun_flag_int(runner, &worker->pool.threads, "workers", 4, "threads that do jobs", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &worker->jobs, "jobs", 0, "how many to do; 0: until stopped",
                           err);
    if (rc == 0)
        rc = srun_flag_int(runner, &worker->job_ms, "job.ms", 10, "milliseconds a job takes", err);
    if (rc == 0)
        rc = srun_flag_duration_ms(runner, &worker->report_ms, "report", 5000,
                                   "time between reports", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &worker->fail_every, "fail.every", 0, "every Nth report fails",
                           err);
    return rc;
}

static int add_services(srun_runner *runner, struct worker *worker, srun_err *err)
{
    static const struct srun_service_ops settings = {.size = sizeof settings,
                                                     .init = settings_init};
    static const struct srun_service_ops report = {.size = sizeof report, .run = report_run};

    int rc = srun_runner_add(runner, "settings", &settings, worker, NULL, err);
    if (rc == 0)
        rc = pool_add(runner, &worker->pool, err);
    if (rc == 0)
        rc = srun_runner_add(runner, "report", &report, worker,
                             SRUN_OPTIONS(.auxiliary = 1, .restart.when = SRUN_RESTART_ON_FAILURE),
                             err);
    if (rc == 0)
        rc = srun_serve(runner, "source", source_run, worker, err);
    return rc;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct worker *worker = user;
    worker->pool.work = work;
    worker->pool.user = worker;
    int rc = add_flags(runner, worker, err);
    return rc == 0 ? add_services(runner, worker, err) : rc;
}

int main(int argc, char **argv)
{
    static struct worker worker;
    return srun_main(argc, argv, SRUN_CONFIG(.name = "worker", .version = "1.0.0"), setup, &worker);
}
