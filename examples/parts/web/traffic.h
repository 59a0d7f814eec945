/* SPDX-License-Identifier: MIT
 *
 * What is open right now, and how to wait until it is not: the part of a graceful stop that every
 * server needs, whatever its protocol. Threads: any.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct traffic {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned connections, requests;
    uint64_t answered;
    int64_t active_ms; /* when something last began or ended */
    bool draining, cut;
};

struct traffic_counts {
    unsigned connections, requests; /* open */
    uint64_t answered;              /* requests, so far */
};

void traffic_init(struct traffic *traffic);
void traffic_destroy(struct traffic *traffic);

void traffic_connection_opened(struct traffic *traffic);
void traffic_connection_closed(struct traffic *traffic);
void traffic_request_opened(struct traffic *traffic);
void traffic_request_closed(struct traffic *traffic);
struct traffic_counts traffic_counts(struct traffic *traffic);

/* Waits up to limit_ms until fewer than this many connections are open: are there? */
bool traffic_wait_below(struct traffic *traffic, unsigned connections, int64_t limit_ms);

/* From now on every response is the last one of its connection. */
void traffic_drain(struct traffic *traffic);
bool traffic_is_draining(struct traffic *traffic);

/* Waits until every connection is closed, or none has had a request for linger_ms, or limit_ms
 * have passed. Says what is open then. */
struct traffic_counts traffic_wait(struct traffic *traffic, int64_t linger_ms, int64_t limit_ms);

/* Time is over: traffic_pause_ms returns at once. */
void traffic_cut(struct traffic *traffic);

/* Takes ms milliseconds; false when cut short. */
bool traffic_pause_ms(struct traffic *traffic, int64_t ms);

#endif
