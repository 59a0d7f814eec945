/* SPDX-License-Identifier: MIT
 *
 * Sockets that the service manager opened (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). Control thread,
 * before any other thread exists.
 */
#ifndef UPGRADE_ACTIVATION_H
#define UPGRADE_ACTIVATION_H

#include "upgrade/handover.h"

#define ACTIVATION_MAX 1024

/* Takes the descriptors that are meant for this process, or for the process `also` (0: none), which
 * has left them to this one: makes them close-on-exec and non-blocking, and calls take for each
 * with its name ("http.socket", or "" when it has none; a second of the same name gets index 1,
 * ...). Those that are no listening stream/seqpacket socket and no datagram socket are left alone
 * and counted in *strange. Removes the three variables. Returns how many were taken, or -EINVAL
 * when a variable is no number or out of range, or -ENOMEM (then nothing was taken). One that is
 * meant for another process counts as none. */
int activation_take(int also, void (*take)(void *arg, int fd, const char *name, unsigned index),
                    void *arg, unsigned *strange);

#endif
