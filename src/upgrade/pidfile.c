/* SPDX-License-Identifier: MIT */
#include "upgrade/pidfile.h"

#include "base/auto.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 3

/* A new file, whatever is in its place: a name that has this thread's id in it is our own, so what
 * bears it was left by a process that died. A symbolic link goes, what it leads to stays. */
static int open_new(const char *path)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd >= 0 || errno != EEXIST)
            return fd >= 0 ? fd : -errno;
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return -EEXIST;
}

/* Some file systems tell a full disk only when the file is closed. */
static int fill(int fd, int pid)
{
    char text[16];
    int size = snprintf(text, sizeof text, "%d\n", pid);
    int rc = fd_write_all(fd, text, (size_t)size);
    if (rc == 0 && fchmod(fd, 0644) < 0) /* whatever the umask */
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int replace(const char *path, const char *temporary, int pid)
{
    int fd = open_new(temporary);
    if (fd < 0)
        return fd;
    int rc = fill(fd, pid);
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlink(temporary); /* the error that is told is the first one */
    return rc;
}

int pidfile_write(const char *path, int pid, srun_err *err)
{
    char temporary[PATH_MAX];
    int size = snprintf(temporary, sizeof temporary, "%s.new.%d", path, gettid());
    int rc = size < (int)sizeof temporary ? replace(path, temporary, pid) : -ENAMETOOLONG;
    return rc < 0 ? srun_fail(err, rc, "PID file %s: %s", path, srun_strerror(rc)) : 0;
}

void pidfile_remove(const char *path, int pid)
{
    char text[32], wanted[16];
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t size;
    do
        size = read(fd, text, sizeof text - 1);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return;
    text[size] = '\0';
    (void)snprintf(wanted, sizeof wanted, "%d\n", pid);
    if (strcmp(text, wanted) == 0)
        (void)unlink(path); /* a folder that has become read-only keeps it */
}
