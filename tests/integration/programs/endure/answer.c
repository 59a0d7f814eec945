/* SPDX-License-Identifier: MIT */
#include "answer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64
#define LEFT_MS 200 /* before the time to stop is over */
#define PATIENCE_MS 10000

struct client {
    struct client *next, **place;
    int fd;
    size_t used;
    char request[1024];
};

struct worker {
    srun_context *ctx;
    int listener, gate, poller;
    bool accepts;
    struct client *clients;
    pthread_t thread;
};

static unsigned generation_of(srun_context *ctx)
{
    struct srun_run_info info;
    srun_runner_info(srun_context_runner(ctx), &info);
    return info.generation;
}

static bool send_answer(srun_context *ctx, int fd, bool last)
{
    char text[256];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 200 OK\r\nX-Generation: %u\r\nX-Pid: %d\r\n%s"
                          "Content-Length: 3\r\n\r\nok\n",
                          generation_of(ctx), (int)getpid(), last ? "Connection: close\r\n" : "");
    return send(fd, text, (size_t)length, MSG_NOSIGNAL) == length;
}

/* Out of the poller first: while a new process is being started, for a moment it has a copy of
 * every descriptor, and a poller reports one that was only closed. */
static void drop(const struct worker *worker, struct client *client)
{
    epoll_ctl(worker->poller, EPOLL_CTL_DEL, client->fd, NULL);
    *client->place = client->next;
    if (client->next != NULL)
        client->next->place = client->place;
    close(client->fd);
    free(client);
}

static void serve(const struct worker *worker, struct client *client)
{
    size_t room = sizeof client->request - client->used - 1;
    ssize_t got = recv(client->fd, client->request + client->used, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        drop(worker, client);
        return;
    }
    client->used += (size_t)got;
    client->request[client->used] = '\0';
    if (strstr(client->request, "\r\n\r\n") == NULL)
        return;
    bool last = srun_draining(worker->ctx) || srun_cancelled(worker->ctx);
    client->used = 0;
    if (!send_answer(worker->ctx, client->fd, last) || last)
        drop(worker, client);
}

static void take_clients(struct worker *worker)
{
    int fd;
    while ((fd = srun_accept_now(worker->ctx, worker->listener, NULL, NULL)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL) {
            close(fd);
            continue;
        }
        *client = (struct client){.next = worker->clients, .place = &worker->clients, .fd = fd};
        if (client->next != NULL)
            client->next->place = &client->next;
        worker->clients = client;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(worker->poller, EPOLL_CTL_ADD, fd, &event) < 0)
            drop(worker, client);
    }
    if (fd != -EAGAIN)
        SRUN_WARN(srun_context_log(worker->ctx), "accept", SRUN_CODE("error", fd));
}

static void turn(struct worker *worker, int limit_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(worker->poller, events, EVENTS, limit_ms);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == worker)
            take_clients(worker);
        else if (events[i].data.ptr != NULL)
            serve(worker, events[i].data.ptr);
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    while (!srun_cancelled(worker->ctx))
        turn(worker, -1);
    epoll_ctl(worker->poller, EPOLL_CTL_DEL, srun_cancel_fd(worker->ctx), NULL);
    if (worker->accepts) {
        take_clients(worker); /* who waits was promised an answer, unless the next one gives it */
        epoll_ctl(worker->poller, EPOLL_CTL_DEL, worker->gate, NULL);
    }
    int64_t left;
    while (worker->clients != NULL && (left = srun_context_time_left_ms(worker->ctx)) > LEFT_MS)
        turn(worker, (int)left - LEFT_MS);
    while (worker->clients != NULL)
        drop(worker, worker->clients);
    close(worker->poller);
    return NULL;
}

static int watch(int poller, int fd, void *what, srun_err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (fd < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        return srun_fail(err, fd < 0 ? fd : -1, "cannot watch a descriptor");
    return 0;
}

static int prepare(struct worker *worker, srun_err *err)
{
    worker->poller = epoll_create1(EPOLL_CLOEXEC);
    if (worker->poller < 0)
        return srun_fail(err, -1, "epoll: %m");
    int rc = watch(worker->poller, srun_cancel_fd(worker->ctx), NULL, err);
    worker->gate = srun_gate_fd(worker->ctx, worker->listener);
    if (rc == 0 && worker->accepts)
        rc = watch(worker->poller, worker->gate, worker, err);
    return rc;
}

static int init(void *self, srun_context *ctx, srun_err *err)
{
    const struct answer *answer = self;
    int fds[ANSWER_SOCKETS_MAX];
    if (answer->sockets < 1 || answer->sockets > ANSWER_SOCKETS_MAX)
        return srun_fail(err, -EINVAL, "--sockets: accepted are 1 to %d", ANSWER_SOCKETS_MAX);
    int rc =
        srun_listen_with(ctx, "answer", answer->address, NULL, fds, (unsigned)answer->sockets, err);
    if (rc == 0 && generation_of(ctx) > 1 && answer->init_ms > 0)
        srun_sleep_ms(ctx, answer->init_ms);
    return rc;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    const struct answer *answer = self;
    struct worker workers[ANSWER_SOCKETS_MAX] = {0};
    int fds[ANSWER_SOCKETS_MAX];
    unsigned count = (unsigned)answer->sockets, started = 0;
    int rc = srun_listen_with(ctx, "answer", answer->address, NULL, fds, count, err);
    bool accepts = generation_of(ctx) >= (unsigned)answer->accept_from;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        workers[i] = (struct worker){.ctx = ctx, .listener = fds[i], .accepts = accepts};
        rc = prepare(&workers[i], err);
    }
    for (; rc == 0 && started < count; started++) {
        int code = pthread_create(&workers[started].thread, NULL, work, &workers[started]);
        if (code != 0)
            rc = srun_fail(err, -code, "thread: %s", srun_strerror(-code));
    }
    if (rc == 0)
        srun_ready(ctx);
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return rc;
}

const struct srun_service_ops answer_ops = {.size = sizeof answer_ops, .init = init, .run = run};

void answer_once(srun_context *ctx, int connection)
{
    char request[1024];
    size_t used = 0;
    struct pollfd wait = {.fd = connection, .events = POLLIN};
    while (used < sizeof request - 1 && poll(&wait, 1, PATIENCE_MS) > 0) {
        ssize_t got = recv(connection, request + used, sizeof request - used - 1, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
        request[used] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL) {
            (void)send_answer(ctx, connection, true);
            break;
        }
    }
    close(connection);
}
