/* SPDX-License-Identifier: MIT
 *
 * A level of the log that somebody wants for a while: when that is over, the one from before comes
 * back, unless the program has set another one meanwhile. It has a timer of its own, which the
 * admin service's thread watches; while nothing waits, nothing wakes. Threads: any.
 */
#ifndef ADMIN_REVERT_H
#define ADMIN_REVERT_H

#include <srun/log.h>
#include <stdint.h>

#define REVERT_NEVER INT64_MAX

struct revert;

struct revert *revert_new(void); /* NULL: out of memory */
struct revert *revert_free(struct revert *revert);

/* A timer, readable when revert_run has something to do; made on first use, owned by revert. A
 * negative errno when it cannot be made. */
int revert_fd(struct revert *revert);

/* Sets the level, until a time of the monotonic clock or REVERT_NEVER. While another one waits to
 * revert, what comes back in the end is the level from before both. Returns the level that will
 * come back, or this one. */
int revert_set(struct revert *revert, srun_logger *log, int level, int64_t until_ns);

/* Does what is due; returns when it wants to be called next. */
int64_t revert_run(struct revert *revert, srun_logger *log, int64_t now_ns);

/* Milliseconds until the level reverts, -1: it does not. */
int64_t revert_left_ms(struct revert *revert, int64_t now_ns);

#endif
