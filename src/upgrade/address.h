/* SPDX-License-Identifier: MIT
 *
 * Where to listen, as people write it: tcp://127.0.0.1:80, udp://[::1]:514, unix:///run/x.sock,
 * unix://@abstract, unix-seqpacket://..., unix-dgram://... No names of hosts are looked up; an
 * interface may be named: tcp://[fe80::1%eth0]:80. Threads: any.
 */
#ifndef UPGRADE_ADDRESS_H
#define UPGRADE_ADDRESS_H

#include <srun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* With its end; any address fits, as address_format writes it. */
#define ADDRESS_TEXT_MAX 144

struct address {
    int family, type; /* AF_*, SOCK_* */
    struct sockaddr_storage socket;
    socklen_t length;
    bool has_path; /* a unix socket with a path in the file system */
};

/* 0, or -EINVAL with the value and what is accepted. */
int address_parse(struct address *out, const char *text, srun_err *err);

/* The same form; bytes of a unix name that cannot be printed become ?. 0 or -ENOSPC. */
int address_format(const struct address *address, char *out, size_t size);

/* The same kind, host, and port or path. */
bool address_equal(const struct address *a, const struct address *b);

/* Two sockets cannot have both, as far as can be told: one may stand for all hosts. */
bool address_overlap(const struct address *a, const struct address *b);

/* The path of a unix socket that has one. */
const char *address_path(const struct address *address);

/* What a socket is bound to, from getsockname and SO_TYPE: 0 or a negative errno, -EAFNOSUPPORT for
 * a kind that has no form here. */
int address_of_socket(struct address *out, int fd);

#endif
