/* SPDX-License-Identifier: MIT
 *
 * Samples on their way from signal handlers to the one who counts them: a queue of fixed size that
 * many threads fill, each from its handler, and one empties. What does not fit is counted. A
 * handler never waits for anybody. Threads: push any, in a handler; pop one at a time.
 */
#ifndef PROFILE_RING_H
#define PROFILE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_FRAMES 128
#define RING_SLOTS 2048 /* a power of two; 2 MiB of which only what is used is ever touched */

struct sample {
    int tid;
    uint32_t depth;
    uint64_t hits, ns; /* how many periods it stands for, and how much processor time */
    uintptr_t frames[RING_FRAMES];
};

struct ring {
    _Atomic uint64_t head;
    uint64_t tail;
    _Atomic uint64_t dropped;           /* hits of what did not fit */
    _Atomic uint64_t turns[RING_SLOTS]; /* of each slot: its number: free; one more: filled */
    struct sample samples[RING_SLOTS];  /* apart: the turns are written at the start */
};

/* NULL: out of memory. */
struct ring *ring_new(void);
void ring_free(struct ring *ring);

/* A place to fill, given on by ring_commit; NULL: there is none, which the caller counts. Both are
 * async-signal-safe. */
struct sample *ring_claim(struct ring *ring, uint64_t *ticket);
void ring_commit(struct ring *ring, uint64_t ticket);

/* The oldest, to be given back by ring_release; NULL: there is none, or it is still being filled.
 */
const struct sample *ring_peek(struct ring *ring);
void ring_release(struct ring *ring);

#endif
