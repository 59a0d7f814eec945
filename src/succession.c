/* SPDX-License-Identifier: MIT */
#include "runner.h"

#include "base/duration.h"
#include "base/fd.h"
#include "log/log.h"
#include "outcome.h"
#include "succession_adopted.h"
#include "succession_peer.h"
#include "succession_report.h"
#include "upgrade/activation.h"
#include "upgrade/inherit.h"
#include "upgrade/pidfile.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define PROBE_PAUSE NS_PER_S
#define BARRIER_PAUSE (20 * NS_PER_MS) /* between two attempts to have one */
#define START_MAX 10                   /* times upgrade.start_ms, however often it is extended */
#define DESCRIPTORS_USUAL 1000
#define DESCRIPTORS_EACH 3 /* of a listener: itself, its gate, its copy in the next hand-over */

static struct succession *of(srun_runner *runner)
{
    return &runner->succession;
}

/* --- serving and not serving ----------------------------------------------------------------- */

static void tell_services(srun_runner *runner, bool draining)
{
    struct succession *succession = of(runner);
    pthread_mutex_lock(&runner->lock);
    atomic_store(&succession->draining, draining);
    if (succession->drain_fd >= 0)
        (draining ? fd_event_raise : fd_event_lower)(succession->drain_fd);
    pthread_mutex_unlock(&runner->lock);
    for (unsigned i = 0; i < runner->active_count; i++)
        if (sequence_state(runner->seq, i) == SRUN_RUNNING)
            service_tell_drain(runner->active[i], draining);
}

int succession_drain_fd(srun_runner *runner)
{
    struct succession *succession = of(runner);
    pthread_mutex_lock(&runner->lock);
    int fd = succession->drain_fd;
    if (fd < 0) {
        fd = fd_event_new();
        succession->drain_fd = fd < 0 ? -1 : fd;
        if (fd >= 0 && atomic_load(&succession->draining))
            fd_event_raise(fd);
    }
    pthread_mutex_unlock(&runner->lock);
    return fd;
}

static void tell_anchor(srun_runner *runner)
{
    int rc = anchored_serves(&of(runner)->anchor);
    if (rc < 0)
        SRUN_WARN(runner->log, "the anchor is not told who serves", SRUN_CODE("error", rc));
}

static void open_gate(srun_runner *runner)
{
    struct sockets *sockets = &of(runner)->sockets;
    char name[HANDOVER_NAME_MAX];
    sockets_set_office(sockets, true);
    const char *refused = sockets_apply(sockets, NULL, name);
    if (refused != NULL)
        SRUN_WARN(runner->log, "an option of a socket that exists cannot be changed",
                  SRUN_STR("name", name), SRUN_STR("option", refused));
    sockets_open(sockets);
}

static void tell_who_serves(srun_runner *runner)
{
    const char *path = runner->config.value.upgrade.pid_file;
    srun_err err = {0};
    tell_anchor(runner);
    if (path != NULL && pidfile_write(path, getpid(), &err) < 0)
        SRUN_ERROR(runner->log, "the PID file is not written", SRUN_STR("error", err.text));
}

static void serve(srun_runner *runner)
{
    open_gate(runner);
    tell_who_serves(runner);
    runner->notify.mute = false;
}

static void take_office(srun_runner *runner)
{
    const struct succession *succession = of(runner);
    bool orphaned = succession->joined && !machine_has_parent(&succession->machine);
    serve(runner);
    if (orphaned) /* who would have named this process has died */
        notify_send(&runner->notify, "MAINPID=%d", (int)getpid());
    notify_send(&runner->notify, "READY=1");
    outcome_look_ready(runner);
    report_office(runner);
    if (orphaned)
        adopted_tell(runner);
}

static void yield_office(srun_runner *runner)
{
    sockets_shut(&of(runner)->sockets);
    sockets_set_office(&of(runner)->sockets, false);
    runner->notify.mute = true;
    tell_services(runner, true);
    outcome_look_ready(runner);
}

static void reclaim_office(srun_runner *runner)
{
    bool yielded = atomic_load(&of(runner)->draining);
    sockets_restore(of(runner)->snapshot);
    serve(runner);
    of(runner)->reclaimed = true;
    notify_send(&runner->notify, "MAINPID=%d\nREADY=1", (int)getpid());
    if (yielded)
        tell_services(runner, false);
    outcome_look_ready(runner);
}

/* A new process that was killed as it took over may have said that it serves after we had said that
 * we do. */
static void forget(srun_runner *runner)
{
    struct succession *succession = of(runner);
    if (succession->reclaimed) {
        sockets_restore(succession->snapshot);
        tell_who_serves(runner);
    }
    succession->reclaimed = false;
    peer_forget(runner);
}

/* Until the service manager knows. While that is busy it is tried again; the upgrade waits for it
 * as long as for an answer. What was said is told also when this process is mute by then: as long
 * as it has not been heard, this one is the main one, and what the new one says may not count. */
static void await_manager(srun_runner *runner)
{
    struct succession *succession = of(runner);
    succession->barrier_at = MACHINE_NEVER;
    if (succession->machine.state != MACHINE_BARRIER)
        return;
    int barrier = notify_barrier(&runner->notify);
    if (barrier == -EAGAIN) {
        succession->barrier_at = clock_now(&runner->clock) + BARRIER_PAUSE;
        return;
    }
    succession->barrier = barrier;
    if (barrier >= 0 && fd_poller_add(runner->poller, barrier, RUNNER_TAG_BARRIER, false) == 0)
        return;
    peer_close(runner, &succession->barrier);
    peer_feed_kind(runner, MACHINE_PASSED);
}

static void shut_down(srun_runner *runner, srun_cause_kind cause, int code)
{
    sequence_feed(runner->seq,
                  &(struct sequence_event){.kind = SEQUENCE_SHUTDOWN, .cause = cause, .code = code},
                  clock_now(&runner->clock));
    outcome_fix_cause(runner);
}

/* The copies that were sent go as well: a listener that is open anywhere is one to connect to. */
static void retire(srun_runner *runner)
{
    struct succession *succession = of(runner);
    succession->snapshot = sockets_snapshot_free(succession->snapshot);
    sockets_let_go(&succession->sockets);
    (void)snprintf(runner->reason, sizeof runner->reason, "generation %u, pid %d, has taken over",
                   succession->generation + 1, succession->peer_pid);
    shut_down(runner, SRUN_CAUSE_UPGRADE, 0);
}

static void stop(srun_runner *runner, enum machine_reason reason)
{
    bool orphaned = reason == MACHINE_BECAUSE_ORPHANED;
    (void)snprintf(runner->reason, sizeof runner->reason, "%s",
                   orphaned ? "the old process died before it handed over"
                            : "the old process was told to stop");
    shut_down(runner, SRUN_CAUSE_REQUEST, orphaned ? -ECHILD : 0);
}

/* --- acting ---------------------------------------------------------------------------------- */

static void act(srun_runner *runner, const struct machine_action *action, int64_t now)
{
    struct succession *succession = of(runner);
    switch (action->kind) {
    case MACHINE_LAUNCH:
        peer_launch(runner, now);
        break;
    case MACHINE_SEND:
        peer_say(runner, action->type);
        if (action->type == HANDOVER_AGAIN)
            report_passed_on(runner);
        break;
    case MACHINE_HAND_OVER:
        peer_hand_over(runner);
        break;
    case MACHINE_PRESENT:
        succession->presented = true;
        notify_send(&runner->notify, "MAINPID=%d", succession->peer_pid);
        await_manager(runner);
        break;
    case MACHINE_OPEN:
        open_gate(runner);
        tell_anchor(runner);
        break;
    case MACHINE_TAKE_OFFICE:
        take_office(runner);
        break;
    case MACHINE_YIELD:
        yield_office(runner);
        break;
    case MACHINE_RECLAIM:
        reclaim_office(runner);
        break;
    case MACHINE_RETIRE:
        retire(runner);
        break;
    case MACHINE_STOP:
        stop(runner, action->reason);
        break;
    case MACHINE_CLEAR:
        sockets_drop_unclaimed(&succession->sockets);
        break;
    case MACHINE_SIGNAL:
        if (succession->peer_fd >= 0)
            (void)spawn_signal(succession->peer_fd,
                               action->signal == MACHINE_KILL ? SIGKILL : SIGTERM);
        break;
    case MACHINE_FORGET:
        forget(runner);
        break;
    case MACHINE_FAILED:
    case MACHINE_ROLLED_BACK: /* before the program hears of it, which may want to listen */
        sockets_thaw(&succession->sockets, succession->snapshot);
        report_action(runner, action, now);
        break;
    case MACHINE_SUCCESSION:
        report_action(runner, action, now);
        adopted_tell(runner);
        break;
    default:
        report_action(runner, action, now);
    }
}

static void publish(srun_runner *runner, bool any)
{
    const struct succession *succession = of(runner);
    if (any || succession->machine.state != succession->shown ||
        succession->machine.asked != succession->shown_asked)
        report_publish(runner);
}

bool succession_act(srun_runner *runner)
{
    struct machine_action action;
    bool any = false;
    for (; machine_decided(&of(runner)->machine, &action); any = true)
        act(runner, &action, clock_now(&runner->clock));
    publish(runner, any);
    return any;
}

/* This thread may have been held up for longer than a limit: what was said in time counts. */
bool succession_turn(srun_runner *runner, int64_t now)
{
    struct machine_action action;
    bool any = now >= machine_wake(&of(runner)->machine) && succession_read(runner);
    if (now >= of(runner)->barrier_at)
        await_manager(runner);
    for (; machine_next(&of(runner)->machine, now, &action); any = true)
        act(runner, &action, now);
    publish(runner, any);
    return any;
}

int64_t succession_wake(const srun_runner *runner)
{
    const struct succession *succession = &runner->succession;
    int64_t wake = machine_wake(&succession->machine);
    return succession->barrier_at < wake ? succession->barrier_at : wake;
}

/* --- what happens ---------------------------------------------------------------------------- */

/* Who counts on this very process, or who would not learn of the next one. */
static const char *watched_by(const srun_runner *runner)
{
    const struct anchored *anchor = &runner->succession.anchor;
    if (anchor->pid != 0)
        return anchored_hears(anchor)
                   ? NULL
                   : "this process gave up the right to signal its anchor, which would not learn"
                     " of the next generation";
    if (runner->config.value.upgrade.supervised != 0)
        return "SRUN_SUPERVISED: somebody counts on this very process; SRUN_ANCHOR=true leaves"
               " one in place";
    if (getpid() == 1)
        return "this process is PID 1: its end would end the container; SRUN_ANCHOR=true leaves"
               " a small process in its place";
    return NULL;
}

/* What stands in the way of every upgrade of this process, or NULL. */
static const char *obstacle(const srun_runner *runner)
{
    const struct srun_config *config = &runner->config.value;
    if (runner->testing)
        return "a test does not upgrade";
    if (config->upgrade.disabled != 0)
        return "upgrades are disabled";
    if (getauxval(AT_SECURE) != 0) /* argv[0] is what the starter says, and would run as us */
        return "this process has more rights than who started it (set-user-ID, file capabilities):"
               " the program's file is not known for sure";
    if (watched_by(runner) != NULL)
        return watched_by(runner);
    if (runner->succession.unknown.code < 0)
        return runner->succession.unknown.text;
    if (runner->succession.origin.binary == NULL)
        return "the program's file is unknown: argv[0] is not in PATH";
    return NULL;
}

void succession_ask(srun_runner *runner, const char *why)
{
    const char *reason = obstacle(runner);
    report_asked(runner, why);
    if (reason != NULL) {
        report_refusal(runner, reason);
        return;
    }
    peer_feed_kind(runner, MACHINE_ASKED);
    (void)succession_act(runner); /* more may follow at once */
}

void succession_take(srun_runner *runner, struct inbox_item *item)
{
    struct succession *succession = of(runner);
    if (item == &succession->launch.item) {
        peer_take_launch(runner);
    } else if (item == &succession->hooks.item) {
        report_step_done(runner);
    } else if (item == &succession->adoption.item) {
        adopted_take(runner);
    } else {
        char why[sizeof succession->request.why];
        pthread_mutex_lock(&runner->lock);
        succession->taken = succession->asked;
        succession->request.posted = false;
        memcpy(why, succession->request.why, sizeof why);
        pthread_mutex_unlock(&runner->lock);
        succession_ask(runner, why);
    }
}

void succession_started(srun_runner *runner)
{
    char names[HANDOVER_TEXT_MAX];
    size_t count = sockets_unclaimed(&of(runner)->sockets, true, names, sizeof names);
    if (count > 0)
        SRUN_INFO(runner->log, "sockets of the service manager that nobody has asked for",
                  SRUN_UINT("count", count), SRUN_STR("names", names));
    peer_feed_kind(runner, MACHINE_STARTED);
}

/* The old process serves again as soon as it hears of it: paths, PID file and service manager are
 * its own from then on. */
static void resign(srun_runner *runner)
{
    struct succession *succession = of(runner);
    sockets_shut(&succession->sockets);
    sockets_set_office(&succession->sockets, false);
    runner->notify.mute = true;
    succession->resigned = true;
}

/* Services that have let go so well that they have finished do not want their successors to end. */
void succession_ending(srun_runner *runner, srun_cause_kind cause, bool intent)
{
    bool let_go = cause == SRUN_CAUSE_ALL_EXITED && atomic_load(&of(runner)->draining);
    of(runner)->failed = !intent;
    if (!intent && machine_is_on_probation(&of(runner)->machine))
        resign(runner);
    peer_feed(runner, &(struct machine_event){.kind = MACHINE_ENDING, .intent = intent && !let_go});
}

bool succession_is_followed(const srun_runner *runner)
{
    const struct succession *succession = &runner->succession;
    return succession->failed && machine_has_heir(&succession->machine);
}

void succession_ended(srun_runner *runner)
{
    struct succession *succession = of(runner);
    const char *path = runner->config.value.upgrade.pid_file;
    if (succession_is_followed(runner)) /* the paths are the new one's */
        sockets_set_office(&succession->sockets, false);
    adopted_end(runner);
    peer_feed_kind(runner, MACHINE_ENDED);
    int64_t now = clock_now(&runner->clock);
    (void)succession_turn(runner, now);
    succession->stays_until = clock_after_ms(now, runner->config.value.upgrade.handshake_ms);
    if (path != NULL && !succession->resigned)
        pidfile_remove(path, getpid());
}

bool succession_stays(const srun_runner *runner, int64_t now)
{
    return now < runner->succession.stays_until && notify_owes(&runner->notify, "MAINPID=");
}

/* --- beginning and end ----------------------------------------------------------------------- */

/* SIGHUP was blocked across exec so that it could wait for us; nobody else asked for that. */
static void restore_mask(srun_runner *runner)
{
    sigset_t *mask = &runner->signals.mask_before;
    if ((of(runner)->origin.boot.blocked & (UINT64_C(1) << (SIGHUP - 1))) != 0)
        return;
    (void)sigdelset(mask, SIGHUP);
    if (!runner->signals.owned)
        (void)pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static int join_family(srun_runner *runner, srun_err *err)
{
    struct succession *succession = of(runner);
    struct inherit inherit = {.program = runner->config.value.name,
                              .version = runner->config.value.version,
                              .unfit = &succession->unknown}; /* or it would be the last one */
    int rc = inherit_begin(&inherit, &succession->sockets, err);
    fd_make_room(runner->poller, DESCRIPTORS_USUAL + inherit.descriptors * DESCRIPTORS_EACH);
    if (rc <= 0)
        return rc;
    succession->joined = true;
    succession->generation = inherit.generation;
    memcpy(succession->trace_id, inherit.trace_id, sizeof succession->trace_id);
    memcpy(succession->span_id, inherit.span_id, sizeof succession->span_id);
    origin_restore(&succession->origin, &inherit.boot);
    restore_mask(runner);
    rc = peer_watch(runner, inherit.channel, inherit.parent_pidfd, inherit.parent_pid);
    return rc < 0 ? srun_fail(err, rc, "upgrade: epoll: %s", srun_strerror(rc)) : 0;
}

int succession_begin(srun_runner *runner, srun_err *err)
{
    struct succession *succession = of(runner);
    succession->launch.item.kind = ITEM_SUCCESSION;
    succession->hooks.item.kind = ITEM_SUCCESSION;
    succession->request.item.kind = ITEM_SUCCESSION;
    succession->adoption.item.kind = ITEM_SUCCESSION;
    succession->adoption.request.stop = -1;
    succession->channel = succession->peer_fd = succession->barrier = -1;
    succession->drain_fd = -1;
    succession->barrier_at = MACHINE_NEVER;
    succession->generation = 1;
    sockets_init(&succession->sockets);
    if (runner->testing)
        return 0;
    if (!runner->signals.owned)
        (void)pthread_sigmask(SIG_SETMASK, NULL, &runner->signals.mask_before);
    if (origin_take(&succession->origin, &runner->signals.mask_before, &succession->unknown) < 0)
        SRUN_DEBUG(runner->log, "no upgrade will be possible",
                   SRUN_STR("why", succession->unknown.text));
    int rc = anchored_begin(&succession->anchor, err);
    rc = rc < 0 ? rc : join_family(runner, err);
    if (rc == 0 && !succession->joined)
        tell_anchor(runner);
    return rc;
}

static void adopt_activated(void *arg, int fd, const char *name, unsigned index)
{
    struct handover_entry entry = {.kind = HANDOVER_LISTENER, .index = index, .outside = 1};
    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    (void)sockets_adopt(arg, &entry, fd);
}

/* Sockets of the service manager are for the first generation; the later ones inherit them, also
 * those that nobody has asked for so far. */
static void take_activated(srun_runner *runner)
{
    unsigned strange = 0;
    int count =
        activation_take(of(runner)->anchor.pid, adopt_activated, &of(runner)->sockets, &strange);
    if (count < 0 || strange > 0)
        SRUN_WARN(runner->log, "not all sockets of the service manager can be used",
                  SRUN_INT("usable", count < 0 ? 0 : count), SRUN_UINT("unusable", strange));
}

void succession_start(srun_runner *runner)
{
    struct succession *succession = of(runner);
    const struct srun_config *config = &runner->config.value;
    const struct machine_limits limits = {
        .handshake_ns = config->upgrade.handshake_ms * NS_PER_MS,
        .start_ns = config->upgrade.start_ms * NS_PER_MS,
        .start_max_ns = config->upgrade.start_ms > INT64_MAX / START_MAX / NS_PER_MS
                            ? INT64_MAX
                            : START_MAX * config->upgrade.start_ms * NS_PER_MS,
        .barrier_ns = BARRIER_LIMIT,
        .probation_ns = config->upgrade.probation_ms * NS_PER_MS,
        .probe_ns = PROBE_PAUSE,
        .takes_over = config->upgrade.orphan == SRUN_ORPHAN_TAKEOVER,
    };
    machine_init(&succession->machine, &limits, succession->joined);
    runner->notify.mute = succession->joined;
    if (!succession->joined) {
        if (!runner->testing)
            take_activated(runner);
        open_gate(runner);
    }
    report_publish(runner);
}

void succession_destroy(srun_runner *runner)
{
    struct succession *succession = of(runner);
    if (succession->request.item.kind != ITEM_SUCCESSION)
        return; /* never begun */
    peer_drop_launch(runner);
    sockets_thaw(&succession->sockets, succession->snapshot);
    peer_forget(runner);
    adopted_destroy(runner);
    sockets_destroy(&succession->sockets);
    origin_free(&succession->origin);
    anchored_end(&succession->anchor);
    if (succession->drain_fd >= 0)
        (void)close(succession->drain_fd);
}
