/* SPDX-License-Identifier: MIT
 *
 * The service's own thread while it runs: accepts, looks at new connections until their request
 * head is complete, ends what takes too long, and sleeps when there is nothing to watch.
 */
#ifndef ADMIN_WATCH_H
#define ADMIN_WATCH_H

#include "admin/server.h"

struct watch_listener {
    int fd;           /* of srun_listen; -1: there is none */
    const char *name; /* for srun_listen_close */
    bool loopback;
};

/* Until the service is cancelled; then answers what is within a request, for at most 2 s, and
 * closes the listeners. 0 or a negative code. */
int watch(struct server *server, const struct watch_listener *listeners, size_t count,
          srun_err *err);

#endif
