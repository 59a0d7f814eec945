/* SPDX-License-Identifier: MIT */
#include "pushing.h"

#include "base/clock.h"
#include "exporting.h"
#include "runner.h"
#include "telemetry/metricenv.h"
#include "telemetry/periodic.h"

static int open_periodic(srun_runner *runner, const struct metricenv *env,
                         struct telemetry_exporter *exporter, srun_err *err)
{
    int rc = telemetry_periodic_open(
        &runner->periodic, runner->meters,
        &(struct telemetry_periodic_options){.exporter = exporter,
                                             .reader = env->reader,
                                             .interval_ms = env->interval_ms,
                                             .timeout_ms = env->timeout_ms,
                                             .log = runner->log});
    if (rc < 0 && exporter != NULL)
        exporter->free(exporter);
    return rc < 0 ? srun_fail(err, rc, "%s", srun_strerror(rc)) : 0;
}

int pushing_start(srun_runner *runner, srun_err *err)
{
    const struct otelenv_source source = exporting_variables(runner);
    const struct srun_config *value = &runner->config.value;
    const struct exporting what = {TELEMETRY_METRICS, "metric", &value->telemetry.metric_exporter,
                                   &value->telemetry.metric_endpoint,
                                   &value->telemetry.metric_insecure};
    struct metricenv env;
    struct telemetry_exporter *exporter = NULL;
    srun_err why = {0};
    if (runner->periodic != NULL) /* of a start that failed later on */
        return 0;
    metricenv_read(&env, &source);
    srun_exporter wanted = exporting_choose(runner, &what, env.wants_otlp);
    if (wanted == SRUN_EXPORTER_NONE || wanted == SRUN_EXPORTER_PROMETHEUS)
        return 0;
    int rc = exporting_open(runner, &what, wanted, &exporter, &why);
    if (rc == SRUN_EUSAGE)
        return srun_fail(err, rc, "%s", why.text);
    rc = rc < 0 ? rc : open_periodic(runner, &env, exporter, &why);
    if (rc < 0)
        SRUN_WARN(runner->log, "metrics will not be sent", SRUN_STR("why", why.text));
    return 0;
}

bool pushing_close(srun_runner *runner)
{
    if (runner->periodic == NULL)
        return true;
    int64_t begun = clock_real_now();
    int rc = telemetry_periodic_close(runner->periodic, exporting_last_until(runner, begun));
    exporting_last_used(runner, begun);
    return rc == 0;
}

void pushing_finish(srun_runner *runner)
{
    struct telemetry_periodic_stats stats;
    if (runner->periodic == NULL)
        return;
    int64_t begun = clock_real_now();
    int rc = telemetry_periodic_shutdown(runner->periodic, exporting_last_until(runner, begun));
    exporting_last_used(runner, begun);
    telemetry_periodic_stats(runner->periodic, &stats);
    SRUN_LOG_AT_(runner->log, rc < 0 ? SRUN_LEVEL_WARN : SRUN_LEVEL_DEBUG, "metrics have ended",
                 SRUN_CODE("result", rc), SRUN_UINT("points", stats.points),
                 SRUN_UINT("lost", stats.lost));
    runner->periodic = telemetry_periodic_free(runner->periodic);
}
