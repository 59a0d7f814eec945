/* SPDX-License-Identifier: MIT
 *
 * A sequence, its oracle, a clock, and the environment's choices: what may happen next. One order
 * of events is a list of steps, so that it can be replayed and made smaller.
 */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "model.h"

#include <stddef.h>

#define WORLD_STEPS 4000
#define WORLD_CHOICES 64

enum step_kind {
    STEP_FEED,
    STEP_WAKE, /* the clock moves to the next wake */
    STEP_PASS, /* the clock moves by pass_ns, and nobody looks before the next step */
};

struct step {
    enum step_kind kind;
    struct sequence_event event;
    int64_t pass_ns;
};

/* Of the tail: who answers when nobody chooses? */
enum world_manner { WORLD_ANSWERS, WORLD_IS_SILENT };

struct world {
    const struct model_setup *setup;
    struct sequence *seq;
    struct model model;
    int64_t now;
    bool aloud;      /* print what happens */
    bool asked;      /* SHUTDOWN was fed */
    uint64_t digest; /* of the order in which things ended */
    unsigned long long events, actions;
    unsigned count;
    struct step steps[WORLD_STEPS];
};

/* false: out of memory. */
bool world_begin(struct world *w, const struct model_setup *setup, bool aloud);
void world_end(struct world *w);

void world_step(struct world *w, const struct step *step);

/* DONE was taken, a promise was broken, or it takes too many steps, which is a broken promise. */
bool world_is_over(struct world *w);

/* After DONE: whatever comes now changes nothing. */
void world_after(struct world *w);

/* What may happen next, the most natural first. At least one unless it is over. */
unsigned world_choices(const struct world *w, enum world_manner manner, struct step *out);

/* Plays the steps, then silence to the end. The text of the violation is left in w->model. */
bool world_replay(struct world *w, const struct model_setup *setup, const struct step *steps,
                  unsigned count, bool aloud);

/* Prints what is left of the order in w when all that is not needed to fail has been dropped. */
void world_explain(const struct world *w);

#endif
