/* SPDX-License-Identifier: MIT
 *
 * Makes a socket that listens, and removes what it leaves behind. Threads: any.
 */
#ifndef UPGRADE_BIND_H
#define UPGRADE_BIND_H

#include "upgrade/address.h"

#include <srun/upgrade.h>
#include <stdint.h>

/* The path of a unix socket, as a file: to unlink it only while it is still the one we made. */
struct bind_path {
    uint64_t device, inode; /* 0: no path */
};

/* Socket, options, bind, listen (not for datagrams). A unix path of a dead socket is replaced: only
 * when connecting is refused. The descriptor or a negative errno, with a text that names the
 * address. *path is filled in. shared: SO_REUSEPORT. */
int bind_open(const struct address *address, const struct srun_listen_options *options, bool shared,
              struct bind_path *path, srun_err *err);

/* What may change on a socket that was handed over: the backlog, a path's mode. Returns the name of
 * an option that should differ and cannot ("v6only"), or NULL. O_NONBLOCK and FD_CLOEXEC are seen
 * to. */
const char *bind_adopt(int fd, const struct address *address,
                       const struct srun_listen_options *options);

/* Unlinks the path if it is still that file. */
void bind_unlink(const struct address *address, const struct bind_path *path);

/* 0 when fd is a socket of that kind that listens (or a datagram socket), or a negative errno. */
int bind_check(int fd, const struct address *address);

#endif
