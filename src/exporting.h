/* SPDX-License-Identifier: MIT
 *
 * Where exporters come from: what the code, the file and SRUN_* say stands above OTEL_*.
 * Threads: the one that starts the runner.
 */
#ifndef EXPORTING_H
#define EXPORTING_H

#include "telemetry/exporter.h"
#include "telemetry/otelenv.h"

#include <srun/runner.h>

#define LAST_EXPORTS_MS 2000 /* for what is left to send at the end, of all kinds together */

/* What is configured for one kind of telemetry; the fields lie in the runner's configuration. */
struct exporting {
    enum telemetry_signal signal;
    const char *name; /* "trace", as in telemetry.trace_endpoint */
    const srun_exporter *exporter;
    const char *const *endpoint;
    const int *insecure;
};

/* The environment, none of it in a setuid program; what is wrong with it goes to the log. */
struct otelenv_source exporting_variables(srun_runner *runner);

/* The exporter that was chosen, else the default one if OTEL_* want OTLP; none when
 * OTEL_SDK_DISABLED. */
srun_exporter exporting_choose(const srun_runner *runner, const struct exporting *what,
                               bool otel_wants);

/* Http, grpc, or SRUN_EXPORTER_DEFAULT: OTEL_* decide between these. SRUN_EUSAGE: an endpoint of
 * the code, the file or SRUN_* is none; other errors: of telemetry_exporter_open. */
int exporting_open(srun_runner *runner, const struct exporting *what, srun_exporter wanted,
                   struct telemetry_exporter **out, srun_err *err);

/* Until when a kind whose turn it is may take: what is left of LAST_EXPORTS_MS, or, when nothing
 * is, a moment, which is enough for a receiver that works. Then the time since `begun` is used up.
 */
int64_t exporting_last_until(const srun_runner *runner, int64_t begun_ns);
void exporting_last_used(srun_runner *runner, int64_t begun_ns);

#endif
