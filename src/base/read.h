/* SPDX-License-Identifier: MIT
 *
 * A part of a file, whole or not at all. Here and not in a source file, because plugins use it too,
 * and are not linked to what libsrun keeps to itself. Threads: any.
 */
#ifndef BASE_READ_H
#define BASE_READ_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

/* False: it cannot be read, or the file ends before. */
static inline bool read_at(int fd, void *out, uint64_t size, uint64_t offset)
{
    char *at = out;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got < 0)
            continue;
        at += got;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
    return true;
}

#endif
