/* SPDX-License-Identifier: MIT
 *
 * The runner's side of an upgrade: feeds the machine what happens to the other process, to this one
 * and to the service manager, and carries out what it decides. The parts are in upgrade/.
 * Threads: control, unless said otherwise.
 */
#ifndef SUCCESSION_H
#define SUCCESSION_H

#include "base/inbox.h"
#include "base/pool.h"
#include "upgrade/anchored.h"
#include "upgrade/machine.h"
#include "upgrade/origin.h"
#include "upgrade/sockets.h"
#include "upgrade/standin.h"

#include <srun/upgrade.h>

enum { SUCCESSION_STEPS = 16 };

#ifndef BARRIER_LIMIT          /* a test may be slow to answer */
#define BARRIER_LIMIT NS_PER_S /* for a service manager that is busy */
#endif

struct succession {
    struct machine machine;
    struct sockets sockets; /* any thread */
    struct origin origin;
    struct anchored anchor;
    srun_err unknown;    /* why the origin is not known: then there is no upgrade */
    bool joined;         /* started by an older generation */
    bool told_manager;   /* RELOADING=1: it waits for an answer */
    bool asked_again;    /* while a request was remembered; the service manager was not told */
    bool failed;         /* this process ends, and nobody wanted it to */
    bool resigned;       /* the same, in its probation */
    bool reclaimed;      /* it serves again; the new process may not have ended yet */
    bool presented;      /* the new process was named to the service manager */
    int64_t barrier_at;  /* the barrier once more, since the manager was busy */
    int64_t stays_until; /* the end has come, but the manager is owed the pid of the new process */
    unsigned generation;

    int channel, peer_fd, peer_pid; /* of the other process; -1, -1, 0 */
    int barrier;                    /* readable when the service manager has listened; -1 */
    char trace_id[33], span_id[17];
    char peer_text[HANDOVER_TEXT_MAX]; /* what it said last, or how it ended */
    char peer_version[HANDOVER_NAME_MAX];
    uint32_t speaks;         /* the version of the conversation that was agreed on */
    struct succession_news { /* for the old process: of the start of this one */
        char text[HANDOVER_TEXT_MAX];
        int64_t until; /* somebody has asked for time; 0: nobody */
        bool wait;     /* for room in the channel */
    } news;
    struct sockets_snapshot *snapshot; /* on its way to the new process */
    size_t sent;
    int64_t wanted_at;             /* the request that is remembered or begins */
    int64_t asked_at, launched_at; /* of the present attempt */
    uint64_t covers;               /* the requests that the present attempt answers */

    struct succession_launch {
        struct pool_job job;
        struct inbox_item item;
        bool waits; /* for the hook to return, or for the service manager */
        bool busy;  /* the job is on the pool and owns what follows */
        bool in_place;
        int rc, channel, pid, pidfd;
        srun_err err;
    } launch;

    struct succession_hooks {
        struct pool_job job;
        struct inbox_item item;
        bool busy; /* the job is on the pool and owns `now` */
        struct succession_step {
            srun_upgrade_step step;
            int peer_pid;
            char text[HANDOVER_TEXT_MAX];
        } now, waiting[SUCCESSION_STEPS];
        unsigned first, count;
    } hooks;

    struct succession_adoption {
        struct pool_job job;
        struct inbox_item item;
        bool busy;                      /* the job is on the pool and owns what follows */
        struct standin_request request; /* stop: -1 when there is none */
        int rc;
        srun_err err;
    } adoption;

    enum machine_state shown; /* in info; both also change where nothing is to be done */
    bool shown_asked;
    _Atomic bool draining; /* written under the runner's lock; read by any thread */

    /* Guarded by the runner's lock. */
    int drain_fd; /* readable while draining; -1 until asked for */
    struct srun_upgrade_info info;
    uint64_t asked, taken, answered; /* requests by srun_upgrade_request, counted */
    uint64_t passed_on; /* up to this one, those that `covers` does not: to the other process */
    struct {
        struct inbox_item item;
        bool posted;
        char why[200];
    } request;
};

/* With the runner: what it was started with; and what an older generation hands over, which is
 * waited for. After the signals are held, before anything else of the process changes.
 * Negative: this process was started for an upgrade that went wrong. */
int succession_begin(srun_runner *runner, srun_err *err);
void succession_destroy(srun_runner *runner);

/* The configuration is known now. */
void succession_start(srun_runner *runner);

/* An upgrade is wanted. */
void succession_ask(srun_runner *runner, const char *why);

/* What happened: in the poller (a RUNNER_TAG), in the inbox, to the services. */
bool succession_read(srun_runner *runner); /* true when something followed from it */
void succession_peer_ended(srun_runner *runner);
void succession_barrier_passed(srun_runner *runner);
void succession_take(srun_runner *runner, struct inbox_item *item);
void succession_started(srun_runner *runner);
void succession_ending(srun_runner *runner, srun_cause_kind cause, bool intent);
void succession_ended(srun_runner *runner);

/* All services have stopped, but the service manager is busy, and this process has to tell it yet
 * which one is the main one: by the end of another one it ends the unit. For a while. */
bool succession_stays(const srun_runner *runner, int64_t now);

/* This process ends of a failure, and a new one is nearly ready: it will go on. */
bool succession_is_followed(const srun_runner *runner);

/* A service starts, or needs more time: for the old process, which waits. */
void succession_progress(srun_runner *runner, const char *text, int64_t extend_ns);

/* Carries out what is due. True when something was. act: only what is decided, before more is fed
 * that has happened already. */
bool succession_turn(srun_runner *runner, int64_t now);
int64_t succession_wake(const srun_runner *runner); /* when something will be due */
bool succession_act(srun_runner *runner);

/* Any thread: the drain descriptor, made on first use, or a negative errno. */
int succession_drain_fd(srun_runner *runner);

#endif
