/* SPDX-License-Identifier: MIT
 *
 * Sinks. Any thread; each sink has one lock, and nothing is called under it but the kernel.
 *
 * Files take a small record by one write and no lock. Pipes, sockets and terminals can refuse for
 * a while: there a record goes in under the lock, without blocking, and waits for room by poll, at
 * most SINK_PATIENCE_MS counting the wait for the lock. A sink that takes nothing by then is
 * stalled: until it takes something again nobody waits for it. While there is room, whoever has the
 * lock lacks a processor, and is waited for up to HELD_UP_MOST. A large record that was taken in
 * part leaves its rest in the buffer, and the rest goes out before anything else: no line is torn.
 *
 * O_NONBLOCK is never set, because other processes share the file description. Kernels that know
 * RWF_NOWAIT for the file are asked per call; for the others the file is polled, and then takes a
 * piece of PIPE_BUF without blocking, unless another process fills the room in between.
 *
 * A child of fork writes as its parent does, whoever held a sink at that moment.
 */
#include "log/sink.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/libc.h"
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

_Static_assert(SINK_SMALL <= PIPE_BUF, "small records are whole on pipes");

#define LOOK_EVERY (5 * NS_PER_MS)
#define LOOKS (SINK_PATIENCE_MS * NS_PER_MS / LOOK_EVERY)
#define HELD_UP_MOST (2 * NS_PER_S)

enum kind { KIND_FILE, KIND_PIPE, KIND_SOCKET };

/* The time by which a record must be out; the clock is read only when there is a wait. */
struct patience {
    int64_t deadline_ns;
};

struct sink {
    struct sink_head head; /* first: sink_write reads it */
    struct sink *next;
    dev_t device;
    ino_t inode;
    int references;
    enum kind kind;
    atomic_bool busy;          /* the lock */
    atomic_int waiting;        /* threads in wait_for_turn */
    pthread_mutex_t turn_lock; /* a leaf; orders the test of busy and the signal, for turn */
    pthread_cond_t turn;
    atomic_bool stuck; /* who has the lock, for so long that nobody waits for it any more */
    atomic_bool nowait_refused;
    size_t rest_at; /* where in buffer the rest begins */
    bool stalled;
    struct patience patience; /* of the large record between sink_begin and sink_end */
    char buffer[SINK_LARGE];
};

/* Guards the list and the reference counts; a leaf. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sink *registry;

/* --- fork ------------------------------------------------------------------------------------ */

static void init_turn(struct sink *sink)
{
    (void)thread_cond_init(&sink->turn);
    pthread_mutex_init(&sink->turn_lock, NULL);
}

static void before_fork(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&registry_lock);
}

/* The thread that held a sink is not there to give it back, and the rest of a record is its
 * parent's to write. */
static void in_child(void)
{
    for (struct sink *sink = registry; sink != NULL; sink = sink->next) {
        atomic_store(&sink->busy, false);
        atomic_store(&sink->waiting, 0);
        atomic_store(&sink->stuck, false);
        atomic_store(&sink->head.rest, 0);
        init_turn(sink);
    }
    after_fork();
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork, in_child); /* without memory for it: no guard */
}

/* --- waiting --------------------------------------------------------------------------------- */

static int64_t deadline(struct patience *patience)
{
    if (patience->deadline_ns == 0)
        patience->deadline_ns = clock_real_now() + SINK_PATIENCE_MS * NS_PER_MS;
    return patience->deadline_ns;
}

static bool try_lock(struct sink *sink)
{
    bool expected = false;
    return atomic_compare_exchange_strong(&sink->busy, &expected, true);
}

/* There is room, and who has the sink does not take it. */
static bool is_held_up(struct sink *sink, int fd, int64_t waited)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    if (atomic_load(&sink->stuck) || poll(&poller, 1, 0) == 0)
        return false;
    if (waited >= HELD_UP_MOST)
        atomic_store(&sink->stuck, true);
    return waited < HELD_UP_MOST;
}

/* Looks by itself too: who has given the sink back may get no processor to say so. And so often in
 * any case: this thread may get none before its time is over. */
static bool wait_for_turn(struct sink *sink, int fd, struct patience *patience)
{
    int64_t until = deadline(patience), since = clock_real_now(), now = since;

    pthread_mutex_lock(&sink->turn_lock);
    atomic_fetch_add(&sink->waiting, 1);
    bool locked = try_lock(sink);
    for (int looks = 0;
         !locked && (looks < LOOKS || now < until || is_held_up(sink, fd, now - since)); looks++) {
        (void)thread_cond_wait_until(&sink->turn, &sink->turn_lock, now + LOOK_EVERY);
        locked = try_lock(sink);
        now = clock_real_now();
    }
    atomic_fetch_sub(&sink->waiting, 1);
    pthread_mutex_unlock(&sink->turn_lock);
    if (now >= until)
        patience->deadline_ns = 0; /* it has not waited for room yet */
    return locked;
}

/* A mutex whose wait ends, by the monotonic clock. */
static bool lock_in_time(struct sink *sink, int fd, struct patience *patience)
{
    return try_lock(sink) || wait_for_turn(sink, fd, patience);
}

static void unlock(struct sink *sink)
{
    if (atomic_load_explicit(&sink->stuck, memory_order_relaxed))
        atomic_store(&sink->stuck, false);
    atomic_store(&sink->busy, false);
    if (atomic_load(&sink->waiting) == 0)
        return;
    pthread_mutex_lock(&sink->turn_lock);
    pthread_cond_signal(&sink->turn);
    pthread_mutex_unlock(&sink->turn_lock);
}

/* False when the time is over. A stalled sink is looked at, not waited for. */
static bool wait_for_room(const struct sink *sink, int fd, struct patience *patience)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int64_t left = deadline(patience) - clock_real_now();
    if (left <= 0)
        return false;
    int rc = poll(&poller, 1, sink->stalled ? 0 : (int)(left / NS_PER_MS) + 1);
    return rc > 0 || (rc < 0 && errno == EINTR);
}

static ssize_t write_after_poll(int fd, const char *data, size_t size)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int rc = poll(&poller, 1, 0);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, data, size < PIPE_BUF ? size : PIPE_BUF);
}

static ssize_t write_nowait(struct sink *sink, int fd, const char *data, size_t size)
{
    if (!atomic_load_explicit(&sink->nowait_refused, memory_order_relaxed)) {
        struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
        ssize_t rc = pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
        if (rc >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
            return rc;
        atomic_store_explicit(&sink->nowait_refused, true, memory_order_relaxed);
    }
    return write_after_poll(fd, data, size);
}

static ssize_t write_some(struct sink *sink, int fd, const char *data, size_t size)
{
    ssize_t rc;
    do {
        if (sink->kind == KIND_FILE)
            rc = write(fd, data, size);
        else if (sink->kind == KIND_SOCKET)
            rc = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            rc = write_nowait(sink, fd, data, size);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

/* Writes until all is out, the time is over, or the file refuses. Returns how much is out; errno is
 * EAGAIN when only time was missing. */
static size_t write_locked(struct sink *sink, int fd, const char *data, size_t size,
                           struct patience *patience)
{
    size_t done = 0;
    while (done < size) {
        ssize_t rc = write_some(sink, fd, data + done, size - done);
        if (rc > 0) {
            done += (size_t)rc;
            sink->stalled = false;
            continue;
        }
        if (rc == 0)
            errno = EIO; /* a driver that takes nothing would be asked for ever */
        if (errno != EAGAIN)
            break;
        if (!wait_for_room(sink, fd, patience)) {
            sink->stalled = true;
            errno = EAGAIN;
            break;
        }
    }
    return done;
}

/* True when nothing is left over from an earlier record. A rest that nobody will ever read, since
 * the reader has gone, is given up. */
static bool finish_rest_locked(struct sink *sink, int fd, struct patience *patience)
{
    size_t rest = atomic_load_explicit(&sink->head.rest, memory_order_relaxed);
    if (rest == 0)
        return true;
    size_t done = write_locked(sink, fd, sink->buffer + sink->rest_at, rest, patience);
    bool gone = done < rest && (errno == EPIPE || errno == EBADF);
    sink->rest_at += done;
    atomic_store_explicit(&sink->head.rest, gone ? 0 : rest - done, memory_order_relaxed);
    return done == rest;
}

static void keep_rest_locked(struct sink *sink, const char *rest, size_t size)
{
    memmove(sink->buffer, rest, size);
    sink->rest_at = 0;
    atomic_store_explicit(&sink->head.rest, size, memory_order_relaxed);
}

/* The first byte decides: a record of which one byte is out has been taken. */
static bool take_locked(struct sink *sink, int fd, const char *record, size_t size,
                        struct patience *patience)
{
    size_t done = write_locked(sink, fd, record, size, patience);
    if (done > 0 && done < size)
        keep_rest_locked(sink, record + done, size - done);
    return done > 0;
}

bool sink_write_in_turn(struct sink *sink, int fd, const char *record, size_t size, size_t done)
{
    struct patience patience = {0};
    if (!lock_in_time(sink, fd, &patience))
        return done > 0;
    bool taken = done > 0;
    if (finish_rest_locked(sink, fd, &patience)) {
        if (taken)
            keep_rest_locked(sink, record + done, size - done);
        else
            taken = take_locked(sink, fd, record, size, &patience);
    }
    unlock(sink);
    return taken;
}

/* Half of a record (the disk is full) is kept like that of a pipe. */
bool sink_write_after(struct sink *sink, int fd, const char *record, size_t size, ssize_t rc)
{
    if (rc < 0 && errno == EINTR)
        rc = write_some(sink, fd, record, size);
    if (rc == (ssize_t)size)
        return true;
    if (rc == 0 || (rc < 0 && errno != EAGAIN))
        return false;
    return sink_write_in_turn(sink, fd, record, size, rc > 0 ? (size_t)rc : 0);
}

char *sink_begin(struct sink *sink, int fd)
{
    struct patience patience = {0};
    if (!lock_in_time(sink, fd, &patience))
        return NULL;
    if (finish_rest_locked(sink, fd, &patience)) {
        sink->patience = patience;
        return sink->buffer;
    }
    unlock(sink);
    return NULL;
}

bool sink_end(struct sink *sink, int fd, size_t size)
{
    bool taken = take_locked(sink, fd, sink->buffer, size, &sink->patience);
    unlock(sink);
    return taken;
}

static enum kind kind_of(int fd, const struct stat *status)
{
    if (S_ISSOCK(status->st_mode))
        return KIND_SOCKET;
    if (S_ISFIFO(status->st_mode) || (S_ISCHR(status->st_mode) && isatty(fd)))
        return KIND_PIPE;
    return KIND_FILE;
}

static struct sink *find_locked(const struct stat *status)
{
    struct sink *sink = registry;
    while (sink != NULL && (sink->device != status->st_dev || sink->inode != status->st_ino))
        sink = sink->next;
    return sink;
}

/* The buffer is not touched before the first large record, so it costs no memory until then. */
static struct sink *make_locked(int fd, const struct stat *status)
{
    struct sink *sink = malloc(sizeof *sink);
    if (sink == NULL)
        return NULL;
    memset(sink, 0, offsetof(struct sink, buffer));
    sink->device = status->st_dev;
    sink->inode = status->st_ino;
    sink->kind = kind_of(fd, status);
    sink->head.is_file = sink->kind == KIND_FILE;

    init_turn(sink);
    sink->next = registry;
    registry = sink;
    return sink;
}

int sink_open(struct sink **out, int fd, srun_err *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return srun_fail(err, -errno, "log: descriptor %d: %m", fd);

    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    pthread_mutex_lock(&registry_lock);
    struct sink *sink = find_locked(&status);
    if (sink == NULL)
        sink = make_locked(fd, &status);
    if (sink != NULL)
        sink->references++;
    pthread_mutex_unlock(&registry_lock);
    if (sink == NULL)
        return srun_fail(err, -ENOMEM, "log: out of memory");
    *out = sink;
    return 0;
}

/* Takes the sink out of the list when it was the last reference. */
static bool release(struct sink *sink)
{
    pthread_mutex_lock(&registry_lock);
    bool last = --sink->references == 0;
    if (last) {
        struct sink **link = &registry;
        while (*link != sink)
            link = &(*link)->next;
        *link = sink->next;
    }
    pthread_mutex_unlock(&registry_lock);
    return last;
}

void sink_close(struct sink *sink, int fd)
{
    if (sink == NULL)
        return;
    if (sink_begin(sink, fd) != NULL)
        unlock(sink);
    if (!release(sink))
        return;
    pthread_cond_destroy(&sink->turn);
    pthread_mutex_destroy(&sink->turn_lock);
    free(sink);
}
