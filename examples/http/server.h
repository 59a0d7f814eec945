/* SPDX-License-Identifier: MIT
 *
 * The HTTP service: it listens in init, accepts in run, and drains at the end of run.
 */
#ifndef SERVER_H
#define SERVER_H

#include "address.h"
#include "store.h"
#include "traffic.h"

#include <srun/srun.h>

struct MHD_Daemon;

/* Set address, linger_ms and store before the service starts; the rest is the server's. */
struct server {
    struct address address; /* after init: the one in use, so a port 0 has become a number */
    int64_t linger_ms;
    struct store *store;

    srun_logger *log;
    struct srun_run_info info;
    int64_t started_ms;
    int listener; /* -1 when closed */
    struct MHD_Daemon *daemon;
    struct traffic traffic;
};

extern const struct srun_service_ops server_ops;

#endif
