/* SPDX-License-Identifier: MIT
 *
 * The stand-in runs in our memory, on the thread-local variables of the thread that made it, which
 * only waits meanwhile. So it is not instrumented, and makes system calls and nothing else.
 */
#include "upgrade/standin.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024) /* of which it touches a page or two */
#define PATIENCE NS_PER_S      /* with the end of a process that was killed */
#define ANSWER_S 10            /* the stand-in's patience, when all is said */
#define PAUSE_NS (20 * 1000 * 1000)
#define FAREWELL (100 * NS_PER_MS)

#define SYSTEM_CALLS_ONLY                                                                          \
    __attribute__((no_sanitize("address", "undefined"), no_sanitize_thread, noinline))

/* The thread sanitizer takes each clone for a fork, and may only see it in memory of its own. */
#if defined __SANITIZE_THREAD__
#define MEMORY 0
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define MEMORY 0
#endif
#endif
#ifndef MEMORY
#define MEMORY CLONE_VM
#endif

/* A message; with a descriptor, or none. */
struct word {
    struct msghdr message;
    struct iovec part;
    char text[32];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

/* What both processes use: in no memory that might be given back before the stand-in has ended. */
static struct standin {
    int socket; /* connected to the manager */
    int maker;  /* a pidfd of this process */
    int go;     /* readable: the stand-in was named */
    int heard[2];
    int pidfd; /* of the stand-in */
    int maker_pid;
    struct word named, renamed, barrier;
    _Alignas(64) char stack[STACK_SIZE];
} shared;

static atomic_flag in_use = ATOMIC_FLAG_INIT;

/* --- the stand-in ---------------------------------------------------------------------------- */

/* Until the descriptor (-1: none) is readable or the time is over (NULL: never). False when the
 * process that it stands in for has ended. */
SYSTEM_CALLS_ONLY static bool wait_with(const struct standin *in, int fd, struct timespec *limit)
{
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = in->maker, .events = POLLIN}};
    (void)syscall(SYS_ppoll, wait, 2, limit, NULL, 0);
    return wait[1].revents == 0;
}

/* Tries until the manager takes it, because nobody else can name the main process again. False also
 * when the manager is no more. */
SYSTEM_CALLS_ONLY static bool say(const struct standin *in, const struct word *word)
{
    while (syscall(SYS_sendmsg, in->socket, &word->message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        struct timespec pause = {.tv_nsec = PAUSE_NS};
        bool full = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == EINTR;
        if (!wait_with(in, -1, &pause) || !full)
            return false;
    }
    return true;
}

/* Whoever asked the main process to stop waits for the end of this one, and that comes with the
 * other's. */
SYSTEM_CALLS_ONLY static void pass_on(const struct standin *in)
{
    static const int signals[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM};
    uint64_t pending = 0;
    (void)syscall(SYS_rt_sigpending, &pending, sizeof pending);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if ((pending >> (signals[i] - 1) & 1) != 0)
            (void)syscall(SYS_kill, in->maker_pid, signals[i]);
    if ((pending >> (SIGTERM - 1) & 1) != 0)
        (void)wait_with(in, -1, NULL);
}

SYSTEM_CALLS_ONLY static int stand_in(void *arg)
{
    const struct standin *in = arg;
    struct timespec limit = {.tv_sec = ANSWER_S};
    if (!wait_with(in, in->go, NULL))
        return 1;
    bool said = say(in, &in->renamed) && say(in, &in->barrier);
    (void)syscall(SYS_close, in->heard[1]); /* ours too: the descriptors are the same */
    if (said)
        said = wait_with(in, in->heard[0], &limit);
    if (said)
        pass_on(in);
    return said ? 0 : 1;
}

/* --- this process ---------------------------------------------------------------------------- */

static void write_word(struct word *word, const char *text, int fd)
{
    *word = (struct word){0};
    (void)snprintf(word->text, sizeof word->text, "%s", text);
    word->part = (struct iovec){.iov_base = word->text, .iov_len = strlen(word->text)};
    word->message = (struct msghdr){.msg_iov = &word->part, .msg_iovlen = 1};
    if (fd < 0)
        return;
    word->message.msg_control = word->control;
    word->message.msg_controllen = sizeof word->control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&word->message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
}

static void write_main_pid(struct word *word, int pid)
{
    char text[sizeof word->text];
    (void)snprintf(text, sizeof text, "MAINPID=%d", pid);
    write_word(word, text, -1);
}

static int send_word(const struct word *word)
{
    return sendmsg(shared.socket, &word->message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* 0: readable; -ETIMEDOUT; -ECANCELED: `stop` (-1: none) is. */
static int await(int fd, int stop, int64_t limit_ns)
{
    int64_t until = limit_ns == INT64_MAX ? INT64_MAX : clock_real_now() + limit_ns;
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    do {
        int64_t left = until == INT64_MAX ? INT64_MAX : until - clock_real_now();
        if (left < 0)
            return -ETIMEDOUT;
        wait[0].revents = wait[1].revents = 0;
        (void)poll(wait, 2, left == INT64_MAX ? -1 : (int)(left / NS_PER_MS) + 1);
    } while (wait[0].revents == 0 && wait[1].revents == 0);
    return wait[0].revents != 0 ? 0 : -ECANCELED;
}

/* A manager that answers takes what follows at once, and nothing of older times stands before it.
 */
static int greet(const struct standin_request *request)
{
    int ends[2];
    struct word barrier;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    write_word(&barrier, "BARRIER=1", ends[1]);
    int rc = send_word(&barrier);
    (void)close(ends[1]);
    if (rc == 0)
        rc = await(ends[0], request->stop, request->patience_ns);
    (void)close(ends[0]);
    return rc;
}

static int open_socket(const struct standin_request *request)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)&request->manager, request->size);
    rc = rc < 0 ? -errno : fd;
    if (rc < 0)
        (void)close(fd);
    return rc;
}

static int prepare(const struct standin_request *request)
{
    shared.maker_pid = getpid();
    shared.socket = shared.maker = shared.go = shared.heard[0] = shared.heard[1] = -1;
    shared.pidfd = -1;
    if ((shared.socket = open_socket(request)) < 0)
        return shared.socket;
    if ((shared.maker = spawn_pidfd(shared.maker_pid)) < 0)
        return shared.maker;
    if ((shared.go = fd_event_new()) < 0)
        return shared.go;
    if (pipe2(shared.heard, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    write_main_pid(&shared.renamed, shared.maker_pid);
    write_word(&shared.barrier, "BARRIER=1", shared.heard[1]);
    return 0;
}

static void put_away(void)
{
    const int all[] = {shared.socket,   shared.maker,    shared.go,
                       shared.heard[0], shared.heard[1], shared.pidfd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] >= 0)
            (void)close(all[i]);
}

/* With every signal blocked: no handler of the program runs in it. */
static int make(void)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int pid =
        clone(stand_in, shared.stack + sizeof shared.stack,
              MEMORY | CLONE_FILES | CLONE_PARENT | CLONE_PIDFD | SIGCHLD, &shared, &shared.pidfd);
    int rc = pid < 0 ? -errno : pid;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* *ended: nobody uses what is shared any more. */
static int change_and_back(int stop, bool *ended)
{
    int pid = make();
    if (pid < 0)
        return pid;
    write_main_pid(&shared.named, pid);
    int rc = send_word(&shared.named);
    if (rc < 0) {
        (void)spawn_signal(shared.pidfd, SIGKILL); /* nobody knows it */
        *ended = await(shared.pidfd, -1, PATIENCE) == 0;
        return rc;
    }
    fd_event_raise(shared.go);
    rc = await(shared.pidfd, stop, INT64_MAX);
    *ended = rc == 0 || await(shared.pidfd, -1, FAREWELL) == 0;
    shared.heard[1] = -1; /* it has closed that, or will */
    return rc;
}

int standin_renew(const struct standin_request *request, srun_err *err)
{
    if (atomic_flag_test_and_set(&in_use))
        return srun_fail(err, -EBUSY, "there is a stand-in already");
    bool ended = true;
    int rc = prepare(request);
    rc = rc < 0 ? rc : greet(request);
    rc = rc < 0 ? rc : change_and_back(request->stop, &ended);
    if (ended) {
        put_away();
        atomic_flag_clear(&in_use);
    }
    return rc < 0 ? srun_fail(err, rc, "%s", srun_strerror(rc)) : 0;
}
