/* SPDX-License-Identifier: MIT
 *
 * The control thread: takes what has happened out of the inbox, the signals and the timer, feeds it
 * to the sequence, and carries out what the sequence decides. Waits in the poller; besides for a
 * moment, each with a limit, for a thread to end, a stack to be told, a log or systemd to have
 * room. Never runs code of the program.
 */
#include "runner.h"

#include "base/duration.h"
#include "base/ensure.h"
#include "base/fd.h"
#include "capture.h"
#include "log/log.h"
#include "outcome.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Between two attempts to make a thread that is missing, and to tell systemd, which is busy. */
#define STAFF_PAUSE (10 * NS_PER_MS)
#define TELL_PAUSE (100 * NS_PER_MS)

static int64_t now_of(const srun_runner *runner)
{
    return clock_now(&runner->clock);
}

/* A cause is worded at once: what comes next may overwrite what it is worded from. */
static void feed(srun_runner *runner, const struct sequence_event *event)
{
    sequence_feed(runner->seq, event, now_of(runner));
    outcome_fix_cause(runner);
}

/* --- events in ------------------------------------------------------------------------------- */

/* Joins a thread that has said its last word. One that does not end is found again, and counted,
 * when its service is to be STOPPED. */
static void join_if_over(struct service *service, const struct service_message *message)
{
    bool over =
        message->kind == SEQUENCE_RUN_RETURNED || (message->kind == SEQUENCE_INIT_RETURNED &&
                                                   (message->code < 0 || service->ops.run == NULL));
    if (over)
        (void)service_join(service);
}

static const char *verb_of(enum sequence_event_kind kind)
{
    switch (kind) {
    case SEQUENCE_INIT_RETURNED:
        return "init";
    case SEQUENCE_READY_RETURNED:
        return "ready";
    case SEQUENCE_RUN_RETURNED:
        return "run";
    case SEQUENCE_STOP_RETURNED:
        return "stop";
    default:
        return "";
    }
}

/* A failure is told once, here: the library's own calls do not log what they return. Saying "not
 * yet" is no failure, nor is ending as one was told to. */
static void note_failure(srun_runner *runner, struct service *service,
                         struct service_message *message)
{
    int code = message->code;
    if (code >= 0)
        return;
    if (message->err.text[0] == '\0')
        (void)srun_fail(&message->err, code, "%s", srun_strerror(code));
    bool told_to = srun_cancelled(&service->life) && (code == -ECANCELED || code == -EINTR);
    if (message->kind == SEQUENCE_READY_RETURNED || told_to) {
        outcome_publish_error(service, message->err.text, false);
        return;
    }
    outcome_failed(runner, service, verb_of(message->kind), message->err.text, code);
}

/* The service manager has limits of its own, and is told of what changes nothing here as well. */
static void take_extension(srun_runner *runner, struct service *service, int64_t span)
{
    int64_t before = sequence_deadline(runner->seq, service->id);
    if (before == SEQUENCE_NEVER)
        return; /* the phase it was asked for is over */
    feed(runner, &(struct sequence_event){
                     .kind = SEQUENCE_EXTEND, .service = service->id, .extend_ns = span});
    succession_progress(runner, service->name, span);
    int64_t deadline = sequence_deadline(runner->seq, service->id);
    context_set_deadline(&service->life, deadline);
    context_set_deadline(&service->stopping, deadline);
    notify_send(&runner->notify, "EXTEND_TIMEOUT_USEC=%lld", (long long)(span / NS_PER_US));
    if (deadline > before)
        SRUN_INFO(service->log, "takes longer",
                  SRUN_STR("phase", sequence_phase(runner->seq, service->id)),
                  SRUN_NS("asked_for", span));
}

static void take_service_message(srun_runner *runner, struct service_message *message)
{
    struct service *service = message->service;
    struct sequence_event event = {
        .kind = message->kind, .service = service->id, .code = message->code};
    if (message->kind == SEQUENCE_READY || message->kind == SEQUENCE_EXTEND)
        atomic_store(&message->posted, false); /* before it is read: what comes now comes again */
    if (message->kind == SEQUENCE_EXTEND) {
        int64_t span = atomic_exchange(&message->extend_ns, 0);
        if (span > 0) /* else it was heard with the one before */
            take_extension(runner, service, span);
        return;
    }
    if (message->kind == SEQUENCE_RUN_RETURNED && message->code > 0) {
        pthread_mutex_lock(&service->lock);
        service->view.background = true;
        pthread_mutex_unlock(&service->lock);
    }
    join_if_over(service, message);
    if (message->kind != SEQUENCE_READY)
        note_failure(runner, service, message);
    feed(runner, &event);
}

static void take_request(srun_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    int code = runner->request.code;
    (void)snprintf(runner->reason, sizeof runner->reason, "%s", runner->request.why);
    runner->request.posted = false;
    pthread_mutex_unlock(&runner->lock);
    SRUN_INFO(runner->log, "stop requested", SRUN_STR("why", runner->reason));
    if (code < 0)
        outcome_note(runner, NULL, "", runner->reason);
    feed(runner, &(struct sequence_event){
                     .kind = SEQUENCE_SHUTDOWN, .cause = SRUN_CAUSE_REQUEST, .code = code});
}

static void take_withdrawal(srun_runner *runner)
{
    char why[sizeof runner->withdrawal.why];
    pthread_mutex_lock(&runner->lock);
    bool on = runner->withdrawn;
    memcpy(why, runner->withdrawal.why, sizeof why);
    runner->withdrawal.posted = false;
    pthread_mutex_unlock(&runner->lock);
    if (on == runner->withdrawal.told)
        return;
    runner->withdrawal.told = on;
    SRUN_INFO(runner->log, on ? "withdrawn" : "no longer withdrawn", SRUN_STR("why", why));
    if (on && !runner->told_stopping) /* the service manager hears what matters most */
        notify_status(&runner->notify, "withdrawn: %s", why);
    outcome_look_ready(runner);
}

/* The service whose side verb has answered. */
static struct service *service_of(struct inbox_item *item, size_t at)
{
    return (void *)((char *)item - at);
}

static void take_inbox(srun_runner *runner)
{
    struct inbox_item *item = inbox_take(&runner->inbox), *next;
    for (; item != NULL; item = next) {
        next = item->next; /* it may be posted again as soon as it is handled */
        if (item->kind == ITEM_REQUEST)
            take_request(runner);
        else if (item->kind == ITEM_WITHDRAW)
            take_withdrawal(runner);
        else if (item->kind == ITEM_HOOK)
            runner->hook.returned = true;
        else if (item->kind == ITEM_DRAIN)
            service_drain_told(service_of(item, offsetof(struct service, drain.side.item)));
        else if (item->kind == ITEM_CHECK)
            checkup_take_answer(runner,
                                service_of(item, offsetof(struct service, check.side.item)));
        else if (item->kind == ITEM_HEAR)
            checkup_take_heard(runner, service_of(item, offsetof(struct service, hear.side.item)));
        else if (item->kind == ITEM_PUSH)
            checkup_take_push(runner, item);
        else if (item->kind == ITEM_SUCCESSION)
            succession_take(runner, item);
        else
            take_service_message(runner, (struct service_message *)(void *)item);
    }
}

/* --- signals --------------------------------------------------------------------------------- */

/* A service manager that sent it to reload waits for an answer. */
static void ignore_hangup(srun_runner *runner)
{
    if (!runner->warned_hangup)
        SRUN_WARN(runner->log, "SIGHUP ignored", SRUN_STR("why", "upgrades are disabled"));
    runner->warned_hangup = true;
    notify_reloading(&runner->notify);
    notify_send(&runner->notify, "READY=1");
}

static void on_hangup(srun_runner *runner, int sender)
{
    char why[48];
    (void)snprintf(why, sizeof why, "SIGHUP from pid %d", sender);
    if (runner->config.value.upgrade.disabled == 0)
        succession_ask(runner, why);
    else
        ignore_hangup(runner);
}

void control_signal(srun_runner *runner, int signo, int sender, bool lost_terminal)
{
    if (signo == SIGHUP && !lost_terminal) {
        on_hangup(runner, sender);
        return;
    }
    bool ending = sequence_outcome(runner->seq).cause != SRUN_CAUSE_NONE;
    if (signo == SIGINT || signo == SIGQUIT)
        if (++runner->forceful > 1) {
            outcome_force(runner, signo);
            return;
        }
    if (ending) {
        SRUN_WARN(runner->log, "already stopping", SRUN_STR("signal", signals_name(signo)),
                  SRUN_INT("from_pid", sender),
                  SRUN_STR("hint", "a second SIGINT or SIGQUIT forces the end"));
        return;
    }
    if (lost_terminal)
        (void)snprintf(runner->reason, sizeof runner->reason, "SIGHUP: the terminal has gone");
    else
        (void)snprintf(runner->reason, sizeof runner->reason, "%s from pid %d", signals_name(signo),
                       sender);
    feed(runner, &(struct sequence_event){
                     .kind = SEQUENCE_SHUTDOWN, .cause = SRUN_CAUSE_SIGNAL, .signo = signo});
}

static void take_signals(srun_runner *runner)
{
    int signo, sender;
    bool lost_terminal;
    if (!runner->signals.owned)
        return;
    while ((signo = signals_next(&runner->signals, &sender, &lost_terminal)) != 0)
        control_signal(runner, signo, sender, lost_terminal);
}

/* --- actions out ----------------------------------------------------------------------------- */

static void publish_state(srun_runner *runner, struct service *service,
                          const struct sequence_action *action, int64_t now)
{
    struct service_view *view = &service->view;
    pthread_mutex_lock(&service->lock);
    view->state = action->to;
    view->since = now;
    view->restarts = sequence_restarts(runner->seq, service->id);
    if (action->to == SRUN_INITIATING) { /* what is known is of the present life, but the error */
        view->failed = view->background = false;
        view->init_ns = view->ready_ns = view->stop_ns = -1;
    }
    if (action->to == SRUN_INITIATED)
        view->init_ns = action->elapsed_ns;
    if (action->to == SRUN_RUNNING)
        view->ready_ns = action->elapsed_ns;
    if (action->to == SRUN_STOPPED)
        view->stop_ns = action->elapsed_ns;
    pthread_mutex_unlock(&service->lock);

    pthread_mutex_lock(&runner->lock); /* for those who wait for a state */
    runner->timeline[runner->transitions++ % RUNNER_TIMELINE] =
        (struct srun_transition){.service = service->name,
                                 .from = action->from,
                                 .to = action->to,
                                 .time_ms = clock_wall_ms()};
    runner->changes++;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

static void tell_state(srun_runner *runner, struct service *service,
                       const struct sequence_action *action)
{
    bool notable = (action->to == SRUN_RUNNING || action->to == SRUN_STOPPED) && !service->organ;
    int level = notable ? SRUN_LEVEL_INFO : SRUN_LEVEL_DEBUG;
    SRUN_LOG_AT_(service->log, level, srun_state_name(action->to),
                 SRUN_STR("from", srun_state_name(action->from)),
                 SRUN_NS("after", action->elapsed_ns));
    if ((action->to == SRUN_INITIATING || action->to == SRUN_STARTING) && !service->organ) {
        char text[sizeof runner->also];
        (void)snprintf(text, sizeof text, "starting %.180s (%u of %u)", service->name,
                       service->id + 1 - runner->organs, runner->active_count - runner->organs);
        notify_status(&runner->notify, "%s", text);
        succession_progress(runner, text, 0);
    }
    if (action->to == SRUN_SHUTTING_DOWN)
        notify_status(&runner->notify, "stopping %s", service->name);
}

static void on_state(srun_runner *runner, const struct sequence_action *action, int64_t now)
{
    struct service *service = runner->active[action->service];
    int64_t deadline = sequence_deadline(runner->seq, service->id);
    if (action->to == SRUN_INITIATING && sequence_restarts(runner->seq, service->id) > 0)
        service_reset(service);
    if (action->to == SRUN_STOPPED && service_join(service) < 0) {
        service_leave_thread(service);
        outcome_thread_left(runner, service);
    }
    if (action->to == SRUN_INITIATED)
        leaks_attribute(&runner->leaks, service->name);
    if (action->to == SRUN_RUNNING && service->options.heartbeat_ms > 0)
        runner->watch_at = now; /* from now on its promise is watched */
    context_set_deadline(&service->life, deadline);
    context_set_deadline(&service->stopping, deadline);
    runner->running += action->to == SRUN_RUNNING;
    runner->running -= action->from == SRUN_RUNNING;
    if (action->to == SRUN_RUNNING && atomic_load(&runner->succession.draining))
        service_tell_drain(service, true);
    outcome_look_ready(runner);
    publish_state(runner, service, action, now);
    checkup_state(runner, action, now);
    capture_state(runner, service, action->to, now);
    tracing_state(runner, service, action);
    tell_state(runner, service, action);
    listeners_tell(&runner->listeners, &(struct srun_transition){.service = service->name,
                                                                 .from = action->from,
                                                                 .to = action->to,
                                                                 .time_ms = clock_wall_ms()});
}

static void on_cancel(srun_runner *runner, struct service *service, srun_cause_kind reason)
{
    srun_cause cause = runner->cause; /* ours alone to write */
    if (reason == SRUN_CAUSE_RESTART)
        cause = (srun_cause){.kind = SRUN_CAUSE_RESTART, .text = "the service is restarted"};
    service_cancel(service, &cause);
    checkup_cancelled(runner, service);
}

static void on_overrun(srun_runner *runner, struct service *service, int64_t elapsed)
{
    static const srun_cause late = {
        .kind = SRUN_CAUSE_STOP_TIMEOUT, .code = -ETIMEDOUT, .text = "the time to stop is over"};
    const char *phase = sequence_phase(runner->seq, service->id);
    SRUN_WARN(service->log, "overruns its limit", SRUN_STR("phase", phase),
              SRUN_NS("elapsed", elapsed));
    if (runner->cause.kind != SRUN_CAUSE_INIT_TIMEOUT || strcmp(phase, "init") != 0)
        outcome_note(runner, service, phase, "overran its limit");
    if (strcmp(phase, "stop") == 0) /* a late init may come home yet, to a stop with its own time */
        context_cancel(&service->stopping, &late);
    service_interrupt(service);
}

static void on_give_up(srun_runner *runner, struct service *service, int64_t elapsed)
{
    char stack[2048];
    const char *phase = sequence_phase(runner->seq, service->id);
    service_describe_stack(service, stack, sizeof stack);
    service_abandon(service);
    pthread_mutex_lock(&service->lock);
    service->view.stuck = true;
    pthread_mutex_unlock(&service->lock);
    SRUN_ERROR(service->log, "stuck, given up", SRUN_STR("phase", phase),
               SRUN_NS("elapsed", elapsed), SRUN_STR("stack", stack));
    notify_status(&runner->notify, "%s is stuck in %s", service->name, phase);
    outcome_note(runner, service, phase, "stuck");
}

static void on_remind(srun_runner *runner, struct service *service, int64_t elapsed)
{
    int64_t left = sequence_deadline(runner->seq, service->id) - now_of(runner);
    const char *phase = sequence_phase(runner->seq, service->id);
    struct service_view view;
    service_view(service, &view);
    SRUN_INFO(service->log, "still waiting", SRUN_STR("phase", phase), SRUN_NS("elapsed", elapsed),
              SRUN_NS("left", left > 0 ? left : 0),
              SRUN_STR("last_answer", view.error[0] != '\0' ? view.error : "none"));
    notify_status(&runner->notify, "waiting for %s in %s", service->name, phase);
}

static void on_restarting(struct service *service, int64_t pause)
{
    struct service_view view;
    service_view(service, &view);
    SRUN_WARN(service->log, "restarting", SRUN_NS("in", pause),
              SRUN_UINT("restart", view.restarts + 1), SRUN_STR("error", view.error));
}

static void act_on_service(srun_runner *runner, const struct sequence_action *action)
{
    struct service *service = runner->active[action->service];
    switch (action->kind) {
    case SEQUENCE_CALL_INIT:
        service_call_init(service);
        break;
    case SEQUENCE_CALL_RUN:
        service_call_run(service);
        break;
    case SEQUENCE_CALL_READY:
        service_call_ready(service);
        break;
    case SEQUENCE_CALL_STOP:
        context_set_deadline(&service->stopping, sequence_deadline(runner->seq, service->id));
        service_call_stop(service);
        break;
    case SEQUENCE_CALL_GATE:
        checkup_gate(runner, service, now_of(runner));
        break;
    case SEQUENCE_CANCEL:
        on_cancel(runner, service, action->reason);
        break;
    case SEQUENCE_OVERRUN:
        on_overrun(runner, service, action->elapsed_ns);
        break;
    case SEQUENCE_GIVE_UP:
        on_give_up(runner, service, action->elapsed_ns);
        break;
    case SEQUENCE_REMIND:
        on_remind(runner, service, action->elapsed_ns);
        break;
    default:
        ENSURE(action->kind == SEQUENCE_RESTARTING);
        on_restarting(service, action->elapsed_ns);
    }
}

static void act(srun_runner *runner, const struct sequence_action *action, int64_t now)
{
    switch (action->kind) {
    case SEQUENCE_STATE:
        on_state(runner, action, now);
        break;
    case SEQUENCE_STARTED:
        outcome_started(runner, now);
        break;
    case SEQUENCE_DRAINING:
        outcome_draining(runner);
        break;
    case SEQUENCE_STOPPING:
        outcome_stopping(runner, now);
        break;
    case SEQUENCE_DONE:
        outcome_done(runner, now);
        break;
    default:
        act_on_service(runner, action);
    }
}

/* --- turning --------------------------------------------------------------------------------- */

static void do_what_is_due(srun_runner *runner)
{
    struct sequence_action action;
    int64_t now = now_of(runner);
    bool again;
    do { /* each may lead to something for the others to do */
        while (sequence_next(runner->seq, now, &action)) {
            outcome_fix_cause(runner);
            act(runner, &action, now);
            now = now_of(runner);
        }
        again = succession_turn(runner, now);
        again |= checkup_turn(runner, now);
    } while (again);
    if (now >= runner->watch_at)
        watch_check(runner, now);
    capture_turn(runner, now);
    bool starved = pool_tend(runner->pool), untold = notify_tend(&runner->notify);
    if (atomic_load(&runner->phase) == RUNNER_LEAVING)
        outcome_leave(runner, now);
    starved |= runner->checkup.pool != NULL && pool_tend(runner->checkup.pool);
    runner->retry_at = starved ? now + STAFF_PAUSE : untold ? now + TELL_PAUSE : SEQUENCE_NEVER;
}

int64_t control_wake(const srun_runner *runner)
{
    int64_t wake = sequence_wake(runner->seq), checkup_at = checkup_wake(runner);
    if (checkup_at < wake)
        wake = checkup_at;
    int64_t upgrade_at = succession_wake(runner);
    if (upgrade_at < wake)
        wake = upgrade_at;
    if (runner->watch_at < wake)
        wake = runner->watch_at;
    if (runner->retry_at < wake)
        wake = runner->retry_at;
    int64_t capture_at = capture_wake(runner);
    if (capture_at < wake)
        wake = capture_at;
    return runner->hook.deadline < wake ? runner->hook.deadline : wake;
}

/* A timer that fires too early costs a turn, setting it costs a call: it is set when it would fire
 * too late, and when there is nothing left to wait for. */
static void arm_timer(srun_runner *runner, int64_t now)
{
    int64_t wake = control_wake(runner);
    bool fits = runner->armed_at > now && runner->armed_at <= wake && wake != SEQUENCE_NEVER;
    if (runner->clock.is_virtual || wake == runner->armed_at || fits)
        return;
    if (fd_timer_set(runner->timer, wake) == 0)
        runner->armed_at = wake;
    else
        fd_event_raise(runner->inbox.event); /* rather a turn too many than a deadline missed */
}

static void take_tag(srun_runner *runner, uint32_t tag)
{
    switch (tag) {
    case RUNNER_TAG_SIGNALS:
        take_signals(runner);
        break;
    case RUNNER_TAG_CHANNEL:
        (void)succession_read(runner);
        break;
    case RUNNER_TAG_PEER:
        succession_peer_ended(runner);
        break;
    case RUNNER_TAG_BARRIER:
        succession_barrier_passed(runner);
        break;
    default: /* the inbox and the timer are looked at in any case */
        break;
    }
}

int control_turn(srun_runner *runner, int timeout_ms)
{
    if (atomic_load(&runner->phase) == RUNNER_FINISHED)
        return 0; /* perhaps it never had to wait */
    uint32_t tags[8];
    int count = fd_poller_wait(runner->poller, tags, (int)COUNT_OF(tags), timeout_ms);
    ENSURE(count >= 0);
    for (int i = 0; i < count; i++)
        take_tag(runner, tags[i]);
    take_inbox(runner);
    if (atomic_load(&runner->phase) != RUNNER_FINISHED)
        do_what_is_due(runner);
    if (atomic_load(&runner->phase) == RUNNER_FINISHED)
        return 0;
    arm_timer(runner, now_of(runner));
    return 1;
}

void control_start(srun_runner *runner)
{
    int64_t now = now_of(runner);
    runner->started_at = now;
    atomic_store(&runner->phase, RUNNER_STARTED);
    runner->watch_at = runner->notify.watchdog_ns > 0 ? now : SEQUENCE_NEVER;
    take_signals(runner); /* those that came during registration */
    take_inbox(runner);
    sequence_start(runner->seq, now);
    do_what_is_due(runner);
    arm_timer(runner, now_of(runner));
}
