/* SPDX-License-Identifier: MIT
 *
 * The clients of the test server, all in one thread. A client says lines, on a connection that it
 * may keep:
 *
 *     who        answered by "PID GENERATION keep"; "close" instead of "keep" is the last answer
 *     take N     N bytes follow, and are answered like who
 *     give N     answered by N bytes, and then like who
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <srun/srun.h>
#include <stdbool.h>

#define CLIENTS_LISTENERS_MAX 8

struct clients {
    srun_context *ctx;
    int poller;
    int listeners[CLIENTS_LISTENERS_MAX], gates[CLIENTS_LISTENERS_MAX];
    unsigned listener_count;
    struct client **table; /* by descriptor */
    unsigned alive;
    bool starved; /* no descriptor is left for a client that waits */
};

int clients_init(struct clients *clients, srun_context *ctx, srun_err *err);
int clients_listen(struct clients *clients, int listener, srun_err *err);
void clients_free(struct clients *clients);

/* Serves until it is cancelled and all clients have gone, or linger_ms have passed. */
int clients_serve(struct clients *clients, int64_t linger_ms, srun_err *err);

#endif
