/* SPDX-License-Identifier: MIT
 *
 * A generation's side of the anchor (anchor.h): is there one above this process, and telling it who
 * serves. The news are signals, so that the anchor knows from the kernel who says so.
 */
#ifndef UPGRADE_ANCHORED_H
#define UPGRADE_ANCHORED_H

#include <signal.h>
#include <srun/error.h>
#include <stdbool.h>

#define ANCHORED_VARIABLE "SRUN_ANCHORED" /* the anchor's pid, for generations only */

#define ANCHORED_JOINS (SIGRTMIN + 11)  /* there is one more generation */
#define ANCHORED_SERVES (SIGRTMIN + 12) /* the sender is the one in office */

struct anchored {
    int pid, pidfd; /* of the anchor; 0: there is none, and pidfd means nothing */
};

/* Is this process below the anchor that the variable names? Changes nothing. */
bool anchored_here(void);

/* The same for good, and tells the anchor of this generation. Removes the variable, so that no
 * process of ours takes itself for a generation. 0 also when there is none; a negative errno with a
 * text: the anchor cannot be watched. Before any other thread exists. */
int anchored_begin(struct anchored *anchored, srun_err *err);
void anchored_end(struct anchored *anchored);

/* This process is in office. 0, also without an anchor or when it has ended; -EPERM: this process
 * gave up the right to send it signals. Threads: control. */
int anchored_serves(const struct anchored *anchored);

/* Could it be told? Threads: any. */
bool anchored_hears(const struct anchored *anchored);

#endif
