/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct srun_kv identity[] = {
    SRUN_STR("service.name", "otlp-test"),
    SRUN_STR("bad", "caf\xe9"),
    SRUN_INT("process.pid", 42),
    SRUN_KV_END_,
};
const struct telemetry_resource batch_resource = {identity,
                                                  "https://opentelemetry.io/schemas/1.26.0"};

static const struct telemetry_scope scopes[] = {
    {"one", "1.0", "https://example.com/one"}, {"two", "", ""}, {"three", "3", ""}};

static uint64_t wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* An id that is never zero and tells the number. */
static void number_id(uint8_t *id, size_t size, uint64_t number)
{
    memset(id, 0xab, size);
    for (size_t i = 0; i < 8; i++)
        id[size - 1 - i] = (uint8_t)(number >> (8 * i));
    id[0] |= 1;
}

static const struct srun_kv attributes[] = {
    SRUN_STR("http.request.method", "GET"),
    SRUN_INT("http.response.status_code", 200),
    SRUN_INT("negative", -1),
    SRUN_DOUBLE("ratio", 0.25),
    SRUN_BOOL("cached", 1),
    SRUN_NS("took", 1500000),
    SRUN_CODE("error", -ENOENT),
    SRUN_TEXT("raw", "\xff\xfe", 2),
    SRUN_STR("bad", "a\xff"
                    "b"),
    SRUN_STR("url.path", "/caf\xc3\xa9"),
    SRUN_KV_END_,
};

static void send_spans(struct telemetry_exporter *exporter, size_t count, uint64_t next,
                       int64_t deadline_ns, struct telemetry_result *out)
{
    struct telemetry_span *spans = calloc(count + 1, sizeof *spans);
    uint64_t now = wall_ns();
    const struct telemetry_event event = {now, "exception", SRUN_KVS(SRUN_INT("n", 1)), 1};
    struct telemetry_link link = {.tracestate = "a=b", .flags = 0x301};
    number_id(link.trace_id, 16, 7);
    number_id(link.span_id, 8, 7);
    for (size_t i = 0; i < count; i++) {
        struct telemetry_span *span = &spans[i];
        *span = (struct telemetry_span){
            .scope = &scopes[(next + i) % 3],
            .tracestate = "vendor=1",
            .flags = 0x101,
            .name = "GET /items",
            .kind = 2,
            .start_ns = now,
            .end_ns = now + 1000000,
            .attributes = attributes,
            .events = &event,
            .links = &link,
            .event_count = 1,
            .link_count = 1,
            .status = 2,
            .status_text = "broken",
        };
        number_id(span->trace_id, 16, next + i);
        number_id(span->span_id, 8, next + i);
        number_id(span->parent_span_id, 8, next + i + 1000000);
    }
    exporter->spans(exporter, spans, count, deadline_ns, out);
    free(spans);
}

static void fill_point(struct telemetry_point *point, int kind, uint64_t number)
{
    static const uint64_t counts[] = {1, 2, 3};
    *point = (struct telemetry_point){
        .attributes = attributes,
        .start_ns = wall_ns() - 1000000000U,
        .time_ns = wall_ns(),
        .integer = (int64_t)number,
        .count = 6,
        .sum = 1.5,
        .min = 0.1,
        .max = 9,
        .has_sum = true,
        .has_min_max = true,
    };
    if (kind == TELEMETRY_HISTOGRAM) {
        point->buckets = counts;
        point->bucket_count = 3;
    }
    if (kind == TELEMETRY_EXPONENTIAL_HISTOGRAM) {
        point->scale = 3;
        point->positive = counts;
        point->positive_count = 3;
        point->positive_offset = -2;
    }
}

static void send_metrics(struct telemetry_exporter *exporter, size_t count, uint64_t next,
                         int64_t deadline_ns, struct telemetry_result *out)
{
    static const double bounds[] = {0.5, 1};
    struct telemetry_metric *metrics = calloc(count + 1, sizeof *metrics);
    struct telemetry_point *points = calloc(count + 1, sizeof *points);
    for (size_t i = 0; i < count; i++) {
        int kind = (int)((next + i) % 4);
        fill_point(&points[i], kind, next + i);
        metrics[i] = (struct telemetry_metric){
            .scope = &scopes[i % 3],
            .name = "test.metric",
            .unit = "By",
            .help = "bytes",
            .kind = (enum telemetry_metric_kind)kind,
            .monotonic = true,
            .bounds = bounds,
            .bound_count = 2,
            .points = &points[i],
            .point_count = 1,
        };
    }
    exporter->metrics(exporter, metrics, count, deadline_ns, out);
    free(points);
    free(metrics);
}

static void send_logs(struct telemetry_exporter *exporter, size_t count, uint64_t next,
                      int64_t deadline_ns, struct telemetry_result *out)
{
    struct telemetry_log *logs = calloc(count + 1, sizeof *logs);
    for (size_t i = 0; i < count; i++) {
        logs[i] = (struct telemetry_log){
            .scope = &scopes[i % 3],
            .time_ns = wall_ns(),
            .observed_ns = wall_ns(),
            .severity = 9,
            .severity_text = "INFO",
            .body = "payment settled",
            .attributes = attributes,
            .flags = 1,
        };
        number_id(logs[i].trace_id, 16, 1);
        number_id(logs[i].span_id, 8, next + i);
    }
    exporter->logs(exporter, logs, count, deadline_ns, out);
    free(logs);
}

void batch_export(struct telemetry_exporter *exporter, enum telemetry_signal signal, size_t count,
                  uint64_t *next, int64_t deadline_ns, struct telemetry_result *out)
{
    static void (*const send[TELEMETRY_SIGNALS])(struct telemetry_exporter *, size_t, uint64_t,
                                                 int64_t, struct telemetry_result *) = {
        [TELEMETRY_TRACES] = send_spans,
        [TELEMETRY_METRICS] = send_metrics,
        [TELEMETRY_LOGS] = send_logs,
    };
    send[signal](exporter, count, *next, deadline_ns, out);
    *next += count;
}
