/* SPDX-License-Identifier: MIT */
#include "clients.h"

#include "base/clock.h"
#include "base/duration.h"
#include "faults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536
#define EVENTS 64
#define STARVED_PAUSE_MS 20

struct client {
    int fd;
    char line[64];
    size_t used;
    char answer[64];
    size_t answered, answer_size;
    uint64_t take, give;
    bool asked; /* to be answered when all was taken */
    bool last, writing;
};

int clients_init(struct clients *clients, srun_context *ctx, srun_err *err)
{
    *clients = (struct clients){.ctx = ctx};
    clients->table = calloc(DESCRIPTORS_MAX, sizeof clients->table[0]);
    clients->poller = epoll_create1(EPOLL_CLOEXEC);
    if (clients->table == NULL || clients->poller < 0)
        return srun_fail(err, -errno, "poller: %m");
    return 0;
}

static int watch(const struct clients *clients, int fd, int operation, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(clients->poller, operation, fd, &event) < 0 ? -errno : 0;
}

int clients_listen(struct clients *clients, int listener, srun_err *err)
{
    if (clients->listener_count == CLIENTS_LISTENERS_MAX)
        return srun_fail(err, -E2BIG, "too many listeners");
    int gate = srun_gate_fd(clients->ctx, listener);
    if (gate < 0)
        return srun_fail(err, gate, "gate: %s", srun_strerror(gate));
    clients->listeners[clients->listener_count] = listener;
    clients->gates[clients->listener_count++] = gate;
    int rc = watch(clients, gate, EPOLL_CTL_ADD, EPOLLIN);
    return rc < 0 ? srun_fail(err, rc, "poller: %s", srun_strerror(rc)) : 0;
}

/* --- one client ------------------------------------------------------------------------------ */

static void drop(struct clients *clients, struct client *client)
{
    clients->table[client->fd] = NULL;
    (void)close(client->fd);
    free(client);
    clients->alive--;
}

static void word_answer(const struct clients *clients, struct client *client)
{
    client->last = srun_draining(clients->ctx) || srun_cancelled(clients->ctx);
    int size = snprintf(client->answer, sizeof client->answer, "%d %u %s\n", getpid(),
                        faults_generation, client->last ? "close" : "keep");
    client->answered = 0;
    client->answer_size = (size_t)size;
    client->asked = false;
}

static void take_line(struct client *client)
{
    unsigned long long number = 0;
    if (sscanf(client->line, "take %llu", &number) == 1)
        client->take = number;
    else if (sscanf(client->line, "give %llu", &number) == 1)
        client->give = number;
    client->asked = true;
}

/* 1: go on; 0: wait; negative: it has gone. */
static int take_input(struct client *client)
{
    char bytes[65536];
    size_t room = client->take > 0 ? sizeof bytes : 1; /* a line ends before its bytes begin */
    if (client->take > 0 && client->take < room)
        room = (size_t)client->take;
    ssize_t got = recv(client->fd, bytes, room, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
    if (client->take > 0) {
        client->take -= (uint64_t)got;
        return 1;
    }
    if (bytes[0] != '\n') {
        client->line[client->used] = bytes[0];
        client->used += client->used < sizeof client->line - 2;
        return 1;
    }
    client->line[client->used] = '\0';
    client->used = 0;
    take_line(client);
    return 1;
}

static int give_output(struct client *client)
{
    static const char bytes[262144];
    const char *from = client->answer + client->answered;
    size_t left = client->answer_size - client->answered;
    if (client->give > 0) {
        from = bytes;
        left = client->give < sizeof bytes ? (size_t)client->give : sizeof bytes;
    }
    ssize_t sent = send(client->fd, from, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    if (client->give > 0)
        client->give -= (uint64_t)sent;
    else
        client->answered += (size_t)sent;
    return 1;
}

static bool has_output(const struct client *client)
{
    return client->give > 0 || client->answered < client->answer_size;
}

static void turn(struct clients *clients, struct client *client)
{
    int rc = 1;
    while (rc > 0) {
        if (has_output(client)) {
            rc = give_output(client);
        } else if (client->last) {
            rc = -EPIPE;
        } else {
            rc = take_input(client);
        }
        if (client->asked && client->take == 0 && client->give == 0)
            word_answer(clients, client);
    }
    bool writing = has_output(client);
    if (rc == 0 && writing != client->writing)
        rc = watch(clients, client->fd, EPOLL_CTL_MOD, writing ? EPOLLOUT : EPOLLIN);
    client->writing = writing;
    if (rc < 0)
        drop(clients, client);
}

/* --- all ------------------------------------------------------------------------------------- */

static int welcome(struct clients *clients, int listener)
{
    int fd = srun_accept_now(clients->ctx, listener, NULL, NULL);
    if (fd < 0)
        return fd;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || fd >= DESCRIPTORS_MAX || watch(clients, fd, EPOLL_CTL_ADD, EPOLLIN) < 0) {
        (void)close(fd);
        free(client);
        return -ENOMEM;
    }
    client->fd = fd;
    clients->table[fd] = client;
    clients->alive++;
    return 0;
}

static void set_gates(const struct clients *clients, bool open)
{
    for (unsigned i = 0; i < clients->listener_count; i++)
        (void)watch(clients, clients->gates[i], EPOLL_CTL_MOD, open ? EPOLLIN : 0);
}

static bool accept_all(struct clients *clients, int fd)
{
    for (unsigned i = 0; i < clients->listener_count; i++) {
        if (clients->gates[i] != fd)
            continue;
        int rc;
        while ((rc = welcome(clients, clients->listeners[i])) == 0) {
        }
        if (rc == -EMFILE) {
            clients->starved = true;
            set_gates(clients, false);
            (void)dprintf(STDERR_FILENO, "msg=starved pid=%d\n", getpid());
        }
        return true;
    }
    return false;
}

static int limit(const struct clients *clients, int64_t until)
{
    if (clients->starved)
        return STARVED_PAUSE_MS;
    if (until == INT64_MAX)
        return -1;
    int64_t left = until - clock_real_now();
    return left > 0 ? (int)(left / NS_PER_MS) + 1 : 0;
}

static void take_events(struct clients *clients, int64_t until)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(clients->poller, events, EVENTS, limit(clients, until));
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (!accept_all(clients, fd) && clients->table[fd] != NULL)
            turn(clients, clients->table[fd]);
    }
    if (count == 0 && clients->starved) {
        clients->starved = false;
        set_gates(clients, true);
    }
}

int clients_serve(struct clients *clients, int64_t linger_ms, srun_err *err)
{
    int cancel = srun_cancel_fd(clients->ctx);
    int rc = cancel < 0 ? cancel : watch(clients, cancel, EPOLL_CTL_ADD, EPOLLIN);
    if (rc < 0)
        return srun_fail(err, rc, "cancel: %s", srun_strerror(rc));
    while (!srun_cancelled(clients->ctx))
        take_events(clients, INT64_MAX);
    (void)epoll_ctl(clients->poller, EPOLL_CTL_DEL, cancel, NULL);
    int64_t until = clock_real_now() + linger_ms * NS_PER_MS;
    while (clients->alive > 0 && clock_real_now() < until)
        take_events(clients, until);
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        if (clients->table[fd] != NULL)
            drop(clients, clients->table[fd]);
    return 0;
}

void clients_free(struct clients *clients)
{
    if (clients->table != NULL)
        (void)close(clients->poller);
    free(clients->table);
    clients->table = NULL;
}
