/* SPDX-License-Identifier: MIT
 *
 * What a profile costs: who is profiled, in processor time for the same work with and without, by
 * turns; and who asks, for the beginning, for the names, and for the stacks of many threads.
 *
 *     bench_profile [--json] [--rounds=15]
 */
#include "base/clock.h"
#include "base/duration.h"
#include "profile/cpu.h"
#include "profile/pprof.h"
#include "profile/threads.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 200, RATES = 4, DEPTH = 30, CROWDS = 3 };

static const unsigned rates[RATES] = {0, 100, 250, 1000};
static const unsigned crowds[CROWDS] = {8, 100, 1000};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_profile: %s\n", what);
    exit(1);
}

static double cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof values[0], ascending);
    return values[count / 2];
}

/* --- who is profiled ------------------------------------------------------------------------- */

static volatile uint64_t sink;

/* Work with a stack of thirty functions. */
__attribute__((noinline)) static void work(unsigned depth)
{
    if (depth > 0) {
        work(depth - 1);
        sink++;
        return;
    }
    for (uint64_t i = 0; i < 200000000; i++)
        sink = sink * 31 + i;
}

struct session {
    unsigned hz;
    int pipe[2];
    pthread_t thread;
    struct profile profile;
};

static void *run_session(void *arg)
{
    struct session *session = arg;
    const struct cpu_ask ask = {300 * NS_PER_S, session->hz, session->pipe[0]};
    srun_err err = {0};
    if (cpu_profile(&ask, &session->profile, &err) < 0)
        die(err.text);
    return NULL;
}

static double timed_work(void)
{
    double before = cpu_ns();
    work(DEPTH);
    return cpu_ns() - before;
}

/* The samples that the work got; *ns is its processor time. */
static uint64_t profiled_work(unsigned hz, double *ns)
{
    struct session session = {.hz = hz};
    if (hz == 0) {
        *ns = timed_work();
        return 0;
    }
    if (pipe(session.pipe) < 0 || pthread_create(&session.thread, NULL, run_session, &session) != 0)
        die("no thread");
    struct sigaction now;
    while (sigaction(SIGPROF, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)usleep(100);
    *ns = timed_work();
    if (write(session.pipe[1], "x", 1) != 1)
        die("pipe");
    (void)pthread_join(session.thread, NULL);
    uint64_t samples = 0;
    for (size_t i = 0; i < session.profile.stacks.count; i++)
        samples += session.profile.stacks.all[i].values[0];
    profile_free(&session.profile);
    (void)close(session.pipe[0]);
    (void)close(session.pipe[1]);
    return samples;
}

/* --- who asks -------------------------------------------------------------------------------- */

static double begin_ms(size_t *rows, size_t *modules)
{
    struct modules *all;
    int64_t before = clock_real_now();
    if (modules_new(&all) < 0 || modules_refresh(all, NULL) < 0)
        die("out of memory");
    double ms = (double)(clock_real_now() - before) / 1e6;
    *rows = *modules = 0;
    for (const struct module *module = all->known; module != NULL; module = module->next) {
        *rows += module->rows.count;
        ++*modules;
    }
    modules_free(all);
    return ms;
}

static sem_t asleep;
static pthread_barrier_t leave;

static void *sleep_until_told(void *arg)
{
    (void)sem_post(&asleep);
    (void)pthread_barrier_wait(&leave);
    return arg;
}

/* Milliseconds: to ask so many threads; to write what they say. */
static void ask_threads(unsigned count, double *ask_ms, double *write_ms)
{
    pthread_attr_t small;
    pthread_t *threads = calloc(count, sizeof *threads);
    struct threads said;
    struct names *names;
    struct buf out = {0};
    srun_err err = {0};
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, 65536);
    (void)sem_init(&asleep, 0, 0);
    (void)pthread_barrier_init(&leave, NULL, count + 1);
    for (unsigned i = 0; threads != NULL && i < count; i++)
        if (pthread_create(&threads[i], &small, sleep_until_told, NULL) != 0)
            die("no thread");
    for (unsigned i = 0; i < count; i++)
        while (sem_wait(&asleep) < 0)
            ;
    if (threads_ask(-1, &said, &err) < 0)
        die(err.text);
    *ask_ms = (double)said.duration_ns / 1e6;
    int64_t before = clock_real_now();
    struct profile profile;
    struct remembered remembered = {0};
    threads_to_profile(&said, &profile);
    if (names_new(&names, profile.known, &remembered) < 0)
        die("out of memory");
    pprof_write(&out, &profile, &pprof_threads, names);
    *write_ms = (double)(clock_real_now() - before) / 1e6;
    names_free(names);
    remembered_free(&remembered);
    buf_free(&out);
    profile_free(&profile);
    threads_free(&said);
    (void)pthread_barrier_wait(&leave);
    for (unsigned i = 0; threads != NULL && i < count; i++)
        (void)pthread_join(threads[i], NULL);
    free(threads);
}

int main(int argc, char **argv)
{
    static double ns[RATES][ROUNDS_MAX], ask_ms[CROWDS], write_ms[CROWDS];
    uint64_t samples[RATES] = {0};
    bool json = false;
    int rounds = 15;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        if (strncmp(argv[i], "--rounds=", 9) == 0)
            rounds = atoi(argv[i] + 9);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("--rounds: 1 to 200");
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < RATES; i++)
            samples[i] += profiled_work(rates[i], &ns[i][round]);
    double base = median(ns[0], (size_t)rounds);
    size_t rows, modules;
    double begin = begin_ms(&rows, &modules);
    for (int i = 0; i < CROWDS; i++)
        ask_threads(crowds[i], &ask_ms[i], &write_ms[i]);

    double slower[RATES];
    for (int i = 1; i < RATES; i++)
        slower[i] = (median(ns[i], (size_t)rounds) / base - 1) * 100;
    if (json) {
        printf("{\"bench\":\"profile\",\"work_ms\":%.1f,\"begin_ms\":%.2f,\"rows\":%zu,\"modules\":"
               "%zu",
               base / 1e6, begin, rows, modules);
        for (int i = 1; i < RATES; i++)
            printf(",\"slower_percent_%u\":%.3f", rates[i], slower[i]);
        for (int i = 0; i < CROWDS; i++)
            printf(",\"ask_ms_%u\":%.2f,\"write_ms_%u\":%.2f", crowds[i], ask_ms[i], crowds[i],
                   write_ms[i]);
        printf("}\n");
        return 0;
    }
    printf("%.0f ms of processor time, a stack of %d functions, median of %d\n", base / 1e6, DEPTH,
           rounds);
    for (int i = 1; i < RATES; i++)
        printf("%8u Hz %7.2f%% slower, with %llu samples\n", rates[i], slower[i],
               (unsigned long long)samples[i]);
    printf("to begin: %.1f ms for %zu rows (%.1f MB) of %zu modules\n", begin, rows,
           (double)(rows * sizeof(struct cfi_row)) / 1e6, modules);
    for (int i = 0; i < CROWDS; i++)
        printf("%8u threads asked in %.1f ms, written in %.1f ms\n", crowds[i], ask_ms[i],
               write_ms[i]);
    return 0;
}
