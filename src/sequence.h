/* SPDX-License-Identifier: MIT
 *
 * What to do next: decides the order in which services start and stop, when one is late, stuck or
 * to be restarted, and what the exit code is. PURE: no clock, no I/O, no threads, no allocation
 * after sequence_new; time is a parameter, in nanoseconds of any one monotonic clock.
 *
 * The owner feeds what happened and then takes actions until there are none:
 *
 *     sequence_feed(seq, &event, now);
 *     while (sequence_next(seq, now, &action))
 *         act(&action);
 *     arm_timer(sequence_wake(seq));
 *
 * Promises, for every order of events (tests/model explores them):
 *  1. All inits, in order of registration, before any run. Unit n+1 starts when unit n is RUNNING.
 *  2. Only edges of lifecycle.h are reported. init and run are called at most once per life.
 *  3. stop is called exactly once per life if init succeeded in it (or there is no init), else
 * never; never while init is in flight. cancel comes at most once per life, and before stop.
 *  4. Cancel and stop of a unit come only when all later units have ended or were given up.
 *     (A restart stops one service alone; it is the exception.)
 *  5. STOPPED is reported only when no call of the service is in flight.
 *  6. Every wait has an end: if nothing more is fed, the passing of time alone leads to
 *     SEQUENCE_DONE; the owner only has to call sequence_next at sequence_wake.
 *  7. The first cause stays; the exit code never falls.
 *
 * A unit is a group of neighbours that start and stop together, or a single service.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include <srun/context.h>
#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_NEVER INT64_MAX
#define SEQUENCE_RESTARTS_MAX 32 /* the highest limit of restarts in a window */

/* What the sequence has to know of a service. */
struct sequence_service {
    bool has_init, has_run, has_ready, has_stop;
    bool has_gate;       /* once it is ready, something else has to agree: its first health check */
    bool ready_on_entry; /* ready as soon as run is entered */
    bool auxiliary;      /* does not keep the program alive */
    unsigned unit;       /* neighbours with the same number form a unit; never decreases */
    int64_t init_ns, ready_ns, stop_ns;
    struct {
        srun_restart when;
        int64_t backoff_min_ns, backoff_max_ns, window_ns;
        unsigned limit; /* up to SEQUENCE_RESTARTS_MAX */
    } restart;
};

struct sequence_limits {
    int64_t graceful_ns;    /* the whole stop */
    int64_t deadline_ns;    /* the whole run, 0 = none */
    int64_t drain_ns;       /* from the request to stop to the first stop */
    int64_t stuck_grace_ns; /* from overrun to given up */
    uint64_t seed;          /* of the jitter */
};

enum sequence_event_kind {
    SEQUENCE_INIT_RETURNED,  /* code: 0 or negative */
    SEQUENCE_READY,          /* srun_ready was called */
    SEQUENCE_READY_RETURNED, /* the ready verb returned; code: 0 or negative (not yet) */
    SEQUENCE_RUN_RETURNED,   /* code: 0, negative, or SRUN_RUN_BACKGROUND */
    SEQUENCE_STOP_RETURNED,  /* code */
    SEQUENCE_EXTEND,         /* extend_ns from now on */
    SEQUENCE_GATE_RETURNED,  /* code: 0, or negative: it must not serve */
    SEQUENCE_SHUTDOWN        /* cause, code, signo; no service */
};

struct sequence_event {
    enum sequence_event_kind kind;
    unsigned service;
    int code, signo;
    srun_cause_kind cause;
    int64_t extend_ns;
};

enum sequence_action_kind {
    SEQUENCE_STATE,     /* from -> to: publish it */
    SEQUENCE_CALL_INIT, /* each CALL is to be answered by the event ..._RETURNED, once */
    SEQUENCE_CALL_RUN,
    SEQUENCE_CALL_READY,
    SEQUENCE_CALL_STOP,
    SEQUENCE_CALL_GATE,
    SEQUENCE_CANCEL,     /* cancel the context of init and run; reason says why */
    SEQUENCE_OVERRUN,    /* a limit has passed: interrupt its threads, cancel a stop in flight */
    SEQUENCE_GIVE_UP,    /* stuck: say where; it is left alone from now on */
    SEQUENCE_REMIND,     /* still waiting for this service; elapsed_ns */
    SEQUENCE_RESTARTING, /* will start again in elapsed_ns */
    SEQUENCE_STARTED,    /* every service is RUNNING, for the first time */
    SEQUENCE_DRAINING,   /* a stop was asked for; not ready from now on */
    SEQUENCE_STOPPING,   /* the stop in reverse order begins */
    SEQUENCE_DONE        /* the last action ever */
};

struct sequence_action {
    enum sequence_action_kind kind;
    unsigned service;
    srun_state from, to;
    srun_cause_kind reason;
    int64_t elapsed_ns;
};

/* The first cause, and what it has come to. */
struct sequence_outcome {
    srun_cause_kind cause;
    unsigned service;  /* SEQUENCE_NOBODY when none is concerned */
    const char *phase; /* "init", "run", "ready", "health", "stop" or "" */
    int code, signo;
    int exit_code;
    unsigned stuck; /* services given up */
};
#define SEQUENCE_NOBODY UINT32_MAX

struct sequence;

/* Copies what it is given. NULL when out of memory. free takes NULL, returns NULL. */
struct sequence *sequence_new(const struct sequence_service *services, unsigned count,
                              const struct sequence_limits *limits);
struct sequence *sequence_free(struct sequence *seq);

void sequence_start(struct sequence *seq, int64_t now);
void sequence_feed(struct sequence *seq, const struct sequence_event *event, int64_t now);
bool sequence_next(struct sequence *seq, int64_t now, struct sequence_action *out);

/* When to call sequence_next again if nothing happens before: a time, or SEQUENCE_NEVER. */
int64_t sequence_wake(const struct sequence *seq);

/* For the owner's snapshots. */
srun_state sequence_state(const struct sequence *seq, unsigned service);
int64_t sequence_deadline(const struct sequence *seq, unsigned service); /* of its present phase */
bool sequence_is_stuck(const struct sequence *seq, unsigned service);
unsigned sequence_restarts(const struct sequence *seq, unsigned service);
const char *sequence_phase(const struct sequence *seq, unsigned service); /* the call in flight */
/* Has its run returned, and not in order to live on in the background? */
bool sequence_run_is_over(const struct sequence *seq, unsigned service);
struct sequence_outcome sequence_outcome(const struct sequence *seq);

#endif
