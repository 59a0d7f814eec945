/* SPDX-License-Identifier: MIT
 *
 * The connections there are, how long each may stay as it is, and who has to go for a new one.
 * Limits are absolute: who sends a byte now and then gains nothing. At most 64 at once; those that
 * were told to leave do not count, but keep their slot until they have. PURE: the time is a
 * parameter, in monotonic nanoseconds.
 */
#ifndef ADMIN_CONNECTIONS_H
#define ADMIN_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define CONNECTIONS_MAX 64
#define CONNECTIONS_SLOTS 96

enum connection_state {
    CONNECTION_FREE,
    CONNECTION_HEAD,    /* no complete request head yet: 5 s */
    CONNECTION_BODY,    /* nor the body: 10 s */
    CONNECTION_BUSY,    /* a view runs: no limit */
    CONNECTION_WRITING, /* since the last progress: 30 s */
    CONNECTION_IDLE,    /* kept alive, nothing has come yet: 75 s */
    CONNECTION_LINGER,  /* refused; what it still sends is thrown away: 5 s */
    CONNECTION_LEAVING  /* shut down, and about to be closed */
};

struct connection {
    enum connection_state state;
    int fd;
    int64_t since_ns; /* in this state; WRITING: the last progress */
    int64_t wrote_ns; /* WRITING: the first byte */
};

struct connections {
    struct connection slots[CONNECTIONS_SLOTS];
    unsigned count; /* that are neither free nor leaving */
};

/* A new one, in HEAD: its slot, or -1 when there are as many as may be. */
int connections_open(struct connections *all, int fd, int64_t now);

/* It goes on; one that is leaving stays so. WRITING again: progress. */
void connections_enter(struct connections *all, int slot, enum connection_state state, int64_t now);

/* Told to leave; closed. */
void connections_leave(struct connections *all, int slot);
void connections_close(struct connections *all, int slot);

/* Who has to go when all are taken: the one that is incomplete, idle or refused for longest, but
 * none whose head has had less than the grace to come; else the one that takes its response so
 * slowly that it needs more than 5 s; never a busy one. -1: nobody. */
#define CONNECTIONS_GRACE_NS (INT64_C(5) * 1000 * 1000)        /* more than half say nothing */
#define CONNECTIONS_LONG_GRACE_NS (INT64_C(100) * 1000 * 1000) /* fewer */
int connections_victim(const struct connections *all, int64_t now);

/* When it makes sense to take the next one: now; or, when all are taken and the oldest of those
 * without a head is so new that it has to be given its chance, when that is over. INT64_MAX: when
 * one of those that are busy, or that are leaving, has come to its end. */
int64_t connections_room_at(const struct connections *all, int64_t now);

/* When somebody has to look again, INT64_MAX: never. A busy one is looked at after 30 s, so that
 * nobody has to be woken when its response begins. */
int64_t connections_next(const struct connections *all, int64_t now);
int64_t connections_limit(const struct connection *one, int64_t now);

/* One whose time is over, -1: none. */
int connections_overdue(const struct connections *all, int64_t now);

/* How many are within a request: BODY, BUSY, WRITING. */
unsigned connections_at_work(const struct connections *all);

#endif
