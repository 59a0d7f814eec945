/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include "runner.h"
#include "upgrade/channel.h"
#include "upgrade/pidfile.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAULTS_MAX 8

unsigned faults_generation = 1;

static struct {
    char place[32], action[64];
    bool done;
} faults[FAULTS_MAX];
static unsigned fault_count;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int channel = -1; /* to the other generation */

struct sending {
    const struct handover_message *message;
    const int *fds;
    unsigned count;
    bool done; /* nothing is left to be sent */
};

/* What is wrapped. */
int __real_channel_send(int fd, const struct handover_message *message, const int *fds,
                        unsigned count);
int __real_channel_receive(int fd, struct handover_message *message, int *fds, unsigned *count);
int __real_channel_pair(int ends[2]);
int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const variables[]);
int __real_pidfd_open(pid_t pid, unsigned flags);
int __real_pidfile_write(const char *path, int pid, srun_err *err);
int __real_fd_poller_add(int poller, int fd, uint32_t tag, bool edge);

int __wrap_channel_send(int fd, const struct handover_message *message, const int *fds,
                        unsigned count);
int __wrap_channel_receive(int fd, struct handover_message *message, int *fds, unsigned *count);
int __wrap_channel_pair(int ends[2]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const variables[]);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfile_write(const char *path, int pid, srun_err *err);
int __wrap_fd_poller_add(int poller, int fd, uint32_t tag, bool edge);

/* --- orders ---------------------------------------------------------------------------------- */

void faults_load(void)
{
    const char *said = getenv(SPAWN_VARIABLE);
    const char *number = said != NULL ? strstr(said, "generation=") : NULL;
    if (number != NULL)
        faults_generation = (unsigned)strtoul(number + strlen("generation="), NULL, 10);
    char path[32];
    (void)snprintf(path, sizeof path, "faults.%u", faults_generation);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fault_count < FAULTS_MAX &&
           fscanf(file, "%31s %63s", faults[fault_count].place, faults[fault_count].action) == 2)
        fault_count++;
    (void)fclose(file);
    (void)unlink(path);
}

/* One packet as it stands, with or without a descriptor that nobody has announced. */
static void send_raw(const char *bytes, size_t size, const int *fds, unsigned count, int extra)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE((HANDOVER_BATCH_MAX + 1) * sizeof(int))];
    } control = {.room = {0}};
    int all[HANDOVER_BATCH_MAX + 1];
    if (count > 0)
        memcpy(all, fds, count * sizeof all[0]);
    if (extra >= 0)
        all[count++] = extra;
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        packet.msg_control = control.room;
        packet.msg_controllen = CMSG_SPACE(count * sizeof all[0]);
        control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(count * sizeof all[0])};
        memcpy(CMSG_DATA(&control.head), all, count * sizeof all[0]);
    }
    if (sendmsg(channel, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        perror("faults: sendmsg");
}

static void send_other(const struct sending *sending, const char *action)
{
    struct handover_message other = *sending->message;
    if (strcmp(action, "strange") == 0)
        (void)snprintf(other.name, sizeof other.name, "stranger");
    else
        other.version_min = other.version_max = HANDOVER_VERSION_MAX + 7;
    (void)__real_channel_send(channel, &other, sending->fds, sending->count);
}

/* True when the action is about a message. */
static bool spoil(struct sending *sending, const char *action)
{
    static const char garbage[] = "\0\1What is this? It is no message of ours.";
    static char bytes[HANDOVER_PACKET_MAX];
    int size = handover_encode(sending->message, bytes, sizeof bytes);
    if (size < 0)
        abort();
    size_t whole = (size_t)size;
    if (strcmp(action, "garble") == 0)
        send_raw(garbage, sizeof garbage, NULL, 0, -1);
    else if (strcmp(action, "short") == 0)
        send_raw(bytes, whole > 12 ? whole - 3 : whole / 2, sending->fds, sending->count, -1);
    else if (strcmp(action, "extra") == 0)
        send_raw(bytes, whole, sending->fds, sending->count, STDERR_FILENO);
    else if (strcmp(action, "strange") == 0 || strcmp(action, "future") == 0)
        send_other(sending, action);
    else if (strcmp(action, "twice") == 0) {
        send_raw(bytes, whole, sending->fds, sending->count, -1);
        send_raw(bytes, whole, sending->fds, sending->count, -1);
    } else if (strcmp(action, "drop") != 0)
        return false;
    sending->done = true;
    return true;
}

/* A process that has a copy of all that is open here, and does nothing; nobody's child. Without
 * handlers of fork: it is used anywhere. */
static void start_helper(void)
{
    int by = getpid(), status;
    pid_t pid = _Fork();
    if (pid == 0) {
        if (_Fork() != 0)
            _exit(0);
        (void)dprintf(STDERR_FILENO, "msg=helper pid=%d by=%d\n", getpid(), by);
        for (;;)
            (void)pause();
    }
    (void)waitpid(pid, &status, 0);
}

static int errno_named(const char *name)
{
    static const int known[] = {EAGAIN, ENOMEM, EMFILE, EROFS, ENOSPC, EIO};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, strerrorname_np(known[i])) == 0)
            return known[i];
    abort();
}

static void hold(const char *path)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        (void)close(fd);
}

static int act(const char *place, const char *action, struct sending *sending)
{
    const char *more = strchr(action, ':');
    (void)dprintf(STDERR_FILENO, "msg=fault at=%s action=%s generation=%u pid=%d\n", place, action,
                  faults_generation, getpid());
    if (sending != NULL && spoil(sending, action))
        return 0;
    if (strcmp(action, "kill") == 0)
        (void)kill(getpid(), SIGKILL);
    else if (strcmp(action, "segv") == 0)
        (void)raise(SIGSEGV);
    else if (strcmp(action, "stop") == 0)
        (void)kill(getpid(), SIGSTOP);
    else if (strcmp(action, "helper") == 0)
        start_helper();
    else if (strncmp(action, "exit:", 5) == 0)
        _exit(atoi(more + 1));
    else if (strncmp(action, "hold:", 5) == 0)
        hold(more + 1);
    else if (strncmp(action, "error:", 6) == 0)
        return -errno_named(more + 1);
    else
        abort();
    return 0;
}

static int look(const char *place, struct sending *sending)
{
    int rc = 0;
    for (unsigned i = 0; i < fault_count; i++) {
        (void)pthread_mutex_lock(&fault_lock);
        bool due = !faults[i].done && strcmp(faults[i].place, place) == 0;
        faults[i].done |= due;
        (void)pthread_mutex_unlock(&fault_lock);
        if (!due)
            continue;
        int one = act(place, faults[i].action, sending);
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

int faults_at(const char *place)
{
    return look(place, NULL);
}

int faults_do(const char *place, const char *action)
{
    const struct handover_message pong = {.type = HANDOVER_PONG};
    struct sending sending = {.message = &pong};
    return act(place, action, &sending);
}

/* --- the calls ------------------------------------------------------------------------------- */

static int look_at_message(const char *when, const struct handover_message *message,
                           struct sending *sending)
{
    char place[32];
    (void)snprintf(place, sizeof place, "%s:%s", when, handover_type_name(message->type));
    return look(place, sending);
}

int __wrap_channel_send(int fd, const struct handover_message *message, const int *fds,
                        unsigned count)
{
    struct sending sending = {.message = message, .fds = fds, .count = count};
    channel = fd;
    int rc = look_at_message("send", message, &sending);
    if (rc == 0 && !sending.done)
        rc = __real_channel_send(fd, message, fds, count);
    int after = look_at_message("sent", message, NULL);
    return rc < 0 ? rc : after;
}

int __wrap_channel_receive(int fd, struct handover_message *message, int *fds, unsigned *count)
{
    int rc = __real_channel_receive(fd, message, fds, count);
    return rc < 0 ? rc : look_at_message("receive", message, NULL);
}

int __wrap_channel_pair(int ends[2])
{
    int rc = look("call:channel_pair", NULL);
    return rc < 0 ? rc : __real_channel_pair(ends);
}

int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const variables[])
{
    int rc = look("call:posix_spawn", NULL);
    return rc < 0 ? -rc : __real_posix_spawn(pid, path, actions, attributes, argv, variables);
}

/* Of the new process, and of ourselves for it. */
int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    int rc = look(pid == getpid() ? "call:pidfd_open_self" : "call:pidfd_open", NULL);
    if (rc < 0) {
        errno = -rc;
        return -1;
    }
    return __real_pidfd_open(pid, flags);
}

/* Of the other process, by which its end is seen. */
int __wrap_fd_poller_add(int poller, int fd, uint32_t tag, bool edge)
{
    int rc = tag == RUNNER_TAG_PEER ? look("call:fd_poller_add", NULL) : 0;
    return rc < 0 ? rc : __real_fd_poller_add(poller, fd, tag, edge);
}

int __wrap_pidfile_write(const char *path, int pid, srun_err *err)
{
    int rc = look("call:pidfile_write", NULL);
    return rc < 0 ? srun_fail(err, rc, "PID file %s: %s", path, strerror(-rc))
                  : __real_pidfile_write(path, pid, err);
}
