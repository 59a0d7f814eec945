/* SPDX-License-Identifier: MIT
 *
 * The clients of the echo server. Threads: one.
 */
#ifndef PEERS_H
#define PEERS_H

#include <stdbool.h>

struct peer;

struct peers {
    struct peer *first;
    unsigned count;
};

/* Takes the connection over; answers by the poller's events, whose data is the peer. */
void peers_add(struct peers *peers, int fd, int poller);

/* Sends back what has come; the peer is gone afterwards if it has hung up. */
void peers_answer(struct peers *peers, struct peer *peer);

void peers_answer_datagrams(int udp);

void peers_free(struct peers *peers);

#endif
