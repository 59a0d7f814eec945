/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "pq.h"

#include "../clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static int wait_for(PGconn *connection, int events, int64_t deadline_ms, srun_err *err)
{
    struct pollfd socket = {.fd = PQsocket(connection), .events = (short)events};
    int ready;
    do {
        int64_t left = deadline_ms - monotonic_ms();
        ready = left > 0 ? poll(&socket, 1, (int)left) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0 ? 0 : srun_fail(err, -ETIMEDOUT, "the database does not answer in time");
}

/* The first line says it; what follows are hints. */
static int failed(srun_err *err, int code, const char *message)
{
    return srun_fail(err, code, "%.*s", (int)strcspn(message, "\n"), message);
}

/* libpq would write them to stderr. */
static void ignore_notice(void *user, const char *message)
{
    (void)user, (void)message;
}

int pq_connect(const char *url, int64_t timeout_ms, int64_t deadline_ms, PGconn **out,
               srun_err *err)
{
    char options[64];
    snprintf(options, sizeof options, "-c statement_timeout=%lld", (long long)timeout_ms);
    PGconn *connection = PQconnectStartParams(
        (const char *const[]){"dbname", "options", "fallback_application_name", NULL},
        (const char *const[]){url, options, program_invocation_short_name, NULL}, 1);
    int rc = 0;
    PostgresPollingStatusType step =
        PQstatus(connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (rc == 0 && (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING)) {
        int events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        rc = wait_for(connection, events, deadline_ms, err);
        if (rc == 0)
            step = PQconnectPoll(connection);
    }
    if (rc == 0 && (step != PGRES_POLLING_OK || PQsetnonblocking(connection, 1) < 0))
        rc = failed(err, -ECONNREFUSED, PQerrorMessage(connection));
    if (rc < 0) {
        PQfinish(connection);
        return rc;
    }
    PQsetNoticeProcessor(connection, ignore_notice, NULL);
    *out = connection;
    return 0;
}

/* Until PQgetResult does not block. When the connection is lost it does not, and says so. */
static int wait_for_result(PGconn *connection, int64_t deadline_ms, srun_err *err)
{
    int rc = 0, unsent = 0, alive = 1;
    while (rc == 0 && alive &&
           ((unsent = PQflush(connection)) > 0 || (unsent == 0 && PQisBusy(connection)))) {
        rc = wait_for(connection, unsent > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ms, err);
        alive = rc == 0 && PQconsumeInput(connection);
    }
    return rc;
}

/* By the SQLSTATE, or the class with which it begins. */
static int code_of(const char *state)
{
    static const struct {
        const char *state;
        int code;
    } known[] = {{"23503", -ENOENT}, {"23505", -EEXIST}, {"23514", -ERANGE}, {"08", -EAGAIN},
                 {"40", -EAGAIN},    {"53", -EAGAIN},    {"57", -EAGAIN},    {"", -EPROTO}};
    size_t i = 0;
    while (strncmp(state, known[i].state, strlen(known[i].state)) != 0)
        i++;
    return known[i].code;
}

int pq_run(PGconn *connection, const struct pq_statement *statement, int64_t deadline_ms,
           PGresult **out, srun_err *err)
{
    PGresult *result = NULL, *next = NULL;
    int sent = statement->count == 0
                   ? PQsendQuery(connection, statement->text)
                   : PQsendQueryParams(connection, statement->text, statement->count, NULL,
                                       statement->values, NULL, NULL, 0);
    int rc = sent ? 0 : failed(err, -ECONNRESET, PQerrorMessage(connection));
    while (rc == 0 && (rc = wait_for_result(connection, deadline_ms, err)) == 0 &&
           (next = PQgetResult(connection)) != NULL) {
        PQclear(result);
        result = next; /* nothing comes after an error */
    }
    ExecStatusType status = PQresultStatus(result);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (rc == 0 && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        rc = state != NULL ? failed(err, code_of(state), PQresultErrorMessage(result))
                           : failed(err, -ECONNRESET, PQerrorMessage(connection));
    if (rc == 0)
        *out = result;
    else
        PQclear(result);
    return rc;
}
