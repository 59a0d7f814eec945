/* SPDX-License-Identifier: MIT
 *
 * A tracer provider over an exporter that keeps its spans, for the suites of traces.
 */
#ifndef TESTS_UNIT_TRACING_H
#define TESTS_UNIT_TRACING_H

#include "base/clock.h"
#include "base/duration.h"
#include "harness.h"
#include "kept_spans.h"
#include "telemetry/traces.h"

#include <stdlib.h>
#include <string.h>

static struct kept_spans kept;
static struct traces *traces;
static srun_tracer *tracer;

static inline void open_with(const struct traces_options *options)
{
    struct traces_options all = *options;
    srun_err err = {0};
    kept_spans_init(&kept);
    all.exporter = &kept.exporter;
    int rc = traces_open(&traces, &all, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    tracer = traces_tracer(traces, &(struct telemetry_scope){.name = "test"});
    ck_assert_ptr_nonnull(tracer);
}

static inline void open_default(void)
{
    const struct traces_options options = traces_defaults();
    open_with(&options);
}

static inline int64_t soon(int64_t ms)
{
    return clock_real_now() + ms * NS_PER_MS * harness_slowness();
}

static inline void flush(void)
{
    ck_assert_int_eq(traces_flush(traces, soon(10000)), 0);
}

static inline void close_all(void)
{
    (void)traces_shutdown(traces, soon(10000));
    traces = traces_free(traces);
    ck_assert(atomic_load(&kept.freed));
    kept_spans_destroy(&kept);
}

static inline const struct kept_span *find(const char *name)
{
    const struct kept_span *span = kept_spans_find(&kept, name);
    ck_assert_msg(span != NULL, "there is no span %s", name);
    return span;
}

static inline struct srun_trace_stats stats(void)
{
    struct srun_trace_stats out;
    traces_stats(traces, &out);
    return out;
}

#endif
