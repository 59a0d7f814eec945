/* SPDX-License-Identifier: MIT
 *
 * The gate: who may accept, and what is polled meanwhile. sockets_accept is the hot path and takes
 * no lock. Each gate is a poller in which the listener stands from the beginning, asked about only
 * while the gate is open: to change that cannot fail, as adding it at the takeover could.
 */
#include "upgrade/sockets_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPT_TRIES 64

static struct epoll_event interest_locked(struct sockets *sockets)
{
    return (struct epoll_event){.events = atomic_load(&sockets->open) ? EPOLLIN : 0};
}

static int make_gate_locked(struct sockets *sockets, struct sockets_entry *entry)
{
    int gate = epoll_create1(EPOLL_CLOEXEC);
    if (gate < 0)
        return -errno;
    struct epoll_event event = interest_locked(sockets);
    if (!entry->let_go && epoll_ctl(gate, EPOLL_CTL_ADD, entry->fd, &event) < 0) {
        int rc = -errno;
        (void)close(gate);
        return rc;
    }
    entry->gate = gate;
    return gate;
}

int sockets_gate_fd(struct sockets *sockets, int fd)
{
    pthread_mutex_lock(&sockets->lock);
    struct sockets_entry *entry = sockets_find(sockets, fd);
    int rc = entry == NULL      ? -ENOENT
             : entry->gate >= 0 ? entry->gate
                                : make_gate_locked(sockets, entry);
    pthread_mutex_unlock(&sockets->lock);
    return rc;
}

static void set_gates(struct sockets *sockets, bool open)
{
    pthread_mutex_lock(&sockets->lock);
    atomic_store(&sockets->open, open);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct sockets_entry *entry = sockets->entries[i];
        struct epoll_event event = interest_locked(sockets);
        if (entry->gate >= 0 && !entry->let_go)
            (void)epoll_ctl(entry->gate, EPOLL_CTL_MOD, entry->fd, &event); /* it stands there */
    }
    pthread_mutex_unlock(&sockets->lock);
}

void sockets_open(struct sockets *sockets)
{
    set_gates(sockets, true);
}

void sockets_shut(struct sockets *sockets)
{
    set_gates(sockets, false);
}

/* One client's misfortune, which accept(2) reports in place of its connection. */
static bool is_of_one_client(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int sockets_accept(struct sockets *sockets, int fd, struct sockaddr *peer, socklen_t *length)
{
    if (sockets_find(sockets, fd) == NULL)
        return -ENOENT;
    socklen_t room = length != NULL ? *length : 0;
    for (int i = 0; i < ACCEPT_TRIES; i++) {
        if (!atomic_load_explicit(&sockets->open, memory_order_acquire))
            return -EAGAIN;
        if (length != NULL)
            *length = room;
        int client = accept4(fd, peer, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0)
            return client;
        if (errno == EINTR || is_of_one_client(errno))
            continue;
        bool shut = !atomic_load(&sockets->open); /* then it may have been let go: EOPNOTSUPP */
        return errno == EWOULDBLOCK || shut ? -EAGAIN : -errno;
    }
    return -EAGAIN; /* who polls is told again at once */
}

int sockets_address(struct sockets *sockets, int fd, char *out, size_t size)
{
    pthread_mutex_lock(&sockets->lock);
    struct sockets_entry *entry = sockets_find(sockets, fd);
    int rc = entry == NULL ? -ENOENT : address_format(&entry->bound, out, size);
    pthread_mutex_unlock(&sockets->lock);
    return rc;
}

/* The gate goes first: a poller goes on to report a listener whose number was taken from it, and
 * that lives on elsewhere. A socket of datagrams stays: what was received on it is answered there.
 */
static void let_go_locked(const struct sockets *sockets, struct sockets_entry *entry)
{
    if (entry->gate >= 0)
        (void)epoll_ctl(entry->gate, EPOLL_CTL_DEL, entry->fd, NULL);
    if (entry->bound.type != SOCK_DGRAM)
        (void)dup3(sockets->dead, entry->fd, O_CLOEXEC); /* both are open, and they differ */
    entry->let_go = true;
}

void sockets_let_go(struct sockets *sockets)
{
    pthread_mutex_lock(&sockets->lock);
    sockets->copied = sockets->let_go = true;
    for (size_t i = 0; i < sockets->count; i++) {
        struct sockets_entry *entry = sockets->entries[i];
        if (entry->as.kind == HANDOVER_LISTENER && entry->state == OURS && !entry->let_go)
            let_go_locked(sockets, entry);
    }
    pthread_mutex_unlock(&sockets->lock);
    sockets_drop_handed_on(sockets);
}
