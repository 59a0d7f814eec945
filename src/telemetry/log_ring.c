/* SPDX-License-Identifier: MIT */
#include "telemetry/log_ring.h"

#include "base/ensure.h"

#include <stdatomic.h>

/* Before each record; before the wrap, a cell without one fills up what is left there. */
struct cell {
    _Alignas(LOG_RING_ALIGN) uint32_t size; /* of all of it */
    bool is_gap;
    _Atomic bool filled;
};
_Static_assert(sizeof(struct cell) == LOG_RING_OVERHEAD, "the ring's part of a record");

static struct cell *cell_at(const struct log_ring *ring, uint64_t position)
{
    return (struct cell *)(void *)(ring->data + position % ring->capacity);
}

static void put_cell(struct log_ring *ring, size_t size, bool is_gap)
{
    struct cell *cell = cell_at(ring, ring->tail);
    cell->size = (uint32_t)size;
    cell->is_gap = is_gap;
    atomic_init(&cell->filled, false);
    ring->tail += size;
}

void log_ring_init(struct log_ring *ring, void *data, size_t capacity, size_t most)
{
    ENSURE(capacity % LOG_RING_ALIGN == 0 && capacity <= UINT32_MAX);
    *ring = (struct log_ring){.data = data, .capacity = capacity, .most = most};
}

void *log_ring_reserve_locked(struct log_ring *ring, size_t size)
{
    if (ring->waiting >= ring->most || size > ring->capacity - LOG_RING_OVERHEAD)
        return NULL;
    if (ring->head == ring->tail)
        ring->head = ring->taken = ring->tail = 0;
    size = (size + LOG_RING_OVERHEAD + LOG_RING_ALIGN - 1) / LOG_RING_ALIGN * LOG_RING_ALIGN;
    size_t until_wrap = ring->capacity - ring->tail % ring->capacity;
    size_t gap = size > until_wrap ? until_wrap : 0;
    if (ring->tail - ring->head + gap + size > ring->capacity)
        return NULL;
    if (gap > 0)
        put_cell(ring, gap, true);
    void *record = cell_at(ring, ring->tail) + 1;
    put_cell(ring, size, false);
    ring->waiting++;
    return record;
}

void log_ring_fill(void *record)
{
    atomic_store_explicit(&((struct cell *)record - 1)->filled, true, memory_order_release);
}

size_t log_ring_take(struct log_ring *ring, uint64_t tail, void **records, size_t most)
{
    size_t count = 0;
    while (count < most && ring->taken < tail) {
        struct cell *cell = cell_at(ring, ring->taken);
        if (!cell->is_gap) {
            if (!atomic_load_explicit(&cell->filled, memory_order_acquire))
                break;
            records[count++] = cell + 1;
        }
        ring->taken += cell->size;
    }
    return count;
}

void log_ring_leave_locked(struct log_ring *ring, size_t count)
{
    ring->waiting -= count;
}

void log_ring_release_locked(struct log_ring *ring)
{
    ring->head = ring->taken;
}
