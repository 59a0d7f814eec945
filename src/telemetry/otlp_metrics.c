/* SPDX-License-Identifier: MIT
 *
 * Metrics, their points and exemplars, as OTLP has them. Any thread.
 */
#include "base/wire.h"
#include "telemetry/otlp.h"

enum { DELTA = 1, CUMULATIVE = 2 }; /* AggregationTemporality */

static void encode_exemplar(struct buf *out, uint32_t field,
                            const struct telemetry_exemplar *exemplar)
{
    struct wire_mark mark = wire_open(out, field, 1);
    wire_fixed64(out, 2, exemplar->time_ns);
    if (!exemplar->is_integer)
        wire_double_always(out, 3, exemplar->value);
    otlp_id(out, 4, exemplar->span_id, sizeof exemplar->span_id);
    otlp_id(out, 5, exemplar->trace_id, sizeof exemplar->trace_id);
    if (exemplar->is_integer)
        wire_fixed64_always(out, 6, (uint64_t)exemplar->integer);
    otlp_attributes(out, 7, exemplar->attributes);
    wire_close(out, mark);
}

static void encode_exemplars(struct buf *out, uint32_t field, const struct telemetry_point *point)
{
    for (size_t i = 0; i < point->exemplar_count; i++)
        encode_exemplar(out, field, &point->exemplars[i]);
}

static void encode_number(struct buf *out, const struct telemetry_point *point)
{
    wire_fixed64(out, 2, point->start_ns);
    wire_fixed64(out, 3, point->time_ns);
    if (point->is_double)
        wire_double_always(out, 4, point->real);
    encode_exemplars(out, 5, point);
    if (!point->is_double)
        wire_fixed64_always(out, 6, (uint64_t)point->integer);
    otlp_attributes(out, 7, point->attributes);
}

static void encode_histogram(struct buf *out, const struct telemetry_metric *metric,
                             const struct telemetry_point *point)
{
    wire_fixed64(out, 2, point->start_ns);
    wire_fixed64(out, 3, point->time_ns);
    wire_fixed64(out, 4, point->count);
    if (point->has_sum)
        wire_double_always(out, 5, point->sum);
    wire_packed_fixed64(out, 6, point->buckets, point->bucket_count);
    if (point->bucket_count > 0) /* both, or neither */
        wire_packed_fixed64(out, 7, metric->bounds, metric->bound_count);
    encode_exemplars(out, 8, point);
    otlp_attributes(out, 9, point->attributes);
    if (point->has_min_max) {
        wire_double_always(out, 11, point->min);
        wire_double_always(out, 12, point->max);
    }
}

static void encode_buckets(struct buf *out, uint32_t field, int32_t offset, const uint64_t *counts,
                           size_t count)
{
    if (count == 0)
        return;
    struct wire_mark mark = wire_open(out, field, 2);
    wire_sint(out, 1, offset);
    wire_packed_uint(out, 2, counts, count);
    wire_close(out, mark);
}

static void encode_exponential(struct buf *out, const struct telemetry_point *point)
{
    otlp_attributes(out, 1, point->attributes);
    wire_fixed64(out, 2, point->start_ns);
    wire_fixed64(out, 3, point->time_ns);
    wire_fixed64(out, 4, point->count);
    if (point->has_sum)
        wire_double_always(out, 5, point->sum);
    wire_sint(out, 6, point->scale);
    wire_fixed64(out, 7, point->zero_count);
    encode_buckets(out, 8, point->positive_offset, point->positive, point->positive_count);
    encode_buckets(out, 9, point->negative_offset, point->negative, point->negative_count);
    encode_exemplars(out, 11, point);
    if (point->has_min_max) {
        wire_double_always(out, 12, point->min);
        wire_double_always(out, 13, point->max);
    }
}

static void encode_point(struct buf *out, const struct telemetry_metric *metric,
                         const struct telemetry_point *point)
{
    struct wire_mark mark = wire_open(out, 1, 2);
    switch (metric->kind) {
    case TELEMETRY_GAUGE:
    case TELEMETRY_SUM:
        encode_number(out, point);
        break;
    case TELEMETRY_HISTOGRAM:
        encode_histogram(out, metric, point);
        break;
    default: /* TELEMETRY_EXPONENTIAL_HISTOGRAM */
        encode_exponential(out, point);
        break;
    }
    wire_close(out, mark);
}

static uint32_t field_of(enum telemetry_metric_kind kind)
{
    static const uint32_t fields[] = {[TELEMETRY_GAUGE] = 5,
                                      [TELEMETRY_SUM] = 7,
                                      [TELEMETRY_HISTOGRAM] = 9,
                                      [TELEMETRY_EXPONENTIAL_HISTOGRAM] = 10};
    return fields[kind];
}

static void encode_metric(struct buf *out, const void *item)
{
    const struct telemetry_metric *metric = item;
    struct wire_mark mark = wire_open(out, 2, 2);
    wire_text(out, 1, metric->name);
    wire_text(out, 2, metric->help);
    wire_text(out, 3, metric->unit);
    struct wire_mark data = wire_open(out, field_of(metric->kind), 2);
    for (size_t i = 0; i < metric->point_count; i++)
        encode_point(out, metric, &metric->points[i]);
    if (metric->kind != TELEMETRY_GAUGE)
        wire_uint(out, 2, metric->delta ? DELTA : CUMULATIVE);
    if (metric->kind == TELEMETRY_SUM)
        wire_uint(out, 3, metric->monotonic);
    wire_close(out, data);
    wire_close(out, mark);
}

void otlp_metrics(struct buf *out, const struct otlp_resource *resource,
                  const struct telemetry_metric *metrics, size_t count)
{
    otlp_request(out, resource,
                 &(struct otlp_items){metrics, count, sizeof *metrics, encode_metric});
}
