/* SPDX-License-Identifier: MIT
 *
 * Batches for the exporter to send: numbered, so that a receiver can tell what it has, and rich
 * enough that each kind of field is in them.
 */
#ifndef TESTS_OTLP_BATCH_H
#define TESTS_OTLP_BATCH_H

#include "telemetry/export.h"

extern const struct telemetry_resource batch_resource;

/* count items, numbered from *next on. Sends them by the exporter. */
void batch_export(struct telemetry_exporter *exporter, enum telemetry_signal signal, size_t count,
                  uint64_t *next, int64_t deadline_ns, struct telemetry_result *out);

#endif
