/* SPDX-License-Identifier: MIT */
#include "shipping.h"

#include "base/clock.h"
#include "exporting.h"
#include "fork.h"
#include "log/level.h"
#include "runner.h"
#include "telemetry/logenv.h"
#include "telemetry/self.h"

#include <string.h>

#define SEVERITY_MIN 1
#define SEVERITY_MAX 24
#define SEVERITY_OF_INFO 9

/* --- a record, on the thread that logs ------------------------------------------------------- */

/* OpenTelemetry's numbers have the same distances as ours. */
static int severity_of(int level)
{
    int64_t severity = (int64_t)level + SEVERITY_OF_INFO;
    return severity < SEVERITY_MIN   ? SEVERITY_MIN
           : severity > SEVERITY_MAX ? SEVERITY_MAX
                                     : (int)severity;
}

static void add_span(struct telemetry_log *log)
{
    const struct srun_span_context *current = &telemetry_self.current;
    if (telemetry_self.serial == 0 || !srun_span_context_is_valid(current))
        return;
    memcpy(log->trace_id, current->trace_id, sizeof log->trace_id);
    memcpy(log->span_id, current->span_id, sizeof log->span_id);
    log->flags = current->flags & 0xff;
}

static void take(void *user, const struct log_copy *copy)
{
    struct shipping *shipping = user;
    char severity[LEVEL_TEXT_MAX + 1];
    struct srun_kv code[4];
    const struct srun_source *source = copy->source;
    struct telemetry_scope scope = shipping->program;
    if (copy->scope != NULL)
        scope.name = copy->scope;
    severity[level_format(severity, copy->level)] = '\0';
    if (source != NULL) {
        code[0] = SRUN_STR("code.file.path", source->file);
        code[1] = SRUN_STR("code.function.name", source->function);
        code[2] = SRUN_INT("code.line.number", source->line);
        code[3] = SRUN_KV_END_;
    }
    struct log_given given = {
        .log = {.scope = &scope,
                .time_ns = (uint64_t)copy->time_ns,
                .observed_ns = (uint64_t)copy->time_ns,
                .severity = severity_of(copy->level),
                .severity_text = severity,
                .body = copy->message},
        .body_size = copy->message_size,
        .lists = {source != NULL ? code : NULL, copy->own, copy->kvs},
    };
    add_span(&given.log);
    logs_push(shipping->logs, &given);
}

/* --- the processor --------------------------------------------------------------------------- */

static int open_logs(srun_runner *runner, const struct logenv *env, srun_err *err)
{
    struct shipping *shipping = &runner->shipping;
    struct logs_options options = env->options;
    options.exporter = shipping->exporter;
    options.log = runner->log;
    int rc = logs_open(&shipping->logs, &options, err);
    if (rc < 0)
        return rc;
    shipping->program = (struct telemetry_scope){.name = runner->config.value.name,
                                                 .version = runner->config.value.version};
    shipping->tap = (struct log_tap){take, shipping};
    log_set_tap(runner->log, &shipping->tap);
    return 0;
}

int shipping_start(srun_runner *runner, srun_err *err)
{
    const struct otelenv_source source = exporting_variables(runner);
    const struct srun_config *value = &runner->config.value;
    const struct exporting what = {TELEMETRY_LOGS, "log", &value->telemetry.log_exporter,
                                   &value->telemetry.log_endpoint, &value->telemetry.log_insecure};
    struct shipping *shipping = &runner->shipping;
    struct logenv env;
    srun_err why = {0};
    if (shipping->logs != NULL) /* of a start that failed later on */
        return 0;
    logenv_read(&env, &source);
    srun_exporter wanted = exporting_choose(runner, &what, env.wants_otlp);
    if (shipping->exporter == NULL && wanted == SRUN_EXPORTER_NONE)
        return 0;
    int rc = shipping->exporter != NULL
                 ? 0
                 : exporting_open(runner, &what, wanted, &shipping->exporter, &why);
    if (rc == SRUN_EUSAGE)
        return srun_fail(err, rc, "%s", why.text);
    rc = rc < 0 ? rc : open_logs(runner, &env, &why);
    if (rc < 0)
        SRUN_WARN(runner->log, "log records will not be sent", SRUN_STR("why", why.text));
    return 0;
}

void shipping_finish(srun_runner *runner)
{
    struct shipping *shipping = &runner->shipping;
    if (shipping->logs == NULL || shipping->finished)
        return;
    shipping->finished = true;
    log_set_tap(runner->log, NULL);
    int64_t begun = clock_real_now();
    int rc = logs_shutdown(shipping->logs, exporting_last_until(runner, begun));
    exporting_last_used(runner, begun);
    struct logs_stats stats;
    logs_stats(shipping->logs, &stats);
    uint64_t records = stats.taken + stats.dropped + stats.late;
    SRUN_LOG_AT_(runner->log, rc < 0 ? SRUN_LEVEL_WARN : SRUN_LEVEL_DEBUG, "log export has ended",
                 SRUN_CODE("result", rc), SRUN_UINT("records", records),
                 SRUN_UINT("exported", stats.exported),
                 SRUN_UINT("lost", records - stats.exported));
}

void shipping_free(srun_runner *runner)
{
    struct shipping *shipping = &runner->shipping;
    if (shipping->logs == NULL && shipping->exporter != NULL)
        shipping->exporter->free(shipping->exporter);
    shipping->logs = logs_free(shipping->logs);
    shipping->exporter = NULL;
}

int srun_runner_flush_logs(srun_runner *runner, int64_t timeout_ms)
{
    if (runner == NULL || runner->shipping.logs == NULL)
        return 0;
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    return logs_flush(runner->shipping.logs, clock_after_ms(clock_real_now(), timeout_ms));
}
