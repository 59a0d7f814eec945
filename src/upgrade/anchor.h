/* SPDX-License-Identifier: MIT
 *
 * The anchor: a small first process for whoever watches one pid (PID 1 of a container, runit, a
 * shell). It owns nothing, starts the program once more as generation 1, and stays until the last
 * generation has ended: hands signals to the one that serves, and reaps whatever becomes its child.
 * One thread, asleep until a signal comes.
 */
#ifndef UPGRADE_ANCHOR_H
#define UPGRADE_ANCHOR_H

#include <srun/error.h>
#include <stdbool.h>

/* May this process become one? Not when it is a generation itself, or runs with more rights than
 * its starter. */
bool anchor_is_due(void);

/* Becomes the anchor: before any other thread exists. Returns when the last generation has ended,
 * with the exit code of the one that served last, 128+n when signal n killed it (unless this
 * process can be killed by it too, and does not return); its signals stay blocked, and every
 * descriptor but the standard streams is closed. Negative errno with a text: nothing was started.
 */
int anchor_run(srun_err *err);

#endif
