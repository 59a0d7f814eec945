/* SPDX-License-Identifier: MIT
 *
 * What a span costs: sampled, with one attribute and through the batch processor; not sampled; and
 * without a tracer; beside two looks at the clock in the same run, which no span can do without.
 * Its exporter takes and forgets. Allocations are counted, those of the exporter's thread too.
 *
 *     bench_traces [--json] [--spans=2000000]
 */
#include "telemetry/traces.h"

#include "base/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 4, ROUNDS = 5 };

static _Atomic uint64_t allocations;

#ifndef __SANITIZE_THREAD__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, size);
}
#endif

/* --- an exporter that forgets ---------------------------------------------------------------- */

static void forget(struct telemetry_exporter *exporter, const struct telemetry_span *spans,
                   size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    (void)exporter, (void)spans, (void)deadline_ns;
    out->accepted = count;
}

static void free_nothing(struct telemetry_exporter *exporter)
{
    (void)exporter;
}

static struct telemetry_exporter exporter = {.spans = forget, .free = free_nothing};

/* --- what is measured ------------------------------------------------------------------------ */

static srun_tracer *tracer;
static uint64_t sink;

static void two_clocks(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        struct timespec start, end;
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        sink += (uint64_t)(end.tv_nsec - start.tv_nsec);
    }
}

static void spans(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        srun_span span = srun_span_start(tracer, "GET /items", NULL);
        srun_span_set(&span, SRUN_KVS(SRUN_INT("http.response.status_code", 200)));
        srun_span_end(&span);
    }
}

static void starts(unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        srun_span span = srun_span_start(tracer, "GET /items", NULL);
        sink += span.context.span_id[0];
    }
}

static void attaches(unsigned long count)
{
    struct srun_span_context context = {.trace_id = {1}, .span_id = {1}};
    for (unsigned long i = 0; i < count; i++) {
        struct srun_span_token token = srun_span_attach(&context);
        (void)srun_span_detach(&token);
    }
}

struct job {
    void (*body)(unsigned long count);
    unsigned long count;
};

static void *run(void *arg)
{
    const struct job *job = arg;
    job->body(job->count);
    return NULL;
}

static double once(void (*body)(unsigned long), unsigned long count, int threads)
{
    pthread_t thread[THREADS_MAX];
    struct job job = {body, count / (unsigned long)threads};
    int64_t start = clock_real_now();
    for (int i = 1; i < threads; i++)
        if (pthread_create(&thread[i], NULL, run, &job) != 0)
            exit(1);
    (void)run(&job);
    for (int i = 1; i < threads; i++)
        (void)pthread_join(thread[i], NULL);
    return (double)(clock_real_now() - start) / (double)job.count;
}

/* The best of a few: what it costs when nobody else wants the processor. */
static double measure(void (*body)(unsigned long), unsigned long count, int threads)
{
    double best = once(body, count / 10, threads);
    for (int i = 0; i < ROUNDS; i++) {
        double took = once(body, count, threads);
        best = took < best ? took : best;
    }
    return best;
}

struct sampled {
    double ns;
    uint64_t allocations, spans, dropped;
};

static struct traces *open_traces(struct sampler sampler)
{
    struct traces *traces = NULL;
    struct traces_options options = traces_defaults();
    srun_err err = {0};
    options.sampler = sampler;
    options.exporter = &exporter;
    if (traces_open(&traces, &options, &err) < 0) {
        (void)fprintf(stderr, "bench_traces: %s\n", err.text);
        exit(1);
    }
    tracer = traces_tracer(traces, &(struct telemetry_scope){.name = "bench"});
    return traces;
}

static struct sampled measure_sampled(unsigned long count, int threads)
{
    struct sampled result = {0};
    struct srun_trace_stats stats;
    struct traces *traces = open_traces(sampler_make(SAMPLER_ON, true, 1));
    spans(4096); /* the exporter's arrays have their size */
    (void)traces_flush(traces, INT64_MAX);
    uint64_t before = atomic_load(&allocations);
    result.ns = measure(spans, count, threads);
    result.allocations = atomic_load(&allocations) - before;
    (void)traces_shutdown(traces, INT64_MAX);
    traces_stats(traces, &stats);
    result.spans = stats.sampled;
    result.dropped = stats.lost_queue_full + stats.lost_no_slot;
    (void)traces_free(traces);
    return result;
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    unsigned long count = 2000000;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--spans=", 8) == 0)
            count = strtoul(argv[i] + 8, NULL, 10);

    double clocks = measure(two_clocks, count, 1);
    struct sampled one = measure_sampled(count, 1), two = measure_sampled(count, 2);
    struct traces *traces = open_traces(sampler_make(SAMPLER_OFF, true, 0));
    double off = measure(starts, count, 1), off_two = measure(starts, count, 2);
    (void)traces_shutdown(traces, INT64_MAX);
    (void)traces_free(traces);
    tracer = NULL;
    double none = measure(starts, count, 1), attach = measure(attaches, count, 1);

    if (json) {
        printf("{\"bench\":\"traces\",\"two_clocks_ns\":%.1f,\"span_ns\":%.1f,\"ratio\":%.2f,"
               "\"allocations\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"dropped\":%" PRIu64
               ",\"span_2_threads_ns\":%.1f,\"not_sampled_ns\":%.1f,"
               "\"not_sampled_2_threads_ns\":%.1f,\"no_tracer_ns\":%.1f,\"attach_ns\":%.1f}\n",
               clocks, one.ns, one.ns / clocks, one.allocations, one.spans, one.dropped, two.ns,
               off, off_two, none, attach);
        return 0;
    }
    printf("%-52s %8.1f ns\n", "two looks at the clock", clocks);
    printf("%-52s %8.1f ns, %.2f times that\n", "span, sampled, 1 attribute, batched", one.ns,
           one.ns / clocks);
    printf("  %" PRIu64 " allocations; of %" PRIu64 " spans %" PRIu64 " were dropped\n",
           one.allocations, one.spans, one.dropped);
    printf("%-52s %8.1f ns\n", "the same, each of 2 threads", two.ns);
    printf("%-52s %8.1f ns\n", "span, not sampled", off);
    printf("%-52s %8.1f ns\n", "the same, each of 2 threads", off_two);
    printf("%-52s %8.1f ns\n", "span without a tracer", none);
    printf("%-52s %8.1f ns\n", "attach and detach", attach);
    return 0;
}
