/* SPDX-License-Identifier: MIT */
#include "pieces.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COUNTED = 100, BLOCKS = 16 };

#define LIMIT_NS 2e9 /* of a measurement, on a machine that has other things to do */

struct job {
    const struct pieces *pieces;
    unsigned index, threads;
    pthread_barrier_t *start;
    struct job *jobs; /* all of them */
    atomic_size_t counted;
    double ns[COUNTED];             /* for each operation */
    _Alignas(128) atomic_uint done; /* blocks */
    char apart[128];
};

static double read_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static unsigned done_by_others(const struct job *job)
{
    unsigned done = 0;
    for (unsigned i = 0; i < job->threads; i++)
        done +=
            i != job->index ? atomic_load_explicit(&job->jobs[i].done, memory_order_relaxed) : 0;
    return done;
}

static bool somebody_counts(const struct job *job)
{
    for (unsigned i = 0; i < job->threads; i++)
        if (atomic_load(&job->jobs[i].counted) < COUNTED)
            return true;
    return false;
}

static void piece(struct job *job)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        job->pieces->work(job->pieces->user, job->index, job->pieces->ops / BLOCKS);
        (void)atomic_fetch_add_explicit(&job->done, 1, memory_order_relaxed);
    }
}

static void between(const struct job *job)
{
    if (job->pieces->between != NULL)
        job->pieces->between(job->pieces->user);
}

/* What the others did is looked at while the clock runs: else they could have done it before. */
static void timed_piece(struct job *job)
{
    double worked = read_ns(CLOCK_THREAD_CPUTIME_ID), begun = read_ns(CLOCK_MONOTONIC);
    unsigned before = done_by_others(job);
    piece(job);
    unsigned beside = done_by_others(job) - before;
    double ns = read_ns(CLOCK_MONOTONIC) - begun;
    bool waited = ns > (read_ns(CLOCK_THREAD_CPUTIME_ID) - worked) * 1.2;
    if (!waited && (job->threads == 1 || beside >= BLOCKS / 2))
        job->ns[atomic_fetch_add(&job->counted, 1)] =
            ns / (double)(job->pieces->ops / BLOCKS * BLOCKS);
}

static void *job_main(void *arg)
{
    struct job *job = arg;
    piece(job);
    between(job);
    (void)pthread_barrier_wait(job->start);
    double limit = read_ns(CLOCK_MONOTONIC) + LIMIT_NS;
    /* Who has enough works on: the others need somebody to work beside. */
    while (read_ns(CLOCK_MONOTONIC) < limit && somebody_counts(job)) {
        if (job->counted < COUNTED)
            timed_piece(job);
        else
            piece(job);
        between(job);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pieces_measure(const struct pieces *pieces, unsigned threads)
{
    static struct job jobs[PIECES_THREADS_MAX];
    static double all[PIECES_THREADS_MAX * COUNTED];
    pthread_t started[PIECES_THREADS_MAX];
    pthread_barrier_t start;
    size_t count = 0;
    (void)pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++)
        jobs[i] = (struct job){
            .pieces = pieces, .index = i, .threads = threads, .start = &start, .jobs = jobs};
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&started[i], NULL, job_main, &jobs[i]) != 0) {
            (void)fprintf(stderr, "no thread\n");
            exit(1);
        }
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(started[i], NULL);
    for (unsigned i = 0; i < threads; i++) {
        size_t counted = atomic_load(&jobs[i].counted);
        memcpy(all + count, jobs[i].ns, counted * sizeof all[0]);
        count += counted;
    }
    (void)pthread_barrier_destroy(&start);
    qsort(all, count, sizeof all[0], by_value);
    return count > 0 ? all[count / 2] : INFINITY;
}

unsigned pieces_rounds(unsigned rounds)
{
    const char *given = getenv("PIECES_ROUNDS");
    unsigned long wanted = given != NULL ? strtoul(given, NULL, 10) : 0;
    return wanted > 0 ? (unsigned)wanted : rounds;
}

double pieces_best(const struct pieces *pieces, unsigned threads, unsigned rounds)
{
    double best = INFINITY;
    rounds = pieces_rounds(rounds);
    for (unsigned i = 0; i < rounds; i++)
        best = fmin(best, pieces_measure(pieces, threads));
    return best;
}

void pieces_json(const char *name, unsigned threads, double ns)
{
    if (isfinite(ns))
        printf(",\"%s_%u_ns\":%.3f", name, threads, ns);
}
