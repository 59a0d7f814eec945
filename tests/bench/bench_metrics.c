/* SPDX-License-Identifier: MIT
 *
 * What a measurement costs, beside the bare atomic addition of the same run; what a scrape costs,
 * and what it costs those who measure meanwhile. Ratios count: the machine may be busy.
 *
 *     bench_metrics [--json] [--rounds=3]
 */
#include "base/clock.h"
#include "telemetry/meter.h"
#include "telemetry/prometheus.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 4, PIECES = 200, OPS = 20000, SETS = 1000 };

#define LIMIT_NS 1e9 /* of a measurement, on a machine that has other things to do */

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_metrics: %s\n", what);
    exit(1);
}

static double now_ns(void)
{
    return (double)clock_real_now();
}

/* --- one measurement ------------------------------------------------------------------------- */

struct line {
    _Alignas(128) _Atomic uint64_t value;
};

struct bench {
    struct telemetry_meters *meters;
    srun_meter *meter;
    srun_instrument *counter, *real, *labelled, *histogram, *exponential, *gauge;
    srun_series *bound, *bound_real, *bound_histogram, *bound_exponential, *bound_gauge;
    struct line lines[THREADS_MAX];
    char routes[SETS][32];
    atomic_bool stop;
};

/* Work is timed in short pieces. On a busy machine many are interrupted, or run while the other
 * threads wait: those count that were not, and in which as many others have finished a piece as
 * there are other processors; of these the median. */
struct job {
    struct bench *bench;
    unsigned index, threads;
    size_t ops; /* of a piece */
    void (*work)(struct bench *bench, unsigned thread, size_t ops);
    pthread_barrier_t *start;
    struct job *jobs; /* all of them */
    atomic_size_t counted;
    double ns[PIECES]; /* for each operation */
    _Alignas(128) atomic_uint done;
    char apart[128];
};

static void raw(struct bench *bench, unsigned thread, size_t ops)
{
    for (size_t i = 0; i < ops; i++)
        (void)atomic_fetch_add_explicit(&bench->lines[thread].value, 1, memory_order_relaxed);
}

static void shared(struct bench *bench, unsigned thread, size_t ops)
{
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        (void)atomic_fetch_add_explicit(&bench->lines[0].value, 1, memory_order_relaxed);
}

static void bound(struct bench *bench, unsigned thread, size_t ops)
{
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_add(bench->bound, 1);
}

static void bound_real(struct bench *bench, unsigned thread, size_t ops)
{
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_add_real(bench->bound_real, 0.5);
}

static void unbound(struct bench *bench, unsigned thread, size_t ops)
{
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_add(bench->counter, 1, NULL);
}

static void three_labels(struct bench *bench, unsigned thread, size_t ops)
{
    for (size_t i = 0; i < ops; i++)
        srun_add(bench->labelled, 1,
                 SRUN_KVS(SRUN_STR("method", "GET"),
                          SRUN_STR("route", bench->routes[(i + thread) % SETS]),
                          SRUN_INT("code", 200)));
}

static void histogram(struct bench *bench, unsigned thread, size_t ops)
{
    static const double values[] = {0.0007, 0.003, 0.02, 0.3, 0.04, 1.7, 0.0011, 0.06};
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_record(bench->bound_histogram, values[i % 8]);
}

static void exponential(struct bench *bench, unsigned thread, size_t ops)
{
    static const double values[] = {0.0007, 0.003, 0.02, 0.3, 0.04, 1.7, 0.0011, 0.06};
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_record(bench->bound_exponential, values[i % 8]);
}

static void gauge(struct bench *bench, unsigned thread, size_t ops)
{
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_set(bench->bound_gauge, (int64_t)i);
}

/* How many of the others finish pieces at the same time, out of those that can. */
static bool overlapped(const struct job *job, const unsigned *before)
{
    static const unsigned processors = 2;
    unsigned others = 0, wanted = job->threads < processors ? job->threads - 1 : processors - 1;
    for (unsigned i = 0; i < job->threads; i++)
        others += i != job->index && atomic_load(&job->jobs[i].done) != before[i];
    return others >= wanted;
}

static bool somebody_counts(const struct job *job)
{
    for (unsigned i = 0; i < job->threads; i++)
        if (atomic_load(&job->jobs[i].counted) < PIECES)
            return true;
    return false;
}

static double thread_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *job_main(void *arg)
{
    struct job *job = arg;
    unsigned before[THREADS_MAX];
    job->work(job->bench, job->index, job->ops);
    (void)pthread_barrier_wait(job->start);
    double limit = now_ns() + LIMIT_NS;
    while (job->counted < PIECES && now_ns() < limit) {
        for (unsigned i = 0; i < job->threads; i++)
            before[i] = atomic_load(&job->jobs[i].done);
        double worked = thread_ns(), begun = now_ns();
        job->work(job->bench, job->index, job->ops);
        double ns = now_ns() - begun;
        bool alone = ns > (thread_ns() - worked) * 1.2;
        (void)atomic_fetch_add(&job->done, 1);
        if (!alone && overlapped(job, before))
            job->ns[atomic_fetch_add(&job->counted, 1)] = ns / (double)job->ops;
    }
    /* The others need somebody to work beside. */
    while (now_ns() < limit && somebody_counts(job)) {
        job->work(job->bench, job->index, job->ops);
        (void)atomic_fetch_add(&job->done, 1);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nanoseconds for an operation of a thread, while so many do the same. */
static double measure(struct bench *bench, void (*work)(struct bench *, unsigned, size_t),
                      unsigned threads, size_t ops)
{
    static struct job jobs[THREADS_MAX];
    static double all[THREADS_MAX * PIECES];
    pthread_t started[THREADS_MAX];
    pthread_barrier_t start;
    size_t count = 0;
    (void)pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = (struct job){.bench = bench,
                               .index = i,
                               .threads = threads,
                               .ops = ops,
                               .work = work,
                               .start = &start,
                               .jobs = jobs};
    }
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&started[i], NULL, job_main, &jobs[i]) != 0)
            die("no thread");
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(started[i], NULL);
    for (unsigned i = 0; i < threads; i++) {
        size_t counted = atomic_load(&jobs[i].counted);
        memcpy(all + count, jobs[i].ns, counted * sizeof all[0]);
        count += counted;
    }
    (void)pthread_barrier_destroy(&start);
    qsort(all, count, sizeof *all, by_value);
    return count > 0 ? all[count / 2] : INFINITY;
}

static const struct {
    const char *name;
    void (*work)(struct bench *bench, unsigned thread, size_t ops);
    size_t ops;
} kinds[] = {
    {"raw", raw, OPS},
    {"raw_shared", shared, OPS},
    {"counter_bound", bound, OPS},
    {"counter_real_bound", bound_real, OPS},
    {"counter_unbound", unbound, OPS},
    {"counter_3_labels", three_labels, OPS / 10},
    {"histogram_bound", histogram, OPS / 4},
    {"exponential_bound", exponential, OPS / 10},
    {"gauge_bound", gauge, OPS},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const unsigned thread_counts[] = {1, 2, 4};

/* --- scrapes --------------------------------------------------------------------------------- */

struct scrape {
    size_t bytes, series;
    double ms, collect_ms;
};

static void fill(srun_instrument *instrument, size_t count)
{
    char route[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(route, sizeof route, "/items/%zu", i);
        srun_add(
            instrument, (int64_t)(i * 977 + 1),
            SRUN_KVS(SRUN_STR("method", "GET"), SRUN_STR("route", route), SRUN_INT("code", 200)));
    }
}

static struct scrape scrape_once(struct telemetry_reader *reader, struct buf *out)
{
    const struct telemetry_metric *metrics = NULL;
    struct scrape scrape = {0};
    double start = now_ns();
    out->size = 0;
    size_t count = telemetry_collect(reader, INT64_MAX, &metrics);
    double middle = now_ns();
    (void)prometheus_write(out, metrics, count, NULL, false);
    scrape.ms = (now_ns() - start) / 1e6;
    scrape.collect_ms = (middle - start) / 1e6;
    scrape.bytes = out->size;
    for (size_t i = 0; i < count; i++)
        scrape.series += metrics[i].point_count;
    return scrape;
}

static struct telemetry_reader *text_reader(struct telemetry_meters *meters)
{
    struct telemetry_reader *reader = NULL;
    if (telemetry_reader_new(&reader, meters,
                             &(struct telemetry_reader_options){.text_only = true}) < 0)
        die("no reader");
    return reader;
}

static struct scrape measure_scrape(size_t series, unsigned rounds)
{
    struct telemetry_meters *meters = NULL;
    struct buf out = {0};
    if (telemetry_meters_new(&meters, NULL) < 0)
        die("no meters");
    fill(srun_counter(telemetry_meter(meters, "bench", ""), "http.requests",
                      SRUN_INSTRUMENT(.limit = (unsigned)series)),
         series);
    struct telemetry_reader *reader = text_reader(meters);
    struct scrape best = {.ms = INFINITY};
    (void)scrape_once(reader, &out); /* memory is asked for once */
    for (unsigned i = 0; i < rounds * 5; i++) {
        struct scrape scrape = scrape_once(reader, &out);
        if (scrape.ms < best.ms)
            best = scrape;
    }
    (void)telemetry_reader_free(reader);
    (void)telemetry_meters_free(meters);
    buf_free(&out);
    return best;
}

static void *scrape_loop(void *arg)
{
    struct bench *bench = arg;
    struct telemetry_reader *reader = text_reader(bench->meters);
    struct buf out = {0};
    while (!atomic_load(&bench->stop))
        (void)scrape_once(reader, &out);
    (void)telemetry_reader_free(reader);
    buf_free(&out);
    return NULL;
}

static void *spin_loop(void *arg)
{
    struct bench *bench = arg;
    static volatile uint64_t spins;
    while (!atomic_load(&bench->stop))
        for (unsigned i = 0; i < 1000; i++)
            spins = spins + 1;
    return NULL;
}

/* One thread adds while another works: beside a scraper, and beside one that only burns the other
 * processor, so that what a busy machine costs is in both. */
static double measure_beside(struct bench *bench, void *(*other)(void *arg))
{
    pthread_t thread;
    atomic_store(&bench->stop, false);
    if (pthread_create(&thread, NULL, other, bench) != 0)
        die("no thread");
    double ns = measure(bench, bound, 1, OPS);
    atomic_store(&bench->stop, true);
    (void)pthread_join(thread, NULL);
    return ns;
}

/* --- telling --------------------------------------------------------------------------------- */

static void bench_open(struct bench *bench)
{
    if (telemetry_meters_new(&bench->meters, NULL) < 0)
        die("no meters");
    bench->meter = telemetry_meter(bench->meters, "bench", "");
    bench->counter = srun_counter(bench->meter, "counter", NULL);
    bench->real = srun_counter(bench->meter, "real", SRUN_INSTRUMENT(.real = 1));
    bench->labelled = srun_counter(bench->meter, "labelled", NULL);
    bench->histogram = srun_histogram(bench->meter, "histogram", SRUN_INSTRUMENT(.unit = "s"));
    bench->exponential =
        srun_histogram(bench->meter, "exponential", SRUN_INSTRUMENT(.exponential = 1));
    bench->gauge = srun_gauge(bench->meter, "gauge", NULL);
    bench->bound = srun_bind(bench->counter, NULL);
    bench->bound_real = srun_bind(bench->real, NULL);
    bench->bound_histogram = srun_bind(bench->histogram, NULL);
    bench->bound_exponential = srun_bind(bench->exponential, NULL);
    bench->bound_gauge = srun_bind(bench->gauge, NULL);
    for (size_t i = 0; i < SETS; i++)
        (void)snprintf(bench->routes[i], sizeof bench->routes[i], "/items/%zu", i);
}

static unsigned option(int argc, char **argv, const char *name, unsigned otherwise)
{
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0)
            return (unsigned)strtoul(argv[i] + length, NULL, 10);
    return otherwise;
}

/* What has to be slow is: else the figures of several threads say nothing. */
static bool ran_together(double ns[KINDS][3])
{
    return ns[1][1] > 1.5 * ns[0][0];
}

static void print_json(double ns[KINDS][3], const struct scrape *few, const struct scrape *many,
                       double slowed)
{
    printf("{\"bench\":\"metrics\"");
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = 0; t < 3; t++)
            if (isfinite(ns[k][t]))
                printf(",\"%s_%u_ns\":%.2f", kinds[k].name, thread_counts[t], ns[k][t]);
    printf(",\"scrape_2000_ms\":%.3f,\"scrape_100000_ms\":%.2f,\"bytes_2000\":%zu,"
           "\"bytes_100000\":%zu,\"slowed_percent\":%.1f,"
           "\"ran_together\":%s}\n",
           few->ms, many->ms, few->bytes, many->bytes, slowed, ran_together(ns) ? "true" : "false");
}

static void print_text(double ns[KINDS][3], const struct scrape *few, const struct scrape *many,
                       double slowed)
{
    printf("%-24s %9s %9s %9s %9s\n", "ns for each, threads:", "1", "2", "4", "x raw");
    for (size_t k = 0; k < KINDS; k++)
        printf("%-24s %9.2f %9.2f %9.2f %9.2f\n", kinds[k].name, ns[k][0], ns[k][1], ns[k][2],
               ns[k][0] / ns[0][0]);
    printf("scrape of %6zu series %9.3f ms (collect %.3f), %zu bytes\n", few->series, few->ms,
           few->collect_ms, few->bytes);
    printf("scrape of %6zu series %9.3f ms (collect %.3f), %zu bytes\n", many->series, many->ms,
           many->collect_ms, many->bytes);
    if (!ran_together(ns))
        printf("(threads hardly ran at the same time: the shared line did not slow them)\n");
    printf("a writer beside a loop of scrapes of 2000 series: slowed by %.1f %%\n", slowed);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    double ns[KINDS][3];
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    unsigned rounds = option(argc, argv, "--rounds=", 3);
    bench_open(&bench);
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = 0; t < 3; t++)
            ns[k][t] = INFINITY;
    for (unsigned round = 0; round < rounds; round++)
        for (size_t k = 0; k < KINDS; k++)
            for (size_t t = 0; t < 3; t++)
                ns[k][t] =
                    fmin(ns[k][t], measure(&bench, kinds[k].work, thread_counts[t], kinds[k].ops));
    struct scrape few = measure_scrape(2000, rounds * 4), many = measure_scrape(100000, rounds);
    fill(srun_counter(bench.meter, "filled", NULL), 2000);
    double beside = INFINITY, alone = INFINITY;
    for (unsigned round = 0; round < rounds * 2; round++) {
        alone = fmin(alone, measure_beside(&bench, spin_loop));
        beside = fmin(beside, measure_beside(&bench, scrape_loop));
    }
    double slowed = (beside / alone - 1) * 100;
    if (json)
        print_json(ns, &few, &many, slowed);
    else
        print_text(ns, &few, &many, slowed);
    (void)telemetry_meters_free(bench.meters);
    return 0;
}
