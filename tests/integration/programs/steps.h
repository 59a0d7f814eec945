/* SPDX-License-Identifier: MIT
 *
 * What a scripted service does in a verb: steps, one after another, until one of them answers.
 */
#ifndef STEPS_H
#define STEPS_H

#include <srun/srun.h>

/* One call of a verb. */
struct call {
    srun_context *ctx;
    const char *verb;  /* "init", "run", "ready", "stop", "test" */
    int number;        /* 1 for the first call of this verb */
    const char *value; /* what follows the step's name, or "" */
    srun_err *err;
};

/* Does "sleep:10ms,ready,block": 0 at the end of the steps, or what the step that ends them
 * answers. A step that nobody knows is -EINVAL. */
int steps_do(const char *steps, struct call *call);

/* A duration as flags read it, in ms; ends the program with 99 when it is none. */
int64_t steps_ms(const char *text);

#endif
