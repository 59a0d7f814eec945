/* SPDX-License-Identifier: MIT
 *
 * The way from a context or a runner to its meters. Threads: any, as the header says.
 */
#include "fork.h"
#include "runner.h"
#include "telemetry/meter.h"

#include <srun/metrics.h>

srun_meter *srun_context_meter(const srun_context *ctx)
{
    return ctx != NULL ? telemetry_meter(ctx->service->home->runner->meters, ctx->service->name, "")
                       : NULL;
}

srun_meter *srun_runner_meter(const srun_runner *runner)
{
    return runner != NULL ? telemetry_meter(runner->meters, runner->config.value.name,
                                            runner->config.value.version)
                          : NULL;
}

int srun_runner_view(srun_runner *runner, const char *pattern, const struct srun_view *view,
                     srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "view: %s", srun_strerror(SRUN_EFORK));
    if (atomic_load(&runner->phase) != RUNNER_ASSEMBLING)
        return srun_fail(err, SRUN_ESTATE, "view: added after the start");
    return telemetry_view(runner->meters, pattern, view, err);
}
