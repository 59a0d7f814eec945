/* SPDX-License-Identifier: MIT */
#include "telemetry/metricenv.h"

#include "base/ensure.h"

#include <string.h>
#include <strings.h>

#define LONGEST_MS (INT64_C(1) << 40)

static const char *value_of(const struct otelenv_source *source, const char *name)
{
    const char *value = source->get(source->arg, name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void warn(const struct otelenv_source *source, const char *name, const char *what)
{
    if (source->warn != NULL)
        source->warn(source->arg, name, what);
}

static void read_time(const struct otelenv_source *source, const char *name, int64_t least,
                      int64_t *out)
{
    const char *value = value_of(source, name);
    int64_t number = 0;
    if (value == NULL)
        return;
    for (const char *c = value; *c != '\0' && number <= LONGEST_MS; c++)
        number = *c >= '0' && *c <= '9' ? number * 10 + (*c - '0') : LONGEST_MS + 1;
    if (number >= least && number <= LONGEST_MS)
        *out = number;
    else
        warn(source, name, "is not a number of milliseconds");
}

static void read_temporality(struct metricenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    const char *value = value_of(source, name);
    if (value == NULL || strcasecmp(value, "cumulative") == 0)
        return;
    bool delta = strcasecmp(value, "delta") == 0, low = strcasecmp(value, "lowmemory") == 0;
    if (!delta && !low)
        warn(source, name, "is not cumulative, delta or lowmemory");
    out->reader.delta = delta || low;
    out->reader.observed_too = delta;
}

enum telemetry_exemplar_filter metricenv_exemplars(const struct otelenv_source *source)
{
    static const char name[] = "OTEL_METRICS_EXEMPLAR_FILTER";
    static const char *const names[] = {[TELEMETRY_EXEMPLARS_OF_TRACES] = "trace_based",
                                        [TELEMETRY_EXEMPLARS_ALWAYS] = "always_on",
                                        [TELEMETRY_EXEMPLARS_NEVER] = "always_off"};
    const char *value = value_of(source, name);
    for (size_t i = 0; value != NULL && i < COUNT_OF(names); i++)
        if (strcasecmp(value, names[i]) == 0)
            return (enum telemetry_exemplar_filter)i;
    if (value != NULL)
        warn(source, name, "is not trace_based, always_on or always_off");
    return TELEMETRY_EXEMPLARS_OF_TRACES;
}

/* A list; /metrics is there in any case. */
static void read_exporters(struct metricenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_METRICS_EXPORTER";
    const char *value = value_of(source, name);
    while (value != NULL && *value != '\0') {
        value += strspn(value, " \t,");
        size_t size = strcspn(value, " \t,");
        bool otlp = size == 4 && strncasecmp(value, "otlp", 4) == 0;
        bool idle = (size == 4 && strncasecmp(value, "none", 4) == 0) ||
                    (size == 10 && strncasecmp(value, "prometheus", 10) == 0);
        out->wants_otlp = out->wants_otlp || otlp;
        if (size > 0 && !otlp && !idle)
            warn(source, name, "has an exporter in it that is not known here");
        value += size;
    }
}

void metricenv_read(struct metricenv *out, const struct otelenv_source *source)
{
    *out = (struct metricenv){.interval_ms = 60000, .timeout_ms = 30000};
    read_exporters(out, source);
    read_time(source, "OTEL_METRIC_EXPORT_INTERVAL", 1, &out->interval_ms);
    read_time(source, "OTEL_METRIC_EXPORT_TIMEOUT", 0, &out->timeout_ms);
    if (out->timeout_ms == 0) /* no limit of its own */
        out->timeout_ms = LONGEST_MS;
    read_temporality(out, source);
}
