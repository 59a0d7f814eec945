/* SPDX-License-Identifier: MIT
 *
 * A server that is upgraded, and what its generations do wrong on the way (faults.h). It tells its
 * clients who serves (clients.h), and listens to what the file "listeners" says when it begins:
 * lines of a name, an address, and the mode of its path, 0 for as it is.
 *
 * Services: "first" goes through the place "init"; "web" listens and serves; "last" goes through
 * the place "run" and does what is written into the FIFO orders.PID: one action of faults.h a line,
 * and besides "fail", which ends it with an error, and "open", which fails when there is no
 * descriptor left.
 */
#include "clients.h"
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPARE_MAX = 16 }; /* descriptors that clients may have left just now */

static struct clients web;
static char orders_path[32];
static int orders = -1;

static int init_first(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx;
    int rc = faults_at("init");
    return rc < 0 ? srun_fail(err, rc, "init: %s", srun_strerror(rc)) : 0;
}

static const struct srun_service_ops first_ops = {.size = sizeof first_ops, .init = init_first};

static int listen_all(FILE *file, srun_context *ctx, srun_err *err)
{
    char name[32], address[200];
    unsigned mode;
    while (fscanf(file, "%31s %199s %o", name, address, &mode) == 3) {
        int fd;
        int rc =
            srun_listen_with(ctx, name, address, SRUN_LISTEN_OPTIONS(.mode = mode), &fd, 1, err);
        rc = rc < 0 ? rc : clients_listen(&web, fd, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int init_web(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    int rc = clients_init(&web, ctx, err);
    FILE *file = rc < 0 ? NULL : fopen("listeners", "re");
    if (file == NULL)
        return rc < 0 ? rc : srun_fail(err, -errno, "listeners: %m");
    rc = listen_all(file, ctx, err);
    (void)fclose(file);
    return rc;
}

static int run_web(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    const char *linger = getenv("SERVER_LINGER_MS");
    (void)srun_cancel_fd(ctx); /* what is open when all is ready is what stays open */
    (void)srun_ready(ctx);
    return clients_serve(&web, linger != NULL ? atoll(linger) : 20000, err);
}

static void destroy_web(void *self)
{
    (void)self;
    clients_free(&web);
}

static const struct srun_service_ops web_ops = {
    .size = sizeof web_ops, .init = init_web, .run = run_web, .destroy = destroy_web};

static int init_last(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx;
    (void)snprintf(orders_path, sizeof orders_path, "orders.%d", getpid());
    if (mkfifo(orders_path, 0600) < 0)
        return srun_fail(err, -errno, "%s: %m", orders_path);
    orders = open(orders_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return orders < 0 ? srun_fail(err, -errno, "%s: %m", orders_path) : 0;
}

static int obey(const char *order, srun_err *err)
{
    if (strcmp(order, "fail") == 0)
        return srun_fail(err, -EIO, "ordered to fail");
    if (strcmp(order, "open") != 0)
        return faults_do("orders", order);
    int fds[SPARE_MAX], count = 0, rc = 0;
    while (count < SPARE_MAX && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    if (count < SPARE_MAX) {
        rc = srun_fail(err, -errno, "/dev/null: %m");
        (void)dprintf(STDERR_FILENO, "msg=starved pid=%d\n", getpid());
    }
    while (count > 0)
        (void)close(fds[--count]);
    return rc;
}

static int read_orders(srun_err *err)
{
    char text[256];
    ssize_t size = read(orders, text, sizeof text - 1);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    int rc = 0;
    for (char *rest, *line = strtok_r(text, "\n", &rest); line != NULL && rc == 0;
         line = strtok_r(NULL, "\n", &rest))
        rc = obey(line, err);
    return rc;
}

static int run_last(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    int rc = faults_at("run");
    if (rc < 0)
        return srun_fail(err, rc, "run: %s", srun_strerror(rc));
    struct pollfd waits[] = {{.fd = orders, .events = POLLIN},
                             {.fd = srun_cancel_fd(ctx), .events = POLLIN}};
    (void)srun_ready(ctx);
    while (rc == 0 && !srun_cancelled(ctx)) {
        if (poll(waits, 2, -1) > 0 && waits[0].revents != 0)
            rc = read_orders(err);
    }
    return rc;
}

/* Before the clients are let go, since it was added last. */
static int stop_last(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    (void)faults_at("stop");
    return 0;
}

static void destroy_last(void *self)
{
    (void)self;
    if (orders >= 0)
        (void)close(orders);
    (void)unlink(orders_path);
}

static const struct srun_service_ops last_ops = {.size = sizeof last_ops,
                                                 .init = init_last,
                                                 .run = run_last,
                                                 .stop = stop_last,
                                                 .destroy = destroy_last};

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)user;
    int rc = srun_runner_add(runner, "first", &first_ops, NULL, NULL, err);
    rc = rc < 0 ? rc : srun_runner_add(runner, "web", &web_ops, NULL, NULL, err);
    return rc < 0 ? rc : srun_runner_add(runner, "last", &last_ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    const struct srun_config config = {
        .size = sizeof config, .name = "upgrade_server", .version = "1.0.0"};
    faults_load();
    (void)dprintf(STDERR_FILENO, "msg=begins generation=%u pid=%d\n", faults_generation, getpid());
    if (faults_at("start") < 0)
        return 1;
    return srun_main(argc, argv, &config, setup, NULL);
}
