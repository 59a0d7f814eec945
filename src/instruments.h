/* SPDX-License-Identifier: MIT
 *
 * The runner's own metrics: the process, the program, its services, health, upgrades, the log, the
 * admin port. They are observables in the library's own scope, read from what is published anyway
 * when somebody collects; and the reader behind /metrics. Threads: any, but for making and freeing.
 */
#ifndef INSTRUMENTS_H
#define INSTRUMENTS_H

#include "base/buf.h"

#include <srun/runner.h>
#include <stddef.h>

struct instruments;

/* Before the services start. 0 or -ENOMEM. free takes NULL, returns NULL. */
int instruments_new(struct instruments **out, srun_runner *runner);
struct instruments *instruments_free(struct instruments *instruments);

/* Writes all metrics of the program in the format that an Accept header (or NULL) asks for, and its
 * Content-Type. One client at a time, each within 5 s. 0, -ENOMEM, -EBUSY: its turn has not come in
 * that time. */
int instruments_expose(srun_runner *runner, const char *accept, struct buf *out, char *type,
                       size_t size);

/* The same, up to a monotonic time. */
int instruments_expose_until(srun_runner *runner, const char *accept, int64_t deadline_ns,
                             struct buf *out, char *type, size_t size);

#endif
