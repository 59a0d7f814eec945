/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include "base/duration.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

int fd_event_new(void)
{
    return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int fd_timer_new(void)
{
    return result(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

int fd_poller_new(void)
{
    return result(epoll_create1(EPOLL_CLOEXEC));
}

int fd_signals_new(const sigset_t *set)
{
    return result(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void fd_event_raise(int event)
{
    const uint64_t one = 1;
    ssize_t written;
    do
        written = write(event, &one, sizeof one);
    while (written < 0 && errno == EINTR); /* EAGAIN: it is raised already, 2^64 times */
}

void fd_event_lower(int event)
{
    uint64_t count;
    ssize_t got;
    do
        got = read(event, &count, sizeof count);
    while (got < 0 && errno == EINTR); /* EAGAIN: it was not raised */
}

int fd_timer_set(int timer, int64_t at_ns)
{
    struct itimerspec when = {0};
    if (at_ns != INT64_MAX) {
        int64_t at = at_ns > 0 ? at_ns : 1; /* zero would disarm */
        when.it_value = (struct timespec){.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S};
    }
    return result(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL));
}

int fd_signals_read(int signals, bool *kernel, int *sender)
{
    struct signalfd_siginfo info;
    ssize_t size;
    do
        size = read(signals, &info, sizeof info);
    while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof info)
        return 0;
    *kernel = info.ssi_code == SI_KERNEL;
    *sender = (int)info.ssi_pid;
    return (int)info.ssi_signo;
}

int fd_poller_add(int poller, int fd, uint32_t tag, bool edge)
{
    struct epoll_event event = {.events = EPOLLIN | (edge ? (uint32_t)EPOLLET : 0),
                                .data.u32 = tag};
    return result(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event));
}

void fd_poller_want_room(int poller, int fd, uint32_t tag, bool room)
{
    struct epoll_event event = {.events = EPOLLIN | (room ? (uint32_t)EPOLLOUT : 0),
                                .data.u32 = tag};
    (void)epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event); /* it stands there */
}

void fd_poller_remove(int poller, int fd)
{
    (void)epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
}

int fd_poller_wait(int poller, uint32_t *tags, int capacity, int timeout_ms)
{
    struct epoll_event events[8];
    int most = capacity < 8 ? capacity : 8;
    int ready = epoll_wait(poller, events, most, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < ready; i++)
        tags[i] = events[i].data.u32;
    return ready;
}

void fd_poller_await(int poller)
{
    struct pollfd wait = {.fd = poller, .events = POLLIN};
    (void)poll(&wait, 1, -1); /* woken for nothing, or interrupted: the caller looks again */
}

void fd_make_room(int fd, size_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && count > limit.rlim_cur)
        count = limit.rlim_cur;
    int last = count > 0 && count <= INT_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, (int)count - 1) : -1;
    if (last >= 0)
        (void)close(last);
}

int fd_write_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, (const char *)data + done, size - done);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written == 0)
            return -EIO; /* who takes nothing would be asked for ever */
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

void fd_hold_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int opened = open("/dev/null", O_RDWR); /* for those that are started, too */
        if (opened > fd)
            (void)close(opened);
    }
}

void fd_await_either(int one, int other)
{
    struct pollfd wait[] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    (void)poll(wait, 2, -1);
}
