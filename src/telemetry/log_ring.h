/* SPDX-License-Identifier: MIT
 *
 * The memory of queued log records: a ring of bytes, in which each record lies in one piece. Many
 * put records there, one takes them out, in order. Promises:
 *   - at most `most` records wait, at most `capacity` bytes are in use; what exceeds that is
 * refused;
 *   - a record that was taken stays where it is until it is released;
 *   - an empty ring begins anew at its front, so that little use touches little memory.
 * PURE: the lock is the caller's. It is held for what ends in _locked; what lies between reserving
 * a record and log_ring_fill may go on beside everything else.
 */
#ifndef TELEMETRY_LOG_RING_H
#define TELEMETRY_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_RING_ALIGN 16
#define LOG_RING_OVERHEAD 16 /* bytes of a record that are the ring's */

struct log_ring {
    char *data;
    size_t capacity; /* a multiple of LOG_RING_ALIGN */
    size_t most;
    size_t waiting;             /* reserved and not taken */
    uint64_t head, taken, tail; /* positions, which only grow; what is before head is free */
};

/* The memory is the caller's, and aligned to LOG_RING_ALIGN. */
void log_ring_init(struct log_ring *ring, void *data, size_t capacity, size_t most);

/* Room for a record; NULL: refused. */
void *log_ring_reserve_locked(struct log_ring *ring, size_t size);

/* The record may be taken. Threads: the one that reserved it. */
void log_ring_fill(void *record);

/* The next records, up to a batch and up to the first that is not filled yet: their number. `tail`
 * was read under the lock; but for that, it is not needed. Threads: the one that takes. */
size_t log_ring_take(struct log_ring *ring, uint64_t tail, void **records, size_t most);

/* So many taken ones no longer count as waiting. */
void log_ring_leave_locked(struct log_ring *ring, size_t count);

/* All that were taken are gone. */
void log_ring_release_locked(struct log_ring *ring);

#endif
