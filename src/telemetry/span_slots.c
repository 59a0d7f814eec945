/* SPDX-License-Identifier: MIT */
#include "telemetry/span_slots.h"

#include "telemetry/self.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct slot) <= 256, "most of a slot is room");
_Static_assert(sizeof(struct extension) == EXTENSION_SIZE, "as it says");

/* A list without locks: the index of the first, and a tag that changes with every change. fresh:
 * how many were ever taken; what lies behind was never touched. */
struct list {
    _Atomic uint64_t head;
    _Atomic uint32_t fresh;
};

static struct {
    pthread_mutex_t lock;
    char *_Atomic slots;
    char *extensions;
    pthread_key_t leaving;
    _Atomic unsigned stamp; /* of the process that uses it */
    struct list free, free_extensions;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct slot *span_slots_at(uint32_t index)
{
    char *slots = atomic_load_explicit(&pool.slots, memory_order_relaxed);
    return (struct slot *)(void *)(slots + (size_t)index * SLOT_SIZE);
}

static struct extension *extension_at(uint32_t index)
{
    return (struct extension *)(void *)(pool.extensions + (size_t)index * EXTENSION_SIZE);
}

static _Atomic uint32_t *slot_next(uint32_t index)
{
    return &span_slots_at(index)->next;
}

static _Atomic uint32_t *extension_next(uint32_t index)
{
    return &extension_at(index)->next;
}

typedef _Atomic uint32_t *next_of(uint32_t index);

/* Puts the chain from first to last back. */
static void list_push(struct list *list, next_of *next, uint32_t first, uint32_t last)
{
    uint64_t head = atomic_load_explicit(&list->head, memory_order_relaxed), wanted;
    do {
        atomic_store_explicit(next(last), (uint32_t)head, memory_order_relaxed);
        wanted = ((head >> 32) + 1) << 32 | first;
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, wanted,
                                                    memory_order_release, memory_order_relaxed));
}

/* Between the look at the next one and the exchange others may take the first, use it and put it
 * back: then the tag has changed. */
static uint32_t list_pop(struct list *list, next_of *next)
{
    uint64_t head = atomic_load_explicit(&list->head, memory_order_acquire), wanted;
    do {
        if ((uint32_t)head == 0)
            return 0;
        uint32_t second = atomic_load_explicit(next((uint32_t)head), memory_order_relaxed);
        wanted = ((head >> 32) + 1) << 32 | second;
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, wanted,
                                                    memory_order_acquire, memory_order_acquire));
    return (uint32_t)head;
}

/* One that nobody has had yet; 0: there is none. */
static uint32_t list_fresh(struct list *list, uint32_t count)
{
    uint32_t fresh = atomic_load_explicit(&list->fresh, memory_order_relaxed);
    do
        if (fresh + 1 >= count)
            return 0;
    while (!atomic_compare_exchange_weak_explicit(&list->fresh, &fresh, fresh + 1,
                                                  memory_order_release, memory_order_relaxed));
    return fresh + 1; /* 0 stands for none */
}

/* --- with the thread ------------------------------------------------------------------------- */

static void give_chain(const uint32_t *slots, size_t count)
{
    if (count == 0)
        return;
    for (size_t i = 0; i + 1 < count; i++)
        atomic_store_explicit(slot_next(slots[i]), slots[i + 1], memory_order_relaxed);
    list_push(&pool.free, slot_next, slots[0], slots[count - 1]);
}

static void thread_leaves(void *arg)
{
    (void)arg;
    give_chain(telemetry_self.slots, telemetry_self.slot_count);
    telemetry_self.slot_count = 0;
    telemetry_self.leaves = false;
}

static void fill_up(void)
{
    if (!telemetry_self.leaves) /* without memory for it, at most SELF_SLOTS are lost */
        telemetry_self.leaves = pthread_setspecific(pool.leaving, &telemetry_self) == 0;
    while (telemetry_self.slot_count < SELF_SLOTS / 2) {
        uint32_t index = list_pop(&pool.free, slot_next);
        if (index == 0) {
            index = list_fresh(&pool.free, SLOT_COUNT);
            if (index == 0)
                return;
            span_slots_at(index)->index = index;
        }
        telemetry_self.slots[telemetry_self.slot_count++] = index;
    }
}

struct slot *span_slots_take(void)
{
    if (telemetry_self.slot_count == 0)
        fill_up();
    if (telemetry_self.slot_count == 0)
        return NULL;
    return span_slots_at(telemetry_self.slots[--telemetry_self.slot_count]);
}

void span_slots_give(const uint32_t *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = span_slots_at(slots[i]);
        if (slot->extension != NULL)
            list_push(&pool.free_extensions, extension_next, slot->extension->index,
                      slot->extension->index);
        slot->extension = NULL;
        slot->traces = NULL;
    }
    give_chain(slots, count);
}

struct extension *span_slots_extend(void)
{
    uint32_t index = list_pop(&pool.free_extensions, extension_next);
    if (index == 0)
        index = list_fresh(&pool.free_extensions, EXTENSION_COUNT);
    if (index == 0)
        return NULL;
    struct extension *extension = extension_at(index);
    extension->index = index;
    return extension;
}

/* --- handles --------------------------------------------------------------------------------- */

/* Holds a slot whose word, but for the mark, is this. False: it has another one. */
static bool hold(struct slot *slot, uint64_t word)
{
    for (unsigned spins = 0;; spins++) {
        uint64_t seen = word;
        if (atomic_compare_exchange_weak_explicit(&slot->word, &seen, word | SLOT_HELD,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
        if ((seen & ~(uint64_t)SLOT_HELD) != word)
            return false;
        if (spins > 64)
            (void)sched_yield(); /* its holder has lost the processor */
    }
}

static bool is_handle(uint32_t index, uint32_t generation)
{
    return generation != 0 && index != 0 && index < SLOT_COUNT &&
           atomic_load_explicit(&pool.slots, memory_order_relaxed) != NULL &&
           atomic_load_explicit(&pool.stamp, memory_order_relaxed) == self_stamp();
}

bool span_slots_is_live(uint32_t index, uint32_t generation)
{
    return is_handle(index, generation) &&
           (atomic_load_explicit(&span_slots_at(index)->word, memory_order_relaxed) &
            ~(uint64_t)SLOT_HELD) == ((uint64_t)generation << 2 | SLOT_LIVE);
}

struct slot *span_slots_hold(uint32_t index, uint32_t generation)
{
    if (!is_handle(index, generation))
        return NULL;
    struct slot *slot = span_slots_at(index);
    return hold(slot, (uint64_t)generation << 2 | SLOT_LIVE) ? slot : NULL;
}

uint64_t span_slots_revoke(const struct traces *traces)
{
    uint64_t count = 0;
    uint32_t end = atomic_load_explicit(&pool.free.fresh, memory_order_acquire);
    for (uint32_t index = 1; index <= end; index++) {
        struct slot *slot = span_slots_at(index);
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
        if ((word & SLOT_LIVE) == 0 || !hold(slot, word & ~(uint64_t)SLOT_HELD))
            continue;
        if (slot->traces != traces) {
            slot_let_go(slot);
            continue;
        }
        slot_retire(slot);
        span_slots_give(&index, 1);
        count++;
    }
    return count;
}

/* --- the pool -------------------------------------------------------------------------------- */

static void *map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static int open_locked(void)
{
    size_t size = (size_t)SLOT_COUNT * SLOT_SIZE,
           extensions = (size_t)EXTENSION_COUNT * EXTENSION_SIZE;
    int rc = pthread_key_create(&pool.leaving, thread_leaves);
    if (rc != 0)
        return -rc;
    char *slots = map(size);
    pool.extensions = slots != NULL ? map(extensions) : NULL;
    if (pool.extensions == NULL) {
        (void)pthread_key_delete(pool.leaving);
        if (slots != NULL)
            (void)munmap(slots, size);
        return -ENOMEM;
    }
    atomic_store(&pool.stamp, self_stamp());
    atomic_store_explicit(&pool.slots, slots, memory_order_release);
    return 0;
}

/* In a forked child: nobody records in, or holds, what was live. */
static void adopt_locked(void)
{
    for (uint32_t index = 1; index <= atomic_load(&pool.free.fresh); index++) {
        struct slot *slot = span_slots_at(index);
        if ((atomic_load(&slot->word) & SLOT_LIVE) == 0)
            continue;
        slot_retire(slot);
        span_slots_give(&index, 1);
    }
    atomic_store(&pool.stamp, self_stamp());
}

int span_slots_open(void)
{
    self_watch_forks();
    pthread_mutex_lock(&pool.lock);
    int rc = atomic_load(&pool.slots) != NULL ? 0 : open_locked();
    if (rc == 0 && atomic_load(&pool.stamp) != self_stamp())
        adopt_locked();
    pthread_mutex_unlock(&pool.lock);
    return rc;
}
