/* SPDX-License-Identifier: MIT */
#include "tracing.h"

#include "exporting.h"
#include "fork.h"
#include "log/log.h"
#include "runner.h"
#include "telemetry/propagation.h"
#include "telemetry/self.h"
#include "telemetry/w3c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct tracing *of(srun_runner *runner)
{
    return &runner->tracing;
}

/* --- for any thread -------------------------------------------------------------------------- */

srun_tracer *srun_context_tracer(const srun_context *ctx)
{
    return ctx != NULL ? ctx->service->tracer : NULL;
}

srun_tracer *srun_runner_tracer(const srun_runner *runner)
{
    return runner != NULL ? runner->tracing.program : NULL;
}

srun_tracer *srun_library_tracer(srun_runner *runner, const char *name, const char *version,
                                 const char *schema_url)
{
    if (runner == NULL || forked_since(runner->birth))
        return NULL;
    return traces_tracer(of(runner)->traces, &(struct telemetry_scope){name, version, schema_url});
}

int srun_runner_flush_traces(srun_runner *runner, int64_t timeout_ms)
{
    if (runner == NULL)
        return 0;
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    return traces_flush(of(runner)->traces, clock_after_ms(clock_real_now(), timeout_ms));
}

void srun_runner_trace_stats(const srun_runner *runner, struct srun_trace_stats *out)
{
    traces_stats(runner != NULL ? runner->tracing.traces : NULL, out);
}

static bool current_ids(char trace_id[33], char span_id[17])
{
    const struct srun_span_context *current = &telemetry_self.current;
    if (telemetry_self.serial == 0 || !srun_span_context_is_valid(current))
        return false;
    w3c_hex(trace_id, current->trace_id, sizeof current->trace_id);
    w3c_hex(span_id, current->span_id, sizeof current->span_id);
    return true;
}

void tracing_join_logs(void)
{
    log_set_ids(current_ids);
}

/* --- the provider ---------------------------------------------------------------------------- */

static struct sampler choose_sampler(const srun_runner *runner, const struct otelenv *env)
{
    const struct srun_config *value = &runner->config.value;
    double ratio = value->telemetry.sample_ratio > 0 ? value->telemetry.sample_ratio : 1;
    srun_sampler wanted = value->telemetry.sampler;
    if (wanted == SRUN_SAMPLER_DEFAULT)
        return env->sampler;
    unsigned at = (unsigned)wanted - SRUN_SAMPLER_ON;
    return sampler_make((enum sampler_kind)(at % 3), at >= 3, ratio);
}

static void give_tracers(srun_runner *runner)
{
    struct tracing *tracing = of(runner);
    const struct srun_config *value = &runner->config.value;
    struct telemetry_scope scope = {.name = value->name, .version = value->version};
    tracing->program = traces_tracer(tracing->traces, &scope);
    tracing->own =
        traces_tracer(tracing->traces,
                      &(struct telemetry_scope){.name = "libsrun", .version = SRUN_VERSION_TEXT});
    for (unsigned i = 0; i < runner->count; i++) {
        scope.name = runner->services[i]->name;
        runner->services[i]->tracer = traces_tracer(tracing->traces, &scope);
    }
}

static int open_traces(srun_runner *runner, const struct otelenv *env, srun_err *err)
{
    const struct traces_options options = {.exporter = of(runner)->exporter,
                                           .log = runner->log,
                                           .sampler = choose_sampler(runner, env),
                                           .limits = env->limits,
                                           .queue = env->queue,
                                           .batch = env->batch,
                                           .delay_ms = env->delay_ms,
                                           .timeout_ms = env->timeout_ms};
    struct traces *traces = NULL;
    int rc = traces_open(&traces, &options, err);
    of(runner)->traces = traces;
    return rc;
}

/* The parent of the start: the upgrade by which this process came, or what the environment says. */
static struct srun_span_context origin_of(srun_runner *runner)
{
    const struct succession *succession = &runner->succession;
    struct srun_span_context context = {0};
    char text[SRUN_TRACEPARENT_SIZE + 1];
    if (!succession->joined) {
        (void)srun_trace_from_environment(&context);
        return context;
    }
    (void)snprintf(text, sizeof text, "00-%s-%s-00", succession->trace_id, succession->span_id);
    if (srun_traceparent_parse(&context, text) == 0 &&
        sampler_decide(&of(runner)->traces->sampler, NULL, context.trace_id))
        context.flags |= SRUN_TRACE_SAMPLED; /* as the old process has decided, by the same rule */
    return context;
}

static void begin_start(srun_runner *runner)
{
    struct srun_span_context origin = origin_of(runner);
    of(runner)->start = srun_span_start(
        of(runner)->own, "start",
        SRUN_SPAN(.parent = &origin,
                  .attributes =
                      SRUN_KVS(SRUN_UINT("srun.generation", runner->succession.generation),
                               SRUN_UINT("srun.services", runner->active_count - runner->organs))));
}

static int start_with(srun_runner *runner, const struct otelenv *env, srun_err *err)
{
    struct tracing *tracing = of(runner);
    srun_err why = {0};
    const struct srun_config *value = &runner->config.value;
    const struct exporting what = {TELEMETRY_TRACES, "trace", &value->telemetry.trace_exporter,
                                   &value->telemetry.trace_endpoint,
                                   &value->telemetry.trace_insecure};
    srun_exporter wanted = exporting_choose(runner, &what, env->wants_otlp);
    if (tracing->exporter == NULL && wanted == SRUN_EXPORTER_NONE)
        return 0;
    int rc = tracing->exporter != NULL
                 ? 0
                 : exporting_open(runner, &what, wanted, &tracing->exporter, &why);
    if (rc == SRUN_EUSAGE)
        return srun_fail(err, rc, "%s", why.text);
    rc = rc < 0 ? rc : open_traces(runner, env, &why);
    if (rc < 0) {
        SRUN_WARN(runner->log, "there will be no traces", SRUN_STR("why", why.text));
        return 0;
    }
    give_tracers(runner);
    begin_start(runner);
    return 0;
}

int tracing_start(srun_runner *runner, srun_err *err)
{
    struct tracing *tracing = of(runner);
    const struct srun_config *value = &runner->config.value;
    const struct otelenv_source source = exporting_variables(runner);
    struct otelenv *env = calloc(1, sizeof *env);
    if (env == NULL || tracing->traces != NULL) { /* by a start that failed later on */
        free(env);
        return env == NULL ? srun_fail(err, -ENOMEM, "traces: out of memory") : 0;
    }
    int rc = otelenv_read(env, &source);
    resource_free(&tracing->resource);
    int made = resource_make(&tracing->resource, value->name, value->version, env);
    if (rc < 0 || made < 0)
        return srun_fail(err, -ENOMEM, "traces: out of memory");
    propagation_choose(env->propagators);
    return start_with(runner, env, err);
}

void tracing_finish(srun_runner *runner)
{
    struct tracing *tracing = of(runner);
    if (tracing->traces == NULL || tracing->finished)
        return;
    tracing->finished = true;
    srun_span_end(&tracing->start);
    srun_span_end(&tracing->stop);
    srun_span_end(&tracing->upgrade);
    int64_t begun = clock_real_now();
    int rc = traces_shutdown(tracing->traces, exporting_last_until(runner, begun));
    exporting_last_used(runner, begun);
    struct srun_trace_stats stats;
    traces_stats(tracing->traces, &stats);
    SRUN_LOG_AT_(runner->log, rc < 0 ? SRUN_LEVEL_WARN : SRUN_LEVEL_DEBUG, "traces have ended",
                 SRUN_CODE("result", rc), SRUN_UINT("spans", stats.sampled),
                 SRUN_UINT("exported", stats.exported),
                 SRUN_UINT("lost", stats.sampled - stats.exported),
                 SRUN_UINT("misused", stats.misused));
}

void tracing_free(srun_runner *runner)
{
    struct tracing *tracing = of(runner);
    if (tracing->traces == NULL && tracing->exporter != NULL)
        tracing->exporter->free(tracing->exporter);
    tracing->traces = traces_free(tracing->traces);
    tracing->exporter = NULL;
    resource_free(&tracing->resource);
}

/* --- what happens ---------------------------------------------------------------------------- */

static int64_t unix_now(void)
{
    return self_unix(clock_real_now());
}

static const char *phase_of(const struct service *service, const struct sequence_action *action)
{
    switch (action->from) {
    case SRUN_INITIATING:
        return service->ops.init != NULL ? "init" : NULL;
    case SRUN_STARTING:
        return "ready";
    case SRUN_SHUTTING_DOWN:
        return "stop";
    default:
        return NULL;
    }
}

void tracing_state(srun_runner *runner, struct service *service,
                   const struct sequence_action *action)
{
    const struct tracing *tracing = &runner->tracing;
    const char *phase = phase_of(service, action);
    if (tracing->traces == NULL || phase == NULL || service->organ)
        return;
    const srun_span *parent = action->from == SRUN_SHUTTING_DOWN ? &tracing->stop : &tracing->start;
    bool is_root = !srun_span_context_is_valid(&parent->context); /* a restart */
    bool failed = action->from != SRUN_SHUTTING_DOWN &&
                  (action->to == SRUN_SHUTTING_DOWN || action->to == SRUN_STOPPED);
    char name[300];
    int64_t now = unix_now();
    (void)snprintf(name, sizeof name, "%s %s", phase, service->name);
    srun_span span =
        srun_span_start(tracing->own, name,
                        SRUN_SPAN(.root = is_root, .parent = is_root ? NULL : &parent->context,
                                  .attributes = SRUN_KVS(SRUN_STR("srun.service", service->name),
                                                         SRUN_STR("srun.phase", phase)),
                                  .start_ns = now - action->elapsed_ns));
    if (failed)
        srun_span_set_status(&span, SRUN_SPAN_ERROR, service->view.error); /* ours to write */
    srun_span_end_at(&span, now);
}

void tracing_started(srun_runner *runner)
{
    srun_span_end(&of(runner)->start);
    of(runner)->start = (srun_span){0};
}

/* A stop that an upgrade has brought about belongs to its trace. */
void tracing_stopping(srun_runner *runner)
{
    struct tracing *tracing = of(runner);
    const srun_cause *cause = &runner->cause; /* ours to write */
    if (tracing->traces == NULL)
        return;
    if (srun_span_is_recording(&tracing->start))
        srun_span_set_status(&tracing->start, SRUN_SPAN_ERROR, cause->text);
    srun_span_end(&tracing->start);
    bool joins =
        cause->kind == SRUN_CAUSE_UPGRADE && srun_span_context_is_valid(&tracing->upgraded);
    tracing->stop = srun_span_start(
        tracing->own, "stop",
        SRUN_SPAN(.root = !joins, .parent = joins ? &tracing->upgraded : NULL,
                  .attributes = SRUN_KVS(SRUN_STR("srun.cause", srun_cause_name(cause->kind)),
                                         SRUN_STR("srun.cause.text", cause->text))));
}

void tracing_stopped(srun_runner *runner)
{
    struct tracing *tracing = of(runner);
    if (tracing->traces == NULL)
        return;
    srun_span_set(&tracing->stop, SRUN_KVS(SRUN_INT("process.exit.code", runner->exit_code)));
    if (runner->exit_code != 0)
        srun_span_set_status(&tracing->stop, SRUN_SPAN_ERROR, runner->cause.text);
    srun_span_end(&tracing->stop);
}

/* --- upgrades -------------------------------------------------------------------------------- */

void tracing_upgrade(srun_runner *runner, char trace_id[33], char span_id[17])
{
    struct tracing *tracing = of(runner);
    if (tracing->traces == NULL)
        return;
    srun_span_end(&tracing->upgrade);
    tracing->upgrade = srun_span_start(
        tracing->own, "upgrade",
        SRUN_SPAN(.root = 1, .attributes = SRUN_KVS(
                                 SRUN_UINT("srun.generation", runner->succession.generation))));
    tracing->upgraded = tracing->upgrade.context;
    if (!srun_span_context_is_valid(&tracing->upgraded))
        return;
    srun_trace_id_text(&tracing->upgraded, trace_id);
    srun_span_id_text(&tracing->upgraded, span_id);
}

void tracing_upgraded(srun_runner *runner, const char *error)
{
    struct tracing *tracing = of(runner);
    if (error != NULL)
        srun_span_set_status(&tracing->upgrade, SRUN_SPAN_ERROR, error);
    else
        srun_span_set(&tracing->upgrade,
                      SRUN_KVS(SRUN_STR("srun.new_version", runner->succession.peer_version),
                               SRUN_INT("srun.new_pid", runner->succession.peer_pid)));
    srun_span_end(&tracing->upgrade);
}

void tracing_rolled_back(srun_runner *runner, const char *error)
{
    struct tracing *tracing = of(runner);
    if (!srun_span_context_is_valid(&tracing->upgraded))
        return;
    srun_span span =
        srun_span_start(tracing->own, "roll back", SRUN_SPAN(.parent = &tracing->upgraded));
    srun_span_set_status(&span, SRUN_SPAN_ERROR, error);
    srun_span_end(&span);
}
