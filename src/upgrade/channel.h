/* SPDX-License-Identifier: MIT
 *
 * A SOCK_SEQPACKET pair between two generations: whole messages, with descriptors. Never blocks,
 * never raises SIGPIPE. Threads: one at a time.
 */
#ifndef UPGRADE_CHANNEL_H
#define UPGRADE_CHANNEL_H

#include "upgrade/handover.h"

#include <stdbool.h>

/* Both ends close-on-exec and non-blocking. 0 or a negative errno. */
int channel_pair(int ends[2]);

/* True when fd is one end of such a pair that the process `pid` made (SO_PEERCRED), and of type
 * SOCK_SEQPACKET: what an environment variable claims is not believed. */
bool channel_is_from(int fd, int pid);

/* Sends one message with count descriptors (copies travel; they stay the caller's).
 * 0; -EAGAIN: the other side does not read; -EPIPE: it has gone; -EINVAL: not as many as the
 * message announces (see below), or as handover_encode; -ETOOMANYREFS, -EBADF, ... from the system;
 * -ENOMEM and -ENOBUFS when it was so three times. */
int channel_send(int fd, const struct handover_message *message, const int *fds, unsigned count);

/* Is most of the way free? Else what may come later or never is not sent: the rest is for what the
 * other side waits for, should it not read for a while. */
bool channel_has_room(int fd);

/* Takes one message; what came with it (close-on-exec) is the caller's: *count of them, at most
 * HANDOVER_BATCH_MAX. 0; -EAGAIN: none; -EPIPE: the other side has gone; -EBADMSG: garbage, or
 * descriptors were lost on the way (MSG_CTRUNC, MSG_TRUNC), or fewer or more descriptors than the
 * message announces (BATCH: entry_count; WELCOME: 1; all others: 0); -EMFILE: this process cannot
 * have as many descriptors, and the message is lost; -EPROTONOSUPPORT: a type we do not know. On an
 * error nothing is left open and *count is 0. */
int channel_receive(int fd, struct handover_message *message, int *fds, unsigned *count);

/* Waits for something to receive, be it the end, until a monotonic time. 0, -ETIMEDOUT, or another
 * negative errno. */
int channel_wait(int fd, int64_t until_ns);

#endif
