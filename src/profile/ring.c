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
        atomic_init(&ring->turns[i], i);
    return ring;
}

void ring_free(struct ring *ring)
{
    if (ring != NULL)
        (void)munmap(ring, sizeof *ring);
}

static size_t slot_of(uint64_t turn)
{
    return (size_t)(turn % RING_SLOTS);
}

struct sample *ring_claim(struct ring *ring, uint64_t *ticket)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        size_t slot = slot_of(head);
        uint64_t turn = atomic_load_explicit(&ring->turns[slot], memory_order_acquire);
        if (turn < head)
            return NULL;   /* it still has what was put there a round ago */
        if (turn > head) { /* somebody else was faster */
            head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak(&ring->head, &head, head + 1)) {
            *ticket = head;
            return &ring->samples[slot];
        }
    }
}

void ring_commit(struct ring *ring, uint64_t ticket)
{
    atomic_store_explicit(&ring->turns[slot_of(ticket)], ticket + 1, memory_order_release);
}

const struct sample *ring_peek(struct ring *ring)
{
    size_t slot = slot_of(ring->tail);
    bool filled = atomic_load_explicit(&ring->turns[slot], memory_order_acquire) == ring->tail + 1;
    return filled ? &ring->samples[slot] : NULL;
}

void ring_release(struct ring *ring)
{
    size_t slot = slot_of(ring->tail);
    atomic_store_explicit(&ring->turns[slot], ring->tail + RING_SLOTS, memory_order_release);
    ring->tail++;
}
