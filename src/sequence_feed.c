/* SPDX-License-Identifier: MIT
 *
 * What happened, and what it means: calls that returned, failures, restarts, and why it all ends.
 */
#include "sequence_parts.h"

#include "base/duration.h"
#include "base/random.h"

#include <errno.h>

#define POLL_LAST (50 * NS_PER_MS)

/* --- why it ends ----------------------------------------------------------------------------- */

void raise_exit_code(struct sequence *seq, int code)
{
    if (code > seq->outcome.exit_code)
        seq->outcome.exit_code = code;
}

static int exit_code_of(const struct sequence *seq, srun_cause_kind cause, int code)
{
    switch (cause) {
    case SRUN_CAUSE_SERVICE_ERROR:
        return 1;
    case SRUN_CAUSE_REQUEST:
        return code < 0 ? 1 : 0;
    case SRUN_CAUSE_DEADLINE:
        return seq->started ? 0 : 3;
    case SRUN_CAUSE_INIT_TIMEOUT:
    case SRUN_CAUSE_READY_TIMEOUT:
        return 3;
    case SRUN_CAUSE_STOP_TIMEOUT:
        return 4;
    case SRUN_CAUSE_UNHEALTHY:
        return 5;
    default:
        return 0;
    }
}

bool is_ending(const struct sequence *seq)
{
    return seq->phase >= DRAINING;
}

void set_restart(struct sequence *seq, struct member *m, enum restart_step step)
{
    seq->restarting -= m->restart != RESTART_NONE;
    seq->restarting += step != RESTART_NONE;
    m->restart = step;
    seq->look_for_keepers |= step == RESTART_NONE;
}

/* Nobody is started again; those in the midst of a restart wait for their turn to stop, but one
 * that is being stopped already goes on being watched. */
static void abandon_restarts(struct sequence *seq)
{
    for (unsigned i = 0; i < seq->count && seq->restarting > 0; i++)
        if (seq->members[i].state != SRUN_SHUTTING_DOWN)
            set_restart(seq, &seq->members[i], RESTART_NONE);
}

void begin_end(struct sequence *seq, struct sequence_outcome why, int64_t now)
{
    why.exit_code = exit_code_of(seq, why.cause, why.code);
    if (is_ending(seq)) { /* the first cause stays */
        raise_exit_code(seq, why.exit_code);
        return;
    }
    bool drains = seq->started && seq->limits.drain_ns > 0 &&
                  (why.cause == SRUN_CAUSE_SIGNAL || why.cause == SRUN_CAUSE_REQUEST ||
                   why.cause == SRUN_CAUSE_DEADLINE);
    why.stuck = seq->outcome.stuck;
    seq->outcome = why;
    abandon_restarts(seq);
    if (drains) {
        seq->phase = DRAINING;
        seq->tell_draining = true;
        seq->drain_until = time_add(now, seq->limits.drain_ns);
    } else {
        begin_stopping(seq, now);
    }
}

void end_by_member(struct sequence *seq, const struct member *m, srun_cause_kind cause,
                   const char *phase, int code, int64_t now)
{
    begin_end(
        seq,
        (struct sequence_outcome){.cause = cause, .service = m->id, .phase = phase, .code = code},
        now);
}

/* --- failures and restarts ------------------------------------------------------------------- */

/* How often it has been restarted within the window that ends now. */
static unsigned recent_restarts(const struct member *m, int64_t now)
{
    unsigned recent = 0;
    while (recent < m->restarts && recent < SEQUENCE_RESTARTS_MAX) {
        unsigned place = (m->restarts - 1 - recent) % SEQUENCE_RESTARTS_MAX;
        if (now - m->restarted_at[place] >= m->is.restart.window_ns)
            break;
        recent++;
    }
    return recent;
}

/* False when the policy or its limit says no; else how long to wait first is set. */
static bool restart_allowed(struct sequence *seq, struct member *m, int64_t now)
{
    unsigned recent = recent_restarts(m, now);
    if (!m->was_running || m->is.restart.when == SRUN_RESTART_NEVER || is_ending(seq) ||
        recent >= m->is.restart.limit)
        return false;
    int64_t backoff = m->is.restart.backoff_min_ns;
    for (unsigned i = 0; i < recent && backoff < m->is.restart.backoff_max_ns; i++)
        backoff = time_add(backoff, backoff);
    /* Services that fail together do not come back together. */
    m->backoff = random_near(&seq->random, time_min(backoff, m->is.restart.backoff_max_ns));
    return true;
}

void fail(struct sequence *seq, struct member *m, srun_cause_kind cause, const char *phase,
          int code, int64_t now)
{
    if (restart_allowed(seq, m, now))
        set_restart(seq, m, RESTART_DOWN);
    else
        end_by_member(seq, m, cause, phase, code, now);
}

void fail_if_late(struct sequence *seq, struct member *m, int64_t now)
{
    if (!member_late(m, now))
        return;
    if (m->state == SRUN_INITIATING)
        fail(seq, m, SRUN_CAUSE_INIT_TIMEOUT, "init", -ETIMEDOUT, now);
    else
        fail(seq, m, SRUN_CAUSE_READY_TIMEOUT, "ready", -ETIMEDOUT, now);
}

/* A service that is always restarted must not finish. */
void fail_if_always(struct sequence *seq, struct member *m, int64_t now)
{
    if (m->finished && m->state == SRUN_RUNNING && m->is.restart.when == SRUN_RESTART_ALWAYS &&
        !is_ending(seq))
        fail(seq, m, SRUN_CAUSE_SERVICE_ERROR, "run", 0, now);
}

/* --- what happened --------------------------------------------------------------------------- */

static void on_init_returned(struct sequence *seq, struct member *m, int code, int64_t now)
{
    m->calls &= ~(unsigned)CALL_INIT;
    m->inited = code >= 0;
    if (code < 0 && m->state == SRUN_INITIATING)
        fail(seq, m, SRUN_CAUSE_SERVICE_ERROR, "init", code, now);
}

static void on_run_returned(struct sequence *seq, struct member *m, int code, int64_t now)
{
    m->calls &= ~(unsigned)CALL_RUN;
    seq->look_for_keepers = true;
    if (m->state == SRUN_SHUTTING_DOWN) { /* it was told to; only a failure of its own counts */
        if (code < 0 && code != -ECANCELED && code != -EINTR && !m->stuck)
            raise_exit_code(seq, m->restart == RESTART_NONE ? 1 : 0);
        return;
    }
    m->background = code > 0;
    m->finished = code == 0;
    if (code >= 0 && m->state == SRUN_STARTING && !m->is.has_ready)
        m->ready = true;
    if (code < 0)
        fail(seq, m, SRUN_CAUSE_SERVICE_ERROR, "run", code, now);
    else
        fail_if_always(seq, m, now);
}

static void on_ready_returned(struct member *m, int code, int64_t now)
{
    m->calls &= ~(unsigned)CALL_READY;
    if (code >= 0 && m->state == SRUN_STARTING)
        m->ready = true;
    m->poll_at = time_add(now, m->poll_gap);
    m->poll_gap = time_min(m->poll_gap * 2, POLL_LAST);
}

static void on_gate_returned(struct sequence *seq, struct member *m, int code, int64_t now)
{
    m->calls &= ~(unsigned)CALL_GATE;
    m->gate_passed = code >= 0;
    if (code < 0 && m->state == SRUN_STARTING)
        fail(seq, m, SRUN_CAUSE_UNHEALTHY, "health", code, now);
}

/* What goes wrong on the way to a restart is mended by it. */
static void on_stop_returned(struct sequence *seq, struct member *m, int code)
{
    bool for_restart = m->restart != RESTART_NONE && !is_ending(seq);
    m->calls &= ~(unsigned)CALL_STOP;
    if (code < 0 && !m->stuck && !for_restart)
        raise_exit_code(seq, 1);
}

static void on_extend(const struct sequence *seq, struct member *m, int64_t span, int64_t now)
{
    bool limited = m->deadline != SEQUENCE_NEVER && !m->overrun;
    int64_t until = time_add(now, span);
    if (seq->phase == STOPPING)
        until = time_min(until, seq->grace_until);
    if (limited && until > m->deadline)
        m->deadline = until;
}

/* The bit of the call that this event answers, 0 when it answers none. */
static unsigned answered_call(enum sequence_event_kind kind)
{
    switch (kind) {
    case SEQUENCE_INIT_RETURNED:
        return CALL_INIT;
    case SEQUENCE_RUN_RETURNED:
        return CALL_RUN;
    case SEQUENCE_READY_RETURNED:
        return CALL_READY;
    case SEQUENCE_STOP_RETURNED:
        return CALL_STOP;
    case SEQUENCE_GATE_RETURNED:
        return CALL_GATE;
    default:
        return 0;
    }
}

static void feed_member(struct sequence *seq, struct member *m, const struct sequence_event *event,
                        int64_t now)
{
    unsigned answered = answered_call(event->kind);
    if ((m->calls & answered) != answered)
        return; /* nobody asked */
    switch (event->kind) {
    case SEQUENCE_INIT_RETURNED:
        on_init_returned(seq, m, event->code, now);
        break;
    case SEQUENCE_READY:
        m->ready |= m->state == SRUN_STARTING && m->run_called;
        break;
    case SEQUENCE_READY_RETURNED:
        on_ready_returned(m, event->code, now);
        break;
    case SEQUENCE_RUN_RETURNED:
        on_run_returned(seq, m, event->code, now);
        break;
    case SEQUENCE_STOP_RETURNED:
        on_stop_returned(seq, m, event->code);
        break;
    case SEQUENCE_EXTEND:
        on_extend(seq, m, event->extend_ns, now);
        break;
    case SEQUENCE_GATE_RETURNED:
        on_gate_returned(seq, m, event->code, now);
        break;
    default: /* SEQUENCE_SHUTDOWN is no member's */
        break;
    }
}

void sequence_feed(struct sequence *seq, const struct sequence_event *event, int64_t now)
{
    if (seq->phase == FINISHED)
        return;
    if (event->kind == SEQUENCE_SHUTDOWN)
        begin_end(seq,
                  (struct sequence_outcome){.cause = event->cause,
                                            .service = SEQUENCE_NOBODY,
                                            .phase = "",
                                            .code = event->code,
                                            .signo = event->signo},
                  now);
    else if (event->service < seq->count)
        feed_member(seq, &seq->members[event->service], event, now);
}
