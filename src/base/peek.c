/* SPDX-License-Identifier: MIT */
#include "base/peek.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define SIGSET_BYTES 8

/* Slower, for where the call is not known, or a container forbids it, as podman does unless told
 * otherwise. It does not mind pages that nobody may read. */
static size_t copy_by_file(char *out, uintptr_t address, size_t size)
{
    auto_close int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < size) {
        ssize_t got = pread(fd, out + done, size - done, (off_t)(address + done));
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* A call that meets a page which is not there copies nothing of its piece: so the pieces end where
 * pages do, and few of them are asked for at a time. */
size_t peek_copy(void *out, uintptr_t address, size_t size)
{
    enum { PIECES = 64 };
    size_t done = 0;
    while (done < size) {
        struct iovec from[PIECES], to = {.iov_base = (char *)out + done};
        size_t count = 0;
        for (; count < PIECES && done + to.iov_len < size; count++) {
            uintptr_t at = address + done + to.iov_len;
            size_t piece = PAGE - at % PAGE, left = size - done - to.iov_len;
            from[count] = (struct iovec){(void *)at, piece < left ? piece : left};
            to.iov_len += from[count].iov_len;
        }
        ssize_t got = process_vm_readv(getpid(), &to, 1, from, count, 0);
        if (got < 0 && errno != EFAULT)
            return done + copy_by_file((char *)out + done, address + done, size - done);
        if (got > 0)
            done += (size_t)got;
        if (got < 0 || (size_t)got < to.iov_len)
            break;
    }
    return done;
}

/* The kernel reads the set of signals before it looks at what is to be done with it, which is
 * nothing that it knows: then it says EINVAL. A filter (seccomp) that answers in its place has read
 * nothing. */
bool peek_readable(uintptr_t address)
{
    const long nothing = -1;
    if (address == 0) /* no set, for the kernel */
        return false;
    return syscall(SYS_rt_sigprocmask, nothing, address, NULL, (size_t)SIGSET_BYTES) < 0 &&
           errno == EINVAL;
}
