/* SPDX-License-Identifier: MIT
 *
 * A program with much to tell: threads that end spans and count them, as fast as they can. Then it
 * runs until it is told to stop.
 *
 *     telemetry_load --spans=100000 --threads=8 [--flush-every=256]
 *
 * --flush-every: each thread waits for a flush after so many spans, so that the queue never fills.
 */
#include <srun/srun.h>

#include <pthread.h>
#include <stdbool.h>

#define THREADS_MAX 64
#define FLUSH_MS 60000

struct load {
    int64_t spans, threads, flush_every;
    srun_runner *runner;
    srun_tracer *tracer;
    srun_series *ended;
};

/* One root with nine children, again and again. */
static void *end_spans(void *arg)
{
    struct load *load = arg;
    srun_span root = {0};
    for (int64_t i = 0; i < load->spans / load->threads; i++) {
        bool is_root = i % 10 == 0;
        srun_span span =
            srun_span_start(load->tracer, is_root ? "request" : "step",
                            SRUN_SPAN(.root = is_root, .parent = is_root ? NULL : &root.context,
                                      .attributes = SRUN_KVS(SRUN_INT("number", i))));
        if (is_root)
            root = span;
        srun_span_end(&span);
        srun_series_add(load->ended, 1);
        if (load->flush_every > 0 && (i + 1) % load->flush_every == 0)
            (void)srun_runner_flush_traces(load->runner, FLUSH_MS);
    }
    return NULL;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct load *load = self;
    pthread_t threads[THREADS_MAX];
    int64_t started = 0;
    load->tracer = srun_context_tracer(ctx);
    load->ended = srun_bind(srun_counter(srun_context_meter(ctx), "load.spans", NULL), NULL);
    (void)err;
    srun_ready(ctx);
    while (started < load->threads && started < THREADS_MAX &&
           pthread_create(&threads[started], NULL, end_spans, load) == 0)
        started++;
    for (int64_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    SRUN_INFO(srun_context_log(ctx), "all spans have ended", SRUN_INT("threads", started));
    while (srun_sleep_ms(ctx, 3600000) == 0)
        ;
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = run};
    struct load *load = user;
    load->runner = runner;
    int rc = srun_flag_int(runner, &load->spans, "spans", 100000, "how many, of all threads", err);
    rc = rc < 0 ? rc : srun_flag_int(runner, &load->threads, "threads", 8, "how many", err);
    rc = rc < 0 ? rc
                : srun_flag_int(runner, &load->flush_every, "flush-every", 0,
                                "spans of a thread, after which it waits for a flush", err);
    return rc < 0 ? rc : srun_runner_add(runner, "load", &ops, load, NULL, err);
}

int main(int argc, char **argv)
{
    static struct load load;
    return srun_main(argc, argv, SRUN_CONFIG(.name = "load", .version = "1.0.0"), setup, &load);
}
