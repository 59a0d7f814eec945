/* SPDX-License-Identifier: MIT
 *
 * The connections with what belongs to each, shared by the watch (the service's thread) and by the
 * threads of the connections. A new connection is the watch's alone until its request head is
 * complete: so who sends none costs no thread. Then it is libmicrohttpd's, whose thread for it
 * comes back here between two requests, and who tells when it is about to be closed.
 */
#ifndef ADMIN_SLOTS_H
#define ADMIN_SLOTS_H

#include "admin/access.h"
#include "admin/connections.h"
#include "admin/head.h"

#include <pthread.h>

#define SLOT_PEER_MAX 64

struct slot {
    struct access_peer peer;  /* written before it is handed over, as the next */
    char text[SLOT_PEER_MAX]; /* of the peer, for the log */
    char doing[64];           /* the path of what takes its time, or "" */
    bool handed_over;         /* to libmicrohttpd */
    bool keep;                /* another request may follow the present one; of its thread */
    uint64_t approved;        /* how many bytes were looked at and found good, on a unix socket of
                                 the present request; of its thread */
    size_t thrown;            /* how many were thrown away; of its thread */
};

struct slots {
    pthread_mutex_t lock; /* guards what follows */
    struct connections all;
    struct slot each[CONNECTIONS_SLOTS];
    struct admin_traffic traffic; /* since slots_init */
    int64_t asleep_until;         /* the watch */
    int64_t crowded_until;        /* somebody waits for a place */
    bool closing;                 /* the watch wants to hear of each that is closed */
    int wake;                     /* raised to have the watch look again; from start to end */
};

/* 0 or a negative errno. Threads: before others know of it; after they have ended. */
int slots_init(struct slots *slots);
void slots_destroy(struct slots *slots);

/* A run of the service, which begins without connections. */
int slots_start(struct slots *slots);
void slots_end(struct slots *slots);

/* --- by the watch ---------------------------------------------------------------------------- */

/* A new one, or -1: all are taken, and nobody can be made to leave. When somebody has to go who was
 * not handed over yet, *drop is its slot, to be closed by slots_drop; else -1. */
int slots_open(struct slots *slots, int fd, const struct slot *as, int *drop);

/* When the next one is to be accepted, as connections_room_at. As long as that is not now, who has
 * been answered does not stay. */
int64_t slots_room_at(struct slots *slots);

/* Whose limit has passed: shut down when it was handed over; else the slot, to be dropped. -1: no
 * more. */
int slots_overdue(struct slots *slots);

/* When to look again; who enters a state with an earlier limit raises wake. */
int64_t slots_sleep(struct slots *slots);

void slots_hand_over(struct slots *slots, int slot, const struct head *head);

/* The descriptor, while it is the watch's alone; else -1. */
int slots_new_fd(struct slots *slots, int slot);

/* Frees the slot and closes the descriptor. */
void slots_drop(struct slots *slots, int slot);

/* Everybody that is idle and has sent nothing, or all: shut down. Those that are not handed over
 * are left. */
void slots_shut(struct slots *slots, bool all);
void slots_say_when_closed(struct slots *slots);

/* Whether the program, or what else may take its time, has not come back yet. */
bool slots_busy(struct slots *slots, int slot, struct slot *out);

/* How many are within a request, or between two; whose view runs; not handed over. */
struct slots_counts {
    unsigned at_work, busy, new;
};
struct slots_counts slots_count(struct slots *slots);

/* --- by the thread of a connection ----------------------------------------------------------- */

void slots_enter(struct slots *slots, int slot, enum connection_state state);

/* The path that takes its time; "": it has come back. */
void slots_note(struct slots *slots, int slot, const char *path);

/* May the client send another request? Not while others wait for its place; nor when libmicrohttpd
 * has taken more than was looked at: a part of the next request, which has come since. */
bool slots_may_stay(struct slots *slots, int slot);

/* Between two requests: waits for the next head. When it is not one, says so and shuts down. */
void slots_await(struct slots *slots, int slot);

/* Its last response is out, and what was to come before that may still come: it is thrown away
 * until the client hangs up. A socket that is closed with unread data would take the response back.
 */
void slots_linger(struct slots *slots, int slot);

/* --- by both --------------------------------------------------------------------------------- */

enum slots_seen {
    SLOTS_NOTHING, /* has come */
    SLOTS_MORE,    /* is needed */
    SLOTS_DONE,
    SLOTS_REFUSED,
    SLOTS_GONE /* the client has hung up */
};

/* Looks at what has come without taking it; but takes it, and sees nothing, in LINGER. */
enum slots_seen slots_look(struct slots *slots, int slot, struct head *head);

/* Why it is refused, as a response. */
void slots_answer(int fd, unsigned status, const char *why);

/* For the counts. */
void slots_refused(struct slots *slots);
void slots_failed_auth(struct slots *slots);
void slots_traffic(struct slots *slots, struct admin_traffic *out);

/* --- by libmicrohttpd's threads -------------------------------------------------------------- */

/* The slot of a descriptor that was handed over; closed: it is about to be. */
int slots_find(struct slots *slots, int fd);
void slots_closed(struct slots *slots, int slot);

#endif
