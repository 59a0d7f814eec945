/* SPDX-License-Identifier: MIT
 *
 * What cannot be sent at once is kept, and nothing more is read from that client until it is.
 */
#include "peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAMS_MAX 64 /* in one go: the others want their turn */

struct peer {
    struct peer *next, **place;
    int fd, poller;
    size_t kept;
    char data[4096];
};

void peers_add(struct peers *peers, int fd, int poller)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (peer == NULL || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(peer);
        close(fd);
        return;
    }
    *peer = (struct peer){.next = peers->first, .place = &peers->first, .fd = fd, .poller = poller};
    if (peer->next != NULL)
        peer->next->place = &peer->next;
    peers->first = peer;
    peers->count++;
}

/* Out of the poller first: while a new generation is being started, for a moment it has a copy of
 * every descriptor, and the poller would go on to report one that was only closed. */
static void drop(struct peers *peers, struct peer *peer)
{
    epoll_ctl(peer->poller, EPOLL_CTL_DEL, peer->fd, NULL);
    *peer->place = peer->next;
    if (peer->next != NULL)
        peer->next->place = peer->place;
    peers->count--;
    close(peer->fd);
    free(peer);
}

/* False: the client has gone. */
static bool send_kept(struct peer *peer)
{
    while (peer->kept > 0) {
        ssize_t sent = send(peer->fd, peer->data, peer->kept, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        peer->kept -= (size_t)sent;
        memmove(peer->data, peer->data + sent, peer->kept);
    }
    return true;
}

static void wait_for(struct peer *peer, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(peer->poller, EPOLL_CTL_MOD, peer->fd, &event);
}

void peers_answer(struct peers *peers, struct peer *peer)
{
    bool waited = peer->kept > 0, alive = send_kept(peer);
    if (alive && peer->kept == 0) {
        ssize_t got = recv(peer->fd, peer->data, sizeof peer->data, 0);
        alive = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
        peer->kept = got > 0 ? (size_t)got : 0;
        alive = alive && send_kept(peer);
    }
    if (!alive)
        drop(peers, peer);
    else if (waited != (peer->kept > 0))
        wait_for(peer, peer->kept > 0 ? EPOLLOUT : EPOLLIN);
}

void peers_answer_datagrams(int udp)
{
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        char data[65536];
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        ssize_t got =
            recvfrom(udp, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
        if (got < 0)
            return;
        sendto(udp, data, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&from,
               length);
    }
}

void peers_free(struct peers *peers)
{
    while (peers->first != NULL)
        drop(peers, peers->first);
}
