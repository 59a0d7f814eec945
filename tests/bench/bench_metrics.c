/* SPDX-License-Identifier: MIT
 *
 * What a measurement costs, beside the bare atomic addition of the same run; what a scrape costs,
 * of one to a hundred thousand series, and what it costs those who measure meanwhile. Ratios count:
 * the machine may be busy.
 *
 *     bench_metrics [--json] [--rounds=3]
 */
#include "base/clock.h"
#include "pieces.h"
#include "telemetry/meter.h"
#include "telemetry/prometheus.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPS = 20000, SETS = 1000 };

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
    struct line lines[PIECES_THREADS_MAX];
    char routes[SETS][32];
    atomic_bool stop;
};

static void raw(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    for (size_t i = 0; i < ops; i++)
        (void)atomic_fetch_add_explicit(&bench->lines[thread].value, 1, memory_order_relaxed);
}

static void shared(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        (void)atomic_fetch_add_explicit(&bench->lines[0].value, 1, memory_order_relaxed);
}

static void bound(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_add(bench->bound, 1);
}

static void bound_real(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_add_real(bench->bound_real, 0.5);
}

static void unbound(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_add(bench->counter, 1, NULL);
}

static void three_labels(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    for (size_t i = 0; i < ops; i++)
        srun_add(bench->labelled, 1,
                 SRUN_KVS(SRUN_STR("method", "GET"),
                          SRUN_STR("route", bench->routes[(i + thread) % SETS]),
                          SRUN_INT("code", 200)));
}

static void histogram(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    static const double values[] = {0.0007, 0.003, 0.02, 0.3, 0.04, 1.7, 0.0011, 0.06};
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_record(bench->bound_histogram, values[i % 8]);
}

static void exponential(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    static const double values[] = {0.0007, 0.003, 0.02, 0.3, 0.04, 1.7, 0.0011, 0.06};
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_record(bench->bound_exponential, values[i % 8]);
}

static void gauge(void *user, unsigned thread, size_t ops)
{
    struct bench *bench = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        srun_series_set(bench->bound_gauge, (int64_t)i);
}

static const struct {
    const char *name;
    void (*work)(void *user, unsigned thread, size_t ops);
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

/* The memory of the first two is told: what later ones get is what these gave back. */
static const size_t sizes[] = {2000, 100000, 1, 10, 100, 1000, 10000};

enum { SIZES = sizeof sizes / sizeof sizes[0], SIZES_MEMORY = 2 };

struct scrape {
    size_t bytes, series;
    double ms, collect_ms;
    double memory; /* bytes of a series, once it has been scraped */
};

static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        die("/proc/self/statm");
    (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

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
    double before = resident();
    if (telemetry_meters_new(&meters, NULL) < 0)
        die("no meters");
    fill(srun_counter(telemetry_meter(meters, "bench", ""), "http.requests",
                      SRUN_INSTRUMENT(.limit = (unsigned)series)),
         series);
    struct telemetry_reader *reader = text_reader(meters);
    struct scrape best = {.ms = INFINITY};
    (void)scrape_once(reader, &out); /* memory is asked for once */
    double memory = (resident() - before) / (double)series;
    for (unsigned i = 0; i < rounds * 5; i++) {
        struct scrape scrape = scrape_once(reader, &out);
        if (scrape.ms < best.ms)
            best = scrape;
    }
    best.memory = memory;
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
    double ns = pieces_measure(&(struct pieces){bound, bench, OPS, NULL}, 1);
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

static void print_json(double ns[KINDS][3], const struct scrape scrapes[SIZES], double slowed)
{
    printf("{\"bench\":\"metrics\"");
    for (size_t k = 0; k < KINDS; k++)
        for (size_t t = 0; t < 3; t++)
            pieces_json(kinds[k].name, thread_counts[t], ns[k][t]);
    for (size_t i = 0; i < SIZES; i++)
        printf(",\"scrape_%zu_ms\":%.4f,\"bytes_%zu\":%zu", sizes[i], scrapes[i].ms, sizes[i],
               scrapes[i].bytes);
    for (size_t i = 0; i < SIZES_MEMORY; i++)
        printf(",\"memory_of_series_%zu\":%.0f", sizes[i], scrapes[i].memory);
    printf(",\"slowed_percent\":%.1f,\"ran_together\":%s}\n", slowed,
           ran_together(ns) ? "true" : "false");
}

static void print_text(double ns[KINDS][3], const struct scrape scrapes[SIZES], double slowed)
{
    printf("%-24s %9s %9s %9s %9s\n", "ns for each, threads:", "1", "2", "4", "x raw");
    for (size_t k = 0; k < KINDS; k++)
        printf("%-24s %9.2f %9.2f %9.2f %9.2f\n", kinds[k].name, ns[k][0], ns[k][1], ns[k][2],
               ns[k][0] / ns[0][0]);
    for (size_t i = 0; i < SIZES; i++)
        printf("scrape of %6zu series %9.4f ms (collect %.4f), %zu bytes\n", scrapes[i].series,
               scrapes[i].ms, scrapes[i].collect_ms, scrapes[i].bytes);
    for (size_t i = 0; i < SIZES_MEMORY; i++)
        printf("memory of each of %6zu series: %.0f bytes\n", sizes[i], scrapes[i].memory);
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
                    fmin(ns[k][t],
                         pieces_measure(&(struct pieces){kinds[k].work, &bench, kinds[k].ops, NULL},
                                        thread_counts[t]));
    struct scrape scrapes[SIZES];
    for (size_t i = 0; i < SIZES; i++)
        scrapes[i] = measure_scrape(sizes[i], sizes[i] > 10000 ? rounds : rounds * 4);
    fill(srun_counter(bench.meter, "filled", NULL), 2000);
    double beside = INFINITY, alone = INFINITY;
    for (unsigned round = 0; round < rounds * 2; round++) {
        alone = fmin(alone, measure_beside(&bench, spin_loop));
        beside = fmin(beside, measure_beside(&bench, scrape_loop));
    }
    double slowed = (beside / alone - 1) * 100;
    if (json)
        print_json(ns, scrapes, slowed);
    else
        print_text(ns, scrapes, slowed);
    (void)telemetry_meters_free(bench.meters);
    return 0;
}
