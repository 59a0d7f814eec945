/* SPDX-License-Identifier: MIT
 *
 * Metrics as Prometheus reads them: the text format 0.0.4, or OpenMetrics 1.0. Names are of
 * letters, digits and _, with the unit behind and _total behind a counter's; metrics of several
 * scopes that share a name are one family, told apart by otel_scope_name. PURE but for the memory
 * of the text.
 */
#ifndef TELEMETRY_PROMETHEUS_H
#define TELEMETRY_PROMETHEUS_H

#include "base/buf.h"
#include "telemetry/export.h"

/* resource: for target_info; NULL: none. Out of memory shows in out. How many metrics were left
 * out: their name, or that of one of their lines, is taken by one of another type or of the same
 * scope, or they are differences. */
size_t prometheus_write(struct buf *out, const struct telemetry_metric *metrics, size_t count,
                        const struct telemetry_resource *resource, bool openmetrics);

/* # {trace_id="...",span_id="..."} value seconds: what stands behind a line in OpenMetrics. Its
 * attributes as well, as far as all its labels together have no more than 128 characters. */
void prometheus_exemplar(struct buf *out, const struct telemetry_exemplar *exemplar);

/* A set that nobody has rendered yet, in place of what is in out. Of more than LABELS_MAX the first
 * ones; nothing when they are too large. */
void prometheus_labels(struct buf *out, const struct srun_kv *kvs);

/* The name of the family in the text format: http.server.duration, "s" ->
 * http_server_duration_seconds. unit_out (may be NULL): where the unit begins in what was added,
 * without the _; 0: it has none. */
void prometheus_name(struct buf *out, const struct telemetry_metric *metric, size_t *unit_out);

#endif
