/* SPDX-License-Identifier: MIT
 *
 * Threads that do everything that a program may do while it is upgraded: start and reap children,
 * open and close, log, allocate, accept, keep and forget what is to be handed over, and ask.
 */
#ifndef ENDURE_BUSY_H
#define ENDURE_BUSY_H

#include <srun/srun.h>
#include <stdint.h>

#define BUSY_THREADS_MAX 64

/* Set before the service starts. */
struct busy {
    int64_t threads;
    char child[512]; /* a program that fails when it has inherited a descriptor */
};

extern const struct srun_service_ops busy_ops;

#endif
