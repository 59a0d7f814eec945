/* SPDX-License-Identifier: MIT
 *
 * One service within the sequence: which of its calls are in flight, what it is owed, when it is
 * late. A member is driven up or down one action at a time; it knows nothing of its neighbours.
 * PURE: time comes in as a parameter.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include "lifecycle.h"
#include "sequence.h"

enum { CALL_INIT = 1, CALL_RUN = 2, CALL_READY = 4, CALL_STOP = 8, CALL_GATE = 16 };

struct member {
    struct sequence_service is;
    unsigned id;
    srun_state state;
    unsigned calls; /* in flight, CALL_ bits */

    /* of the present life */
    bool init_called, inited, run_called, ready, cancelled, stop_called;
    bool gate_called, gate_passed;
    bool background, finished; /* run returned SRUN_RUN_BACKGROUND, or 0 */
    bool overrun, stuck;

    int64_t entered;    /* when the state was entered, SEQUENCE_NEVER before the first life */
    int64_t init_at;    /* when init was called */
    int64_t deadline;   /* of the present state, or SEQUENCE_NEVER */
    int64_t give_up_at; /* once overrun */
    int64_t poll_at, poll_gap;
    int64_t remind_at, remind_gap;

    /* of all its lives */
    bool was_running;
    enum restart_step { RESTART_NONE, RESTART_DOWN, RESTART_WAIT, RESTART_UP } restart;
    int64_t restart_at; /* in RESTART_WAIT */
    int64_t backoff;
    unsigned restarts;
    int64_t restarted_at[SEQUENCE_RESTARTS_MAX]; /* a ring: restart n stands at n modulo its size */
};

void member_init(struct member *m, const struct sequence_service *is, unsigned id);

/* One step towards INITIATED or RUNNING; true with the action in *out, false when it has to wait
 * or is there. */
bool member_up(struct member *m, srun_state goal, int64_t now, struct sequence_action *out);

/* When to stop waiting for a member that goes down. */
struct member_down {
    int64_t budget;        /* for stop, given when it begins */
    int64_t stuck_grace;   /* from overrun to given up */
    int64_t give_up_limit; /* but not after this, or SEQUENCE_NEVER */
    srun_cause_kind reason;
};

/* One step towards STOPPED. */
bool member_down(struct member *m, const struct member_down *how, int64_t now,
                 struct sequence_action *out);

/* Init or ready has passed its limit. */
bool member_late(const struct member *m, int64_t now);

/* The next time at which a step may be due without any event. */
int64_t member_wake(const struct member *m);

/* The call to name when one asks what it is doing; "" for none. */
const char *member_phase(const struct member *m);

static inline bool member_ended(const struct member *m)
{
    return m->state == SRUN_STOPPED || m->stuck;
}

static inline int64_t time_add(int64_t time, int64_t span)
{
    int64_t sum;
    return __builtin_add_overflow(time, span, &sum) ? SEQUENCE_NEVER : sum;
}

static inline int64_t time_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
