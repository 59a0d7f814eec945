/* SPDX-License-Identifier: MIT
 *
 * OTEL_LOGS_EXPORTER, OTEL_BLRP_* and OTEL_LOGRECORD_*, read as otelenv.h reads the others. The
 * console is where the log is written anyway. PURE: the environment is passed in.
 */
#ifndef TELEMETRY_LOGENV_H
#define TELEMETRY_LOGENV_H

#include "telemetry/logs.h"
#include "telemetry/otelenv.h"

struct logenv {
    bool wants_otlp;
    struct logs_options options; /* of it: queue, size, times and limits */
};

/* What is unset has its default. */
void logenv_read(struct logenv *out, const struct otelenv_source *source);

#endif
