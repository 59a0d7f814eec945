/* SPDX-License-Identifier: MIT
 *
 * The clients of a service that has one thread and a loop of epoll. What a client does not take at
 * once is kept, and nothing more is read from it until it has: one that is slow costs
 * PEER_KEPT_MAX bytes, and delays nobody. Threads: the one of the loop.
 */
#ifndef PEERS_H
#define PEERS_H

#include <srun/srun.h>

#define PEER_KEPT_MAX 4096 /* bytes, for each client; and what is read in one go */

struct peer; /* a client */

/* The program sets the first two; the rest is ours, but for reading. */
struct peers {
    void (*on_data)(void *user, struct peer *peer, const char *data, size_t size);
    void *user;

    int poller; /* for epoll_wait: the data of an event is the peer, or what was watched */
    unsigned count;
    struct peer *first;
};

/* Before anything else. */
int peers_init(struct peers *peers, srun_err *err);

/* A descriptor of the program in the same loop, to be read from; fd may be an error, which is
 * handed on. */
int peers_watch(struct peers *peers, int fd, void *what, srun_err *err);
void peers_forget(struct peers *peers, int fd);

/* Takes in all who wait at the listener. */
void peers_accept(struct peers *peers, srun_context *ctx, int listener);

/* When the poller says so: sends what was kept, or reads and calls on_data. Afterwards the peer is
 * gone if it has hung up. */
void peers_serve(struct peers *peers, struct peer *peer);

/* In on_data, as often as you like. A peer for which more than PEER_KEPT_MAX bytes would have to be
 * kept is hung up on. */
void peer_send(struct peer *peer, const void *data, size_t size);

/* Hangs up on all who are left. Also when peers_init was not called. */
void peers_free(struct peers *peers);

#endif
