/* SPDX-License-Identifier: MIT */
#include "postgres.h"

#include "../clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define RETRY_MS 200 /* between two attempts to connect, while the database is away */

/* --- the pool -------------------------------------------------------------------------------- */

/* Only a connection on which nothing is open is kept. */
static void give_back(struct postgres *postgres, PGconn *connection)
{
    bool good = PQtransactionStatus(connection) == PQTRANS_IDLE;
    srun_series_add(postgres->used, -1);
    pthread_mutex_lock(&postgres->lock);
    postgres->in_use--;
    if (good)
        postgres->idle[postgres->idle_count++] = connection;
    pthread_cond_signal(&postgres->given_back);
    pthread_mutex_unlock(&postgres->lock);
    if (!good)
        PQfinish(connection);
}

/* A place in the pool: *out is NULL when its connection has yet to be made. */
static bool take_place(struct postgres *postgres, int64_t deadline_ms, PGconn **out)
{
    struct timespec at = timespec_of_ms(deadline_ms);
    pthread_mutex_lock(&postgres->lock);
    while (postgres->in_use == postgres->connections &&
           pthread_cond_timedwait(&postgres->given_back, &postgres->lock, &at) == 0)
        continue;
    bool mine = postgres->in_use < postgres->connections;
    postgres->in_use += mine;
    *out = mine && postgres->idle_count > 0 ? postgres->idle[--postgres->idle_count] : NULL;
    pthread_mutex_unlock(&postgres->lock);
    srun_series_add(postgres->used, mine);
    return mine;
}

static int take(struct postgres *postgres, int64_t deadline_ms, PGconn **out, srun_err *err)
{
    if (!take_place(postgres, deadline_ms, out))
        return srun_fail(err, -EAGAIN, "all connections are in use");
    struct pollfd socket = {.fd = PQsocket(*out), .events = POLLIN};
    if (*out != NULL && poll(&socket, 1, 0) != 0) { /* nobody asked: the server has hung up */
        PQfinish(*out);
        *out = NULL;
    }
    if (*out != NULL || pq_connect(postgres->url, postgres->timeout_ms, deadline_ms, out, err) == 0)
        return 0;
    give_back(postgres, NULL);
    return err->code = -EAGAIN; /* nothing was sent */
}

int postgres_run(struct postgres *postgres, const struct pq_statement *statement, PGresult **out,
                 srun_err *err)
{
    int64_t began_ms = monotonic_ms(), deadline_ms = began_ms + postgres->timeout_ms;
    const struct srun_kv *attributes = SRUN_KVS(SRUN_STR("db.system.name", "postgresql"),
                                                SRUN_STR("db.operation.name", statement->name));
    srun_span span = srun_span_start(srun_context_tracer(postgres->ctx), statement->name,
                                     SRUN_SPAN(.kind = SRUN_SPAN_CLIENT, .attributes = attributes));
    PGconn *connection = NULL;
    int rc = take(postgres, deadline_ms, &connection, err);
    if (rc == 0) {
        rc = pq_run(connection, statement, deadline_ms, out, err);
        give_back(postgres, connection);
    }
    if (rc < 0)
        srun_span_error(&span, rc, err->text);
    srun_span_end(&span);
    srun_record(postgres->durations, (double)(monotonic_ms() - began_ms) / 1000, attributes);
    return rc;
}

/* --- the service ----------------------------------------------------------------------------- */

static int connect_sentinel(struct postgres *postgres, PGconn **out, srun_err *err)
{
    return pq_connect(postgres->url, postgres->timeout_ms, monotonic_ms() + postgres->timeout_ms,
                      out, err);
}

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct postgres *postgres = self;
    if (postgres->connections < 1 || postgres->connections > POSTGRES_CONNECTIONS_MAX)
        return srun_fail(err, -EINVAL, "--postgres.connections: accepted are 1 to %d",
                         POSTGRES_CONNECTIONS_MAX);
    if (postgres->timeout_ms < 1 || postgres->timeout_ms > 60000)
        return srun_fail(err, -EINVAL, "--postgres.timeout: accepted are 1ms to 1m");
    srun_meter *meter = srun_context_meter(ctx);
    postgres->ctx = ctx;
    postgres->used = srun_bind(
        srun_up_down_counter(meter, "db.client.connection.count",
                             SRUN_INSTRUMENT(.unit = "{connection}", .help = "Of the pool.")),
        SRUN_KVS(SRUN_STR("db.client.connection.state", "used")));
    postgres->durations =
        srun_histogram(meter, "db.client.operation.duration",
                       SRUN_INSTRUMENT(.unit = "s", .help = "With the wait for a connection."));
    return connect_sentinel(postgres, &postgres->sentinel, err);
}

/* Waits until the server hangs up: true; or until the service has to stop. The answer to a check
 * wakes it as well. */
static bool hangs_up(struct postgres *postgres, srun_context *ctx, int cancel_fd)
{
    struct pollfd fds[] = {{.fd = PQsocket(postgres->sentinel), .events = POLLIN},
                           {.fd = cancel_fd, .events = POLLIN}};
    bool lost = false;
    while (!lost && !srun_cancelled(ctx)) {
        (void)poll(fds, 2, -1);
        pthread_mutex_lock(&postgres->sentinel_lock);
        lost = !PQconsumeInput(postgres->sentinel);
        pthread_mutex_unlock(&postgres->sentinel_lock);
    }
    return !srun_cancelled(ctx);
}

/* Who depends on it hears of a push at once. */
static void replace(struct postgres *postgres, PGconn *sentinel, const srun_err *why)
{
    pthread_mutex_lock(&postgres->sentinel_lock);
    PQfinish(postgres->sentinel);
    postgres->sentinel = sentinel;
    postgres->why = *why;
    pthread_mutex_unlock(&postgres->sentinel_lock);
    if (sentinel == NULL)
        srun_health_push(postgres->ctx, SRUN_HEALTH_UNHEALTHY, why->text);
    else
        srun_health_push(postgres->ctx, SRUN_HEALTH_HEALTHY, NULL);
}

/* That a backend has gone is no news as long as another one comes. */
static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct postgres *postgres = self;
    int cancel_fd = srun_cancel_fd(ctx);
    if (cancel_fd < 0)
        return srun_fail(err, cancel_fd, "%s", srun_strerror(cancel_fd));
    srun_ready(ctx);
    while (hangs_up(postgres, ctx, cancel_fd)) {
        PGconn *sentinel = NULL;
        while (connect_sentinel(postgres, &sentinel, err) < 0) {
            if (postgres->sentinel != NULL || strcmp(err->text, postgres->why.text) != 0)
                replace(postgres, NULL, err);
            if (srun_sleep_ms(ctx, RETRY_MS) < 0)
                return 0;
        }
        replace(postgres, sentinel, &(srun_err){0});
    }
    return 0;
}

/* A server that does not answer is as good as gone: hanging up wakes run, which connects anew. */
static int health(void *self, srun_context *ctx, srun_err *err)
{
    struct postgres *postgres = self;
    PGresult *answer = NULL;
    (void)ctx;
    pthread_mutex_lock(&postgres->sentinel_lock);
    int rc = postgres->sentinel != NULL
                 ? pq_run(postgres->sentinel, &(struct pq_statement){.text = "SELECT 1"},
                          monotonic_ms() + postgres->timeout_ms, &answer, err)
                 : srun_fail(err, postgres->why.code, "%s", postgres->why.text);
    if (rc < 0 && postgres->sentinel != NULL)
        shutdown(PQsocket(postgres->sentinel), SHUT_RDWR);
    pthread_mutex_unlock(&postgres->sentinel_lock);
    PQclear(answer);
    return rc;
}

/* All who used it have stopped before; run may still be on its way out. */
static int stop(void *self, srun_context *ctx, srun_err *err)
{
    struct postgres *postgres = self;
    (void)ctx, (void)err;
    pthread_mutex_lock(&postgres->lock);
    while (postgres->idle_count > 0)
        PQfinish(postgres->idle[--postgres->idle_count]);
    pthread_mutex_unlock(&postgres->lock);
    return 0;
}

static void destroy(void *self)
{
    PQfinish(((struct postgres *)self)->sentinel);
}

int postgres_add(srun_runner *runner, struct postgres *postgres, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops,
                                                .init = init,
                                                .run = run,
                                                .stop = stop,
                                                .health = health,
                                                .destroy = destroy};
    pthread_mutex_init(&postgres->lock, NULL);
    monotonic_cond_init(&postgres->given_back);
    pthread_mutex_init(&postgres->sentinel_lock, NULL);
    int rc = srun_flag_string(runner, &postgres->url, "postgres.url", "",
                              "postgresql://HOST/DATABASE; PG* variables say the rest", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &postgres->connections, "postgres.connections", 8,
                           "how many at most; one more listens", err);
    if (rc == 0)
        rc = srun_flag_duration_ms(runner, &postgres->timeout_ms, "postgres.timeout", 1000,
                                   "the limit of a statement, and of connecting", err);
    return rc == 0 ? srun_runner_add(runner, "postgres", &ops, postgres, NULL, err) : rc;
}
