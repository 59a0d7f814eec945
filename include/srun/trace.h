/* SPDX-License-Identifier: MIT
 *
 * Traces, in OpenTelemetry's terms. A span is one operation; its context (srun/propagation.h) is a
 * value that says which. Both may be copied, to other threads and queues too; nothing is owned.
 *
 *     SRUN_SPAN_SCOPE(load, tracer, "load order");
 *     srun_span_set(&load, SRUN_KVS(SRUN_INT("order.id", id)));
 *
 * Off until an exporter is configured (docs/telemetry.md): then tracers are NULL, which is a working
 * tracer that records nothing and hands the parent's context on. Nothing allocates or waits. A span
 * may be ended on any thread; calls after its end, and with NULL, do nothing. In a forked child
 * nothing is recorded. A call that cannot do what it should drops it and counts.
 * Threads: any. Not in signal handlers.
 */
#ifndef SRUN_TRACE_H
#define SRUN_TRACE_H

#include <srun/context.h>
#include <srun/log.h>
#include <srun/propagation.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_tracer srun_tracer;

/* Whose spans are named after the service (its instrumentation scope), or after the program.
 * Borrowed, as long as the runner lives. NULL while tracing is off, as it is before the start. */
SRUN_API srun_tracer *srun_context_tracer(const srun_context *ctx);
SRUN_API srun_tracer *srun_runner_tracer(const srun_runner *runner);

/* One for a library: its name, version and schema URL, of which only the name must be given. The
 * same three give the same tracer. NULL as above, and without memory, or after 256 of them. */
SRUN_API srun_tracer *srun_library_tracer(srun_runner *runner, const char *name,
                                          const char *version, const char *schema_url);

typedef enum srun_span_kind {
    SRUN_SPAN_DEFAULT, /* internal */
    SRUN_SPAN_INTERNAL,
    SRUN_SPAN_SERVER,
    SRUN_SPAN_CLIENT,
    SRUN_SPAN_PRODUCER,
    SRUN_SPAN_CONSUMER
} srun_span_kind;

typedef enum srun_span_status {
    SRUN_SPAN_UNSET,
    SRUN_SPAN_OK,   /* final */
    SRUN_SPAN_ERROR /* with a text that says why */
} srun_span_status;

/* A span: what it is, and where it is kept while it is recorded. Zero: none. */
typedef struct srun_span {
    struct srun_span_context context; /* for children, also after the end */
    uint32_t slot, generation;        /* private */
} srun_span;

struct srun_span_link {
    struct srun_span_context to;
    const struct srun_kv *attributes; /* ends with SRUN_KV_END, or NULL */
};

/* Everything is optional and borrowed for the call. */
struct srun_span_options {
    size_t size; /* sizeof(struct srun_span_options) */
    srun_span_kind kind;
    int root;                               /* 1: a new trace, whatever is current */
    const struct srun_span_context *parent; /* [the thread's current one] */
    const struct srun_kv *attributes;       /* ends with SRUN_KV_END, or NULL */
    const struct srun_span_link *links;
    size_t link_count;
    int64_t start_ns; /* Unix time [now] */
};
#define SRUN_SPAN(...) SRUN_STRUCT_(srun_span_options, __VA_ARGS__)

/* Starts a span; it becomes nobody's current one (srun_span_attach). options may be NULL. When it
 * is not sampled, or there is no place for it (which is counted), it has a context and records
 * nothing. */
SRUN_API srun_span srun_span_start(srun_tracer *tracer, const char *name,
                                   const struct srun_span_options *options);

/* Sets attributes; a key that is there is overwritten. 128 of them, 32 KiB in all for a span with
 * what follows; what exceeds them is dropped and counted in what is exported. */
SRUN_API void srun_span_set(const srun_span *span, const struct srun_kv *attributes);

/* Something happened, now, or at a Unix time (0: now). attributes may be NULL. */
SRUN_API void srun_span_event(const srun_span *span, const char *name,
                              const struct srun_kv *attributes);
SRUN_API void srun_span_event_at(const srun_span *span, const char *name,
                                 const struct srun_kv *attributes, int64_t unix_ns);

/* It has to do with another span. attributes may be NULL. */
SRUN_API void srun_span_link(const srun_span *span, const struct srun_span_context *to,
                             const struct srun_kv *attributes);

/* SRUN_SPAN_OK is final, and of several errors the last counts. text only with SRUN_SPAN_ERROR. */
SRUN_API void srun_span_set_status(const srun_span *span, srun_span_status status,
                                   const char *text);

/* The event "exception" with the text of the code and text as its message (NULL: the same), and
 * SRUN_SPAN_ERROR. */
SRUN_API void srun_span_error(const srun_span *span, int code, const char *text);

SRUN_API void srun_span_rename(const srun_span *span, const char *name);

/* Ends it, now, or at a Unix time (0: now): once; what comes later does nothing. Never waits for an
 * exporter. */
SRUN_API void srun_span_end(const srun_span *span);
SRUN_API void srun_span_end_at(const srun_span *span, int64_t unix_ns);

/* 1 while it is recorded: worth working out costly attributes. */
SRUN_API int srun_span_is_recording(const srun_span *span);

/* --- what is current on this thread ---------------------------------------------------------- */

/* What was current before; to be given back on the same thread, the last one first. */
struct srun_span_token {
    struct srun_span_context before;
    uint64_t serial, serial_before;
    const void *thread;
};

/* The context that new spans and log records of this thread belong to; all zero when there is
 * none. */
SRUN_API struct srun_span_context srun_span_current(void);
SRUN_API struct srun_span_token srun_span_attach(const struct srun_span_context *context);

/* Puts back what was current before that attach; those that were attached later and not detached go
 * with it. Returns 0; -EINVAL, and does nothing, for a token that was given back before or is of
 * another thread; -EBUSY when it was not the last one. Both count as misuse. */
SRUN_API int srun_span_detach(const struct srun_span_token *token);

/* A span that is current until the end of the block, and then ends. */
struct srun_span_scope {
    srun_span span;
    struct srun_span_token token;
};
SRUN_API struct srun_span_scope srun_span_enter(srun_tracer *tracer, const char *name,
                                                const struct srun_span_options *options);
SRUN_API void srun_span_leave(struct srun_span_scope *scope);
#define SRUN_SPAN_SCOPE(name_, tracer, ...)                                                        \
    __attribute__((cleanup(srun_span_leave))) struct srun_span_scope name_##_scope =               \
        srun_span_enter((tracer), SRUN_FIRST_(__VA_ARGS__, 0), NULL);                              \
    const srun_span name_ = name_##_scope.span

/* --- for the whole runner -------------------------------------------------------------------- */

/* Sends what has ended so far. 0: it was handed to the receiver; -EIO: some of it was lost;
 * -ETIMEDOUT; SRUN_EFORK. 0 while tracing is off. Waits up to timeout_ms. */
SRUN_API int srun_runner_flush_traces(srun_runner *runner, int64_t timeout_ms);

struct srun_trace_stats {
    uint64_t started, sampled;            /* spans */
    uint64_t ended;                       /* of those that were sampled */
    uint64_t exported;                    /* the receiver has them */
    uint64_t lost_no_slot, lost_queue_full; /* there was no place for them */
    uint64_t lost_at_end;                 /* too late: the program ended, or they never did */
    uint64_t lost_in_export;              /* the receiver did not come to take them */
    uint64_t rejected;                    /* the receiver refused them */
    uint64_t misused;                     /* calls with bad arguments, wrong detaches */
};
/* So far; the last ones are sent when the runner is freed, which logs the final numbers. While tracing
 * is off: zeros, but for misused, which counts for the whole process. */
SRUN_API void srun_runner_trace_stats(const srun_runner *runner, struct srun_trace_stats *out);

#ifdef __cplusplus
}
#endif
#endif
