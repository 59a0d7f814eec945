/* SPDX-License-Identifier: MIT
 *
 * Metrics that are sent to a receiver, beside /metrics: when SRUN_OTEL_METRIC_EXPORTER, the code or
 * OTEL_METRICS_EXPORTER say so. Threads: the runner's, before the start and after the end.
 */
#ifndef PUSHING_H
#define PUSHING_H

#include <srun/runner.h>
#include <stdbool.h>

/* After tracing_start, which makes the resource. What is wrong with SRUN_* and the code is
 * returned; all else is warned about, and nothing is sent. */
int pushing_start(srun_runner *runner, srun_err *err);

/* Begins the last export: afterwards no callback of an instrument runs for it, while it is sent
 * beside what follows. False: they did not end within LAST_EXPORTS_MS. */
bool pushing_close(srun_runner *runner);

/* The same, and waits for its end, within what is left of LAST_EXPORTS_MS. Later calls do nothing.
 */
void pushing_finish(srun_runner *runner);

#endif
