/* SPDX-License-Identifier: MIT
 *
 * The pool of threads for calls that may take long.
 */
#include "base/pool.h"
#include "base/proc.h"
#include "cast.h"

#include <signal.h>
#include <stddef.h>

#define LIMIT (10 * NS_PER_S)

struct job {
    struct pool_job job;
    struct gate *gate;
    struct trace *trace;
    char name[8];
    atomic_int ran, told;
};

static struct job *job_of(struct pool_job *job)
{
    return (struct job *)((char *)job - offsetof(struct job, job));
}

static void run(struct pool_job *pool_job)
{
    struct job *job = job_of(pool_job);
    if (job->trace != NULL)
        trace_add(job->trace, job->name, "ran");
    atomic_fetch_add(&job->ran, 1);
    if (job->gate != NULL)
        gate_pass(job->gate);
}

static void done(struct pool_job *job)
{
    atomic_fetch_add(&job_of(job)->told, 1);
}

static void job_init(struct job *job, struct gate *gate)
{
    *job = (struct job){.job = {.run = run, .done = done}, .gate = gate};
}

static bool has_run(void *arg)
{
    struct job *job = arg;
    return atomic_load(&job->ran) > 0;
}

static bool was_told(void *arg)
{
    struct job *job = arg;
    return atomic_load(&job->told) > 0;
}

static size_t thread_count(void)
{
    struct proc_list list;
    ck_assert_int_eq(proc_threads(&list), 0);
    size_t count = list.count;
    proc_list_free(&list);
    return count;
}

START_TEST(runs_jobs_in_the_order_of_the_queue)
    {
        enum { JOBS = 50 };
        static struct job jobs[JOBS], first;
        struct gate gate = GATE_CLOSED;
        struct trace trace;
        struct pool *pool = NULL;
        char wanted[512] = "";
        trace_init(&trace);
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        job_init(&first, &gate);
        ck_assert_int_eq(pool_submit(pool, &first.job), 0);
        for (int i = 0; i < JOBS; i++) {
            job_init(&jobs[i], NULL);
            jobs[i].trace = &trace;
            (void)snprintf(jobs[i].name, sizeof jobs[i].name, "j%d", i);
            (void)snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%sj%d.ran",
                           i > 0 ? " " : "", i);
            ck_assert_int_eq(pool_submit(pool, &jobs[i].job), 0);
        }
        gate_open(&gate);
        ck_assert(harness_wait(was_told, &jobs[JOBS - 1], 10000));
        assert_trace(&trace, wanted);
        ck_assert_ptr_null(pool_free(pool, LIMIT));
        trace_destroy(&trace);
    }
END_TEST

START_TEST(has_no_more_threads_than_its_width)
    {
        enum { JOBS = 10 };
        static struct job jobs[JOBS];
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        size_t before = thread_count();
        ck_assert_int_eq(pool_new(&pool, 2), 0);
        ck_assert_uint_eq(thread_count(), before); /* started on first need */
        for (int i = 0; i < JOBS; i++) {
            job_init(&jobs[i], &gate);
            ck_assert_int_eq(pool_submit(pool, &jobs[i].job), 0);
        }
        ck_assert(harness_wait(has_run, &jobs[1], 10000));
        ck_assert_uint_eq(thread_count(), before + 2);
        ck_assert_int_eq(atomic_load(&jobs[2].ran), 0);
        pool_widen(pool, 1); /* never fewer */
        gate_open(&gate);
        ck_assert(harness_wait(was_told, &jobs[JOBS - 1], 10000));
        ck_assert_ptr_null(pool_free(pool, LIMIT));
    }
END_TEST

START_TEST(gives_a_thread_to_each_job_that_waits_when_it_is_widened)
    {
        enum { JOBS = 4 };
        static struct job jobs[JOBS];
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        for (int i = 0; i < JOBS; i++) {
            job_init(&jobs[i], &gate);
            pool_queue(pool, &jobs[i].job);
        }
        ck_assert(harness_wait(has_run, &jobs[0], 10000));
        pool_widen(pool, JOBS);
        ck_assert(!pool_tend(pool));
        for (int i = 1; i < JOBS; i++) /* none of which waits for another one */
            ck_assert(harness_wait(has_run, &jobs[i], 10000));
        gate_open(&gate);
        ck_assert_ptr_null(pool_free(pool, LIMIT));
    }
END_TEST

START_TEST(grows_by_one_thread_for_each_lost_job)
    {
        static struct job stuck[3], after;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        for (int i = 0; i < 3; i++) {
            job_init(&stuck[i], &gate);
            ck_assert_int_eq(pool_submit(pool, &stuck[i].job), 0);
            ck_assert(harness_wait(has_run, &stuck[i], 10000));
            pool_lose(pool, &stuck[i].job);
            pool_lose(pool, &stuck[i].job); /* once is enough */
        }
        job_init(&after, NULL);
        ck_assert_int_eq(pool_submit(pool, &after.job), 0);
        ck_assert(harness_wait(was_told, &after, 10000));
        ck_assert_ptr_eq(pool_free(pool, 10 * NS_PER_MS), pool); /* three have not come home */
        gate_open(&gate);
        for (int i = 0; i < 3; i++)
            ck_assert(harness_wait(was_told, &stuck[i], 10000));
        int64_t end = harness_now_ms() + REAL_LIMIT_MS;
        while (pool_free(pool, LIMIT) != NULL && harness_now_ms() < end)
            (void)usleep(1000);
    }
END_TEST

START_TEST(runs_what_waited_behind_a_job_that_is_lost)
    {
        static struct job stuck, waits;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        job_init(&stuck, &gate);
        job_init(&waits, NULL);
        ck_assert_int_eq(pool_submit(pool, &stuck.job), 0);
        ck_assert(harness_wait(has_run, &stuck, 10000));
        ck_assert_int_eq(pool_submit(pool, &waits.job), 0);
        pool_lose(pool, &stuck.job);
        ck_assert(harness_wait(was_told, &waits, 10000));
        gate_open(&gate);
        ck_assert(harness_wait(was_told, &stuck, 10000));
        int64_t end = harness_now_ms() + REAL_LIMIT_MS;
        while (pool_free(pool, LIMIT) != NULL && harness_now_ms() < end)
            (void)usleep(1000);
    }
END_TEST

START_TEST(takes_a_lost_job_out_of_the_queue)
    {
        static struct job first, lost, last;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        job_init(&first, &gate);
        job_init(&lost, NULL);
        job_init(&last, NULL);
        ck_assert_int_eq(pool_submit(pool, &first.job), 0);
        ck_assert(harness_wait(has_run, &first, 10000));
        ck_assert_int_eq(pool_submit(pool, &lost.job), 0);
        pool_lose(pool, &lost.job);
        ck_assert_int_eq(pool_submit(pool, &last.job), 0);
        gate_open(&gate);
        ck_assert(harness_wait(was_told, &last, 10000));
        ck_assert_int_eq(atomic_load(&lost.ran), 0);
        pool_lose(pool, &lost.job); /* idle: nothing to lose */
        ck_assert_ptr_null(pool_free(pool, LIMIT));
    }
END_TEST

START_TEST(is_freed_when_its_busy_threads_have_ended)
    {
        static struct job slow;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        ck_assert_int_eq(pool_new(&pool, 2), 0);
        job_init(&slow, &gate);
        ck_assert_int_eq(pool_submit(pool, &slow.job), 0);
        ck_assert(harness_wait(has_run, &slow, 10000));
        int64_t start = harness_now_ms();
        ck_assert_ptr_eq(pool_free(pool, 30 * NS_PER_MS), pool);
        ck_assert_int_ge(harness_now_ms() - start, 29);
        gate_open(&gate);
        ck_assert_ptr_null(pool_free(pool, LIMIT));
        ck_assert_int_eq(atomic_load(&slow.told), 1);
        ck_assert_ptr_null(pool_free(NULL, 0));
    }
END_TEST

static bool few_threads(void *arg)
{
    const size_t *wanted = arg;
    return thread_count() == *wanted;
}

START_TEST(lets_idle_threads_go_after_a_moment)
    {
        static struct job jobs[4], later;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        size_t before = thread_count();
        ck_assert_int_eq(pool_new(&pool, 4), 0);
        for (int i = 0; i < 4; i++) {
            job_init(&jobs[i], &gate);
            ck_assert_int_eq(pool_submit(pool, &jobs[i].job), 0);
        }
        for (int i = 0; i < 4; i++)
            ck_assert(harness_wait(has_run, &jobs[i], 10000));
        ck_assert_uint_eq(thread_count(), before + 4);
        int64_t start = harness_now_ms();
        gate_open(&gate);
        ck_assert(harness_wait(few_threads, &before, 10000));
        ck_assert_int_ge(harness_now_ms() - start, 200);
        job_init(&later, NULL);
        ck_assert_int_eq(pool_submit(pool, &later.job), 0); /* and has new ones on need */
        ck_assert(harness_wait(was_told, &later, 10000));
        ck_assert_ptr_null(pool_free(pool, LIMIT));
    }
END_TEST

struct seen {
    pthread_t thread;
    int tid;
    unsigned calls;
};

static void see(void *arg, pthread_t thread, int tid)
{
    struct seen *seen = arg;
    *seen = (struct seen){thread, tid, seen->calls + 1};
}

START_TEST(shows_the_thread_of_a_job_only_while_it_runs)
    {
        static struct job job;
        struct gate gate = GATE_CLOSED;
        struct pool *pool = NULL;
        struct seen seen = {0};
        char name[32];
        ck_assert_int_eq(pool_new(&pool, 1), 0);
        job_init(&job, &gate);
        ck_assert(!pool_with_thread(pool, &job.job, see, &seen));
        ck_assert_int_eq(pool_submit(pool, &job.job), 0);
        ck_assert(harness_wait(has_run, &job, 10000));
        ck_assert(pool_with_thread(pool, &job.job, see, &seen));
        proc_thread_name(seen.tid, name, sizeof name);
        ck_assert_str_eq(name, "srun:ops");
        gate_open(&gate);
        ck_assert(harness_wait(was_told, &job, 10000));
        ck_assert(!pool_with_thread(pool, &job.job, see, &seen));
        ck_assert_uint_eq(seen.calls, 1);
        ck_assert_ptr_null(pool_free(pool, LIMIT));
    }
END_TEST

int main(void)
{
    return HARNESS("pool", runs_jobs_in_the_order_of_the_queue, has_no_more_threads_than_its_width,
                   gives_a_thread_to_each_job_that_waits_when_it_is_widened,
                   grows_by_one_thread_for_each_lost_job,
                   runs_what_waited_behind_a_job_that_is_lost, takes_a_lost_job_out_of_the_queue,
                   is_freed_when_its_busy_threads_have_ended, lets_idle_threads_go_after_a_moment,
                   shows_the_thread_of_a_job_only_while_it_runs);
}
