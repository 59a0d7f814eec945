/* SPDX-License-Identifier: MIT
 *
 * Loaded before the programs of a build (./dev chaos): holds up a thread now and then, before or
 * after a call by which others notice it, for moments and sometimes for long, as a machine with too
 * much to do would. What is right only when nothing comes between two calls then goes wrong in
 * minutes, and not once in a month.
 *
 *     CHAOS_FOLDER    the programs that it is for: those below it
 *     CHAOS_CALLS     one call of so many is held up (10)
 *     CHAOS_USUAL_MS  less than so long (20)
 *     CHAOS_LONG_MS   and one time of ten less than this (300)
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OF_THREAD static __thread __attribute__((tls_model("initial-exec")))
#define LEAST_APART 20000000 /* ns of a thread's own between two */

static bool active;
static unsigned calls, usual_ms, long_ms;
OF_THREAD uint64_t dice;
OF_THREAD int64_t held_up; /* when, the last time */

/* None of these may be one of the calls below. */
static int64_t now_ns(void)
{
    struct timespec now;
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t thrown(uint64_t below)
{
    if (dice == 0)
        dice = (uint64_t)now_ns() ^ ((uint64_t)syscall(SYS_gettid) << 40) ^ 0x9E3779B97F4A7C15;
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

static void hold_up(void)
{
    if (!active || thrown(calls) != 0 || now_ns() - held_up < LEAST_APART)
        return;
    int before = errno;
    uint64_t ms = thrown(thrown(10) == 0 ? long_ms : usual_ms);
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)syscall(SYS_nanosleep, &pause, NULL);
    held_up = now_ns();
    errno = before;
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    int value = text != NULL ? atoi(text) : 0;
    return value > 0 ? (unsigned)value : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
    char path[4096];
    const char *folder = getenv("CHAOS_FOLDER");
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    calls = from_environment("CHAOS_CALLS", 10);
    usual_ms = from_environment("CHAOS_USUAL_MS", 20);
    long_ms = from_environment("CHAOS_LONG_MS", 300);
    active = folder != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define HELD_UP(type, name, parameters, arguments)                                                 \
    type name parameters                                                                           \
    {                                                                                              \
        static __typeof__(&name) real;                                                             \
        if (real == NULL)                                                                          \
            real = REAL(name);                                                                     \
        hold_up();                                                                                 \
        type result = real arguments;                                                              \
        hold_up();                                                                                 \
        return result;                                                                             \
    }

HELD_UP(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
HELD_UP(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
HELD_UP(ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count))
HELD_UP(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))
HELD_UP(ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags))
HELD_UP(ssize_t, recvfrom,
        (int fd, void *to, size_t size, int flags, struct sockaddr *peer, socklen_t *length),
        (fd, to, size, flags, peer, length))
HELD_UP(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
HELD_UP(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), (fd, from, flags))
HELD_UP(ssize_t, sendto,
        (int fd, const void *from, size_t size, int flags, const struct sockaddr *peer,
         socklen_t length),
        (fd, from, size, flags, peer, length))
HELD_UP(int, accept4, (int fd, struct sockaddr *peer, socklen_t *length, int flags),
        (fd, peer, length, flags))
HELD_UP(int, connect, (int fd, const struct sockaddr *peer, socklen_t length), (fd, peer, length))
HELD_UP(int, bind, (int fd, const struct sockaddr *own, socklen_t length), (fd, own, length))
HELD_UP(int, listen, (int fd, int backlog), (fd, backlog))
HELD_UP(int, shutdown, (int fd, int how), (fd, how))
HELD_UP(int, close, (int fd), (fd))
HELD_UP(int, dup3, (int from, int to, int flags), (from, to, flags))
HELD_UP(int, poll, (struct pollfd * fds, nfds_t count, int wait_ms), (fds, count, wait_ms))
HELD_UP(int, ppoll,
        (struct pollfd * fds, nfds_t count, const struct timespec *wait, const sigset_t *mask),
        (fds, count, wait, mask))
HELD_UP(int, epoll_wait, (int poller, struct epoll_event *events, int count, int wait_ms),
        (poller, events, count, wait_ms))
HELD_UP(int, epoll_ctl, (int poller, int what, int fd, struct epoll_event *event),
        (poller, what, fd, event))
HELD_UP(int, unlink, (const char *path), (path))
HELD_UP(int, rename, (const char *from, const char *to), (from, to))
HELD_UP(int, kill, (pid_t pid, int signo), (pid, signo))
HELD_UP(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
HELD_UP(int, waitid, (idtype_t kind, id_t id, siginfo_t *info, int flags), (kind, id, info, flags))
HELD_UP(int, posix_spawn,
        (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
         const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]),
        (pid, path, actions, attributes, argv, envp))
HELD_UP(int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
HELD_UP(int, pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
HELD_UP(int, pthread_cond_signal, (pthread_cond_t * cond), (cond))
HELD_UP(int, pthread_cond_broadcast, (pthread_cond_t * cond), (cond))
HELD_UP(int, pthread_join, (pthread_t thread, void **out), (thread, out))

/* A thread also begins late, and ends late. */
struct life {
    void *(*run)(void *);
    void *arg;
};

static void *live(void *arg)
{
    struct life life = *(struct life *)arg;
    free(arg);
    hold_up();
    void *result = life.run(life.arg);
    hold_up();
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *arg)
{
    struct life *life = active ? malloc(sizeof *life) : NULL;
    if (life == NULL)
        return REAL(pthread_create)(thread, attributes, run, arg);
    *life = (struct life){.run = run, .arg = arg};
    int rc = REAL(pthread_create)(thread, attributes, live, life);
    if (rc != 0)
        free(life);
    hold_up();
    return rc;
}
