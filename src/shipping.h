/* SPDX-License-Identifier: MIT
 *
 * Log records that are sent to a receiver, beside being written: when SRUN_OTEL_LOG_EXPORTER, the
 * code or OTEL_LOGS_EXPORTER say so. Off, a record pays for one load.
 * Threads: the runner's, before the start and after the end.
 */
#ifndef SHIPPING_H
#define SHIPPING_H

#include "log/log.h"
#include "telemetry/logs.h"

#include <srun/runner.h>

struct shipping {
    struct telemetry_exporter *exporter; /* instead of the configured one; given before the start */
    struct logs *logs;                   /* NULL: off */
    struct log_tap tap;
    struct telemetry_scope program; /* of records without a scope of their own */
    bool finished;
};

/* After tracing_start, which makes the resource. What was logged before is not sent. What is wrong
 * with SRUN_* and the code is returned; all else is warned about, and nothing is sent. */
int shipping_start(srun_runner *runner, srun_err *err);

/* After the other signals, whose last words are to be sent: within what is left of LAST_EXPORTS_MS.
 * What is logged later is written only. Later calls do nothing. */
void shipping_finish(srun_runner *runner);
void shipping_free(srun_runner *runner);

#endif
