/* SPDX-License-Identifier: MIT
 *
 * The service postgres: a pool of connections to one database, and how that is. Its health is found
 * out twice: asked (a query with a time limit), and pushed, the moment the server hangs up.
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include "pq.h"

#include <pthread.h>
#include <stdbool.h>

#define POSTGRES_CONNECTIONS_MAX 64

struct postgres {
    const char *url; /* these three are flags */
    int64_t connections, timeout_ms;

    srun_context *ctx;
    srun_series *used;
    srun_instrument *durations;
    pthread_mutex_t lock; /* guards the next three */
    pthread_cond_t given_back;
    int64_t in_use, idle_count;
    PGconn *idle[POSTGRES_CONNECTIONS_MAX];
    pthread_mutex_t sentinel_lock; /* guards the next two */
    PGconn *sentinel; /* not of the pool: run listens for its end, the check asks over it */
    srun_err why;     /* there is none */
};

/* Adds the service and its flags. */
int postgres_add(srun_runner *runner, struct postgres *postgres, srun_err *err);

/* One statement, a transaction of its own, within --postgres.timeout, which includes the wait for a
 * connection: -EAGAIN if none comes. Else as pq_run. err is not NULL. Threads: any. */
int postgres_run(struct postgres *postgres, const struct pq_statement *statement, PGresult **out,
                 srun_err *err);

/* Of who needs it. What is unknown, because nobody has said it yet or health is off, may be tried.
 */
static inline bool is_down(srun_health_status status)
{
    return status == SRUN_HEALTH_UNHEALTHY || status == SRUN_HEALTH_STOPPED;
}

#endif
