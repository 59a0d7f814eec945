/* SPDX-License-Identifier: MIT
 *
 * A service that answers every HTTP request with who it is: its generation and its pid. Clients are
 * let go as docs/upgrade.md asks for, so that an upgrade costs none of them a request.
 */
#ifndef ENDURE_ANSWER_H
#define ENDURE_ANSWER_H

#include <srun/srun.h>
#include <stdint.h>

#define ANSWER_SOCKETS_MAX 16

/* Set before the service starts. */
struct answer {
    char address[120];   /* as srun_listen takes it */
    int64_t sockets;     /* on this address, each with a thread of its own */
    int64_t accept_from; /* generations before this one leave connections where they wait */
    int64_t init_ms;     /* how long init takes in later generations */
};

extern const struct srun_service_ops answer_ops;

/* On a connection, once: waits for a request, answers it, and closes the connection. */
void answer_once(srun_context *ctx, int connection);

#endif
