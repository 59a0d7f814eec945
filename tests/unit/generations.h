/* SPDX-License-Identifier: MIT
 *
 * Two generations in one process: two tables of sockets, and what passes between them is what would
 * pass between two processes.
 */
#ifndef TESTS_GENERATIONS_H
#define TESTS_GENERATIONS_H

#include "harness.h"
#include "upgrade/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANY_TCP "tcp://127.0.0.1:0"

static struct sockets old, new; /* each suite is one program */

static inline void open_both(void)
{
    sockets_init(&old);
    sockets_init(&new);
    sockets_open(&old);
    sockets_set_office(&old, true);
}

static inline void close_both(void)
{
    sockets_destroy(&new);
    sockets_destroy(&old);
}

static inline int listen_as(struct sockets *sockets, const char *name, const char *address)
{
    int fd = -1;
    srun_err err = {0};
    int rc = sockets_listen(sockets, name, address, NULL, &fd, 1, NULL, &err);
    ck_assert_msg(rc == 0, "%s: %s", name, err.text);
    return fd;
}

/* With what is found, which is an answer in itself. */
static inline int listen_from(struct sockets *sockets, const char *name, const char *address,
                              const char *origin)
{
    int fd = -1;
    srun_err err = {0};
    struct sockets_found found = {0};
    int rc = sockets_listen(sockets, name, address, NULL, &fd, 1, &found, &err);
    ck_assert_msg(rc == 0, "%s: %s", name, err.text);
    ck_assert_str_eq(found.origin, origin);
    return fd;
}

static inline void assert_not(struct sockets *sockets, const char *name, const char *address,
                              int code, const char *why)
{
    int fd = -7;
    srun_err err = {0};
    ck_assert_int_eq(sockets_listen(sockets, name, address, NULL, &fd, 1, NULL, &err), code);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
    ck_assert_int_eq(err.code, code);
    ck_assert_int_eq(fd, -7);
}

static inline void assert_address(struct sockets *sockets, int fd, const char *expected)
{
    char text[ADDRESS_TEXT_MAX];
    ck_assert_int_eq(sockets_address(sockets, fd, text, sizeof text), 0);
    ck_assert_str_eq(text, expected);
}

static inline struct address address_at(struct sockets *sockets, int fd)
{
    char text[ADDRESS_TEXT_MAX];
    struct address address;
    ck_assert_int_eq(sockets_address(sockets, fd, text, sizeof text), 0);
    ck_assert_int_eq(address_parse(&address, text, NULL), 0);
    return address;
}

/* What an upgrade does with a table, as far as descriptors go. */
static inline void hand_over(struct sockets *from, struct sockets *to)
{
    struct sockets_snapshot *snapshot = NULL;
    ck_assert_int_eq(sockets_snapshot(from, &snapshot), 0);
    for (size_t i = 0; i < snapshot->count; i++) {
        ck_assert_int_eq(fcntl(snapshot->fds[i], F_GETFD), FD_CLOEXEC);
        int copy = fcntl(snapshot->fds[i], F_DUPFD_CLOEXEC, 3);
        ck_assert_int_eq(sockets_adopt(to, &snapshot->entries[i], copy), 0);
    }
    ck_assert_ptr_null(sockets_snapshot_free(snapshot));
}

static inline void take_over(void)
{
    sockets_shut(&old);
    sockets_set_office(&old, false);
    sockets_set_office(&new, true);
    char name[HANDOVER_NAME_MAX];
    ck_assert_ptr_null(sockets_apply(&new, NULL, name));
    sockets_open(&new);
}

/* The new one has become the old one. */
static inline void move_on(void)
{
    sockets_destroy(&old);
    old = new;
    sockets_init(&new);
}

static inline int connect_to(const struct address *address)
{
    int fd = socket(address->family, address->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(fd, 0);
    int rc = connect(fd, (const struct sockaddr *)&address->socket, address->length);
    ck_assert_msg(rc == 0 || errno == EINPROGRESS, "%s", strerror(errno));
    return fd;
}

static inline bool readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) != 0;
}

static inline void await_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&wait, 1, 10000), 1);
    ck_assert_int_eq(wait.revents, POLLIN);
}

static inline void in_folder(char out[ADDRESS_TEXT_MAX], const char *scheme)
{
    (void)snprintf(out, ADDRESS_TEXT_MAX, "%s://%s/x.sock", scheme, harness_folder());
}

static inline bool exists(const char *address)
{
    struct stat now;
    return lstat(strchr(address, '/') + 2, &now) == 0;
}

#endif
