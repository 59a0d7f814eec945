/* SPDX-License-Identifier: MIT
 *
 * Knows whether this process is a fork of the one in which something was made. A forked child has
 * none of the runner's threads; calls there answer SRUN_EFORK and do nothing. Threads: any.
 */
#ifndef FORK_H
#define FORK_H

#include <stdbool.h>

/* A stamp of this process; taken when a runner is made. */
unsigned fork_stamp(void);

/* Has the process forked since? One atomic load. */
bool forked_since(unsigned stamp);

#endif
