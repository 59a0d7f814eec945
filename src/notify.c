/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_MS 50 /* with a manager that is busy; a status is not worth waiting for */

static int64_t positive_number(const char *text)
{
    char *end;
    errno = 0;
    long long number = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && errno == 0 && *end == '\0' && number > 0 ? number : 0;
}

/* Half a second asked for is half a second; more than 290 years is never. */
static int64_t read_watchdog(char *(*getenv_fn)(const char *))
{
    int64_t usec = positive_number(getenv_fn("WATCHDOG_USEC"));
    const char *pid = getenv_fn("WATCHDOG_PID");
    if (pid != NULL && positive_number(pid) != getpid())
        return 0; /* meant for another process */
    return usec <= INT64_MAX / NS_PER_US ? usec * NS_PER_US : 0;
}

int notify_open(struct notify *notify, char *(*getenv_fn)(const char *))
{
    *notify = (struct notify){.fd = -1};
    const char *path = getenv_fn("NOTIFY_SOCKET");
    if (path == NULL || path[0] == '\0')
        return 0;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof notify->address.sun_path)
        return -EINVAL;
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@')
        notify->address.sun_path[0] = '\0'; /* the abstract name space */
    notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0)
        return -errno;
    const struct timeval patience = {.tv_usec = PATIENCE_MS * 1000};
    notify->impatient =
        setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0;
    notify->watchdog_ns = read_watchdog(getenv_fn);
    return 0;
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        (void)close(notify->fd);
    notify->fd = -1;
    notify->owed_count = 0;
}

/* Waits a moment for a busy manager, but not a second time before it has taken something, nor when
 * the moment was interrupted (a call with a time limit is never restarted; and who is stopped and
 * continued again and again would wait for ever). False: it is busy still. What fails in another
 * way will not get better. */
static bool send_text(struct notify *notify, const char *text, int flags)
{
    ssize_t sent;
    if (notify->tired || notify->impatient)
        flags |= MSG_DONTWAIT;
    do {
        sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | flags,
                      (const struct sockaddr *)&notify->address, notify->address_size);
        flags |= MSG_DONTWAIT;
    } while (sent < 0 && errno == EINTR);
    notify->tired = sent < 0 && (errno == EAGAIN || errno == ENOBUFS);
    return !notify->tired;
}

bool notify_tend(struct notify *notify)
{
    unsigned sent = 0;
    while (sent < notify->owed_count && send_text(notify, notify->owed[sent], MSG_DONTWAIT))
        sent++;
    notify->owed_count -= sent;
    if (sent > 0)
        memmove(notify->owed[0], notify->owed[sent], notify->owed_count * sizeof notify->owed[0]);
    return notify->owed_count > 0;
}

bool notify_owes(const struct notify *notify, const char *beginning)
{
    bool owes = false;
    for (unsigned i = 0; i < notify->owed_count; i++)
        owes |= strncmp(notify->owed[i], beginning, strlen(beginning)) == 0;
    return owes;
}

/* The latest say what counts. A ping that is late says nothing. */
static void owe(struct notify *notify, const char *text)
{
    if (strlen(text) >= NOTIFY_OWED_SIZE || strcmp(text, "WATCHDOG=1") == 0)
        return;
    if (notify->owed_count == NOTIFY_OWED_MAX)
        memmove(notify->owed[0], notify->owed[1], --notify->owed_count * sizeof notify->owed[0]);
    memcpy(notify->owed[notify->owed_count++], text, strlen(text) + 1);
}

void notify_send(struct notify *notify, const char *format, ...)
{
    if (notify->fd < 0 || notify->mute)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (notify_tend(notify) || !send_text(notify, text, 0))
        owe(notify, text);
}

/* A line break would begin another variable; systemd takes no status that is not UTF-8, as one that
 * was cut within a character; and people read it on a terminal. */
static void make_line(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    text_clean(text, strlen(text), "");
}

void notify_status(struct notify *notify, const char *format, ...)
{
    if (notify->fd < 0 || notify->mute)
        return;
    char text[sizeof notify->last_status] = "STATUS=";
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + 7, sizeof text - 7, format, args);
    va_end(args);
    make_line(text);
    if (strcmp(text, notify->last_status) == 0)
        return;
    bool taken = send_text(notify, text, MSG_DONTWAIT);
    memcpy(notify->last_status, taken ? text : "", taken ? sizeof text : 1);
}

void notify_reloading(struct notify *notify)
{
    notify_send(notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
                (long long)(clock_real_now() / NS_PER_US));
}

int notify_barrier(struct notify *notify)
{
    static const char text[] = "BARRIER=1";
    int ends[2];
    if (notify->fd < 0 || notify->mute)
        return -ENOENT;
    if (notify_tend(notify))
        return -EAGAIN; /* what it is to vouch for has not been sent */
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(sizeof(int))}};
    memcpy(CMSG_DATA(&control.head), &ends[1], sizeof ends[1]);
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = sizeof text - 1};
    const struct msghdr message = {.msg_name = &notify->address,
                                   .msg_namelen = notify->address_size,
                                   .msg_iov = &part,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof control};
    int rc = sendmsg(notify->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (rc < 0)
        (void)close(ends[0]);
    return rc < 0 ? rc : ends[0];
}
