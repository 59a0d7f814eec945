/* SPDX-License-Identifier: MIT
 *
 * The tracer provider: a sampler, limits, a processor with its exporter, and the tracers that make
 * spans for it. Outlives the last call with one of its tracers; its spans may be used for ever:
 * they are revoked when it shuts down. Threads: any, but for making and freeing it.
 */
#ifndef TELEMETRY_TRACES_H
#define TELEMETRY_TRACES_H

#include "telemetry/batch.h"
#include "telemetry/items.h"
#include "telemetry/sampler.h"

#include <pthread.h>

#define TRACERS_MAX 256
#define TRACES_SHARDS 8

struct traces_options {
    struct telemetry_exporter *exporter; /* owned by it from traces_open on, if that succeeds */
    srun_logger *log;
    struct sampler sampler;
    struct limits limits;
    uint32_t queue, batch;
    int64_t delay_ms, timeout_ms, last_words_ms;
    bool simple;
};

/* The defaults of OpenTelemetry. */
struct traces_options traces_defaults(void);

/* 0, -EINVAL, -ENOMEM, -EAGAIN. */
int traces_open(struct traces **out, const struct traces_options *options, srun_err *err);

/* The tracer of this scope; the same for the same texts, which are copied. NULL: without memory, or
 * after TRACERS_MAX. */
srun_tracer *traces_tracer(struct traces *traces, const struct telemetry_scope *scope);

int traces_flush(struct traces *traces, int64_t deadline_ns);

/* Exports what has ended; spans that have not are revoked. As batch_shutdown. */
int traces_shutdown(struct traces *traces, int64_t deadline_ns);
/* NULL; or itself, left as it is, when the exporter has not returned. Takes NULL. */
struct traces *traces_free(struct traces *traces);

void traces_stats(struct traces *traces, struct srun_trace_stats *out);

/* --- for span.c ------------------------------------------------------------------------------ */

struct srun_tracer {
    struct traces *traces;
    struct telemetry_scope scope;
    char *texts;
};

/* What different threads write has lines of its own, hence the padding. */
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct traces {
    struct sampler sampler;
    struct limits limits;
    struct batch *batch;
    unsigned stamp; /* self_stamp of the process it works in */
    _Atomic bool closed;
    _Atomic uint64_t revoked;
    struct {
        _Alignas(64) _Atomic uint64_t sampled, unsampled;
    } counts[TRACES_SHARDS]; /* by number of the thread, so that they do not fight for a line */
    pthread_mutex_t lock;    /* guards the tracers */
    struct srun_tracer *tracers[TRACERS_MAX];
    size_t tracer_count;
};

/* Of the process. */
extern _Atomic uint64_t traces_misused;

#endif
