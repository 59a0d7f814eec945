/* SPDX-License-Identifier: MIT
 *
 * The HTTP service: it listens in init, accepts in run, and drains at the end of run. SIGHUP
 * upgrades it, and no client notices. What it answers is up to the program: its routes.
 */
#ifndef SERVER_H
#define SERVER_H

#include "traffic.h"

#include <srun/srun.h>

#define SERVER_ADDRESS_MAX 256

struct MHD_Daemon;
struct route; /* request.h */

/* The program sets the first three, before the service starts; flags set the next two; the rest is
 * the server's. */
struct server {
    const struct route *routes;       /* what is answered; the last one has no path */
    size_t body_max;                  /* of a request, in bytes */
    void *app;                        /* what the routes need */
    char address[SERVER_ADDRESS_MAX]; /* as srun_listen takes it */
    int64_t linger_ms;

    srun_context *ctx; /* of the service */
    srun_logger *log;
    srun_instrument *requests, *durations; /* by route and code; by route */
    struct srun_run_info info;
    int64_t started_ms;
    int listener; /* -1 when closed */
    struct MHD_Daemon *daemon;
    struct traffic traffic;
};

/* From now on each response is the last one of its connection: this service stops, or a newer
 * generation of the program serves. */
bool server_lets_go(struct server *server);

/* --http.address and --http.linger, with their defaults. */
int server_add_flags(srun_runner *runner, struct server *server, srun_err *err);

extern const struct srun_service_ops server_ops;

#endif
