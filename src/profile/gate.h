/* SPDX-License-Identifier: MIT
 *
 * Who has SIGPROF. While somebody profiles it is ours, and goes to cpu (timers) or to threads
 * (questions); otherwise it is as the program has left it, and no handler of ours is installed.
 * What a handler reads may be changed and freed after gate_settle. Threads: any; the handler's
 * part as it says.
 */
#ifndef PROFILE_GATE_H
#define PROFILE_GATE_H

#include <srun/error.h>
#include <stdbool.h>

#define GATE_SIGNAL SIGPROF

/* Counted. 0; -EBUSY: the program has a handler of its own; -ENOTSUP: under the thread sanitizer,
 * which holds signals back until it suits it. */
int gate_open(srun_err *err);

/* The last one gives the signal back. Nobody may send it any more. */
void gate_close(void);

/* Returns when every handler that had begun before has ended. */
void gate_settle(void);

/* Does a thread block the signal, as the kernel sees it from outside? False too when it has gone.
 */
bool gate_is_blocked_by(int tid);

#endif
