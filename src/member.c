/* SPDX-License-Identifier: MIT */
#include "member.h"

#include "base/duration.h"
#include "base/ensure.h"

#include <string.h>

#define POLL_FIRST (1 * NS_PER_MS)
#define REMIND_FIRST (5 * NS_PER_S)

void member_init(struct member *m, const struct sequence_service *is, unsigned id)
{
    *m = (struct member){.is = *is,
                         .id = id,
                         .state = SRUN_STOPPED,
                         .entered = SEQUENCE_NEVER,
                         .deadline = SEQUENCE_NEVER,
                         .give_up_at = SEQUENCE_NEVER,
                         .remind_at = SEQUENCE_NEVER};
}

static bool emit(const struct member *m, enum sequence_action_kind kind, int64_t now,
                 struct sequence_action *out)
{
    *out =
        (struct sequence_action){.kind = kind,
                                 .service = m->id,
                                 .from = m->state,
                                 .to = m->state,
                                 .elapsed_ns = m->entered != SEQUENCE_NEVER ? now - m->entered : 0};
    return true;
}

/* Takes the edge for the event and reports it. limit: how long the new state may last. */
static bool enter(struct member *m, enum lifecycle_event event, int64_t limit, int64_t now,
                  struct sequence_action *out)
{
    int to = lifecycle_next(m->state, event);
    ENSURE(to >= 0);
    emit(m, SEQUENCE_STATE, now, out);
    m->state = (srun_state)to;
    m->entered = now;
    m->deadline = limit == SEQUENCE_NEVER ? SEQUENCE_NEVER : time_add(now, limit);
    m->remind_gap = REMIND_FIRST;
    m->remind_at = limit == SEQUENCE_NEVER ? SEQUENCE_NEVER : time_add(now, REMIND_FIRST);
    out->to = m->state;
    return true;
}

static bool call(struct member *m, unsigned bit, enum sequence_action_kind kind, int64_t now,
                 struct sequence_action *out)
{
    ENSURE((m->calls & bit) == 0);
    m->calls |= bit;
    return emit(m, kind, now, out);
}

/* Tells of a wait; an init that is being waited for has lasted longer than the present state. */
static bool emit_wait(const struct member *m, enum sequence_action_kind kind, int64_t now,
                      struct sequence_action *out)
{
    emit(m, kind, now, out);
    if (m->calls & CALL_INIT)
        out->elapsed_ns = now - m->init_at;
    return true;
}

static bool remind(struct member *m, int64_t now, struct sequence_action *out)
{
    if (now < m->remind_at)
        return false;
    m->remind_gap *= 2;
    m->remind_at = time_add(now, m->remind_gap);
    return emit_wait(m, SEQUENCE_REMIND, now, out);
}

static void begin_life(struct member *m)
{
    m->init_called = m->inited = m->run_called = m->ready = false;
    m->gate_called = m->gate_passed = false;
    m->cancelled = m->stop_called = m->background = m->finished = m->overrun = false;
    m->give_up_at = SEQUENCE_NEVER;
}

static bool up_initiating(struct member *m, int64_t now, struct sequence_action *out)
{
    if (!m->init_called) {
        m->init_called = true;
        m->init_at = now;
        if (m->is.has_init)
            return call(m, CALL_INIT, SEQUENCE_CALL_INIT, now, out);
        m->inited = true;
    }
    if (m->inited)
        return enter(m, LIFECYCLE_INIT_DONE, SEQUENCE_NEVER, now, out);
    return remind(m, now, out);
}

static bool up_starting(struct member *m, int64_t now, struct sequence_action *out)
{
    if (!m->run_called) {
        m->run_called = true;
        m->poll_at = now;
        m->poll_gap = POLL_FIRST;
        m->ready = m->is.has_run ? m->is.ready_on_entry : !m->is.has_ready;
        if (m->is.has_run)
            return call(m, CALL_RUN, SEQUENCE_CALL_RUN, now, out);
    }
    if (m->ready && m->is.has_gate && !m->gate_called) {
        m->gate_called = true;
        return call(m, CALL_GATE, SEQUENCE_CALL_GATE, now, out);
    }
    if (m->ready && (!m->is.has_gate || m->gate_passed)) {
        m->was_running = true;
        return enter(m, LIFECYCLE_READY, SEQUENCE_NEVER, now, out);
    }
    if (!m->ready && m->is.has_ready && (m->calls & CALL_READY) == 0 && now >= m->poll_at) {
        m->poll_at = SEQUENCE_NEVER; /* until it has returned */
        return call(m, CALL_READY, SEQUENCE_CALL_READY, now, out);
    }
    return remind(m, now, out);
}

bool member_up(struct member *m, srun_state goal, int64_t now, struct sequence_action *out)
{
    switch (m->state) {
    case SRUN_STOPPED:
        begin_life(m);
        return enter(m, LIFECYCLE_INIT, m->is.init_ns, now, out);
    case SRUN_INITIATING:
        return up_initiating(m, now, out);
    case SRUN_INITIATED:
        if (goal != SRUN_RUNNING)
            return false;
        return enter(m, LIFECYCLE_RUN, m->is.ready_ns, now, out);
    case SRUN_STARTING:
        return up_starting(m, now, out);
    default:
        return false;
    }
}

/* A cancelled init may take what is left of its own limit, but no more than a stop may. */
static int64_t down_limit(const struct member *m, int64_t budget, int64_t now)
{
    if ((m->calls & CALL_INIT) == 0)
        return budget;
    int64_t left = m->deadline > now ? m->deadline - now : 0;
    return time_min(left, budget);
}

static bool down_overrun(struct member *m, const struct member_down *how, int64_t now,
                         struct sequence_action *out)
{
    if (!m->overrun && now >= m->deadline) {
        m->overrun = true;
        m->give_up_at = time_min(time_add(now, how->stuck_grace), how->give_up_limit);
        return emit_wait(m, SEQUENCE_OVERRUN, now, out);
    }
    if (m->overrun && now >= m->give_up_at) {
        m->stuck = true;
        return emit_wait(m, SEQUENCE_GIVE_UP, now, out);
    }
    return remind(m, now, out);
}

bool member_down(struct member *m, const struct member_down *how, int64_t now,
                 struct sequence_action *out)
{
    if (member_ended(m))
        return false;
    if (m->state != SRUN_SHUTTING_DOWN)
        return enter(m, LIFECYCLE_STOP, down_limit(m, how->budget, now), now, out);
    if (!m->cancelled) {
        m->cancelled = true;
        emit(m, SEQUENCE_CANCEL, now, out);
        out->reason = how->reason;
        return true;
    }
    if (m->inited && !m->stop_called) { /* inited is false while init is in flight */
        m->stop_called = true;
        m->overrun = false; /* an init that came home late does not cost the stop its time */
        m->deadline = time_add(now, how->budget);
        if (m->is.has_stop)
            return call(m, CALL_STOP, SEQUENCE_CALL_STOP, now, out);
    }
    if (m->calls == 0)
        return enter(m, LIFECYCLE_STOP_DONE, SEQUENCE_NEVER, now, out);
    return down_overrun(m, how, now, out);
}

bool member_late(const struct member *m, int64_t now)
{
    return (m->state == SRUN_INITIATING || m->state == SRUN_STARTING) && now >= m->deadline;
}

int64_t member_wake(const struct member *m)
{
    if (member_ended(m))
        return m->restart == RESTART_WAIT ? m->restart_at : SEQUENCE_NEVER;
    int64_t wake = time_min(m->remind_at, m->overrun ? m->give_up_at : m->deadline);
    if (m->state == SRUN_STARTING && m->is.has_ready && !m->ready && (m->calls & CALL_READY) == 0)
        wake = time_min(wake, m->poll_at);
    return wake;
}

const char *member_phase(const struct member *m)
{
    if (m->calls & CALL_STOP)
        return "stop";
    if (m->calls & CALL_INIT)
        return "init";
    if (m->calls & CALL_GATE)
        return "health";
    if (m->state == SRUN_STARTING)
        return "ready";
    return m->calls & CALL_RUN ? "run" : m->calls & CALL_READY ? "ready" : "";
}
