/* SPDX-License-Identifier: MIT
 *
 * Memory for one piece of work, given back all at once and kept for the next: after a few rounds
 * nothing is asked of the system any more. Threads: one at a time.
 */
#ifndef TELEMETRY_ARENA_H
#define TELEMETRY_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *first, *at; /* at: where is room */
};

/* Aligned for anything, not cleared. NULL: no memory. */
void *arena_take(struct arena *arena, size_t size);

/* Everything taken so far is gone; the memory stays. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
