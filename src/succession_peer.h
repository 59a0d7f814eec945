/* SPDX-License-Identifier: MIT
 *
 * The other process of an upgrade: starting it, what leads to it, what is said. succession.c
 * decides when. Threads: control.
 */
#ifndef SUCCESSION_PEER_H
#define SUCCESSION_PEER_H

#include "runner.h"

/* Tells the machine. */
void peer_feed(srun_runner *runner, const struct machine_event *event);
void peer_feed_kind(srun_runner *runner, enum machine_event_kind kind);

/* Starts it, on a thread of the pool; start_launch: nothing stands in its way any more;
 * take_launch: that thread is done. */
void peer_launch(srun_runner *runner, int64_t now);
void peer_start_launch(srun_runner *runner);
void peer_take_launch(srun_runner *runner);
void peer_drop_launch(srun_runner *runner); /* at the end, when nobody takes it any more */

/* Channel, pidfd and number of a process that lives. 0 or a negative errno. */
int peer_watch(srun_runner *runner, int channel, int peer_fd, int peer_pid);

/* It is over. */
void peer_forget(srun_runner *runner);

/* Closes a descriptor that the poller watches, if there is one. */
void peer_close(srun_runner *runner, int *fd);

void peer_say(srun_runner *runner, enum handover_type type);
void peer_hand_over(srun_runner *runner); /* the next batch */

#endif
