/* SPDX-License-Identifier: MIT
 *
 * The oracle: which actions are right at all, and what must be true between them.
 */
#include "upgrade_lineage.h"

#include <stdio.h>

void oracle_violated(struct lineage *l, unsigned process, const char *text)
{
    if (l->violation[0] == '\0')
        (void)snprintf(l->violation, sizeof l->violation, "process %u, state %s: %s", process,
                       machine_state_name(l->processes[process].machine.state), text);
}

static void must(struct lineage *l, unsigned process, bool truth, const char *text)
{
    if (!truth)
        oracle_violated(l, process, text);
}

static void took_launch(struct lineage *l, unsigned p)
{
    struct facts *f = &l->processes[p].facts;
    must(l, p, f->owed, "LAUNCH, and nobody asked");
    must(l, p, !f->launched && !f->answering, "LAUNCH before the report of the last one");
    must(l, p, !f->peer, "LAUNCH while there is another process");
    must(l, p, f->started && f->office && !f->ending, "LAUNCH by a process that does not serve");
    const struct machine_limits *limits = &l->limits;
    l->due = l->now + limits->start_ns + 3 * limits->handshake_ns + limits->barrier_ns +
             (limits->start_ns > limits->start_max_ns ? limits->start_ns : limits->start_max_ns);
    f->owed = 0;
    f->launched = f->answering = 1;
    f->said = f->commit_sent = f->serving_read = f->succeeded = 0;
    f->presented = f->stopping_read = 0;
}

static void took_send(struct lineage *l, unsigned p, enum handover_type type)
{
    struct facts *f = &l->processes[p].facts, *other = &l->processes[1 - p].facts;
    must(l, p, f->peer && !f->gone, "speaks to nobody");
    if (type == HANDOVER_COMMIT) {
        must(l, p, f->said == 3 && !f->joined, "COMMIT before READY");
        f->commit_sent = f->offered = 1;
    } else if (type == HANDOVER_AGAIN) {
        must(l, p, f->owed, "AGAIN, and nobody asked");
        f->owed = 0;
    }
    if (!other->alive || other->mad)
        return;
    if (other->unread < LINEAGE_INBOX)
        other->inbox[other->unread++] = (unsigned char)type;
    else
        oracle_violated(l, p, "speaks without end");
}

static void took_office(struct lineage *l, unsigned p)
{
    struct facts *f = &l->processes[p].facts;
    must(l, p, !f->taken, "takes office twice");
    must(l, p, f->started, "takes office before its services run");
    must(l, p, !f->ending, "takes office although it stops");
    must(l, p, !f->joined || f->commit_read || f->gone, "takes office without COMMIT");
    f->taken = f->office = 1;
}

static void took_signal(struct lineage *l, unsigned p, enum machine_signal signal)
{
    struct facts *f = &l->processes[p].facts, *other = &l->processes[1 - p].facts;
    must(l, p, f->peer && !f->gone, "SIGNAL to nobody");
    must(l, p, !f->joined, "SIGNAL to the old process");
    must(l, p, !f->retired, "SIGNAL to its successor");
    if (signal == MACHINE_KILL)
        other->killed = other->alive;
    else if (!other->ending)
        other->obeys = other->alive;
}

static void took_report(struct lineage *l, unsigned p, const struct machine_action *action)
{
    struct facts *f = &l->processes[p].facts;
    enum machine_action_kind kind = action->kind;
    if (kind == MACHINE_SUCCEEDED) {
        must(l, p, f->launched && f->serving_read, "SUCCEEDED, and has not");
        f->launched = f->offered = 0;
        f->succeeded = 1;
    } else if (kind == MACHINE_FAILED) {
        must(l, p, f->launched || f->owed, "FAILED, and nobody asked");
        must(l, p, !f->offered, "FAILED without RECLAIM of what COMMIT gave away");
        f->owed = f->launched ? f->owed : 0;
        f->launched = 0;
    } else if (kind == MACHINE_ROLLED_BACK) {
        must(l, p, f->succeeded && f->office, "ROLLED_BACK without SUCCEEDED, or without RECLAIM");
        must(l, p, !f->stopping_read, "ROLLED_BACK although the new one was told to stop");
        bool answers = l->rests && !l->hangs && !l->processes[1 - p].facts.mad;
        must(l, p, !answers || action->reason != MACHINE_BECAUSE_TIME,
             "ROLLED_BACK although the new one answers");
        f->succeeded = 0;
    } else {
        must(l, p, f->joined && f->gone && f->taken, "SUCCESSION, and is none");
    }
}

static void took_role(struct lineage *l, unsigned p, enum machine_action_kind kind)
{
    struct facts *f = &l->processes[p].facts;
    if (kind == MACHINE_YIELD) {
        must(l, p, f->serving_read && (f->office || f->ended), "YIELD before SERVING");
        f->office = 0;
    } else if (kind == MACHINE_RECLAIM) {
        must(l, p, f->taken && !f->retired, "RECLAIM of what it never had or gave away for good");
        f->office = 1;
        f->offered = 0;
    } else if (kind == MACHINE_RETIRE) {
        must(l, p, f->succeeded && !f->office && !f->retired, "RETIRE without SUCCEEDED, or twice");
        must(l, p, !l->hangs || !l->passes || l->clocked,
             "RETIRE although the new one does not answer");
        f->retired = 1;
        f->obeys = !f->ending;
    } else {
        f->obeys = !f->ending;
    }
}

void oracle_took(struct lineage *l, unsigned p, const struct machine_action *a)
{
    struct facts *f = &l->processes[p].facts;
    if (f->ended && !f->peer && a->kind != MACHINE_FAILED && a->kind != MACHINE_FORGET)
        oracle_violated(l, p, "acts although both have ended");
    switch (a->kind) {
    case MACHINE_LAUNCH:
        took_launch(l, p);
        break;
    case MACHINE_HAND_OVER:
        l->due += l->due == MACHINE_NEVER ? 0 : l->limits.handshake_ns; /* for its ACK */
        took_send(l, p, HANDOVER_BATCH);
        break;
    case MACHINE_SEND:
        took_send(l, p, a->type);
        break;
    case MACHINE_PRESENT:
        must(l, p, f->peer && !f->gone && !f->joined, "PRESENTs nobody");
        f->presenting = f->presented = 1;
        break;
    case MACHINE_OPEN:
        must(l, p, f->gone && !f->office, "OPENs the gate while the old process lives");
        break;
    case MACHINE_TAKE_OFFICE:
        took_office(l, p);
        break;
    case MACHINE_YIELD:
    case MACHINE_RECLAIM:
    case MACHINE_RETIRE:
    case MACHINE_STOP:
        took_role(l, p, a->kind);
        break;
    case MACHINE_CLEAR:
        must(l, p, f->joined || f->orphan, "CLEAR without an old process");
        must(l, p, f->started, "CLEAR although a service may still ask for a listener");
        must(l, p, f->office || f->ending, "CLEAR out of office: paths would be left");
        f->orphan = 0;
        break;
    case MACHINE_SUCCEEDED:
    case MACHINE_FAILED:
    case MACHINE_ROLLED_BACK:
    case MACHINE_SUCCESSION:
        took_report(l, p, a);
        break;
    case MACHINE_SIGNAL:
        took_signal(l, p, a->signal);
        break;
    case MACHINE_FORGET:
        must(l, p, !f->peer || f->gone, "FORGETs a process that has not ended");
        f->orphan = f->joined && !f->started;
        f->peer = f->gone = f->joined = f->unread = 0;
        break;
    }
}

/* Does promise 4 say that time alone ends it? */
static bool is_timed(enum machine_state state, const struct facts *f)
{
    if (state == MACHINE_REAP)
        return !f->answering;
    return state != MACHINE_IDLE && state != MACHINE_HEIR && state != MACHINE_DRAIN &&
           state != MACHINE_OFFER && state != MACHINE_JOIN;
}

static void look_at(struct lineage *l, unsigned p)
{
    const struct machine *m = &l->processes[p].machine;
    const struct facts *f = &l->processes[p].facts;
    must(l, p, machine_wake(m) > l->now, "wake has passed, and there is nothing to do");
    must(l, p, !is_timed(m->state, f) || machine_wake(m) != MACHINE_NEVER, "would wait for ever");
    must(l, p, !f->launched || l->now <= l->due, "LAUNCH, and its report is late");
    must(l, p, m->state != MACHINE_IDLE || !f->owed || !f->started, "a request waits in IDLE");
    must(l, p, m->state != MACHINE_DRAIN || !f->owed, "a request waits in DRAIN");
    must(l, p, machine_has_parent(m) == (f->joined != 0), "does not know whether it has a parent");
    must(l, p, machine_has_child(m) || f->joined || !f->peer, "has lost sight of the new process");
}

static bool serves(const struct facts *f)
{
    return f->alive && f->office && !f->ending && !f->obeys && !f->killed;
}

/* During PROBATION another request ends it, at either process. */
static void look_at_probation(struct lineage *l)
{
    const struct facts *old = &l->processes[0].facts, *new = &l->processes[1].facts;
    bool released = !new->alive || l->processes[0].machine.state != MACHINE_PROBATION;
    for (unsigned i = 0; i < old->unread; i++)
        released = released || old->inbox[i] == HANDOVER_RELEASE;
    if (!released && (old->owed || new->owed))
        oracle_violated(l, 0, "goes on although another upgrade was asked for");
}

/* One of them serves, and two only from TAKE_OFFICE of the one to YIELD of the other. */
static void look_at_gates(struct lineage *l)
{
    const struct facts *old = &l->processes[0].facts, *new = &l->processes[1].facts;
    bool announced = false;
    for (unsigned i = 0; i < old->unread; i++)
        announced = announced || old->inbox[i] == HANDOVER_SERVING;
    if (serves(old) && serves(new) && !announced)
        oracle_violated(l, 1, "both serve");
    if ((old->alive && old->office) || (new->alive &&new->office))
        return;
    for (unsigned p = 0; p < 2; p++) {
        const struct facts *f = &l->processes[p].facts, *other = &l->processes[1 - p].facts;
        bool told = f->unread == 0 && (!f->peer || f->gone || (other->alive && !other->ended));
        if (f->alive && f->started && !f->ending && !f->obeys && !f->killed && told)
            oracle_violated(l, p, "nobody serves");
    }
}

void oracle_look(struct lineage *l)
{
    bool mad = false;
    for (unsigned p = 0; p < 2; p++) {
        const struct facts *f = &l->processes[p].facts;
        mad = mad || f->mad;
        if (f->alive && !f->mad)
            look_at(l, p);
    }
    if (mad)
        return;
    look_at_gates(l);
    look_at_probation(l);
}

void oracle_left(struct lineage *l, unsigned p)
{
    const struct facts *f = &l->processes[p].facts;
    enum machine_state state = l->processes[p].machine.state;
    bool open = state >= MACHINE_INIT && state <= MACHINE_COMMIT; /* the new process will tell */
    must(l, p, !f->launched || f->presented, "leaves before the new one was presented");
    must(l, p, !f->launched || open, "leaves a LAUNCH without its report");
    must(l, p, !f->owed, "leaves a request without an answer");
}

void oracle_end(struct lineage *l, bool hung)
{
    for (unsigned p = 0; p < 2; p++) {
        const struct facts *f = &l->processes[p].facts;
        if (!f->alive || f->mad || (hung && p == 1))
            continue;
        must(l, p, l->processes[p].machine.state == MACHINE_IDLE && !f->peer,
             "never comes to rest");
        must(l, p, !f->owed && !f->launched, "rests with a request unanswered");
        must(l, p, !f->ending, "does not end");
        must(l, p, f->office && f->started, "rests without serving");
        must(l, p, !f->doomed, "serves although both were told to stop");
    }
}
