/* SPDX-License-Identifier: MIT
 *
 * What leaves the process: spans, metrics and log records as plain data, and what an exporter is.
 * Makers fill these structs, the encoder reads them; all of it is borrowed for the call. Times are
 * Unix nanoseconds. Attributes are srun_kv arrays that end with SRUN_KV_END. PURE.
 */
#ifndef TELEMETRY_EXPORT_H
#define TELEMETRY_EXPORT_H

#include <srun/log.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct telemetry_scope { /* who made it: a service of the program, or a library */
    const char *name, *version, *schema_url; /* "" when there is none */
};

/* Who the process is; encoded once. */
struct telemetry_resource {
    const struct srun_kv *attributes;
    const char *schema_url;
};

/* --- spans ----------------------------------------------------------------------------------- */

struct telemetry_event {
    uint64_t time_ns;
    const char *name;
    const struct srun_kv *attributes;
    uint32_t dropped_attributes;
};

struct telemetry_link {
    uint8_t trace_id[16], span_id[8];
    const char *tracestate; /* "" */
    uint32_t flags;         /* W3C flags, and bits 8 and 9: known, remote */
    const struct srun_kv *attributes;
    uint32_t dropped_attributes;
};

struct telemetry_span {
    const struct telemetry_scope *scope;
    uint8_t trace_id[16], span_id[8], parent_span_id[8]; /* zero: a root */
    const char *tracestate;
    uint32_t flags; /* W3C flags, and bits 8 and 9: whether the parent is known, is remote */
    const char *name;
    int kind; /* as OTLP numbers them: 1 internal, 2 server, 3 client, 4 producer, 5 consumer */
    uint64_t start_ns, end_ns;
    const struct srun_kv *attributes;
    const struct telemetry_event *events;
    const struct telemetry_link *links;
    size_t event_count, link_count;
    uint32_t dropped_attributes, dropped_events, dropped_links;
    int status; /* 0 unset, 1 ok, 2 error */
    const char *status_text;
};

/* --- metrics --------------------------------------------------------------------------------- */

enum telemetry_metric_kind {
    TELEMETRY_GAUGE,
    TELEMETRY_SUM,
    TELEMETRY_HISTOGRAM,
    TELEMETRY_EXPONENTIAL_HISTOGRAM
};

struct telemetry_exemplar {
    uint64_t time_ns;
    double value;
    bool is_integer; /* it is this one, which a double cannot always say */
    int64_t integer;
    uint8_t trace_id[16], span_id[8]; /* zero: none */
    const struct srun_kv *attributes; /* those that the series does not have; NULL: none */
};

struct telemetry_point {
    const struct srun_kv *attributes;
    const char *labels; /* the same as Prometheus writes them: a="1",b="2"; NULL: not rendered */
    size_t label_size;
    uint64_t start_ns, time_ns;
    bool is_double;
    int64_t integer; /* of a gauge or a sum */
    double real;
    /* Of histograms: buckets[i] counts values in (bounds[i - 1], bounds[i]]; one more than bounds.
     */
    uint64_t count;
    double sum, min, max;
    bool has_sum, has_min_max;
    const uint64_t *buckets;
    size_t bucket_count;
    /* Of exponential ones. */
    int scale;
    uint64_t zero_count;
    int32_t positive_offset, negative_offset;
    const uint64_t *positive, *negative;
    size_t positive_count, negative_count;
    const struct telemetry_exemplar *exemplars;
    size_t exemplar_count;
};

struct telemetry_metric {
    const struct telemetry_scope *scope;
    const char *name, *unit, *help;
    enum telemetry_metric_kind kind;
    bool monotonic, delta;
    const double *bounds; /* of a histogram, shared by its points */
    size_t bound_count;
    const struct telemetry_point *points;
    size_t point_count;
};

/* --- logs ------------------------------------------------------------------------------------ */

struct telemetry_log {
    const struct telemetry_scope *scope;
    uint64_t time_ns, observed_ns;
    int severity; /* 5 debug, 9 info, 13 warn, 17 error */
    const char *severity_text;
    const char *event_name; /* NULL: it is no event */
    const char *body;
    const struct srun_kv *attributes;
    uint32_t dropped_attributes;
    uint8_t trace_id[16], span_id[8]; /* zero: none */
    uint32_t flags;
};

/* --- exporters ------------------------------------------------------------------------------- */

enum telemetry_signal { TELEMETRY_TRACES, TELEMETRY_METRICS, TELEMETRY_LOGS, TELEMETRY_SIGNALS };

/* What became of a batch. */
struct telemetry_result {
    size_t accepted, rejected; /* rejected by the receiver: partial success, or all of it */
    size_t lost;               /* never got there */
    unsigned attempts;
    int code;       /* 0, or a negative code: why some were lost */
    char text[200]; /* for people, "" when all is well */
};

/* One that is ready to send one signal. Each call ends by deadline_ns of the monotonic clock, also
 * when the other side hangs, and answers what became of the batch. Calls never overlap. */
struct telemetry_exporter {
    void (*spans)(struct telemetry_exporter *exporter, const struct telemetry_span *spans,
                  size_t count, int64_t deadline_ns, struct telemetry_result *out);
    void (*metrics)(struct telemetry_exporter *exporter, const struct telemetry_metric *metrics,
                    size_t count, int64_t deadline_ns, struct telemetry_result *out);
    void (*logs)(struct telemetry_exporter *exporter, const struct telemetry_log *logs,
                 size_t count, int64_t deadline_ns, struct telemetry_result *out);
    /* From any thread: the call in flight is to end at once, its batch is lost. Without one it
     * does nothing; so who cannot know whether it has begun comes again. */
    void (*interrupt)(struct telemetry_exporter *exporter);
    void (*free)(struct telemetry_exporter *exporter);
};

#endif
