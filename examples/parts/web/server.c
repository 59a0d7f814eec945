/* SPDX-License-Identifier: MIT
 *
 * The stop loses nothing that was accepted. The order matters: take what is in the backlog, close
 * the listener, and only then tell clients to hang up, so that none of them comes back to a port
 * that is about to vanish. Connections have a thread each: a slow request delays nobody.
 */
#include "server.h"
#include "request.h"

#include "../clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONNECTIONS_MAX 256
#define CONNECTIONS_HARD_MAX 1024 /* when the backlog is emptied at the end */
#define LINGER_MS_MAX 300000
#define IDLE_SECONDS 60
#define STACK_BYTES (512 * 1024)

bool server_lets_go(struct server *server)
{
    return srun_draining(server->ctx) || traffic_is_draining(&server->traffic);
}

static int set_address(void *user, const char *value, srun_err *err)
{
    struct server *server = user;
    bool whole = strstr(value, "://") != NULL;
    snprintf(server->address, sizeof server->address, "%s%s", whole ? "" : "tcp://", value);
    return srun_listen_check(server->address, err);
}

int server_add_flags(srun_runner *runner, struct server *server, srun_err *err)
{
    int rc = set_address(server, "127.0.0.1:8080", err);
    if (rc < 0)
        return rc;

    rc = srun_flag_custom(runner, "http.address", "IP:PORT", set_address, server,
                          "where to listen, port 0: a free one; or unix:///PATH [127.0.0.1:8080]",
                          err);
    if (rc < 0)
        return rc;

    return srun_flag_duration_ms(runner, &server->linger_ms, "http.linger", 500,
                                 "how long a stop leaves idle connections open", err);
}

/* An address in use shows here, before any service runs. The name is how the next generation finds
 * the socket. */
static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct server *server = self;
    if (server->linger_ms < 0 || server->linger_ms > LINGER_MS_MAX)
        return srun_fail(err, -EINVAL, "--http.linger: accepted are 0s to %ds",
                         LINGER_MS_MAX / 1000);

    int rc = srun_listen(ctx, "http", server->address, &server->listener, err);
    if (rc < 0)
        return rc;

    traffic_init(&server->traffic);
    srun_runner_info(srun_context_runner(ctx), &server->info);
    server->ctx = ctx;
    server->log = srun_context_log(ctx);
    srun_meter *meter = srun_context_meter(ctx);
    server->requests =
        srun_counter(meter, "http.server.requests",
                     SRUN_INSTRUMENT(.unit = "{request}", .help = "Requests that were answered."));
    server->durations = srun_histogram(
        meter, "http.server.request.duration",
        SRUN_INSTRUMENT(.unit = "s", .help = "From the headers of a request to its last byte."));
    server->started_ms = monotonic_ms();
    return 0;
}

static void on_error(void *cls, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void on_error(void *cls, const char *format, va_list arguments)
{
    char text[256];
    int length = vsnprintf(text, sizeof text, format, arguments);
    while (length > 0 && (length >= (int)sizeof text || text[length - 1] == '\n'))
        length = length >= (int)sizeof text ? (int)sizeof text - 1 : length - 1;
    SRUN_WARN(((struct server *)cls)->log, "microhttpd", SRUN_TEXT("text", text, (size_t)length));
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode what)
{
    (void)connection, (void)state;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED)
        traffic_connection_closed(&((struct server *)cls)->traffic);
}

static int start_daemon(struct server *server, srun_err *err)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET;
    if (strncmp(server->address, "tcp:", 4) == 0) /* elsewhere it misses the options of TCP, and */
        flags |= MHD_USE_ERROR_LOG;               /* says so with each part of each response */
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_error, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_on_completed, server},
        {MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_HARD_MAX, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, request_on_data, server,
                                      MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (server->daemon == NULL)
        return srun_fail(err, -EIO, "libmicrohttpd did not start");
    return 0;
}

/* libmicrohttpd closes what it does not take. */
static void serve(struct server *server, int connection, const struct sockaddr_storage *peer,
                  socklen_t length)
{
    traffic_connection_opened(&server->traffic);
    if (MHD_add_connection(server->daemon, connection, (const struct sockaddr *)peer, length) !=
        MHD_YES)
        traffic_connection_closed(&server->traffic);
}

/* srun_accept waits behind the gate: while a newer generation serves nothing comes. When full, new
 * connections wait in the backlog. */
static void accept_until_cancelled(struct server *server, srun_context *ctx)
{
    while (!srun_cancelled(ctx)) {
        if (!traffic_wait_below(&server->traffic, CONNECTIONS_MAX, 100))
            continue;
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int connection = srun_accept(ctx, server->listener, (struct sockaddr *)&peer, &length);
        if (connection >= 0) {
            serve(server, connection, &peer, length);
        } else if (connection != -ECANCELED) {
            SRUN_WARN(server->log, "accept", SRUN_CODE("error", connection));
            srun_sleep_ms(ctx, 100); /* out of descriptors: the connection waits in the backlog */
        }
    }
}

/* What has been promised an answer by the backlog. Nothing, when a newer generation accepts. */
static void accept_the_last(struct server *server, srun_context *ctx)
{
    while (traffic_counts(&server->traffic).connections < CONNECTIONS_HARD_MAX) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int connection = srun_accept_now(ctx, server->listener, (struct sockaddr *)&peer, &length);
        if (connection < 0)
            break;
        serve(server, connection, &peer, length);
    }
    srun_listen_close(ctx, "http");
}

/* After an upgrade there is no hurry: idle clients stay connected until their next response, or
 * until the time to stop is over. */
static int64_t linger_of(const struct server *server, const srun_context *ctx, int64_t left_ms)
{
    return srun_context_cause(ctx)->kind == SRUN_CAUSE_UPGRADE ? left_ms : server->linger_ms;
}

static int drain(struct server *server, srun_context *ctx, srun_err *err)
{
    accept_the_last(server, ctx);
    traffic_drain(&server->traffic);
    struct traffic_counts before = traffic_counts(&server->traffic);
    SRUN_INFO(server->log, "draining", SRUN_UINT("connections", before.connections),
              SRUN_UINT("requests", before.requests));

    int64_t left = srun_context_time_left_ms(ctx);
    left -= left / 10; /* for the clean-up */
    struct traffic_counts after =
        traffic_wait(&server->traffic, linger_of(server, ctx, left), left);
    traffic_cut(&server->traffic);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;

    SRUN_INFO(server->log, "drained", SRUN_UINT("answered", after.answered - before.answered),
              SRUN_UINT("cut", after.requests), SRUN_UINT("idle_closed", after.connections));
    if (after.requests > 0)
        return srun_fail(err, -ETIMEDOUT, "%u requests were still open", after.requests);
    return 0;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct server *server = self;
    int rc = start_daemon(server, err);
    if (rc < 0)
        return rc;
    srun_ready(ctx);
    accept_until_cancelled(server, ctx);
    return drain(server, ctx, err);
}

static void destroy(void *self)
{
    struct server *server = self;
    if (server->log != NULL) /* else init never got that far */
        traffic_destroy(&server->traffic);
}

const struct srun_service_ops server_ops = {
    .size = sizeof server_ops,
    .init = init,
    .run = run,
    .destroy = destroy,
};
