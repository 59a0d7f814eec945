/* SPDX-License-Identifier: MIT
 *
 * Profiles that are kept without being asked for, when SRUN_CAPTURE says so: of a process that is
 * busy for long, and the stacks of all threads when a service seems to hang. One thread looks at
 * the processor time a few times in that span, and takes what is to be kept; off, there is none.
 * Threads: control, unless said otherwise.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "admin/admin.h"
#include "service.h"

/* Before the services start. What goes wrong is warned about, and nothing is kept. */
void capture_start(srun_runner *runner);

/* Ends what is being taken, and the thread; false: it does not end, and uses what is there. Later
 * calls do nothing. Threads: who frees the runner. */
bool capture_end(srun_runner *runner);

/* After the admin port has gone. */
void capture_free(srun_runner *runner);

/* A service is in this state from now on; its limit counts from here. */
void capture_state(srun_runner *runner, const struct service *service, srun_state state,
                   int64_t now);

/* A service seems to hang: why, as "its heartbeat is missed". */
void capture_hang(srun_runner *runner, const struct service *service, const char *why, int64_t now);

/* Looks whose limit is nearly over, and when the next one's will be: clock time. */
void capture_turn(srun_runner *runner, int64_t now);
int64_t capture_wake(const srun_runner *runner);

/* As in struct admin_host. */
size_t capture_list(srun_runner *runner, struct admin_capture *out, size_t capacity);
int capture_get(srun_runner *runner, uint64_t number, enum admin_form form,
                struct admin_capture *about, struct buf *out);

#endif
