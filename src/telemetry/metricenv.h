/* SPDX-License-Identifier: MIT
 *
 * The OTEL_* variables of metrics, with OpenTelemetry's rules: empty is unset; what is wrong
 * is warned about and as good as unset; times are whole milliseconds. PURE: the environment is
 * passed in.
 */
#ifndef TELEMETRY_METRICENV_H
#define TELEMETRY_METRICENV_H

#include "telemetry/meter.h"
#include "telemetry/otelenv.h"

struct metricenv {
    bool wants_otlp;                 /* OTEL_METRICS_EXPORTER has otlp in it */
    int64_t interval_ms, timeout_ms; /* OTEL_METRIC_EXPORT_INTERVAL [60000], _TIMEOUT [30000] */
    struct telemetry_reader_options reader; /* OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE */
};

/* OTEL_METRICS_EXEMPLAR_FILTER [trace_based]. */
enum telemetry_exemplar_filter metricenv_exemplars(const struct otelenv_source *source);

void metricenv_read(struct metricenv *out, const struct otelenv_source *source);

#endif
