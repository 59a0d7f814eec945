/* SPDX-License-Identifier: MIT
 *
 * Two passes up (all inits, then unit by unit to RUNNING), a plateau, one pass down. A cursor says
 * which unit is being driven; members that restart are driven beside it.
 */
#include "sequence_parts.h"

#include <errno.h>
#include <stdlib.h>

struct sequence *sequence_new(const struct sequence_service *services, unsigned count,
                              const struct sequence_limits *limits)
{
    struct sequence *seq = calloc(1, sizeof *seq + count * sizeof seq->members[0]);
    if (seq == NULL)
        return NULL;
    seq->limits = *limits;
    seq->count = count;
    seq->random = limits->seed;
    seq->deadline = seq->drain_until = seq->grace_until = SEQUENCE_NEVER;
    seq->outcome = (struct sequence_outcome){.service = SEQUENCE_NOBODY, .phase = ""};
    for (unsigned i = 0; i < count; i++)
        member_init(&seq->members[i], &services[i], i);
    return seq;
}

struct sequence *sequence_free(struct sequence *seq)
{
    free(seq);
    return NULL;
}

/* --- the cursor ------------------------------------------------------------------------------ */

static void cursor_extend(struct sequence *seq)
{
    seq->end = seq->begin;
    while (seq->end < seq->count &&
           seq->members[seq->end].is.unit == seq->members[seq->begin].is.unit)
        seq->end++;
}

static void cursor_first(struct sequence *seq)
{
    seq->begin = 0;
    cursor_extend(seq);
}

/* False when there is no later unit. */
static bool cursor_forward(struct sequence *seq)
{
    seq->begin = seq->end;
    cursor_extend(seq);
    return seq->begin < seq->count;
}

/* To the unit that ends at `end`; false when there is none. */
static bool cursor_before(struct sequence *seq, unsigned end)
{
    seq->begin = seq->end = end;
    while (seq->begin > 0 && seq->members[seq->begin - 1].is.unit == seq->members[end - 1].is.unit)
        seq->begin--;
    return end > 0;
}

/* The longest stop that any member of the unit at the cursor may still ask for. */
static int64_t cursor_stop_need(const struct sequence *seq)
{
    int64_t need = 0;
    for (unsigned i = seq->begin; i < seq->end; i++) {
        const struct member *m = &seq->members[i];
        if (!member_ended(m) && m->is.stop_ns > need)
            need = m->is.stop_ns;
    }
    return need;
}

/* What the unit at the cursor and those before it may still ask for. */
static void sum_stop_needs(struct sequence *seq)
{
    unsigned begin = seq->begin, end = seq->end;
    seq->stop_need = seq->unit_need = cursor_stop_need(seq);
    while (cursor_before(seq, seq->begin))
        seq->stop_need += cursor_stop_need(seq);
    seq->begin = begin;
    seq->end = end;
}

void begin_stopping(struct sequence *seq, int64_t now)
{
    seq->phase = STOPPING;
    seq->tell_stopping = true;
    seq->grace_until = time_add(now, seq->limits.graceful_ns);
    for (unsigned i = 0; i < seq->count; i++) { /* one that was to be restarted is on its way */
        struct member *m = &seq->members[i];
        if (m->state == SRUN_SHUTTING_DOWN)
            m->deadline = time_min(m->deadline, seq->grace_until);
    }
    (void)cursor_before(seq, seq->count);
    sum_stop_needs(seq);
}

void sequence_start(struct sequence *seq, int64_t now)
{
    if (seq->phase != IDLE)
        return; /* a stop was asked for before */
    seq->phase = INITIATING;
    seq->look_for_keepers = true;
    cursor_first(seq);
    if (seq->limits.deadline_ns > 0)
        seq->deadline = time_add(now, seq->limits.deadline_ns);
}

/* --- what to do next ------------------------------------------------------------------------- */

static bool take_flag(bool *flag)
{
    bool taken = *flag;
    *flag = false;
    return taken;
}

static bool tell(enum sequence_action_kind kind, struct sequence_action *out)
{
    *out = (struct sequence_action){.kind = kind, .service = SEQUENCE_NOBODY};
    return true;
}

/* Each unit has its own stop_ns; when the sum of what is still to come does not fit into what is
 * left of the graceful period, all are cut in proportion. So nobody starves another, and time that
 * is not used is there for those that come later. */
static int64_t stop_budget(const struct sequence *seq, const struct member *m, int64_t now)
{
    int64_t left = seq->grace_until > now ? seq->grace_until - now : 0;
    if (seq->phase != STOPPING || seq->stop_need <= left)
        return m->is.stop_ns;
    return (int64_t)((__int128)m->is.stop_ns * left / seq->stop_need);
}

static bool drive_down(struct sequence *seq, struct member *m, int64_t now,
                       struct sequence_action *out)
{
    bool for_restart = m->restart == RESTART_DOWN && !is_ending(seq);
    struct member_down how = {
        .budget = stop_budget(seq, m, now),
        .stuck_grace = seq->limits.stuck_grace_ns,
        .give_up_limit = SEQUENCE_NEVER,
        .reason = for_restart ? SRUN_CAUSE_RESTART : seq->outcome.cause,
    };
    if (seq->phase == STOPPING) {
        int64_t last = time_add(seq->grace_until, seq->limits.stuck_grace_ns);
        how.give_up_limit = last > now ? last : now;
    }
    if (!member_down(m, &how, now, out))
        return false;

    bool accounted = seq->outcome.cause == SRUN_CAUSE_INIT_TIMEOUT &&
                     seq->outcome.service == m->id && m->calls == CALL_INIT;
    bool mended = for_restart && out->kind == SEQUENCE_OVERRUN; /* if it comes home yet */
    bool late = out->kind == SEQUENCE_OVERRUN || out->kind == SEQUENCE_GIVE_UP;
    if (late && !mended && !accounted)
        raise_exit_code(seq, 4);
    if (out->kind == SEQUENCE_GIVE_UP) {
        seq->outcome.stuck++;
        if (for_restart)
            end_by_member(seq, m, SRUN_CAUSE_STOP_TIMEOUT, member_phase(m), -ETIMEDOUT, now);
    }
    return true;
}

/* A restart: down, wait, up again. */
static bool drive_restart(struct sequence *seq, struct member *m, int64_t now,
                          struct sequence_action *out)
{
    switch (m->restart) {
    case RESTART_NONE:
        return false;
    case RESTART_DOWN:
        if (drive_down(seq, m, now, out))
            return true;
        if (!member_ended(m))
            return false;
        if (m->stuck || is_ending(seq)) {
            set_restart(seq, m, RESTART_NONE);
            if (seq->phase == STOPPING) /* the others need not leave it any time */
                sum_stop_needs(seq);
            return false;
        }
        set_restart(seq, m, RESTART_WAIT);
        m->restart_at = time_add(now, m->backoff);
        m->restarted_at[m->restarts++ % SEQUENCE_RESTARTS_MAX] = now;
        tell(SEQUENCE_RESTARTING, out);
        out->service = m->id;
        out->elapsed_ns = m->backoff;
        return true;
    case RESTART_WAIT:
        if (now < m->restart_at)
            return false;
        set_restart(seq, m, RESTART_UP);
        /* fall through */
    default:
        if (!member_up(m, SRUN_RUNNING, now, out))
            return false;
        if (m->state == SRUN_RUNNING) {
            set_restart(seq, m, RESTART_NONE);
            fail_if_always(seq, m, now);
        }
        return true;
    }
}

static bool drive_restarts(struct sequence *seq, int64_t now, struct sequence_action *out)
{
    for (unsigned i = 0; i < seq->count && seq->restarting > 0; i++) {
        struct member *m = &seq->members[i];
        if (m->restart == RESTART_UP)
            fail_if_late(seq, m, now);
        if (drive_restart(seq, m, now, out))
            return true;
    }
    return false;
}

/* Drives the unit at the cursor, then moves on; false when it has to wait or all are there. */
static bool drive_up(struct sequence *seq, srun_state goal, int64_t now,
                     struct sequence_action *out)
{
    for (;;) {
        bool there = true;
        for (unsigned i = seq->begin; i < seq->end; i++) {
            struct member *m = &seq->members[i];
            fail_if_late(seq, m, now);
            if (is_ending(seq))
                return false;
            if (m->restart == RESTART_NONE && member_up(m, goal, now, out)) {
                fail_if_always(seq, m, now);
                return true;
            }
            /* Who shuts down while nothing ends is being restarted. */
            there &= m->state >= goal && m->restart == RESTART_NONE;
        }
        if (!there)
            return false;
        if (cursor_forward(seq))
            continue;
        if (seq->phase == STARTING)
            return false;
        seq->phase = STARTING;
        goal = SRUN_RUNNING;
        cursor_first(seq);
    }
}

static bool all_are_up(const struct sequence *seq)
{
    return seq->begin >= seq->count && seq->restarting == 0;
}

/* Does any service still do, or promise to do, something of its own? */
static bool has_keeper(const struct sequence *seq)
{
    for (unsigned i = 0; i < seq->count; i++) {
        const struct member *m = &seq->members[i];
        bool keeps = (m->calls & CALL_RUN) || m->background || m->restart != RESTART_NONE;
        if (keeps && !m->is.auxiliary)
            return true;
    }
    return false;
}

static bool next_going_up(struct sequence *seq, int64_t now, struct sequence_action *out)
{
    srun_state goal = seq->phase == INITIATING ? SRUN_INITIATED : SRUN_RUNNING;
    if (drive_up(seq, goal, now, out))
        return true;
    if (is_ending(seq) || !all_are_up(seq))
        return false;
    seq->phase = PLATEAU;
    seq->started = true;
    return tell(SEQUENCE_STARTED, out);
}

static bool next_going_down(struct sequence *seq, int64_t now, struct sequence_action *out)
{
    for (;;) {
        bool ended = true;
        for (unsigned i = seq->end; i > seq->begin; i--) {
            struct member *m = &seq->members[i - 1];
            if (drive_down(seq, m, now, out))
                return true;
            ended &= member_ended(m);
        }
        if (!ended)
            return false;
        seq->stop_need -= seq->unit_need;
        if (!cursor_before(seq, seq->begin)) {
            seq->phase = FINISHED;
            return tell(SEQUENCE_DONE, out);
        }
        seq->unit_need = cursor_stop_need(seq);
    }
}

bool sequence_next(struct sequence *seq, int64_t now, struct sequence_action *out)
{
    if (seq->phase == IDLE || seq->phase == FINISHED)
        return false;
    enum phase before;
    do {
        before = seq->phase;
        if (now >= seq->deadline && !is_ending(seq))
            begin_end(seq,
                      (struct sequence_outcome){
                          .cause = SRUN_CAUSE_DEADLINE, .service = SEQUENCE_NOBODY, .phase = ""},
                      now);
        if (seq->phase == DRAINING && now >= seq->drain_until)
            begin_stopping(seq, now);
        if (take_flag(&seq->tell_draining))
            return tell(SEQUENCE_DRAINING, out);
        if (take_flag(&seq->tell_stopping))
            return tell(SEQUENCE_STOPPING, out);
        if (drive_restarts(seq, now, out))
            return true;
        if (seq->phase < PLATEAU && next_going_up(seq, now, out))
            return true;
        if (seq->phase == PLATEAU && take_flag(&seq->look_for_keepers) && !has_keeper(seq))
            begin_end(seq,
                      (struct sequence_outcome){
                          .cause = SRUN_CAUSE_ALL_EXITED, .service = SEQUENCE_NOBODY, .phase = ""},
                      now);
        if (seq->phase == STOPPING && !seq->tell_stopping && next_going_down(seq, now, out))
            return true;
    } while (seq->phase != before);
    return false;
}

int64_t sequence_wake(const struct sequence *seq)
{
    if (seq->phase == IDLE || seq->phase == FINISHED)
        return SEQUENCE_NEVER;
    int64_t wake = is_ending(seq) ? SEQUENCE_NEVER : seq->deadline;
    if (seq->phase == DRAINING)
        wake = time_min(wake, seq->drain_until);
    else
        for (unsigned i = seq->begin; i < seq->end; i++)
            wake = time_min(wake, member_wake(&seq->members[i]));
    for (unsigned i = 0; i < seq->count && seq->restarting > 0; i++)
        if (seq->members[i].restart != RESTART_NONE)
            wake = time_min(wake, member_wake(&seq->members[i]));
    return wake;
}

/* --- for snapshots --------------------------------------------------------------------------- */

srun_state sequence_state(const struct sequence *seq, unsigned service)
{
    return seq->members[service].state;
}

int64_t sequence_deadline(const struct sequence *seq, unsigned service)
{
    return seq->members[service].deadline;
}

bool sequence_is_stuck(const struct sequence *seq, unsigned service)
{
    return seq->members[service].stuck;
}

unsigned sequence_restarts(const struct sequence *seq, unsigned service)
{
    return seq->members[service].restarts;
}

const char *sequence_phase(const struct sequence *seq, unsigned service)
{
    return member_phase(&seq->members[service]);
}

bool sequence_run_is_over(const struct sequence *seq, unsigned service)
{
    const struct member *m = &seq->members[service];
    return m->is.has_run && m->run_called && (m->calls & CALL_RUN) == 0 && !m->background;
}

struct sequence_outcome sequence_outcome(const struct sequence *seq)
{
    return seq->outcome;
}
