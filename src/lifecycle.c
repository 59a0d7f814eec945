/* SPDX-License-Identifier: MIT */
#include "lifecycle.h"

/* next[state][event], plus one so that what is not named is 0 and refused. */
#define TO(state) ((state) + 1)

/* clang-format off */
static const unsigned char next[LIFECYCLE_STATES][LIFECYCLE_EVENTS] = {
    [SRUN_STOPPED]       = {[LIFECYCLE_INIT]      = TO(SRUN_INITIATING)},
    [SRUN_INITIATING]    = {[LIFECYCLE_INIT_DONE] = TO(SRUN_INITIATED),
                            [LIFECYCLE_STOP]      = TO(SRUN_SHUTTING_DOWN)},
    [SRUN_INITIATED]     = {[LIFECYCLE_RUN]       = TO(SRUN_STARTING),
                            [LIFECYCLE_STOP]      = TO(SRUN_SHUTTING_DOWN)},
    [SRUN_STARTING]      = {[LIFECYCLE_READY]     = TO(SRUN_RUNNING),
                            [LIFECYCLE_STOP]      = TO(SRUN_SHUTTING_DOWN)},
    [SRUN_RUNNING]       = {[LIFECYCLE_STOP]      = TO(SRUN_SHUTTING_DOWN)},
    [SRUN_SHUTTING_DOWN] = {[LIFECYCLE_STOP_DONE] = TO(SRUN_STOPPED)},
};
/* clang-format on */

int lifecycle_next(srun_state state, enum lifecycle_event event)
{
    if ((unsigned)state >= LIFECYCLE_STATES || (unsigned)event >= LIFECYCLE_EVENTS)
        return -1;
    return next[state][event] - 1;
}

const char *srun_state_name(srun_state state)
{
    static const char *const names[LIFECYCLE_STATES] = {
        [SRUN_STOPPED] = "STOPPED",     [SRUN_INITIATING] = "INITIATING",
        [SRUN_INITIATED] = "INITIATED", [SRUN_STARTING] = "STARTING",
        [SRUN_RUNNING] = "RUNNING",     [SRUN_SHUTTING_DOWN] = "SHUTTING_DOWN",
    };
    return (unsigned)state < LIFECYCLE_STATES ? names[state] : "UNKNOWN";
}
