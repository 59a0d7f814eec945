/* SPDX-License-Identifier: MIT */
#include "upgrade/machine.h"

#include "base/ensure.h"

static void push(struct machine *machine, struct machine_action action)
{
    ENSURE(machine->count < MACHINE_ACTIONS_MAX);
    unsigned place = (machine->first + machine->count++) % MACHINE_ACTIONS_MAX;
    machine->actions[place] = action;
}

static void act(struct machine *machine, enum machine_action_kind kind)
{
    push(machine, (struct machine_action){.kind = kind, .phase = machine->state});
}

static void act_because(struct machine *machine, enum machine_action_kind kind,
                        enum machine_reason reason)
{
    push(machine, (struct machine_action){.kind = kind, .phase = machine->state, .reason = reason});
}

static void say(struct machine *machine, enum handover_type type)
{
    push(machine, (struct machine_action){.kind = MACHINE_SEND, .type = type});
}

static void send_signal(struct machine *machine, enum machine_signal signal)
{
    push(machine, (struct machine_action){.kind = MACHINE_SIGNAL, .signal = signal});
}

static int64_t after(int64_t now, int64_t span)
{
    return span > MACHINE_NEVER - now ? MACHINE_NEVER : now + span;
}

static void enter(struct machine *machine, enum machine_state state, int64_t deadline)
{
    machine->state = state;
    machine->deadline = deadline;
    machine->probe_at = MACHINE_NEVER;
}

bool machine_has_child(const struct machine *machine)
{
    return machine->state >= MACHINE_SPAWN && machine->state <= MACHINE_REAP;
}

bool machine_has_parent(const struct machine *machine)
{
    return machine->state >= MACHINE_JOIN;
}

bool machine_has_heir(const struct machine *machine)
{
    return machine->state >= MACHINE_INIT && machine->state <= MACHINE_DRAIN;
}

bool machine_is_on_probation(const struct machine *machine)
{
    return machine->state == MACHINE_HEIR && !machine->settled;
}

/* --- the old process ------------------------------------------------------------------------- */

/* A process that stops launches nothing; the one that may take over from it can. */
static void pass_on(struct machine *machine)
{
    bool heir = machine->state >= MACHINE_INIT && machine->state <= MACHINE_COMMIT;
    if (machine->state >= MACHINE_SPAWN && machine->state < MACHINE_INIT)
        return; /* not decided yet */
    machine->asked = false;
    if (heir)
        say(machine, HANDOVER_AGAIN);
    else
        act_because(machine, MACHINE_FAILED, MACHINE_BECAUSE_ENDING);
}

/* Runs what was asked for, if it can be run now; not before this generation is whole. */
static void look_asked(struct machine *machine, int64_t now)
{
    if (machine->asked && machine->ending) {
        pass_on(machine);
    } else if (machine->asked && machine->state == MACHINE_IDLE && machine->started) {
        machine->asked = false;
        enter(machine, MACHINE_SPAWN, after(now, machine->limits.start_ns));
        act(machine, MACHINE_LAUNCH);
    }
}

static void become_idle(struct machine *machine)
{
    act(machine, MACHINE_FORGET);
    machine->spawned = false;
    enter(machine, MACHINE_IDLE, MACHINE_NEVER);
}

/* The new process has failed; gone: and has ended. In COMMIT it may have told the world that it
 * serves. Before INIT none of its services has done anything, so it need not be asked to stop. */
static void fail(struct machine *machine, enum machine_reason reason, bool gone, int64_t now)
{
    enum machine_state phase = machine->state;
    machine->leaves = reason == MACHINE_BECAUSE_SAID;
    if (phase == MACHINE_COMMIT)
        act(machine, MACHINE_RECLAIM); /* who is told of the failure finds us serving */
    act_because(machine, MACHINE_FAILED, reason);
    if (gone) {
        become_idle(machine);
        return;
    }
    bool gentle = phase == MACHINE_INIT || phase == MACHINE_BARRIER;
    if (machine->spawned && reason != MACHINE_BECAUSE_SAID)
        send_signal(machine, gentle ? MACHINE_TERM : MACHINE_KILL);
    enter(machine, MACHINE_REAP,
          machine->spawned ? after(now, machine->limits.handshake_ns) : MACHINE_NEVER);
}

static void roll_back(struct machine *machine, enum machine_reason reason, int64_t now)
{
    act(machine, MACHINE_RECLAIM);
    act_because(machine, MACHINE_ROLLED_BACK, reason);
    machine->leaves = reason == MACHINE_BECAUSE_SAID;
    if (reason == MACHINE_BECAUSE_GONE) {
        become_idle(machine);
        return;
    }
    if (reason == MACHINE_BECAUSE_TIME)
        send_signal(machine, MACHINE_KILL);
    enter(machine, MACHINE_REAP, after(now, machine->limits.handshake_ns));
}

/* No way back from here. What was asked for meanwhile is the new process's to do. */
static void retire(struct machine *machine)
{
    if (machine->asked)
        say(machine, HANDOVER_AGAIN);
    machine->asked = false;
    say(machine, HANDOVER_RETIRED);
    act(machine, MACHINE_RETIRE);
    enter(machine, MACHINE_DRAIN, MACHINE_NEVER);
}

static void on_serving(struct machine *machine, int64_t now)
{
    act(machine, MACHINE_YIELD);
    act(machine, MACHINE_SUCCEEDED);
    if (machine->asked || machine->ending || machine->limits.probation_ns == 0) {
        retire(machine);
        return;
    }
    enter(machine, MACHINE_PROBATION, after(now, machine->limits.probation_ns));
    machine->probe_at = after(now, machine->limits.probe_ns);
    machine->answered = true;
}

/* Every message that fits nowhere is garbage while there is something to lose, else it is nothing.
 */
static void child_said_before_commit(struct machine *machine, const struct machine_event *event,
                                     int64_t now)
{
    const struct machine_limits *limits = &machine->limits;
    int64_t soon = after(now, limits->handshake_ns);
    enum machine_state state = machine->state;
    if (event->type == HANDOVER_FAILED || event->type == HANDOVER_STOPPING) {
        fail(machine, MACHINE_BECAUSE_SAID, false, now);
    } else if (state == MACHINE_HELLO && event->type == HANDOVER_HELLO) {
        if (event->code < 0) {
            fail(machine, MACHINE_BECAUSE_UNACCEPTABLE, false, now);
            return;
        }
        enter(machine, MACHINE_HANDOVER, soon);
        say(machine, HANDOVER_WELCOME);
        act(machine, MACHINE_HAND_OVER);
    } else if (state == MACHINE_HANDOVER && event->type == HANDOVER_ACK) {
        enter(machine, event->last ? MACHINE_INIT : MACHINE_HANDOVER,
              event->last ? after(now, limits->start_ns) : soon);
        machine->deadline_max = after(now, limits->start_max_ns);
        if (!event->last)
            act(machine, MACHINE_HAND_OVER);
    } else if (state == MACHINE_INIT && event->type == HANDOVER_PROGRESS) {
        int64_t until = after(now, event->extend_ns);
        until = until < machine->deadline_max ? until : machine->deadline_max;
        machine->deadline = until > machine->deadline ? until : machine->deadline;
    } else if (state == MACHINE_INIT && event->type == HANDOVER_READY) {
        enter(machine, MACHINE_BARRIER, after(now, limits->barrier_ns));
        act(machine, MACHINE_PRESENT);
    } else if (state == MACHINE_COMMIT && event->type == HANDOVER_SERVING) {
        on_serving(machine, now);
    } else if (event->type != HANDOVER_PROGRESS) {
        fail(machine, MACHINE_BECAUSE_GARBLED, false, now);
    }
}

static void child_said_in_probation(struct machine *machine, const struct machine_event *event,
                                    int64_t now)
{
    if (event->type == HANDOVER_FAILED)
        roll_back(machine, MACHINE_BECAUSE_SAID, now);
    else if (event->type == HANDOVER_STOPPING || event->type == HANDOVER_RELEASE)
        retire(machine);
    else if (event->type == HANDOVER_PONG && !machine->answered) {
        machine->answered = true;
        machine->probe_at = after(now, machine->limits.probe_ns);
    }
}

static void commit(struct machine *machine, int64_t now)
{
    enter(machine, MACHINE_COMMIT, after(now, machine->limits.handshake_ns));
    say(machine, HANDOVER_COMMIT);
}

/* It is asked once a second how it does; one that does not answer in time is as good as dead. */
static void probe(struct machine *machine, int64_t now)
{
    if (!machine->answered) {
        roll_back(machine, MACHINE_BECAUSE_TIME, now);
        return;
    }
    machine->answered = false;
    say(machine, HANDOVER_PING);
    machine->probe_at = after(now, machine->limits.handshake_ns);
}

static void on_time(struct machine *machine, int64_t now)
{
    if (machine->state == MACHINE_PROBATION && now >= machine->probe_at &&
        now < machine->deadline) {
        probe(machine, now);
        return;
    }
    if (now < machine->deadline)
        return;
    switch (machine->state) {
    case MACHINE_SPAWN:
    case MACHINE_HELLO:
    case MACHINE_HANDOVER:
    case MACHINE_INIT:
    case MACHINE_COMMIT:
        fail(machine, MACHINE_BECAUSE_TIME, false, now);
        break;
    case MACHINE_BARRIER: /* the service manager is no reason to fail */
        commit(machine, now);
        break;
    case MACHINE_PROBATION:
        retire(machine);
        break;
    case MACHINE_REAP:
        send_signal(machine, MACHINE_KILL);
        machine->deadline = after(now, machine->limits.handshake_ns);
        break;
    default:
        machine->deadline = MACHINE_NEVER;
    }
}

/* --- the new process ------------------------------------------------------------------------- */

static void parent_said(struct machine *machine, enum handover_type type)
{
    if (machine->state == MACHINE_OFFER && type == HANDOVER_COMMIT && !machine->ending) {
        act(machine, MACHINE_TAKE_OFFICE);
        say(machine, HANDOVER_SERVING);
        enter(machine, MACHINE_HEIR, MACHINE_NEVER);
        if (machine->asked)
            say(machine, HANDOVER_RELEASE);
    } else if (type == HANDOVER_PING) {
        say(machine, HANDOVER_PONG);
    } else if (type == HANDOVER_AGAIN) {
        machine->asked = true;
    } else if (type == HANDOVER_STOP && !machine->ending) {
        act_because(machine, MACHINE_STOP, MACHINE_BECAUSE_TOLD);
    } else if (machine->state == MACHINE_HEIR && type == HANDOVER_RETIRED) {
        machine->settled = true;
        act(machine, MACHINE_CLEAR);
    }
}

/* What nobody has taken is dropped when all had the time to take it, and in office: then paths go
 * with it. */
static void parent_gone(struct machine *machine)
{
    bool heir = machine->state == MACHINE_HEIR, goes_on = heir || machine->limits.takes_over;
    if (goes_on && !heir)
        act(machine, MACHINE_OPEN);
    if (goes_on && !heir && machine->started && !machine->ending)
        act(machine, MACHINE_TAKE_OFFICE);
    machine->unclear = goes_on && !machine->started;
    if (goes_on && machine->started)
        act(machine, MACHINE_CLEAR);
    if (heir)
        act(machine, MACHINE_SUCCESSION);
    if (!goes_on && !machine->ending) {
        act_because(machine, MACHINE_STOP, MACHINE_BECAUSE_ORPHANED);
        machine->ending = true;
    }
    become_idle(machine);
}

static void on_started(struct machine *machine)
{
    if (machine->started)
        return;
    machine->started = true;
    if (machine->state == MACHINE_JOIN) {
        say(machine, HANDOVER_READY);
        enter(machine, MACHINE_OFFER, MACHINE_NEVER);
        return;
    }
    act(machine, MACHINE_TAKE_OFFICE);
    if (machine->unclear)
        act(machine, MACHINE_CLEAR);
}

/* --- both ------------------------------------------------------------------------------------ */

static void on_asked(struct machine *machine)
{
    bool again = machine->asked;
    machine->asked = true;
    if (machine->state == MACHINE_PROBATION)
        retire(machine);
    else if (machine->state == MACHINE_DRAIN) {
        machine->asked = false;
        if (machine->alone)
            act_because(machine, MACHINE_FAILED, MACHINE_BECAUSE_ENDING);
        else
            say(machine, HANDOVER_AGAIN);
    } else if (machine->state == MACHINE_HEIR && !again && !machine->ending)
        say(machine, HANDOVER_RELEASE);
}

static void on_ending(struct machine *machine, bool intent, int64_t now)
{
    if (machine->ending)
        return;
    machine->ending = true;
    if (machine_has_parent(machine)) {
        say(machine, intent ? HANDOVER_STOPPING : HANDOVER_FAILED);
    } else if (machine->state == MACHINE_PROBATION) {
        if (intent)
            say(machine, HANDOVER_STOP);
        retire(machine);
    } else if (intent && machine->state >= MACHINE_SPAWN && machine->state <= MACHINE_INIT) {
        fail(machine, MACHINE_BECAUSE_ENDING, false, now);
    } else if (intent && machine_has_child(machine) && machine->state <= MACHINE_COMMIT) {
        say(machine, HANDOVER_STOP); /* now: it may not live to see SERVING */
    }
}

/* A process that dies of a failure leaves a new one that is nearly ready in peace: it takes over.
 */
static void on_ended(struct machine *machine, int64_t now)
{
    if (machine->state == MACHINE_INIT)
        act(machine, MACHINE_PRESENT);
    else if (machine->state >= MACHINE_SPAWN && machine->state <= MACHINE_HANDOVER)
        fail(machine, MACHINE_BECAUSE_ENDING, false, now);
    else if (machine->state == MACHINE_REAP && machine->spawned && !machine->leaves)
        send_signal(machine, MACHINE_KILL);
}

static void on_gone(struct machine *machine, int64_t now)
{
    if (machine_has_parent(machine))
        parent_gone(machine);
    else if (machine->state == MACHINE_PROBATION)
        roll_back(machine, MACHINE_BECAUSE_GONE, now);
    else if (machine->state == MACHINE_REAP)
        become_idle(machine);
    else if (machine->state == MACHINE_DRAIN) {
        machine->alone = true;
        act(machine, MACHINE_FORGET);
    } else if (machine_has_child(machine))
        fail(machine, MACHINE_BECAUSE_GONE, true, now);
}

static void on_said(struct machine *machine, const struct machine_event *event, int64_t now)
{
    if (machine_has_parent(machine))
        parent_said(machine, event->type);
    else if (machine->state == MACHINE_PROBATION)
        child_said_in_probation(machine, event, now);
    else if (machine->state >= MACHINE_HELLO && machine->state <= MACHINE_COMMIT)
        child_said_before_commit(machine, event, now);
}

static void on_spawn_answer(struct machine *machine, bool spawned, int64_t now)
{
    if (machine->state != MACHINE_SPAWN && machine->state != MACHINE_REAP)
        return;
    machine->spawned = spawned;
    if (machine->state == MACHINE_REAP && spawned) { /* too late: it was given up */
        send_signal(machine, MACHINE_KILL);
        machine->deadline = after(now, machine->limits.handshake_ns);
    } else if (machine->state == MACHINE_REAP) {
        become_idle(machine);
    } else if (spawned) {
        enter(machine, MACHINE_HELLO, after(now, machine->limits.handshake_ns));
    } else {
        fail(machine, MACHINE_BECAUSE_REFUSED, true, now);
    }
}

void machine_feed(struct machine *machine, const struct machine_event *event, int64_t now)
{
    switch (event->kind) {
    case MACHINE_ASKED:
        on_asked(machine);
        break;
    case MACHINE_REFUSED:
    case MACHINE_SPAWNED:
        on_spawn_answer(machine, event->kind == MACHINE_SPAWNED, now);
        break;
    case MACHINE_SAID:
        on_said(machine, event, now);
        break;
    case MACHINE_GARBLED:
        if (machine->state >= MACHINE_HELLO && machine->state <= MACHINE_COMMIT)
            fail(machine, MACHINE_BECAUSE_GARBLED, false, now);
        break;
    case MACHINE_GONE:
        on_gone(machine, now);
        break;
    case MACHINE_PASSED:
        if (machine->state == MACHINE_BARRIER)
            commit(machine, now);
        break;
    case MACHINE_STARTED:
        on_started(machine);
        break;
    case MACHINE_ENDING:
        on_ending(machine, event->intent, now);
        break;
    case MACHINE_ENDED:
        on_ended(machine, now);
        break;
    }
    look_asked(machine, now);
}

bool machine_decided(struct machine *machine, struct machine_action *out)
{
    if (machine->count == 0)
        return false;
    *out = machine->actions[machine->first];
    machine->first = (machine->first + 1) % MACHINE_ACTIONS_MAX;
    machine->count--;
    return true;
}

bool machine_next(struct machine *machine, int64_t now, struct machine_action *out)
{
    if (machine->count == 0) {
        on_time(machine, now);
        look_asked(machine, now);
    }
    return machine_decided(machine, out);
}

int64_t machine_wake(const struct machine *machine)
{
    return machine->probe_at < machine->deadline ? machine->probe_at : machine->deadline;
}

void machine_init(struct machine *machine, const struct machine_limits *limits, bool joins)
{
    *machine = (struct machine){.limits = *limits};
    enter(machine, joins ? MACHINE_JOIN : MACHINE_IDLE, MACHINE_NEVER);
}

const char *machine_state_name(enum machine_state state)
{
    static const char *const names[MACHINE_STATES] = {
        [MACHINE_IDLE] = "idle",     [MACHINE_SPAWN] = "spawn",
        [MACHINE_HELLO] = "hello",   [MACHINE_HANDOVER] = "handover",
        [MACHINE_INIT] = "init",     [MACHINE_BARRIER] = "barrier",
        [MACHINE_COMMIT] = "commit", [MACHINE_PROBATION] = "probation",
        [MACHINE_DRAIN] = "drain",   [MACHINE_REAP] = "reap",
        [MACHINE_JOIN] = "join",     [MACHINE_OFFER] = "offer",
        [MACHINE_HEIR] = "heir",
    };
    return (unsigned)state < MACHINE_STATES ? names[state] : "?";
}
