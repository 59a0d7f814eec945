/* SPDX-License-Identifier: MIT
 *
 * libpq with an end to every wait: a server that is frozen, or behind a cable that was pulled,
 * costs the time limit and no more. Deadlines are monotonic milliseconds. Threads: one per
 * connection.
 */
#ifndef PQ_H
#define PQ_H

#include <libpq-fe.h>
#include <srun/srun.h>

struct pq_statement {
    const char *name, *text;   /* the name is for spans and metrics */
    int count;                 /* of values; 0: text may be several statements, one transaction */
    const char *const *values; /* of $1, $2, ... */
};

/* timeout_ms is for each statement: the server gives up as well, and rolls back. -ECONNREFUSED,
 * -ETIMEDOUT. To look up the name of a host takes as long as the resolver does. */
int pq_connect(const char *url, int64_t timeout_ms, int64_t deadline_ms, PGconn **out,
               srun_err *err);

/* 0, with a result that the caller clears. Nothing was changed: -ENOENT, -EEXIST and -ERANGE, a
 * foreign key, a unique key and a check were violated; -EAGAIN, not now; -EPROTO, not at all. It
 * may or may not have been done: -ETIMEDOUT, -ECONNRESET; then the connection is of no more use. */
int pq_run(PGconn *connection, const struct pq_statement *statement, int64_t deadline_ms,
           PGresult **out, srun_err *err);

#endif
