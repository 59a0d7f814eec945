/* SPDX-License-Identifier: MIT
 *
 * How many clients a process still has, so that one can see an old generation empty: its TCP
 * connections that are established, as the kernel lists them. Threads: any.
 */
#ifndef ADMIN_CONNECTED_H
#define ADMIN_CONNECTED_H

#include <stdint.h>

/* -1: not known; the process has gone, or is somebody else's. */
int64_t connected_count(int pid);

#endif
