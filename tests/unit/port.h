/* SPDX-License-Identifier: MIT
 *
 * A runner with an admin port on a thread of its own, routes of a program to be asked for, and a
 * client of plain sockets. For tests.
 */
#ifndef TESTS_UNIT_PORT_H
#define TESTS_UNIT_PORT_H

#include "admin/admin.h"
#include "base/ensure.h"
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <srun/runner.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT_LIMIT_MS (10000 * harness_slowness())

struct port {
    int64_t patience_ms;       /* until a client hears that all places are busy */
    struct srun_config config; /* admin.* to be set before port_start */
    srun_runner *runner;
    struct admin *admin;
    pthread_t thread;
    int log, exit_code;
    char address[160], path[108]; /* 127.0.0.1:40123, /tmp/... */
};

/* --- what the program answers ---------------------------------------------------------------- */

/* A place where handlers wait until the test lets them go on. */
struct port_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned inside;
    bool open;
};
static struct port_gate port_gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static inline int port_echo(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)err;
    size_t size;
    const void *body = srun_admin_body(exchange, &size);
    const char *word = srun_admin_query(exchange, "word");
    srun_admin_printf(exchange, "%s %s word=%s body=%.*s\n", srun_admin_method(exchange),
                      srun_admin_path(exchange), word != NULL ? word : "-", (int)size,
                      (const char *)body);
    return 0;
}

static inline int port_fail(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)exchange;
    return srun_fail(err, -EIO, "the disk is on fire");
}

static inline int port_wait(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)err;
    pthread_mutex_lock(&port_gate.lock);
    port_gate.inside++;
    pthread_cond_broadcast(&port_gate.changed);
    while (!port_gate.open)
        (void)pthread_cond_wait(&port_gate.changed, &port_gate.lock); /* the test has a limit */
    pthread_mutex_unlock(&port_gate.lock);
    srun_admin_printf(exchange, "waited\n");
    return 0;
}

/* Lines of 16 bytes, numbered from 0. Counted as text: printing megabytes of them for each of many
 * clients would take seconds. */
static inline int port_big(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)err;
    const char *kib = srun_admin_query(exchange, "kib");
    char line[] = "000000000000000\n";
    for (int left = 64 * atoi(kib != NULL ? kib : "1024"); left > 0; left--) {
        srun_admin_write(exchange, line, 16);
        char *digit = line + 14;
        for (; *digit == '9'; digit--)
            *digit = '0';
        ++*digit;
    }
    return 0;
}

static inline int port_styled(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)err;
    srun_admin_type(exchange, "text/html; charset=utf-8");
    srun_admin_add_header(exchange, "content-security-policy", "default-src 'self'");
    srun_admin_add_header(exchange, "X-Bad", "a\r\nX-Forged: 1");
    srun_admin_status(exchange, 203);
    return 0;
}

static inline void port_wait_inside(unsigned count)
{
    pthread_mutex_lock(&port_gate.lock);
    while (port_gate.inside < count)
        (void)pthread_cond_wait(&port_gate.changed, &port_gate.lock);
    pthread_mutex_unlock(&port_gate.lock);
}

static inline void port_let_go(void)
{
    pthread_mutex_lock(&port_gate.lock);
    port_gate.open = true;
    pthread_cond_broadcast(&port_gate.changed);
    pthread_mutex_unlock(&port_gate.lock);
}

/* --- the port -------------------------------------------------------------------------------- */

static inline void port_init(struct port *port)
{
    *port = (struct port){.config = {.size = sizeof(struct srun_config)},
                          .patience_ms = 500 * harness_slowness()};
    (void)snprintf(port->path, sizeof port->path, "%s/admin.sock", harness_folder());
    port->config.name = "demo";
    port->config.signals.disabled = 1;
    port->config.admin.address = "127.0.0.1:0";
    port->config.admin.socket = port->path;
    port->log = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(port->log, 0);
    port->config.log.fd_plus_one = port->log + 1;
}

static inline void port_add_routes(struct admin *admin)
{
    static const struct {
        const char *method, *path;
        srun_admin_handler *handler;
    } routes[] = {{"GET", "/echo", port_echo},   {"POST", "/echo", port_echo},
                  {"PUT", "/tree/", port_echo},  {"GET", "/tree/", port_echo},
                  {"GET", "/fail", port_fail},   {"GET", "/wait", port_wait},
                  {"GET", "/big", port_big},     {"GET", "/styled", port_styled},
                  {"DELETE", "/echo", port_echo}};
    srun_err err = {0};
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        ck_assert_msg(admin_add_route(admin, routes[i].method, routes[i].path, routes[i].handler,
                                      NULL, &err) == 0,
                      "%s", err.text);
}

static inline void *port_run(void *arg)
{
    struct port *port = arg;
    port->exit_code = srun_runner_run(port->runner);
    return NULL;
}

static inline bool port_is_up(void *arg)
{
    struct port *port = arg;
    return srun_runner_state(port->runner, ADMIN_SERVICE) == SRUN_RUNNING;
}

static inline void port_make(struct port *port)
{
    srun_err err = {0};
    struct srun_config own = port->config;
    own.admin.disabled = 1; /* the runner makes none; ours is added below */
    own.admin.address = own.admin.socket = own.admin.token_file = own.admin.allowed_hosts = NULL;
    ck_assert_msg(srun_runner_new(&port->runner, &own, &err) == 0, "%s", err.text);
    const struct admin_host host = {
        .runner = port->runner, .config = &port->config, .patience_ms = port->patience_ms};
    ck_assert_int_eq(admin_new(&port->admin, &host), 0);
    port_add_routes(port->admin);
    ck_assert_msg(
        srun_runner_add(port->runner, ADMIN_SERVICE, &admin_ops, port->admin, NULL, &err) == 0,
        "%s", err.text);
}

/* What port_make has made, and whatever the test has added to it. */
static inline void port_run_on_its_thread(struct port *port)
{
    ck_assert_int_eq(pthread_create(&port->thread, NULL, port_run, port), 0);
    ck_assert(harness_wait(port_is_up, port, PORT_LIMIT_MS));
    char text[160];
    if (admin_address(port->admin, text, sizeof text) == 0) {
        ck_assert(strncmp(text, "tcp://", 6) == 0);
        (void)snprintf(port->address, sizeof port->address, "%s", text + 6);
    }
}

static inline void port_start(struct port *port)
{
    port_make(port);
    port_run_on_its_thread(port);
}

/* It cannot start: the exit code, and what the log says. */
static inline int port_fails(struct port *port)
{
    port_make(port);
    return srun_runner_run(port->runner);
}

static inline void port_ask_to_stop(struct port *port)
{
    ck_assert_int_eq(srun_runner_shutdown(port->runner, 0, "the test is over"), 0);
}

static inline void port_free(struct port *port)
{
    (void)srun_runner_free(port->runner);
    port->admin = admin_free(port->admin);
    (void)close(port->log);
}

static inline void port_close(struct port *port)
{
    port_ask_to_stop(port);
    (void)pthread_join(port->thread, NULL);
    ck_assert_int_eq(port->exit_code, 0);
    port_free(port);
}

static inline bool port_logged(const struct port *port, const char *text)
{
    static char log[1 << 18];
    ssize_t size = pread(port->log, log, sizeof log - 1, 0);
    ck_assert_int_ge(size, 0);
    log[size] = '\0';
    return strstr(log, text) != NULL;
}

/* --- a client -------------------------------------------------------------------------------- */

static inline int port_connect_tcp(const struct port *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(port->address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %m");
    return fd;
}

static inline int port_connect_unix(const struct port *port)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", port->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %m");
    return fd;
}

static inline void port_send(int fd, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t sent = send(fd, data + done, size - done, MSG_NOSIGNAL);
        ck_assert_msg(sent > 0, "send: %m");
        done += (size_t)sent;
    }
}

struct answer {
    unsigned status;
    size_t size;      /* with the head */
    const char *body; /* "" without one */
    bool closed;      /* the server has hung up instead of sending (more) */
    char text[2 << 20];
};

static inline size_t answer_length(const struct answer *answer)
{
    const char *end = strstr(answer->text, "\r\n\r\n");
    if (end == NULL)
        return SIZE_MAX;
    const char *length = strcasestr(answer->text, "\r\ncontent-length:");
    size_t head = (size_t)(end - answer->text) + 4;
    return head + (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* One response; head: without a body whatever it says. */
static inline struct answer *port_receive_any(int fd, bool head)
{
    static struct answer answers[2];
    static unsigned turn;
    struct answer *answer = &answers[turn++ % 2];
    answer->status = 0;
    answer->size = 0;
    answer->closed = false;
    answer->text[0] = '\0';
    for (;;) {
        size_t wanted = answer_length(answer);
        if (head && wanted != SIZE_MAX)
            wanted = (size_t)(strstr(answer->text, "\r\n\r\n") - answer->text) + 4;
        if (answer->size >= wanted)
            break;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ck_assert_msg(poll(&wait, 1, PORT_LIMIT_MS) == 1, "no response; so far: %s", answer->text);
        ssize_t got =
            recv(fd, answer->text + answer->size, sizeof answer->text - 1 - answer->size, 0);
        if (got <= 0) {
            answer->closed = true;
            break;
        }
        answer->size += (size_t)got;
        answer->text[answer->size] = '\0';
    }
    (void)sscanf(answer->text, "HTTP/1.1 %u", &answer->status);
    const char *end = strstr(answer->text, "\r\n\r\n");
    answer->body = end != NULL ? end + 4 : "";
    return answer;
}

static inline struct answer *port_receive(int fd)
{
    return port_receive_any(fd, false);
}

/* Sends what is a whole request, and gets the response. The connection stays. */
static inline struct answer *port_exchange(int fd, const char *request)
{
    port_send(fd, request, strlen(request));
    return port_receive_any(fd, strncmp(request, "HEAD ", 5) == 0);
}

/* On a new connection. */
static inline struct answer *port_ask(int fd, const char *request)
{
    struct answer *answer = port_exchange(fd, request);
    (void)close(fd);
    return answer;
}

#define port_ask_tcp(port, request) port_ask(port_connect_tcp(port), (request))
#define port_ask_unix(port, request) port_ask(port_connect_unix(port), (request))

/* Nothing comes any more. */
static inline void port_assert_closed(int fd)
{
    char rest[256];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ck_assert_msg(poll(&wait, 1, PORT_LIMIT_MS) == 1, "it is still open");
    ck_assert_int_le(recv(fd, rest, sizeof rest, 0), 0);
}

#define HOST "Host: 127.0.0.1\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

#endif
