/* SPDX-License-Identifier: MIT
 *
 * Where to listen, as people write it: tcp://127.0.0.1:80, udp://[::1]:514, unix:///run/x.sock,
 * unix://@abstract, unix-seqpacket://... No names are looked up.
 */
#ifndef UPGRADE_ADDRESS_H
#define UPGRADE_ADDRESS_H

#include <srun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 144 /* with its end; any address fits, also one quoted by address_format  \
                              */

struct address {
    int family, type; /* AF_*, SOCK_* */
    struct sockaddr_storage socket;
    socklen_t length;
    bool has_path; /* a unix socket with a path in the file system */
};

/* 0, or -EINVAL with the value and what is accepted. */
int address_parse(struct address *out, const char *text, srun_err *err);

/* The same form; of a socket: from getsockname and SO_TYPE. -ENOSPC. */
int address_format(const struct address *address, char *out, size_t size);

/* The same kind, host, and port or path. */
bool address_equal(const struct address *a, const struct address *b);

/* What a socket is bound to: 0 or a negative errno. */
int address_of_socket(struct address *out, int fd);

#endif
