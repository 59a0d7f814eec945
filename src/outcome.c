/* SPDX-License-Identifier: MIT */
#include "outcome.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/fd.h"
#include "log/log.h"
#include "report.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORCE_STACKS 8 /* a forced end must not take long */

/* --- why ------------------------------------------------------------------------------------- */

void outcome_note(srun_runner *runner, const struct service *service, const char *phase,
                  const char *text)
{
    char line[sizeof runner->also];
    size_t place = 0; /* how much of the line says whose call it is */
    if (service != NULL) {
        int length = snprintf(line, sizeof line, "service %.60s: %s: ", service->name, phase);
        place = length > 0 ? (size_t)length : 0;
        (void)snprintf(line + place, sizeof line - place, "%.160s", text);
    } else {
        (void)snprintf(line, sizeof line, "%.240s", text);
    }
    pthread_mutex_lock(&runner->lock);
    bool first = runner->cause.kind == SRUN_CAUSE_NONE || runner->also[0] == '\0';
    bool same = place > 0 && strncmp(runner->also, line, place) == 0; /* and worse by now */
    if (first || same)
        memcpy(runner->also, line, sizeof line);
    pthread_mutex_unlock(&runner->lock);
}

void outcome_publish_error(struct service *service, const char *text, bool failed)
{
    pthread_mutex_lock(&service->lock);
    (void)snprintf(service->view.error, sizeof service->view.error, "%s", text);
    service->view.failed |= failed;
    pthread_mutex_unlock(&service->lock);
}

void outcome_failed(srun_runner *runner, struct service *service, const char *verb,
                    const char *text, int code)
{
    outcome_publish_error(service, text, true);
    SRUN_ERROR(service->log, "failed", SRUN_STR("phase", verb), SRUN_STR("error", text),
               SRUN_INT("code", code));
    outcome_note(runner, service, verb, text);
}

/* What the init or run that failed said. The last error of the service may be another's by now:
 * ready is asked while run fails. */
static const char *text_of_failure(const struct service *service, const char *phase)
{
    bool in_init = strcmp(phase, "init") == 0;
    const char *text =
        service->messages[in_init ? SEQUENCE_INIT_RETURNED : SEQUENCE_RUN_RETURNED].err.text;
    return text[0] != '\0' ? text : "no error was given";
}

static void word_service_cause(srun_runner *runner, const struct sequence_outcome *outcome,
                               srun_cause *cause)
{
    struct service *service = runner->active[outcome->service];
    struct service_view view;
    char limit[DURATION_TEXT_MAX];
    service_view(service, &view);
    (void)snprintf(cause->service, sizeof cause->service, "%s", service->name);
    (void)snprintf(cause->phase, sizeof cause->phase, "%s", outcome->phase);
    const char *error = view.error[0] != '\0' ? view.error : "no error was given";
    (void)duration_format(limit, clock_now(&runner->clock) - view.since);
    switch (outcome->cause) {
    case SRUN_CAUSE_INIT_TIMEOUT:
        (void)snprintf(cause->text, sizeof cause->text,
                       "service %.60s: init has not returned after %s", service->name, limit);
        break;
    case SRUN_CAUSE_READY_TIMEOUT:
        (void)snprintf(cause->text, sizeof cause->text, "service %.60s: not ready after %s: %.120s",
                       service->name, limit,
                       service->ops.ready != NULL ? error : "srun_ready was not called");
        break;
    case SRUN_CAUSE_STOP_TIMEOUT:
        (void)snprintf(cause->text, sizeof cause->text, "service %.60s: stuck in %s for %s",
                       service->name, outcome->phase, limit);
        break;
    case SRUN_CAUSE_UNHEALTHY:
        (void)snprintf(cause->text, sizeof cause->text,
                       "service %.60s: its first health check failed: %.140s", service->name,
                       error);
        break;
    default:
        (void)snprintf(cause->text, sizeof cause->text, "service %.60s: %s: %.160s", service->name,
                       outcome->phase,
                       outcome->code < 0 ? text_of_failure(service, outcome->phase)
                                         : "has finished, which it is never to do");
    }
}

static void word_cause(srun_runner *runner, const struct sequence_outcome *outcome,
                       srun_cause *cause)
{
    switch (outcome->cause) {
    case SRUN_CAUSE_SIGNAL:
    case SRUN_CAUSE_REQUEST:
    case SRUN_CAUSE_UPGRADE:
        (void)snprintf(cause->text, sizeof cause->text, "%s", runner->reason);
        break;
    case SRUN_CAUSE_ALL_EXITED:
        (void)snprintf(cause->text, sizeof cause->text, "every service has finished");
        break;
    case SRUN_CAUSE_DEADLINE:
        (void)snprintf(cause->text, sizeof cause->text, "the deadline of the run has come");
        break;
    default:
        break;
    }
}

/* Somebody wanted it, or the work is done; nothing went wrong. */
static bool is_intended(const srun_cause *cause)
{
    switch (cause->kind) {
    case SRUN_CAUSE_SIGNAL:
    case SRUN_CAUSE_ALL_EXITED:
    case SRUN_CAUSE_DEADLINE:
    case SRUN_CAUSE_UPGRADE:
        return true;
    case SRUN_CAUSE_REQUEST:
        return cause->code >= 0;
    default:
        return false;
    }
}

void outcome_fix_cause(srun_runner *runner)
{
    if (runner->cause.kind != SRUN_CAUSE_NONE)
        return;
    struct sequence_outcome outcome = sequence_outcome(runner->seq);
    if (outcome.cause == SRUN_CAUSE_NONE)
        return;
    srun_cause cause = {.kind = outcome.cause, .code = outcome.code, .signo = outcome.signo};
    if (outcome.service != SEQUENCE_NOBODY)
        word_service_cause(runner, &outcome, &cause);
    else
        word_cause(runner, &outcome, &cause);
    pthread_mutex_lock(&runner->lock);
    runner->cause = cause;
    runner->also[0] = '\0'; /* what was noted so far has led to the cause, or was mended */
    pthread_mutex_unlock(&runner->lock);
    succession_ending(runner, cause.kind, is_intended(&cause));
}

/* --- milestones ------------------------------------------------------------------------------ */

/* Where the time went; down: of the stop, else of the start. The text is only as long as fits. */
static void describe_path(const srun_runner *runner, bool down, char *out, size_t size)
{
    unsigned count = runner->active_count;
    auto_free struct report_part *parts = calloc(2 * (size_t)count + 1, sizeof parts[0]);
    (void)snprintf(out, size, "unknown");
    if (parts == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        struct service *service = runner->active[i];
        struct service_view view;
        service_view(service, &view);
        parts[i] = (struct report_part){service->name, down ? "stop" : "init", service->unit,
                                        down                        ? view.stop_ns
                                        : service->ops.init != NULL ? view.init_ns
                                                                    : -1};
        if (!down)
            parts[count + i] =
                (struct report_part){service->name, "ready", service->unit, view.ready_ns};
    }
    report_critical_path(parts, down ? count : 2 * (size_t)count, out, size);
}

void outcome_look_ready(srun_runner *runner)
{
    bool ready = runner->started && !runner->told_stopping &&
                 runner->running == runner->active_count &&
                 atomic_load(&runner->succession.sockets.open);
    atomic_store(&runner->ready, ready);
    if (ready && !runner->withdrawn)
        notify_status(&runner->notify, "running");
}

void outcome_started(srun_runner *runner, int64_t now)
{
    char path[512];
    describe_path(runner, false, path, sizeof path);
    runner->started = true;
    atomic_store(&runner->stage, RUNNER_RUNS);
    SRUN_INFO(runner->log, "started", SRUN_UINT("services", runner->active_count - runner->organs),
              SRUN_NS("took", now - runner->started_at), SRUN_STR("critical_path", path));
    tracing_started(runner);
    succession_started(runner);
}

/* The service manager takes STOPPING=1 for the end of the whole unit. */
static void tell_stopping(srun_runner *runner, const char *status)
{
    if (!runner->told_stopping) {
        if (!succession_is_followed(runner))
            notify_send(&runner->notify, "STOPPING=1");
        notify_status(&runner->notify, "%s: %s", status, runner->cause.text);
    }
    runner->told_stopping = true;
    outcome_look_ready(runner);
}

void outcome_draining(srun_runner *runner)
{
    atomic_store(&runner->stage, RUNNER_DRAINS);
    tell_stopping(runner, "draining");
    SRUN_INFO(runner->log, "draining", SRUN_STR("cause", srun_cause_name(runner->cause.kind)),
              SRUN_STR("why", runner->cause.text),
              SRUN_MS("for", runner->config.value.timeouts.drain_ms));
}

void outcome_stopping(srun_runner *runner, int64_t now)
{
    runner->stopping_at = now;
    atomic_store(&runner->stage, RUNNER_STOPS);
    tracing_stopping(runner);
    tell_stopping(runner, "stopping");
    SRUN_INFO(runner->log, "stopping", SRUN_STR("cause", srun_cause_name(runner->cause.kind)),
              SRUN_STR("why", runner->cause.text));
}

static void run_hook(struct pool_job *job)
{
    srun_runner *runner = (srun_runner *)((char *)job - offsetof(srun_runner, hook.job));
    runner->config.value.hooks.exited(runner->config.value.user, &runner->hook.cause,
                                      runner->hook.exit_code);
}

static void hook_done(struct pool_job *job)
{
    srun_runner *runner = (srun_runner *)((char *)job - offsetof(srun_runner, hook.job));
    inbox_post(&runner->inbox, &runner->hook.item);
}

static void settle(srun_runner *runner, int exit_code, unsigned stuck)
{
    pthread_mutex_lock(&runner->lock);
    if (exit_code > runner->exit_code)
        runner->exit_code = exit_code;
    runner->stuck += stuck;
    pthread_mutex_unlock(&runner->lock);
}

static void log_last_line(srun_runner *runner, int64_t now)
{
    char path[512];
    describe_path(runner, true, path, sizeof path);
    struct srun_kv kvs[8];
    size_t count = 0;
    kvs[count++] = SRUN_INT("exit_code", runner->exit_code);
    kvs[count++] = SRUN_STR("cause", srun_cause_name(runner->cause.kind));
    kvs[count++] = SRUN_STR("why", runner->cause.text);
    if (runner->also[0] != '\0')
        kvs[count++] = SRUN_STR("also", runner->also);
    if (runner->stuck > 0)
        kvs[count++] = SRUN_UINT("stuck", runner->stuck);
    kvs[count++] = SRUN_NS("took", now - runner->stopping_at);
    kvs[count++] = SRUN_STR("critical_path", path);
    kvs[count] = SRUN_KV_END_;
    int level = runner->exit_code == 0 ? SRUN_LEVEL_INFO : SRUN_LEVEL_ERROR;
    const struct srun_source source = {.file = __FILE__, .function = __func__, .line = __LINE__};
    if (srun_log_enabled(runner->log, level))
        srun_log_write(runner->log, level, &source, "stopped", kvs);
}

void outcome_done(srun_runner *runner, int64_t now)
{
    struct sequence_outcome outcome = sequence_outcome(runner->seq);
    settle(runner, outcome.exit_code, outcome.stuck);
    succession_ended(runner);
    log_last_line(runner, now);
    tracing_stopped(runner);
    runner->watch_at = SEQUENCE_NEVER;
    runner->hook.returned = true;
    if (runner->config.value.hooks.exited != NULL) {
        runner->hook.job = (struct pool_job){.run = run_hook, .done = hook_done};
        runner->hook.cause = runner->cause;
        runner->hook.exit_code = runner->exit_code;
        runner->hook.returned = pool_submit(runner->pool, &runner->hook.job) < 0;
        if (runner->hook.returned)
            run_hook(&runner->hook.job); /* no thread for it: nobody is left whom it could delay */
        runner->hook.deadline = clock_after_ms(now, runner->config.value.timeouts.stop_ms);
    }
    atomic_store(&runner->phase, RUNNER_LEAVING);
}

static void finish(srun_runner *runner)
{
    runner->hook.deadline = SEQUENCE_NEVER;
    atomic_store(&runner->stage, RUNNER_HAS_STOPPED);
    atomic_store(&runner->phase, RUNNER_FINISHED);
    pthread_mutex_lock(&runner->lock);
    runner->changes++;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    fd_event_raise(runner->inbox.event); /* a loop that embeds the runner asks once more, also when
                                            it has ended within its start */
}

void outcome_leave(srun_runner *runner, int64_t now)
{
    if (!runner->hook.returned && now < runner->hook.deadline)
        return;
    if (!runner->hook.returned) {
        SRUN_ERROR(runner->log, "the exit hook is stuck, given up");
        pool_lose(runner->pool, &runner->hook.job);
        settle(runner, 4, 1);
        runner->hook.returned = true;
    }
    runner->hook.deadline = SEQUENCE_NEVER;
    if (!succession_stays(runner, now))
        finish(runner);
}

void outcome_thread_left(srun_runner *runner, const struct service *service)
{
    SRUN_ERROR(service->log, "its thread does not end, given up");
    settle(runner, 4, 1);
}

static void describe_the_living(srun_runner *runner)
{
    unsigned told = 0;
    for (unsigned i = runner->active_count; i > 0 && told < FORCE_STACKS; i--) {
        struct service *service = runner->active[i - 1];
        const char *phase = sequence_phase(runner->seq, service->id);
        if (phase[0] == '\0')
            continue;
        char stack[2048];
        service_describe_stack(service, stack, sizeof stack);
        SRUN_ERROR(service->log, "in the way of the end",
                   SRUN_STR("state", srun_state_name(sequence_state(runner->seq, service->id))),
                   SRUN_STR("phase", phase), SRUN_STR("stack", stack));
        told++;
    }
}

void outcome_force(srun_runner *runner, int signo)
{
    runner->told_stopping = true;
    outcome_look_ready(runner);
    describe_the_living(runner);
    SRUN_ERROR(runner->log, "forced", SRUN_STR("signal", signals_name(signo)),
               SRUN_INT("exit_code", 128 + signo));
    if (!runner->testing)
        _exit(128 + signo);
    outcome_fix_cause(runner); /* the signal before, if nobody had time to look at it */
    settle(runner, 128 + signo, runner->active_count); /* nothing is safe to free */
    finish(runner);
}
