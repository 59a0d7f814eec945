/* SPDX-License-Identifier: MIT
 *
 * Makes a socket that listens, and removes what it leaves behind. Threads: any.
 */
#ifndef UPGRADE_BIND_H
#define UPGRADE_BIND_H

#include "upgrade/address.h"

#include <srun/upgrade.h>
#include <stdint.h>

/* The path of a unix socket, as a file: to unlink it only while it is still the one we made. Its
 * number is not given to another file as long as the socket is open: unlink first, then close. */
struct bind_path {
    uint64_t device, inode; /* 0: no path */
};

/* Socket, options, bind, listen (not for datagrams). A unix path of a dead socket is replaced: only
 * when connecting is refused. The descriptor or a negative errno, with a text that names the
 * address. *path is filled in. shared: SO_REUSEPORT (not for unix sockets). */
int bind_open(const struct address *address, const struct srun_listen_options *options, bool shared,
              struct bind_path *path, srun_err *err);

/* Sees to O_NONBLOCK and FD_CLOEXEC of a socket that was handed over. Returns the name of an option
 * that should differ and never can ("v6only"), or NULL. */
const char *bind_adopt(int fd, const struct address *address,
                       const struct srun_listen_options *options);

/* What may change later, in all processes that have the socket. 0 or a negative errno. */
#define BIND_AS_IT_IS (-1)
int bind_set_backlog(int fd, const struct address *address, int backlog); /* 0: SOMAXCONN */
int bind_set_mode(const struct address *address, const struct bind_path *path, int mode);

/* The mode of the path; BIND_AS_IT_IS when there is none, or it is no longer that file, which
 * bind_set_mode then leaves alone. */
int bind_mode(const struct address *address, const struct bind_path *path);

/* Lets others of our user bind the same address from now on (SO_REUSEPORT). 0 or a negative errno.
 */
int bind_share(int fd);

/* Is the path still that file? */
bool bind_is_same(const struct address *address, const struct bind_path *path);

/* Unlinks the path if it is still that file. */
void bind_unlink(const struct address *address, const struct bind_path *path);

/* 0 when fd is a socket of that kind that listens (or a datagram socket), or a negative errno:
 * -ENOTSOCK, -EAFNOSUPPORT and -EPROTOTYPE: of another kind, -EINVAL: does not listen. */
int bind_check(int fd, const struct address *address);

#endif
