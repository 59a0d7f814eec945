/* SPDX-License-Identifier: MIT
 *
 * What a span costs: sampled, with one attribute and through the batch processor; not sampled; and
 * without a tracer; beside two looks at the clock in the same run, which no span can do without.
 * Its exporter takes and forgets, at least after each thousand spans, so that none is dropped.
 * Allocations are counted, those of the exporter's thread too.
 *
 *     bench_traces [--json]
 */
#include "allocations.h"
#include "telemetry/traces.h"

#include "pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 3, OPS = 1000, QUEUE = 8192, THREADS = 3 };
static const unsigned thread_counts[THREADS] = {1, 2, 4};

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
static volatile uint64_t sink; /* what is measured has to be done */

static void two_clocks(void *user, unsigned thread, size_t ops)
{
    uint64_t sum = 0;
    (void)user, (void)thread;
    for (size_t i = 0; i < ops; i++) {
        struct timespec start, end;
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        sum += (uint64_t)(end.tv_nsec - start.tv_nsec);
    }
    sink = sum;
}

static void spans(void *user, unsigned thread, size_t ops)
{
    (void)user, (void)thread;
    for (size_t i = 0; i < ops; i++) {
        srun_span span = srun_span_start(tracer, "GET /items", NULL);
        srun_span_set(&span, SRUN_KVS(SRUN_INT("http.response.status_code", 200)));
        srun_span_end(&span);
    }
}

static void attaches(void *user, unsigned thread, size_t ops)
{
    struct srun_span_context context = {.trace_id = {1}, .span_id = {1}};
    (void)user, (void)thread;
    for (size_t i = 0; i < ops; i++) {
        struct srun_span_token token = srun_span_attach(&context);
        (void)srun_span_detach(&token);
    }
}

static void flush(void *user)
{
    (void)traces_flush(user, INT64_MAX);
}

static double measure(void (*work)(void *user, unsigned thread, size_t ops), unsigned threads,
                      struct traces *traces)
{
    const struct pieces pieces = {work, traces, OPS, traces != NULL ? flush : NULL};
    return pieces_best(&pieces, threads, ROUNDS);
}

struct sampled {
    double ns;
    uint64_t spans, dropped;
};

static struct traces *open_traces(struct sampler sampler)
{
    struct traces *traces = NULL;
    struct traces_options options = traces_defaults();
    srun_err err = {0};
    options.sampler = sampler;
    options.exporter = &exporter;
    options.queue = QUEUE;
    if (traces_open(&traces, &options, &err) < 0) {
        (void)fprintf(stderr, "bench_traces: %s\n", err.text);
        exit(1);
    }
    tracer = traces_tracer(traces, &(struct telemetry_scope){.name = "bench"});
    return traces;
}

static struct sampled measure_sampled(unsigned threads)
{
    struct sampled result = {0};
    struct srun_trace_stats stats;
    struct traces *traces = open_traces(sampler_make(SAMPLER_ON, true, 1));
    result.ns = measure(spans, threads, traces);
    (void)traces_shutdown(traces, INT64_MAX);
    traces_stats(traces, &stats);
    result.spans = stats.sampled;
    result.dropped = stats.lost_queue_full + stats.lost_no_slot;
    (void)traces_free(traces);
    return result;
}

/* By a million spans, on both sides. */
static uint64_t measure_allocations(void)
{
    struct traces *traces = open_traces(sampler_make(SAMPLER_ON, true, 1));
    spans(NULL, 0, 4096); /* the exporter's arrays have their size */
    (void)traces_flush(traces, INT64_MAX);
    uint64_t before = allocations_so_far();
    spans(NULL, 0, 1000000);
    (void)traces_flush(traces, INT64_MAX);
    uint64_t made = allocations_so_far() - before;
    (void)traces_shutdown(traces, INT64_MAX);
    (void)traces_free(traces);
    return made;
}

struct figures {
    uint64_t allocations;
    double clocks[THREADS], off[THREADS], none[THREADS], attach[THREADS];
    struct sampled on[THREADS];
};

static void measure_all(struct figures *out)
{
    out->allocations = measure_allocations();
    for (unsigned i = 0; i < THREADS; i++) {
        out->clocks[i] = measure(two_clocks, thread_counts[i], NULL);
        out->on[i] = measure_sampled(thread_counts[i]);
        out->attach[i] = measure(attaches, thread_counts[i], NULL);
        struct traces *traces = open_traces(sampler_make(SAMPLER_OFF, true, 0));
        out->off[i] = measure(spans, thread_counts[i], NULL);
        (void)traces_shutdown(traces, INT64_MAX);
        (void)traces_free(traces);
        tracer = NULL;
        out->none[i] = measure(spans, thread_counts[i], NULL);
    }
}

static void print_json(const struct figures *told)
{
    printf("{\"bench\":\"traces\"");
    for (unsigned i = 0; i < THREADS; i++) {
        pieces_json("two_clocks", thread_counts[i], told->clocks[i]);
        pieces_json("span", thread_counts[i], told->on[i].ns);
        pieces_json("not_sampled", thread_counts[i], told->off[i]);
        pieces_json("no_tracer", thread_counts[i], told->none[i]);
        pieces_json("attach", thread_counts[i], told->attach[i]);
    }
    printf(",\"allocations\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"dropped\":%" PRIu64 "}\n",
           told->allocations, told->on[0].spans, told->on[0].dropped);
}

static void print_row(const char *name, double one, double two, double four)
{
    printf("%-40s %9.1f %9.1f %9.1f\n", name, one, two, four);
}

static void print_text(const struct figures *told)
{
    printf("%-40s %9s %9s %9s\n", "ns for each, threads:", "1", "2", "4");
    print_row("two looks at the clock", told->clocks[0], told->clocks[1], told->clocks[2]);
    print_row("span, sampled, 1 attribute, batched", told->on[0].ns, told->on[1].ns,
              told->on[2].ns);
    print_row("the same, not sampled", told->off[0], told->off[1], told->off[2]);
    print_row("the same, without a tracer", told->none[0], told->none[1], told->none[2]);
    print_row("attach and detach", told->attach[0], told->attach[1], told->attach[2]);
    printf("a sampled span costs %.2f times the clock; %" PRIu64
           " allocations by a million; of %" PRIu64 " spans %" PRIu64 " were dropped\n",
           told->on[0].ns / told->clocks[0], told->allocations, told->on[0].spans,
           told->on[0].dropped);
}

int main(int argc, char **argv)
{
    static struct figures told;
    measure_all(&told);
    if (argc > 1 && strcmp(argv[1], "--json") == 0)
        print_json(&told);
    else
        print_text(&told);
    return 0;
}
