/* SPDX-License-Identifier: MIT */
#include "upgrade/channel.h"

#include "base/clock.h"
#include "base/duration.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for what a packet may carry; the system cuts the rest off and says so. */
union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(HANDOVER_BATCH_MAX * sizeof(int))];
};

int channel_pair(int ends[2])
{
    int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
    return socketpair(AF_UNIX, type, 0, ends) < 0 ? -errno : 0;
}

static bool has_option(int fd, int option, int wanted)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

bool channel_is_from(int fd, int pid)
{
    struct ucred made_by = {0};
    socklen_t size = sizeof made_by;
    /* Of a process that cannot be seen from here the system says 0. */
    return pid > 0 && has_option(fd, SO_DOMAIN, AF_UNIX) &&
           has_option(fd, SO_TYPE, SOCK_SEQPACKET) &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &made_by, &size) == 0 && made_by.pid == pid;
}

/* The descriptors that come with a message. */
static unsigned announced(const struct handover_message *message)
{
    if (message->type == HANDOVER_BATCH)
        return message->entry_count;
    return message->type == HANDOVER_WELCOME ? 1 : 0;
}

#define SEND_TRIES 3

/* A lack of memory may pass: a lost SERVING would be the end of a process that serves already. */
static int send_packet(int fd, const struct msghdr *packet)
{
    ssize_t sent;
    int left = SEND_TRIES;
    do
        sent = sendmsg(fd, packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && (errno == EINTR || ((errno == ENOMEM || errno == ENOBUFS) && --left > 0)));
    if (sent < 0) /* reset: it has gone, and something it had not read is lost */
        return errno == ECONNRESET ? -EPIPE : -errno;
    return 0;
}

int channel_send(int fd, const struct handover_message *message, const int *fds, unsigned count)
{
    char bytes[HANDOVER_PACKET_MAX];
    union control control = {.bytes = {0}};
    if (count != announced(message))
        return -EINVAL;
    int size = handover_encode(message, bytes, sizeof bytes);
    if (size < 0)
        return size;

    struct iovec part = {bytes, (size_t)size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        size_t fds_size = count * sizeof fds[0];
        packet.msg_control = control.bytes;
        packet.msg_controllen = (socklen_t)CMSG_SPACE(fds_size); /* so wide in musl */
        control.head = (struct cmsghdr){.cmsg_len = (socklen_t)CMSG_LEN(fds_size),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), fds, fds_size);
    }
    return send_packet(fd, &packet);
}

bool channel_has_room(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    return poll(&look, 1, 0) > 0; /* the system says so while a quarter is used at most */
}

/* Everything that came with a packet, wanted or not: what is not taken here can never be closed. */
static unsigned take_descriptors(struct msghdr *packet, int fds[HANDOVER_BATCH_MAX])
{
    unsigned count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(packet); head != NULL;
         head = CMSG_NXTHDR(packet, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof fds[0];
        if (here > HANDOVER_BATCH_MAX - count) /* no room for so many in union control */
            here = HANDOVER_BATCH_MAX - count;
        memcpy(fds + count, CMSG_DATA(head), here * sizeof fds[0]);
        count += (unsigned)here;
    }
    return count;
}

static ssize_t receive_packet(int fd, struct msghdr *packet)
{
    const struct msghdr fresh = *packet; /* the system writes into it */
    ssize_t size;
    do {
        *packet = fresh;
        size = recvmsg(fd, packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        /* Reset is said once, when the other side has left something unread; what it said before
         * it went is behind that. */
    } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
    return size < 0 ? -errno : size;
}

/* Is there no number left for another descriptor? */
static bool is_full(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return errno == EMFILE;
    (void)close(copy);
    return false;
}

static int judge(int fd, struct handover_message *message, const struct msghdr *packet,
                 ssize_t size, unsigned count)
{
    if (size == 0) /* the end; we send no empty packets */
        return -EPIPE;
    if ((packet->msg_flags & MSG_CTRUNC) != 0 && is_full(fd))
        return -EMFILE;
    if ((packet->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return -EBADMSG;
    int rc = handover_decode(message, packet->msg_iov->iov_base, (size_t)size);
    if (rc < 0)
        return rc;
    return count == announced(message) ? 0 : -EBADMSG;
}

int channel_receive(int fd, struct handover_message *message, int *fds, unsigned *count)
{
    char bytes[HANDOVER_PACKET_MAX];
    union control control;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    *count = 0;
    ssize_t size = receive_packet(fd, &packet);
    if (size < 0)
        return (int)size;

    int came[HANDOVER_BATCH_MAX];
    unsigned came_count = take_descriptors(&packet, came);
    int rc = judge(fd, message, &packet, size, came_count);
    if (rc < 0) {
        for (unsigned i = 0; i < came_count; i++)
            (void)close(came[i]); /* nothing is left to do about a failed close */
        return rc;
    }
    memcpy(fds, came, came_count * sizeof came[0]);
    *count = came_count;
    return 0;
}

int channel_wait(int fd, int64_t until_ns)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    for (;;) {
        int64_t left = until_ns - clock_real_now();
        int64_t ms = left > 0 ? left / NS_PER_MS + (left % NS_PER_MS != 0) : 0;
        int ready = poll(&wait, 1, ms < INT_MAX ? (int)ms : INT_MAX);
        if (ready > 0) /* or hung up: receiving says so */
            return 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready == 0 && left <= 0)
            return -ETIMEDOUT;
    }
}
