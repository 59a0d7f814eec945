/* SPDX-License-Identifier: MIT */
#include "upgrade/state.h"

#include "base/auto.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int state_seal(const void *data, size_t size)
{
    auto_close int fd = memfd_create("srun-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc = fd < 0 ? -errno : fd_write_all(fd, data, size);
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        rc = -errno;
    return rc < 0 ? rc : take_fd(&fd);
}

static int read_all(int fd, char *out, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, out + done, size - done, (off_t)done);
        if (got == 0)
            return -EIO;
        if (got < 0 && errno != EINTR)
            return -errno;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int state_read(int fd, void **data, size_t *size)
{
    const int least = F_SEAL_SHRINK | F_SEAL_WRITE;
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & least) != least)
        return -EINVAL;
    if (fstat(fd, &status) < 0)
        return -errno;
    size_t whole = (size_t)status.st_size;
    auto_free char *copy = malloc(whole + 1);
    int rc = copy == NULL ? -ENOMEM : read_all(fd, copy, whole);
    if (rc < 0)
        return rc;
    copy[whole] = '\0';
    *data = take_ptr(copy);
    *size = whole;
    return 0;
}
