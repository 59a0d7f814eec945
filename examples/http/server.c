/* SPDX-License-Identifier: MIT
 *
 * The stop loses nothing that was accepted. The order matters: take what is in the backlog, close
 * the listener, and only then tell clients to hang up, so that none of them comes back to a port
 * that is about to vanish. Connections have a thread each: a slow request delays nobody.
 */
#define _GNU_SOURCE /* accept4 */
#include "server.h"
#include "routes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define CONNECTIONS_HARD_MAX 1024 /* when the backlog is emptied at the end */
#define LINGER_MS_MAX 300000
#define IDLE_SECONDS 60
#define STACK_BYTES (512 * 1024)

static int bind_listener(int fd, struct address *address)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address->socket, address->length) < 0 ||
        listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address->socket, &address->length) < 0)
        return -errno;
    return 0;
}

/* An address in use shows here, before any service runs. */
static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct server *server = self;
    if (server->linger_ms < 0 || server->linger_ms > LINGER_MS_MAX)
        return srun_fail(err, -EINVAL, "--http.linger: accepted are 0s to %ds",
                         LINGER_MS_MAX / 1000);

    char text[ADDRESS_TEXT];
    address_format(&server->address, text);
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(server->address.socket.ss_family, type, 0);
    if (fd < 0)
        return srun_fail(err, -errno, "socket: %m");
    int rc = bind_listener(fd, &server->address);
    if (rc < 0) {
        close(fd);
        return srun_fail(err, rc, "bind %s: %s", text, srun_strerror(rc));
    }

    traffic_init(&server->traffic);
    srun_runner_info(srun_context_runner(ctx), &server->info);
    server->log = srun_context_log(ctx);
    server->started_ms = monotonic_ms();
    server->listener = fd;
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
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_error, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)routes_on_completed, server},
        {MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_HARD_MAX, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, routes_on_request, server,
                                      MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (server->daemon == NULL)
        return srun_fail(err, -EIO, "libmicrohttpd did not start");
    return 0;
}

/* Accepts one connection and hands it on: 0, or -EAGAIN when there is none, or why it failed. */
static int accept_one(struct server *server)
{
    struct address peer = {.length = sizeof peer.socket};
    int fd = accept4(server->listener, (struct sockaddr *)&peer.socket, &peer.length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;

    traffic_connection_opened(&server->traffic);
    if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&peer.socket, peer.length) ==
        MHD_YES)
        return 0;

    traffic_connection_closed(&server->traffic); /* libmicrohttpd has closed fd */
    return 0;
}

static void accept_all(struct server *server, srun_context *ctx, unsigned limit)
{
    int rc = 0;
    while (rc == 0 && traffic_counts(&server->traffic).connections < limit)
        rc = accept_one(server);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM) {
        SRUN_WARN(server->log, "accept", SRUN_CODE("error", rc));
        srun_sleep_ms(ctx, 100); /* the connection waits in the backlog */
    }
}

static void accept_until_cancelled(struct server *server, srun_context *ctx, int cancel)
{
    while (!srun_cancelled(ctx)) {
        /* When full, new ones wait in the backlog; a place may be free in a moment. */
        bool full = traffic_counts(&server->traffic).connections >= CONNECTIONS_MAX;
        struct pollfd fds[] = {
            {.fd = cancel, .events = POLLIN},
            {.fd = full ? -1 : server->listener, .events = POLLIN},
        };
        if (poll(fds, 2, full ? 20 : -1) > 0 && fds[1].revents != 0)
            accept_all(server, ctx, CONNECTIONS_MAX);
    }
}

static void close_listener(struct server *server)
{
    close(server->listener);
    server->listener = -1;
}

static int drain(struct server *server, srun_context *ctx, srun_err *err)
{
    accept_all(server, ctx, CONNECTIONS_HARD_MAX);
    close_listener(server);
    traffic_drain(&server->traffic);
    struct traffic_counts before = traffic_counts(&server->traffic);
    SRUN_INFO(server->log, "draining", SRUN_UINT("connections", before.connections),
              SRUN_UINT("requests", before.requests));

    int64_t left = srun_context_time_left_ms(ctx); /* keep a tenth of it for the clean-up */
    struct traffic_counts after =
        traffic_wait(&server->traffic, server->linger_ms, left - left / 10);
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
    int cancel = srun_cancel_fd(ctx);
    if (cancel < 0)
        return srun_fail(err, cancel, "cancel descriptor: %s", srun_strerror(cancel));
    int rc = start_daemon(server, err);
    if (rc < 0)
        return rc;

    char text[ADDRESS_TEXT];
    address_format(&server->address, text);
    SRUN_INFO(server->log, "listening", SRUN_STR("address", text));
    srun_ready(ctx);

    accept_until_cancelled(server, ctx, cancel);
    return drain(server, ctx, err);
}

static void destroy(void *self)
{
    struct server *server = self;
    if (server->log == NULL) /* init never got that far */
        return;
    if (server->listener >= 0)
        close_listener(server); /* initiated, but never run */
    traffic_destroy(&server->traffic);
}

const struct srun_service_ops server_ops = {
    .size = sizeof server_ops,
    .init = init,
    .run = run,
    .destroy = destroy,
};
