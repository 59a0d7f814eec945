/* SPDX-License-Identifier: MIT
 *
 * The life of one service as a table: state x event -> state. PURE: no clock, no I/O, no threads.
 * docs/lifecycle.md draws the same arrows, and a test compares the two.
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include <srun/service.h>

#define LIFECYCLE_STATES 6

enum lifecycle_event {
    LIFECYCLE_INIT,      /* init is about to be called */
    LIFECYCLE_INIT_DONE, /* init returned 0 */
    LIFECYCLE_RUN,       /* run is about to be called */
    LIFECYCLE_READY,     /* ready returned 0, or srun_ready was called */
    LIFECYCLE_STOP,      /* its turn to stop has come, or it failed */
    LIFECYCLE_STOP_DONE, /* stop returned and its thread is joined */
    LIFECYCLE_EVENTS
};

/* The next state, or -1: refused, an edge that is not drawn. */
int lifecycle_next(srun_state state, enum lifecycle_event event);

#endif
