/* SPDX-License-Identifier: MIT
 *
 * The HTTP service: it listens in init, accepts in run, and drains at the end of run. SIGHUP
 * upgrades it, and no client notices.
 */
#ifndef SERVER_H
#define SERVER_H

#include "store.h"
#include "traffic.h"
#include "upstream.h"

#include <srun/srun.h>

#define SERVER_ADDRESS_MAX 256

struct MHD_Daemon;

/* Set address, linger_ms, upstream and store before the service starts; the rest is the server's.
 */
struct server {
    char address[SERVER_ADDRESS_MAX]; /* as srun_listen takes it */
    int64_t linger_ms;
    struct upstream upstream;
    struct store *store;

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

extern const struct srun_service_ops server_ops;

#endif
