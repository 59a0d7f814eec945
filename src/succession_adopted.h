/* SPDX-License-Identifier: MIT
 *
 * Once the old process has ended, systemd is the parent of this one, and has to be made to notice:
 * see upgrade/standin.h. Threads: control.
 */
#ifndef SUCCESSION_ADOPTED_H
#define SUCCESSION_ADOPTED_H

#include "runner.h"

/* Begins, on a thread of the pool, if there is a service manager. The next upgrade waits until it
 * is over, since nobody else may name a main process meanwhile; take: it is. */
void adopted_tell(srun_runner *runner);
void adopted_take(srun_runner *runner);
bool adopted_is_telling(const srun_runner *runner);

/* This process ends: nothing is waited for any more. */
void adopted_end(srun_runner *runner);
void adopted_destroy(srun_runner *runner);

#endif
