/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    struct peer *next, **place;
    int fd;
    bool gone;
    size_t kept;
    char data[PEER_KEPT_MAX];
};

int peers_init(struct peers *peers, srun_err *err)
{
    peers->poller = epoll_create1(EPOLL_CLOEXEC);
    return peers->poller < 0 ? srun_fail(err, -errno, "epoll: %m") : 0;
}

int peers_watch(struct peers *peers, int fd, void *what, srun_err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (fd < 0 || epoll_ctl(peers->poller, EPOLL_CTL_ADD, fd, &event) < 0)
        return srun_fail(err, fd < 0 ? fd : -errno, "cannot watch a descriptor");
    return 0;
}

void peers_forget(struct peers *peers, int fd)
{
    epoll_ctl(peers->poller, EPOLL_CTL_DEL, fd, NULL);
}

static void add(struct peers *peers, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL || peers_watch(peers, fd, peer, NULL) < 0) {
        free(peer);
        close(fd);
        return;
    }
    *peer = (struct peer){.next = peers->first, .place = &peers->first, .fd = fd};
    if (peer->next != NULL)
        peer->next->place = &peer->next;
    peers->first = peer;
    peers->count++;
}

void peers_accept(struct peers *peers, srun_context *ctx, int listener)
{
    int fd;
    while ((fd = srun_accept_now(ctx, listener, NULL, NULL)) >= 0)
        add(peers, fd);
    if (fd != -EAGAIN) {
        SRUN_WARN(srun_context_log(ctx), "accept", SRUN_CODE("error", fd));
        srun_sleep_ms(ctx, 100); /* out of descriptors: the connection waits in the backlog */
    }
}

/* Out of the poller first: while a new generation is being started, for a moment it has a copy of
 * every descriptor, and the poller would go on to report one that was only closed. */
static void drop(struct peers *peers, struct peer *peer)
{
    peers_forget(peers, peer->fd);
    *peer->place = peer->next;
    if (peer->next != NULL)
        peer->next->place = peer->place;
    peers->count--;
    close(peer->fd);
    free(peer);
}

/* How much went out at once. */
static size_t send_now(struct peer *peer, const char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t sent = send(peer->fd, data + done, size - done, MSG_NOSIGNAL);
        if (sent < 0) {
            peer->gone = errno != EAGAIN && errno != EINTR;
            break;
        }
        done += (size_t)sent;
    }
    return done;
}

void peer_send(struct peer *peer, const void *data, size_t size)
{
    size_t sent = peer->kept == 0 && !peer->gone ? send_now(peer, data, size) : 0;
    size_t left = size - sent;
    if (left > sizeof peer->data - peer->kept)
        peer->gone = true;
    if (peer->gone || left == 0)
        return;
    memcpy(peer->data + peer->kept, (const char *)data + sent, left);
    peer->kept += left;
}

static void send_kept(struct peer *peer)
{
    size_t sent = send_now(peer, peer->data, peer->kept);
    peer->kept -= sent;
    memmove(peer->data, peer->data + sent, peer->kept);
}

static void receive(struct peers *peers, struct peer *peer)
{
    char data[PEER_KEPT_MAX];
    ssize_t got = recv(peer->fd, data, sizeof data, 0);
    if (got > 0)
        peers->on_data(peers->user, peer, data, (size_t)got);
    else
        peer->gone = got == 0 || (errno != EAGAIN && errno != EINTR);
}

static void wait_for(const struct peers *peers, struct peer *peer, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(peers->poller, EPOLL_CTL_MOD, peer->fd, &event);
}

void peers_serve(struct peers *peers, struct peer *peer)
{
    bool waited = peer->kept > 0;
    send_kept(peer);
    if (!peer->gone && peer->kept == 0)
        receive(peers, peer);
    if (peer->gone)
        drop(peers, peer);
    else if (waited != (peer->kept > 0))
        wait_for(peers, peer, peer->kept > 0 ? EPOLLOUT : EPOLLIN);
}

void peers_free(struct peers *peers)
{
    while (peers->first != NULL)
        drop(peers, peers->first);
    if (peers->poller > 0)
        close(peers->poller);
}
