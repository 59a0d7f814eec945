/* SPDX-License-Identifier: MIT
 *
 * The oracle of the sequence: a bystander that is told every event fed and every action taken,
 * keeps the simplest record of what must be true, and names the first promise of sequence.h that
 * is broken. It shares no code with the sequence, not even the table of edges.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "sequence.h"

#define MODEL_SERVICES 8
#define MODEL_RESTARTS 64
#define MODEL_MS INT64_C(1000000)

enum model_verb { MODEL_INIT, MODEL_RUN, MODEL_READY, MODEL_STOP, MODEL_GATE, MODEL_VERBS };

/* What a run is about. */
struct model_setup {
    struct sequence_service services[MODEL_SERVICES];
    unsigned count;
    struct sequence_limits limits;
    bool asked_early; /* SHUTDOWN comes before sequence_start, as a held signal does */
};

struct model_service {
    srun_state state;
    bool flying[MODEL_VERBS]; /* called and not yet returned */
    unsigned lives;

    /* Of the present life. */
    bool called[MODEL_VERBS];
    bool inited;     /* init returned 0, or there is none */
    bool ready;      /* something said so while STARTING */
    bool passed;     /* its gate said yes */
    bool failed;     /* init or run failed before it was cancelled */
    bool finished;   /* run returned 0 */
    bool background; /* run returned SRUN_RUN_BACKGROUND */
    bool cancelled;
    bool lone;               /* stops alone, to be restarted */
    bool overrun;            /* the present phase has; an extension comes too late */
    unsigned overruns, asks; /* asks: how often ready was called */
    int64_t gap;             /* from "not yet" to the next ask */
    int64_t limit;           /* no overrun before this */
    int64_t stop_from;       /* when it was cancelled or turned SHUTTING_DOWN */
    int64_t overrun_at;      /* the last one */
    int64_t not_ready_at;    /* when the ready verb last said so, or STARTING began */

    bool ever_running, given_up;
    bool restart_due;   /* RESTARTING was announced, the new life has not begun */
    int64_t restart_at; /* not before this */
    unsigned restarts;
    int64_t restarted[MODEL_RESTARTS]; /* a ring of when */
};

struct model {
    const struct model_setup *setup;
    struct model_service services[MODEL_SERVICES];
    int64_t began, asked_at, wake, extended_ns, overslept_ns;
    bool asked;  /* a stop was asked for, or something failed for good */
    bool drains; /* asked by a signal or a request, and nothing has failed since */
    bool late;   /* an event came after a wake that was missed: either order is right */
    bool started, draining, stopping, done, bad;
    struct sequence_outcome expected; /* the cause the last event must have led to */
    struct sequence_outcome outcome;  /* the last one seen */
    int exit_least;
    unsigned stuck;
    char violation[200]; /* "" = none */
};

void model_begin(struct model *m, const struct model_setup *setup, int64_t now);

/* Before sequence_feed, after each sequence_next that was true, and once it was false. */
void model_fed(struct model *m, const struct sequence_event *event, int64_t now);
void model_took(struct model *m, const struct sequence_action *action, int64_t now);
void model_quiet(struct model *m, const struct sequence *seq, int64_t now);

/* Keeps the first violation. */
void model_violated(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool model_flies(const struct model_service *s);

/* Notes by how much the owner has overslept the wake, which no limit can make up for. */
void model_look(struct model *m, int64_t now);

/* Ended or given up; and: is everything of the later units? */
bool model_ended(const struct model_service *s);
bool model_turn(const struct model *m, unsigned service);

#endif
