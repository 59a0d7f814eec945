/* SPDX-License-Identifier: MIT */
#include "telemetry/logenv.h"

#define QUEUE_MOST (1 << 20)
#define LONGEST_MS (INT64_C(1) << 40)

static void read_limit(const struct otelenv_source *source, const char *name, uint32_t *out)
{
    int64_t number = *out;
    otelenv_number(source, name, 0, INT32_MAX, &number);
    *out = (uint32_t)number;
}

static void read_batch(struct logs_options *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE";
    int64_t queue = out->queue, size = out->size, unset = 0;
    otelenv_number(source, "OTEL_BLRP_SCHEDULE_DELAY", 0, LONGEST_MS, &out->delay_ms);
    otelenv_number(source, "OTEL_BLRP_EXPORT_TIMEOUT", 0, LONGEST_MS, &out->timeout_ms);
    otelenv_number(source, "OTEL_BLRP_MAX_QUEUE_SIZE", 1, QUEUE_MOST, &queue);
    otelenv_number(source, name, 1, QUEUE_MOST, &unset);
    if (unset > queue)
        source->warn(source->arg, name, "exceeds the queue, whose size it gets");
    size = unset > 0 ? unset : size;
    out->queue = (uint32_t)queue;
    out->size = (uint32_t)(size < queue ? size : queue);
}

void logenv_read(struct logenv *out, const struct otelenv_source *source)
{
    *out = (struct logenv){
        .wants_otlp = otelenv_wants_otlp(source, "OTEL_LOGS_EXPORTER", "console"),
        .options = logs_defaults(),
    };
    read_batch(&out->options, source);
    struct log_limits *limits = &out->options.limits;
    read_limit(source, "OTEL_ATTRIBUTE_COUNT_LIMIT", &limits->attributes);
    read_limit(source, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", &limits->attributes);
    read_limit(source, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", &limits->value_length);
    read_limit(source, "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", &limits->value_length);
}
