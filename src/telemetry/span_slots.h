/* SPDX-License-Identifier: MIT
 *
 * Where spans are recorded: a pool of fixed slots, mapped once for the process, of which only what
 * is used becomes memory. A handle is an index and a generation; the slot's own word says whether
 * that span is still recorded, and is the lock under which it is written to. Ended, a slot belongs
 * to who exports it and then goes back. Free slots wait in a list without locks, and some with each
 * thread. Threads: any.
 */
#ifndef TELEMETRY_SPAN_SLOTS_H
#define TELEMETRY_SPAN_SLOTS_H

#include "telemetry/export.h"

#include <srun/trace.h>
#include <stdatomic.h>
#include <stdbool.h>

#define SLOT_COUNT 16384
#define SLOT_SIZE 1024
#define EXTENSION_COUNT 1024
#define EXTENSION_SIZE (31 * 1024)

struct traces;

struct extension {
    _Atomic uint32_t next;
    uint32_t index;
    char data[EXTENSION_SIZE - 8];
};

/* word: generation << 2, and: */
enum { SLOT_HELD = 1, SLOT_LIVE = 2 };

struct slot {
    _Atomic uint64_t word;
    _Atomic uint32_t next; /* the free list */
    uint32_t index;

    struct traces *traces; /* whose it is, while it is live or on its way out */
    const struct telemetry_scope *scope;
    struct srun_span_context context;
    uint8_t parent_span_id[8];
    uint32_t parent_flags; /* as struct telemetry_span */
    uint8_t kind, status;
    uint16_t attributes, events, links;
    uint32_t dropped_attributes, dropped_events, dropped_links;
    int64_t start_ns, start_monotonic, end_ns; /* start_monotonic 0: it was given a start */
    const char *name, *status_text;

    struct extension *extension;
    char *at, *limit; /* where the next item goes */
    char *base_end;   /* where those in the slot itself end, once there is an extension */
    char data[];
};

/* Maps the pool; later calls do nothing. 0 or a negative errno. */
int span_slots_open(void);

/* A free slot, or NULL. */
struct slot *span_slots_take(void);

struct slot *span_slots_at(uint32_t index);

/* Gives back slots that are not live any more; their extensions too. */
void span_slots_give(const uint32_t *slots, size_t count);

/* More room for one: NULL when there is none. */
struct extension *span_slots_extend(void);

/* Revokes those that are live and belong to traces; returns how many. */
uint64_t span_slots_revoke(const struct traces *traces);

/* The slot of a span that is recorded, held; NULL: it has ended, or was never recorded. */
bool span_slots_is_live(uint32_t slot, uint32_t generation);
struct slot *span_slots_hold(uint32_t slot, uint32_t generation);

static inline uint32_t slot_generation(const struct slot *slot)
{
    return (uint32_t)(atomic_load_explicit(&slot->word, memory_order_relaxed) >> 2);
}

/* A slot that was taken and filled in is recorded from now on. */
static inline void slot_publish(struct slot *slot, uint32_t generation)
{
    atomic_store_explicit(&slot->word, (uint64_t)generation << 2 | SLOT_LIVE, memory_order_release);
}

static inline void slot_let_go(struct slot *slot)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    atomic_store_explicit(&slot->word, word & ~(uint64_t)SLOT_HELD, memory_order_release);
}

/* A held slot has ended: its handles are stale from now on. */
static inline void slot_retire(struct slot *slot)
{
    uint32_t next = (slot_generation(slot) + 1) & 0x3fffffff;
    atomic_store_explicit(&slot->word, (uint64_t)(next + (next == 0)) << 2, memory_order_release);
}

#endif
