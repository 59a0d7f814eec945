/* SPDX-License-Identifier: MIT
 *
 * What to do next in an upgrade: one machine for both roles, the old process and the new one. PURE:
 * no clock, no I/O, no threads, no allocation; time is a parameter, as in sequence.h, and it is
 * used the same way: feed what happened, take actions until there are none, wake when it says so.
 *
 *     old:  IDLE - SPAWN - HELLO - HANDOVER - INIT - BARRIER - COMMIT - PROBATION - DRAIN
 *                    any of these fails: - REAP (until the new process has ended) - IDLE
 *                    the new one dies in PROBATION: it serves again - IDLE
 *     new:  JOIN - OFFER - HEIR - IDLE
 *
 * Promises, for every order of events (tests/model/upgrade explores them):
 *  1. Each LAUNCH is followed by exactly one of SUCCEEDED and FAILED (FAILED comes without LAUNCH
 *     when there is nothing to try any more), unless this process ends in INIT, BARRIER or COMMIT,
 *     where only the new one will know; ROLLED_BACK only after SUCCEEDED, once.
 *  2. The old process yields only after the new one said SERVING; a new one takes office only after
 *     COMMIT, or when the old process has gone. So one of them serves at any moment.
 *  3. A request is never lost: it is launched, or reported as failed, or given to the other
 *     process.
 *  4. Every state but IDLE, JOIN, OFFER, HEIR and DRAIN ends by the passing of time alone, REAP by
 *     SIGKILL or the answer to LAUNCH; those end with the other process or with this one.
 *  5. Whatever the other side says, in whatever order, leads nowhere else.
 */
#ifndef UPGRADE_MACHINE_H
#define UPGRADE_MACHINE_H

#include "upgrade/handover.h"

#include <stdbool.h>

#define MACHINE_NEVER INT64_MAX

enum machine_state {
    MACHINE_IDLE,
    MACHINE_SPAWN,     /* the new process is being started */
    MACHINE_HELLO,     /* it lives; nothing has been said */
    MACHINE_HANDOVER,  /* descriptors are on their way */
    MACHINE_INIT,      /* its services start */
    MACHINE_BARRIER,   /* it is ready; the service manager learns of it */
    MACHINE_COMMIT,    /* it may serve, and has not said that it does */
    MACHINE_PROBATION, /* it serves; the old one could come back */
    MACHINE_DRAIN,     /* the old one stops */
    MACHINE_REAP,      /* the new one failed and has not ended yet */
    MACHINE_JOIN,      /* new: its services start */
    MACHINE_OFFER,     /* new: ready, waits for COMMIT */
    MACHINE_HEIR,      /* new: serves; the old one still lives */
    MACHINE_STATES
};

enum machine_event_kind {
    MACHINE_ASKED,   /* for an upgrade */
    MACHINE_REFUSED, /* no process was started */
    MACHINE_SPAWNED,
    MACHINE_SAID, /* a message: type; HELLO: code < 0 when it is none to work with; ACK: last when
                     all descriptors have arrived; PROGRESS: extend_ns */
    MACHINE_GARBLED, /* what came is no message */
    MACHINE_GONE,    /* the other process has ended; what it said is to be fed first, or it is lost:
                        STOPPING, STOP and AGAIN most of all */
    MACHINE_PASSED,  /* the service manager has seen what it was told */
    MACHINE_STARTED, /* all services of this process are RUNNING */
    MACHINE_ENDING,  /* this process stops; intent: somebody wanted it to */
    MACHINE_ENDED    /* all its services have stopped */
};

struct machine_event {
    enum machine_event_kind kind;
    enum handover_type type;
    int code;
    bool last, intent;
    int64_t extend_ns;
};

enum machine_action_kind {
    MACHINE_LAUNCH,      /* check and start the new process; answer REFUSED or SPAWNED */
    MACHINE_SEND,        /* a message: type */
    MACHINE_HAND_OVER,   /* send the next descriptors, or say that there are none (count 0) */
    MACHINE_PRESENT,     /* name the new process to the service manager; answer PASSED */
    MACHINE_OPEN,        /* nobody else serves: open the gate, though not all services run yet */
    MACHINE_TAKE_OFFICE, /* serve: open the gate, write the PID file, tell the service manager */
    MACHINE_YIELD,       /* the other one serves: shut the gate, tell the services to let go */
    MACHINE_RECLAIM,     /* serve again, and say so to all who were told otherwise */
    MACHINE_RETIRE,      /* let go of the listeners for good, and stop */
    MACHINE_STOP,        /* stop: reason */
    MACHINE_CLEAR,     /* the old process has let go of what this one has not taken: drop it too */
    MACHINE_SUCCEEDED, /* report */
    MACHINE_FAILED,    /* report: phase, reason */
    MACHINE_ROLLED_BACK, /* report: reason */
    MACHINE_SUCCESSION,  /* report, new: the old process has ended */
    MACHINE_SIGNAL,      /* to the other process: signal */
    MACHINE_FORGET       /* the other process is over: close what leads to it */
};

enum machine_reason {
    MACHINE_BECAUSE_REFUSED, /* the answer to LAUNCH said why */
    MACHINE_BECAUSE_TIME,
    MACHINE_BECAUSE_GONE, /* its exit status says why */
    MACHINE_BECAUSE_SAID, /* its message says why */
    MACHINE_BECAUSE_GARBLED,
    MACHINE_BECAUSE_UNACCEPTABLE, /* HELLO of another program or version */
    MACHINE_BECAUSE_ENDING,       /* this process stops */
    MACHINE_BECAUSE_ORPHANED,     /* the old process has gone, and nobody wants us without it */
    MACHINE_BECAUSE_TOLD          /* the old process was told to stop, and both are meant */
};

enum machine_signal { MACHINE_TERM = 1, MACHINE_KILL };

struct machine_action {
    enum machine_action_kind kind;
    enum handover_type type;
    enum machine_state phase;
    enum machine_reason reason;
    enum machine_signal signal;
};

struct machine_limits {
    int64_t handshake_ns; /* each step of the conversation; and from SIGTERM to SIGKILL */
    int64_t start_ns;     /* SPAWN, and INIT unless extended */
    int64_t start_max_ns; /* INIT, however it is extended */
    int64_t barrier_ns;
    int64_t probation_ns; /* 0: none */
    int64_t probe_ns;     /* between two PINGs in PROBATION */
    bool takes_over;      /* a new process whose old one dies goes on alone */
};

#define MACHINE_ACTIONS_MAX 16

struct machine {
    struct machine_limits limits;
    enum machine_state state;
    int64_t deadline, deadline_max, probe_at;
    bool asked;   /* one more upgrade is remembered */
    bool started; /* all services of this process were RUNNING */
    bool ending;
    bool spawned;  /* there is a new process to send signals to */
    bool answered; /* the last PING */
    bool leaves;   /* in REAP: the new process said that it stops, and may do so in peace */
    bool alone;    /* in DRAIN: the new process has ended too */
    bool settled;  /* in HEIR: the old process cannot come back */
    bool unclear;  /* the old process has gone before all services of this one were RUNNING */
    struct machine_action actions[MACHINE_ACTIONS_MAX];
    unsigned first, count;
};

/* joins: this process was started by an older generation. */
void machine_init(struct machine *machine, const struct machine_limits *limits, bool joins);

void machine_feed(struct machine *machine, const struct machine_event *event, int64_t now);
bool machine_next(struct machine *machine, int64_t now, struct machine_action *out);
int64_t machine_wake(const struct machine *machine);

/* As machine_next, but time does not pass: while more is to be fed that has happened already, and a
 * limit must not win over it because its owner had no time to look. */
bool machine_decided(struct machine *machine, struct machine_action *out);

const char *machine_state_name(enum machine_state state); /* "idle", "spawn", ... */

/* One process of two generations: the other one is the child, or the parent. */
bool machine_has_child(const struct machine *machine);
bool machine_has_parent(const struct machine *machine);

/* There is a new process that will serve when this one has ended, unless both are to. */
bool machine_has_heir(const struct machine *machine);

/* Serves, and the old process could do so again. */
bool machine_is_on_probation(const struct machine *machine);

#endif
