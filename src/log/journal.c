/* SPDX-License-Identifier: MIT */
#include "log/journal.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "log/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct journal {
    const char *identifier;
    int fd;
    _Atomic bool stalled;
    struct sockaddr_un address;
};

enum outcome { TAKEN, REFUSED, TOO_BIG };

bool journal_is_behind(int fd, const char *stream)
{
    char text[64];
    struct stat status;
    if (stream == NULL || fstat(fd, &status) < 0)
        return false;
    (void)snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)status.st_dev,
                   (unsigned long long)status.st_ino);
    return strcmp(text, stream) == 0;
}

static int reach(struct journal *journal)
{
    return connect(journal->fd, (const struct sockaddr *)&journal->address,
                   sizeof journal->address);
}

int journal_open(struct journal **out, const char *path, const char *identifier, srun_err *err)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return srun_fail(err, -ENOMEM, "journal: out of memory");
    size_t size = strlen(path) + 1;
    journal->identifier = identifier;
    journal->address.sun_family = AF_UNIX;
    if (size > sizeof journal->address.sun_path) {
        free(journal);
        return srun_fail(err, -ENAMETOOLONG, "journal: the path has more than 107 bytes");
    }
    memcpy(journal->address.sun_path, path, size);
    journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal->fd < 0) {
        int code = -errno;
        free(journal);
        return srun_fail(err, code, "journal: %s", srun_strerror(code));
    }
    (void)reach(journal); /* else with the first record */
    *out = journal;
    return 0;
}

/* What one record may still do to get through. */
struct attempts {
    int64_t deadline_ns; /* 0: nobody has waited yet */
    bool reached;        /* the socket was looked for anew */
};

/* Without waiting, when it has stalled. */
static bool wait_for_room(struct journal *journal, struct attempts *attempts)
{
    struct pollfd poller = {.fd = journal->fd, .events = POLLOUT};
    int64_t now = clock_real_now();
    if (attempts->deadline_ns == 0)
        attempts->deadline_ns = clock_after_ms(now, SINK_PATIENCE_MS);
    int64_t left_ms = (attempts->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    int rc = 0;
    if (left_ms > 0 && !atomic_load(&journal->stalled))
        rc = poll(&poller, 1, (int)left_ms);
    if (rc > 0 || (rc < 0 && errno == EINTR))
        return true;
    atomic_store(&journal->stalled, true);
    return false;
}

static bool may_try_again(struct journal *journal, struct attempts *attempts, int code)
{
    switch (code) {
    case EINTR:
        return true;
    case EAGAIN:
        return wait_for_room(journal, attempts);
    case ENOTCONN: /* nobody was there, or has gone; somebody else may listen there now */
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        if (attempts->reached)
            return false;
        attempts->reached = true;
        return reach(journal) == 0;
    default:
        return false;
    }
}

static enum outcome post(struct journal *journal, const struct msghdr *message)
{
    struct attempts attempts = {0};
    while (sendmsg(journal->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        int code = errno;
        if (code == EMSGSIZE || code == ENOBUFS)
            return TOO_BIG;
        if (!may_try_again(journal, &attempts, code))
            return REFUSED;
    }
    if (atomic_load_explicit(&journal->stalled, memory_order_relaxed))
        atomic_store(&journal->stalled, false);
    return TAKEN;
}

static enum outcome post_data(struct journal *journal, const char *data, size_t size)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    return post(journal, &(const struct msghdr){.msg_iov = &piece, .msg_iovlen = 1});
}

/* A message without a byte, whose one descriptor is the entry. */
static bool post_descriptor(struct journal *journal, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {.room = {0}};
    control.head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    return post(journal, &(const struct msghdr){.msg_control = &control,
                                                .msg_controllen = sizeof control.room}) == TAKEN;
}

static bool post_file(struct journal *journal, const char *data, size_t size)
{
    auto_close int fd = memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd >= 0 && fd_write_all(fd, data, size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0 &&
           post_descriptor(journal, fd);
}

static bool post_any(struct journal *journal, const char *data, size_t size)
{
    enum outcome outcome = post_data(journal, data, size);
    return outcome == TAKEN || (outcome == TOO_BIG && post_file(journal, data, size));
}

static bool write_large(struct journal *journal, const struct journal_entry *entry)
{
    char *buffer =
        mmap(NULL, SINK_LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return false;
    struct out out = out_over(buffer, SINK_LARGE);
    entry_encode(&out, entry);
    bool taken = post_any(journal, buffer, (size_t)(out.at - buffer));
    (void)munmap(buffer, SINK_LARGE);
    return taken;
}

bool journal_write(struct journal *journal, const struct journal_entry *entry)
{
    char buffer[SINK_SMALL];
    struct out out = out_over(buffer, sizeof buffer);
    struct journal_entry whole = *entry;
    whole.identifier = journal->identifier;
    entry_encode(&out, &whole);
    if (out.cut)
        return write_large(journal, &whole);
    return post_any(journal, buffer, (size_t)(out.at - buffer));
}

int journal_fd(const struct journal *journal)
{
    return journal->fd;
}

struct journal *journal_free(struct journal *journal)
{
    if (journal == NULL)
        return NULL;
    (void)close(journal->fd);
    free(journal);
    return NULL;
}
