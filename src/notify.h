/* SPDX-License-Identifier: MIT
 *
 * Tells systemd how it goes: one datagram per message to NOTIFY_SOCKET (sd_notify(3)). Without
 * that variable every call does nothing. A message that a busy manager does not take is sent again
 * later, one that cannot be sent is dropped: the service manager is never a reason to fail or to
 * wait. Threads: control.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { NOTIFY_OWED_MAX = 8, NOTIFY_OWED_SIZE = 128 };

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_size;
    int64_t watchdog_ns;   /* ping within this, 0 = not asked for */
    bool impatient;        /* the socket has no time limit, so it must never be waited for */
    bool tired;            /* the manager did not take the last message in time */
    bool mute;             /* another generation speaks for the program: every call does nothing */
    char last_status[256]; /* that it has taken */
    char owed[NOTIFY_OWED_MAX][NOTIFY_OWED_SIZE]; /* not taken yet, in order */
    unsigned owed_count;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. -EINVAL when NOTIFY_SOCKET cannot be an
 * address (too long, or neither a path nor abstract); a negative errno from socket(). */
int notify_open(struct notify *notify, char *(*getenv_fn)(const char *));
void notify_close(struct notify *notify);

/* One message: lines of VARIABLE=value. To a manager that is busy notify_tend tells it. */
void notify_send(struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Has something not been taken yet that begins with this? */
bool notify_owes(const struct notify *notify, const char *beginning);

/* Sends what was not taken. While it answers true some of it still is not, and it is to be called
 * again after a while. Also what was said before it was muted. */
bool notify_tend(struct notify *notify);

/* RELOADING=1: the manager waits for the next READY=1. */
void notify_reloading(struct notify *notify);

/* BARRIER=1: a descriptor that becomes readable when the manager has taken all that was sent
 * before, owned by the caller; or a negative errno; -ENOENT when nobody listens, -EAGAIN when it is
 * too busy. */
int notify_barrier(struct notify *notify);

/* STATUS=..., unless it is the same as before. */
void notify_status(struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
