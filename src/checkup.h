/* SPDX-License-Identifier: MIT
 *
 * The runner's side of health: tells the board what happens to services, carries out what it
 * decides, and passes news on to those who watch. Off, it is nothing but zeros.
 * Threads: control, unless said otherwise.
 */
#ifndef CHECKUP_H
#define CHECKUP_H

#include "base/inbox.h"
#include "base/pool.h"
#include "health/board.h"
#include "health/mailbox.h"
#include "sequence.h"

#include <srun/health.h>

struct service;

/* Somebody who wants to hear of others: a subscription, or a service with on_health. */
struct srun_health_watch {
    srun_runner *runner;
    struct service *owner;
    bool is_verb; /* it is told by on_health */
    int event;    /* readable while there is something to say; -1 for a verb */
    pthread_cond_t changed;
    /* Guarded by the lock of the checkup. */
    struct mailbox box;
    bool closed; /* all that it watches has stopped for good */
    struct srun_health_watch *next;
};

struct checkup_entry {
    struct service *service;
    _Atomic int status;             /* what is shown; any thread */
    unsigned *depends;              /* indices, owned */
    struct srun_health_watch *verb; /* of a service with on_health, else NULL */
    bool gate;                      /* the sequence waits for the first check */
    bool aside;                     /* its check has a thread of its own by now */
    bool patient;    /* a test has waited for the check in flight; guarded by the lock */
    bool due;        /* on_health has something to hear */
    bool hears;      /* on_health has not had enough */
    int64_t told_at; /* when a change was logged last */
    unsigned untold; /* changes since then that were not */
    srun_health_status told;

    struct { /* the newest push; guarded by the lock */
        struct inbox_item item;
        bool posted;
        srun_health_status status;
        char note[SRUN_HEALTH_NOTE_MAX];
    } push;
};

struct checkup {
    struct board *board; /* NULL: health is off. Set and taken away under the lock */
    struct pool *pool;
    unsigned count, aside;
    unsigned width, width_max;     /* of the pool */
    struct checkup_entry *entries; /* by service */
    int64_t tell_at;               /* changes that were not logged are due */
    bool thinned; /* a service has stopped: who watches may have heard all there is */
    struct srun_health_watch *watches;
    /* What follows is there as long as the runner: anybody may ask before the start, and when one
     * has failed. */
    _Atomic int overall;
    pthread_mutex_t lock; /* a leaf */
};

/* Before the start: 0, -ENOMEM, or -ENOENT for the name of no service in options.health.watch. */
int checkup_prepare(srun_runner *runner, srun_err *err);
void checkup_destroy(srun_runner *runner); /* what that has made */

/* What happens to a service. */
void checkup_state(srun_runner *runner, const struct sequence_action *action, int64_t now);
void checkup_gate(srun_runner *runner, struct service *service, int64_t now);
void checkup_cancelled(srun_runner *runner, struct service *service);

/* An answer (by on_health, or to a check), or a push. */
void checkup_take_heard(srun_runner *runner, struct service *service);
void checkup_take_answer(srun_runner *runner, struct service *service);
void checkup_take_push(srun_runner *runner, struct inbox_item *item);

/* Carries out what is due. True when the sequence has been fed. */
bool checkup_turn(srun_runner *runner, int64_t now);
int64_t checkup_wake(const srun_runner *runner);

/* For tests, any thread: does a check run that has not been waited for, and does not sleep on the
 * virtual clock? Those that are in flight count as waited for from now on when patience is over. */
bool checkup_is_busy(srun_runner *runner, bool patience_over);

/* health_api.c, under the lock: a copy of what is known. */
void checkup_describe_locked(const srun_runner *runner, unsigned id, struct srun_health *out);

#endif
