/* SPDX-License-Identifier: MIT
 *
 * Each slot has the number of the turn it is for: who claims turn N takes the slot when it says N,
 * and says N + 1 when it is filled; emptied, it says N + RING_SLOTS, the next turn.
 */
#include "profile/ring.h"

#include <sys/mman.h>

/* Not malloc: untouched, most of it costs nothing. */
struct ring *ring_new(void)
{
    struct ring *ring =
        mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED)
        return NULL;
    for (uint64_t i = 0; i < RING_SLOTS; i++)
        atomic_init(&ring->slots[i].turn, i);
    return ring;
}

void ring_free(struct ring *ring)
{
    if (ring != NULL)
        (void)munmap(ring, sizeof *ring);
}

static struct ring_slot *slot_of(struct ring *ring, uint64_t turn)
{
    return &ring->slots[turn % RING_SLOTS];
}

struct sample *ring_claim(struct ring *ring, uint64_t *ticket)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        struct ring_slot *slot = slot_of(ring, head);
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn < head)
            return NULL;   /* it still has what was put there a round ago */
        if (turn > head) { /* somebody else was faster */
            head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak(&ring->head, &head, head + 1)) {
            *ticket = head;
            return &slot->sample;
        }
    }
}

void ring_commit(struct ring *ring, uint64_t ticket)
{
    atomic_store_explicit(&slot_of(ring, ticket)->turn, ticket + 1, memory_order_release);
}

const struct sample *ring_peek(struct ring *ring)
{
    struct ring_slot *slot = slot_of(ring, ring->tail);
    bool filled = atomic_load_explicit(&slot->turn, memory_order_acquire) == ring->tail + 1;
    return filled ? &slot->sample : NULL;
}

void ring_release(struct ring *ring)
{
    struct ring_slot *slot = slot_of(ring, ring->tail);
    atomic_store_explicit(&slot->turn, ring->tail + RING_SLOTS, memory_order_release);
    ring->tail++;
}
