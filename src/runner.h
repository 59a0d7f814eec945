/* SPDX-License-Identifier: MIT
 *
 * The insides of a runner, shared by the files that make it up: runner.c (making, starting and
 * freeing it), registry.c (taking services in), query.c (what anybody may ask), control.c (the
 * control thread: events in, actions out), outcome.c (milestones, and why it ended), watch.c
 * (heartbeats and the watchdog), main.c and testing.c (two ways to drive it).
 *
 * Everything here belongs to the control thread, but for what says otherwise.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include "base/clock.h"
#include "base/inbox.h"
#include "base/pool.h"
#include "checkup.h"
#include "config.h"
#include "flags.h"
#include "leaks.h"
#include "listeners.h"
#include "notify.h"
#include "sequence.h"
#include "service.h"
#include "shipping.h"
#include "signals.h"
#include "succession.h"
#include "tracing.h"

#include <srun/runner.h>

enum runner_phase { RUNNER_ASSEMBLING, RUNNER_STARTED, RUNNER_LEAVING, RUNNER_FINISHED };

/* What the poller watches. */
enum {
    RUNNER_TAG_INBOX,
    RUNNER_TAG_TIMER,
    RUNNER_TAG_SIGNALS,
    RUNNER_TAG_CHANNEL, /* the other process says something */
    RUNNER_TAG_PEER,    /* it has ended */
    RUNNER_TAG_BARRIER  /* the service manager has listened */
};

/* What an inbox item is part of. */
enum {
    ITEM_SERVICE,
    ITEM_REQUEST,
    ITEM_HOOK,
    ITEM_DRAIN,
    ITEM_SUCCESSION,
    ITEM_WITHDRAW,
    ITEM_CHECK,
    ITEM_HEAR,
    ITEM_PUSH
};

/* What the whole program is about; only forward. */
enum runner_stage { RUNNER_STARTS, RUNNER_RUNS, RUNNER_DRAINS, RUNNER_STOPS, RUNNER_HAS_STOPPED };

#define RUNNER_TIMELINE 256 /* changes of state that are remembered */

struct srun_runner {
    struct config config;
    struct flags *flags;
    int parse_result; /* of the first parse; valid once flags_parsed */
    int argc;
    char **argv;
    srun_err parse_err;

    srun_logger *log, *root_log; /* root_log: what log was made from, or NULL */
    struct clock clock;
    struct inbox inbox;
    struct pool *pool;
    struct service_home home;
    struct listeners listeners;
    struct signals signals;
    struct notify notify;
    struct leaks leaks;
    struct succession succession;
    struct checkup checkup;
    struct tracing tracing;
    struct shipping shipping;
    struct admin *_Atomic admin; /* NULL until it is needed; anybody may ask before */
    struct capture *capture;     /* NULL: nothing is captured */
    struct telemetry_meters *meters;
    struct instruments *instruments;     /* NULL before the start */
    struct telemetry_periodic *periodic; /* NULL: metrics are not sent */
    int64_t last_exports_ns;             /* of LAST_EXPORTS_MS, used up */
    int poller, timer;
    int64_t armed_at; /* what the timer is set to */
    bool testing;     /* driven by srun/testing.h: never leaves by _exit */
    bool holds_stack, holds_crash;
    unsigned birth; /* fork_stamp */
    int64_t born_wall_ms;

    /* Guarded by lock until the start, then fixed, as count and by_name are. */
    struct service **services;
    unsigned count, capacity;
    unsigned organs;         /* how many of them are our own; they stand first */
    void *by_name;           /* a search tree of the same services */
    struct service **active; /* those that run: all, or the one that stands in for --test */
    unsigned active_count;
    struct sequence *seq;

    _Atomic int phase;      /* read by any thread */
    _Atomic bool ready;     /* but for a withdrawal; read by any thread */
    unsigned running;       /* services that are RUNNING */
    bool started;           /* all were, once */
    _Atomic int stage;      /* an enum runner_stage; read by any thread */
    _Atomic bool withdrawn; /* somebody wants it to look not ready; any thread */
    int64_t started_at, stopping_at;
    bool told_stopping; /* it drains or stops, and systemd knows */
    bool warned_hangup; /* one such warning is enough */
    unsigned forceful;  /* SIGINT and SIGQUIT so far */
    char reason[252];   /* for the text of the cause: who asked for the stop */
    int64_t watch_at;   /* when watch_check wants to be called */
    int64_t ping_at;
    int64_t retry_at; /* when what could not be done is tried again: a thread, a word to systemd */

    pthread_mutex_t lock;   /* guards what follows; never held while anything else is called */
    pthread_cond_t changed; /* a state, or the phase: changes was raised */
    uint64_t changes;
    struct srun_transition timeline[RUNNER_TIMELINE]; /* a ring */
    uint64_t transitions;                             /* so far */
    srun_cause cause;
    char also[252]; /* the first thing that went wrong after the cause */
    int exit_code;
    unsigned stuck;
    struct {
        struct inbox_item item;
        bool posted;
        int code;
        char why[200];
    } request; /* srun_runner_shutdown, from any thread */
    struct {
        struct inbox_item item;
        bool posted, told; /* told: what the log says of it; control */
        char why[200];
    } withdrawal; /* srun_runner_withdraw, from any thread */

    struct {
        struct inbox_item item;
        struct pool_job job;
        srun_cause cause;
        int exit_code;
        int64_t deadline;
        bool returned;
    } hook; /* hooks.exited */
};

/* Makes a runner; with a virtual clock for tests. */
int runner_new(srun_runner **out, const struct srun_config *config, bool testing, srun_err *err);

/* registry.c: srun_runner_add, and srun_serve with ready_on_entry. */
int runner_add(srun_runner *runner, const char *name, const struct srun_service_ops *ops,
               void *self, const struct srun_service_options *options, bool ready_on_entry,
               srun_err *err);
/* One of the runner's own, before all others: it starts first, stops last, and does not keep the
 * program alive. */
int runner_add_organ(srun_runner *runner, const char *name, const struct srun_service_ops *ops,
                     void *self, srun_err *err);
/* Any thread. find: NULL when there is none, and for NULL. at: NULL behind the last one; how many
 * there are. */
struct service *runner_find(const srun_runner *runner, const char *name);
size_t runner_service_at(const srun_runner *runner, size_t index, struct service **out);

/* control.c: one turn. Waits up to timeout_ms (-1: until something happens), handles all that has
 * happened, does what is due. 1 while it lives, 0 when all has ended. */
int control_turn(srun_runner *runner, int timeout_ms);

/* Begins: a stop that was asked for before counts. */
void control_start(srun_runner *runner);

/* As if the signal had come. */
void control_signal(srun_runner *runner, int signo, int sender, bool lost_terminal);

/* When control_turn has to be called again if nothing happens: clock time. */
int64_t control_wake(const srun_runner *runner);

/* watch.c: looks at the heartbeats and pings the service manager; sets watch_at. */
void watch_check(srun_runner *runner, int64_t now);

#endif
