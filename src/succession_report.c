/* SPDX-License-Identifier: MIT */
#include "succession_report.h"

#include "base/duration.h"
#include "log/log.h"
#include "succession_peer.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- the hooks ------------------------------------------------------------------------------- */

static int call_hook(srun_runner *runner, srun_upgrade_step step, int peer_pid, const char *text,
                     srun_err *err)
{
    const struct srun_config *config = &runner->config.value;
    const struct srun_upgrade_event event = {.step = step, .peer_pid = peer_pid, .text = text};
    if (config->hooks.upgrade == NULL)
        return 0;
    int rc = config->hooks.upgrade(config->user, &event, err);
    return rc > 0 ? 0 : rc;
}

int report_step_now(srun_runner *runner, srun_upgrade_step step, srun_err *err)
{
    int rc = call_hook(runner, step, 0, "", err);
    if (rc < 0 && err->text[0] == '\0')
        (void)srun_fail(err, rc, "the program refuses: %s", srun_strerror(rc));
    return rc;
}

static void run_step(struct pool_job *job)
{
    srun_runner *runner =
        (srun_runner *)((char *)job - offsetof(srun_runner, succession.hooks.job));
    const struct succession_step *now = &runner->succession.hooks.now;
    srun_err err = {0};
    (void)call_hook(runner, now->step, now->peer_pid, now->text, &err);
}

static void step_done(struct pool_job *job)
{
    srun_runner *runner =
        (srun_runner *)((char *)job - offsetof(srun_runner, succession.hooks.job));
    inbox_post(&runner->inbox, &runner->succession.hooks.item);
}

void report_next_step(srun_runner *runner)
{
    struct succession_hooks *hooks = &runner->succession.hooks;
    if (hooks->busy || hooks->count == 0 || runner->succession.launch.busy)
        return;
    hooks->now = hooks->waiting[hooks->first];
    hooks->first = (hooks->first + 1) % SUCCESSION_STEPS;
    hooks->count--;
    hooks->job = (struct pool_job){.run = run_step, .done = step_done};
    hooks->busy = true;
    pool_queue(runner->pool, &hooks->job);
}

void report_step_done(srun_runner *runner)
{
    runner->succession.hooks.busy = false;
    report_next_step(runner);
    peer_start_launch(runner);
}

bool report_has_steps(const srun_runner *runner)
{
    return runner->succession.hooks.busy || runner->succession.hooks.count > 0;
}

/* A program that is behind by SUCCESSION_STEPS misses the newest. */
static void tell_step(srun_runner *runner, srun_upgrade_step step, const char *text)
{
    struct succession_hooks *hooks = &runner->succession.hooks;
    if (runner->config.value.hooks.upgrade == NULL || hooks->count == SUCCESSION_STEPS)
        return;
    struct succession_step *place =
        &hooks->waiting[(hooks->first + hooks->count++) % SUCCESSION_STEPS];
    *place = (struct succession_step){.step = step, .peer_pid = runner->succession.peer_pid};
    (void)snprintf(place->text, sizeof place->text, "%s", text);
    report_next_step(runner);
}

/* --- the service manager --------------------------------------------------------------------- */

static void tell_reloading(srun_runner *runner)
{
    notify_reloading(&runner->notify);
    runner->succession.told_manager = !runner->notify.mute; /* else when it begins */
    runner->succession.asked_again = false;
}

/* There is no word for failure: ready, as before, and why (a reload that hears nothing hangs). */
static void tell_failure(srun_runner *runner, const char *text)
{
    struct succession *succession = &runner->succession;
    if (succession->presented)
        notify_send(&runner->notify, "MAINPID=%d", (int)getpid());
    if (succession->told_manager || succession->presented)
        notify_send(&runner->notify, "READY=1");
    notify_status(&runner->notify, "upgrade failed: %s", text);
    succession->told_manager = succession->presented = false;
}

/* --- results --------------------------------------------------------------------------------- */

static void publish_state_locked(srun_runner *runner)
{
    struct succession *succession = &runner->succession;
    struct srun_upgrade_info *info = &succession->info;
    succession->shown = succession->machine.state;
    succession->shown_asked = succession->machine.asked;
    (void)snprintf(info->state, sizeof info->state, "%s",
                   machine_state_name(succession->machine.state));
    info->generation = succession->generation;
    info->peer_pid = succession->peer_pid;
    info->serving = atomic_load(&succession->sockets.open);
    info->draining = atomic_load(&succession->draining);
    info->queued = succession->machine.asked;
    memcpy(info->trace_id, succession->trace_id, sizeof info->trace_id);
    memcpy(info->span_id, succession->span_id, sizeof info->span_id);
}

void report_publish(srun_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    publish_state_locked(runner);
    pthread_mutex_unlock(&runner->lock);
}

struct answer {
    int code;
    const char *phase, *text;
    int64_t since;   /* when it was asked for */
    uint64_t covers; /* the requests that are answered */
};

/* Before it is told elsewhere: who reads of it in the log and asks finds it here. */
static void publish_answer(srun_runner *runner, const struct answer *answer)
{
    struct succession *succession = &runner->succession;
    struct srun_upgrade_info *info = &succession->info;
    pthread_mutex_lock(&runner->lock);
    publish_state_locked(runner);
    info->attempts++;
    info->succeeded += answer->code == 0;
    info->failed += answer->code != 0;
    info->last_ms = clock_wall_ms();
    info->last_took_ms = (clock_now(&runner->clock) - answer->since) / NS_PER_MS;
    info->last_code = answer->code;
    (void)snprintf(info->last_phase, sizeof info->last_phase, "%s", answer->phase);
    (void)snprintf(info->last_text, sizeof info->last_text, "%s", answer->text);
    if (answer->covers > succession->answered)
        succession->answered = answer->covers;
    runner->changes++;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

static void word_failure(srun_runner *runner, const struct machine_action *action, int64_t now,
                         char *out, size_t size)
{
    const struct succession *succession = &runner->succession;
    const char *phase = machine_state_name(action->phase), *said = succession->peer_text;
    char took[DURATION_TEXT_MAX];
    (void)duration_format(took, now - succession->launched_at);
    switch (action->reason) {
    case MACHINE_BECAUSE_REFUSED:
        (void)snprintf(out, size, "%s", succession->launch.err.text);
        break;
    case MACHINE_BECAUSE_TIME:
        if (succession->peer_pid == 0)
            (void)snprintf(out, size, "no new process was started within %s", took);
        else
            (void)snprintf(out, size, "pid %d does not answer in %s, %s after its start%s%.120s",
                           succession->peer_pid, phase, took, said[0] != '\0' ? "; last: " : "",
                           said);
        break;
    case MACHINE_BECAUSE_ENDING:
        (void)snprintf(out, size, "this process stops");
        break;
    default:
        (void)snprintf(out, size, "%.240s", said[0] != '\0' ? said : "it gave no reason");
    }
}

static void report_failed(srun_runner *runner, const struct machine_action *action, int64_t now)
{
    struct succession *succession = &runner->succession;
    char text[HANDOVER_TEXT_MAX];
    bool launched = action->phase >= MACHINE_SPAWN && action->phase <= MACHINE_COMMIT;
    bool last = !launched || succession->machine.ending; /* no other attempt will follow */
    int64_t since = launched ? succession->asked_at : succession->wanted_at;
    word_failure(runner, action, now, text, sizeof text);
    publish_answer(runner,
                   &(struct answer){.code = SRUN_EUPGRADE,
                                    .phase = machine_state_name(action->phase),
                                    .text = text,
                                    .since = since,
                                    .covers = last ? succession->taken : succession->covers});
    SRUN_ERROR(runner->log, "upgrade failed", SRUN_STR("phase", machine_state_name(action->phase)),
               SRUN_STR("error", text), SRUN_INT("new_pid", succession->peer_pid),
               SRUN_NS("after", now - since));
    tell_failure(runner, text);
    if (launched)
        tracing_upgraded(runner, text);
    tell_step(runner, SRUN_UPGRADE_FAILED, text);
}

/* Who has asked since it began is told that the new process will do it. */
static void report_succeeded(srun_runner *runner, int64_t now)
{
    struct succession *succession = &runner->succession;
    char text[HANDOVER_TEXT_MAX];
    (void)snprintf(text, sizeof text, "generation %u, version %.64s, pid %d",
                   succession->generation + 1, succession->peer_version, succession->peer_pid);
    publish_answer(runner, &(struct answer){.phase = "",
                                            .text = text,
                                            .since = succession->asked_at,
                                            .covers = succession->covers});
    SRUN_INFO(runner->log, "upgraded", SRUN_UINT("new_generation", succession->generation + 1),
              SRUN_INT("new_pid", succession->peer_pid),
              SRUN_STR("new_version", succession->peer_version),
              SRUN_NS("took", now - succession->asked_at));
    succession->told_manager = succession->presented = false;
    tracing_upgraded(runner, NULL);
    tell_step(runner, SRUN_UPGRADE_COMMITTED, "");
}

static void report_rolled_back(srun_runner *runner, const struct machine_action *action,
                               int64_t now)
{
    char text[HANDOVER_TEXT_MAX];
    word_failure(runner, action, now, text, sizeof text);
    pthread_mutex_lock(&runner->lock);
    struct srun_upgrade_info *info = &runner->succession.info;
    publish_state_locked(runner);
    info->rolled_back++;
    info->last_ms = clock_wall_ms();
    info->last_code = SRUN_EUPGRADE;
    (void)snprintf(info->last_phase, sizeof info->last_phase, "probation");
    (void)snprintf(info->last_text, sizeof info->last_text, "%s", text);
    pthread_mutex_unlock(&runner->lock);
    SRUN_ERROR(runner->log, "rolled back", SRUN_STR("error", text),
               SRUN_INT("new_pid", runner->succession.peer_pid));
    notify_status(&runner->notify, "rolled back: %s", text);
    tracing_rolled_back(runner, text);
    tell_step(runner, SRUN_UPGRADE_ROLLED_BACK, text);
}

void report_action(srun_runner *runner, const struct machine_action *action, int64_t now)
{
    switch (action->kind) {
    case MACHINE_SUCCEEDED:
        report_succeeded(runner, now);
        break;
    case MACHINE_FAILED:
        report_failed(runner, action, now);
        break;
    case MACHINE_ROLLED_BACK:
        report_rolled_back(runner, action, now);
        break;
    default:
        report_publish(runner);
        SRUN_INFO(runner->log, "the old generation has ended",
                  SRUN_INT("old_pid", runner->succession.peer_pid));
        tell_step(runner, SRUN_UPGRADE_DRAINED, "");
    }
}

void report_asked(srun_runner *runner, const char *why)
{
    struct succession *succession = &runner->succession;
    enum machine_state state = succession->machine.state;
    bool again = succession->machine.asked;
    SRUN_LOG_AT_(runner->log, again ? SRUN_LEVEL_DEBUG : SRUN_LEVEL_INFO, "upgrade requested",
                 SRUN_STR("why", why), SRUN_STR("state", machine_state_name(state)));
    succession->asked_again |= again;
    if (again)
        return;
    succession->wanted_at = clock_now(&runner->clock);
    tell_reloading(runner);
}

void report_refusal(srun_runner *runner, const char *reason)
{
    const struct succession *succession = &runner->succession;
    publish_answer(runner, &(struct answer){.code = SRUN_EUPGRADE,
                                            .phase = machine_state_name(succession->machine.state),
                                            .text = reason,
                                            .since = succession->wanted_at,
                                            .covers = succession->taken});
    SRUN_WARN(runner->log, "upgrade refused", SRUN_STR("why", reason));
    tell_failure(runner, reason);
}

void report_launch(srun_runner *runner)
{
    const struct succession *succession = &runner->succession;
    if (succession->asked_again || !succession->told_manager)
        tell_reloading(runner);
    SRUN_INFO(
        runner->log, "upgrade begins", SRUN_UINT("new_generation", succession->generation + 1),
        SRUN_STR("binary", succession->origin.binary), SRUN_STR("trace_id", succession->trace_id));
    notify_status(&runner->notify, "upgrading to generation %u", succession->generation + 1);
}

void report_office(srun_runner *runner)
{
    const struct succession *succession = &runner->succession;
    if (!succession->joined)
        return;
    SRUN_INFO(runner->log, "took over", SRUN_INT("pid", getpid()),
              SRUN_INT("old_pid", succession->peer_pid),
              SRUN_STR("version", runner->config.value.version),
              SRUN_STR("trace_id", succession->trace_id));
}

/* Who waits hears that nothing will be told here. */
void report_passed_on(srun_runner *runner)
{
    struct succession *succession = &runner->succession;
    pthread_mutex_lock(&runner->lock);
    succession->passed_on = succession->taken;
    runner->changes++;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    SRUN_INFO(runner->log, "upgrade passed on", SRUN_INT("new_pid", succession->peer_pid));
}
