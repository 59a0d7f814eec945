/* SPDX-License-Identifier: MIT */
#include "telemetry/tap.h"

#include "base/text.h"
#include "telemetry/self.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct record {
    atomic_bool held; /* somebody writes to it */
    bool used;
    struct tap_span span;
};

struct tap {
    unsigned place;
    size_t count; /* once it is closed */
    _Atomic uint64_t ended;
    struct record records[TAP_SPANS];
};

_Atomic unsigned taps_open;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for who opens and closes */
static struct {
    _Atomic(struct tap *) tap;
    _Atomic unsigned inside; /* ending spans that may have it */
} places[TAPS_MAX];
static unsigned stamp; /* of the process they are of */

/* --- the end of a span ----------------------------------------------------------------------- */

static void fill(struct tap_span *span, const struct slot *slot)
{
    memcpy(span->trace_id, slot->context.trace_id, sizeof span->trace_id);
    memcpy(span->span_id, slot->context.span_id, sizeof span->span_id);
    memcpy(span->parent_span_id, slot->parent_span_id, sizeof span->parent_span_id);
    span->start_ns = slot->start_ns;
    span->end_ns = slot->end_ns;
    span->tid = gettid();
    span->kind = slot->kind;
    span->status = slot->status;
    (void)prctl(PR_GET_NAME, span->thread);
    text_copy(span->scope, sizeof span->scope, slot->scope->name);
    text_copy(span->name, sizeof span->name, slot->name);
}

/* Who meets somebody in its record, which is a whole ring behind or ahead, is not kept. */
static void put(struct tap *tap, const struct slot *slot)
{
    uint64_t number = atomic_fetch_add_explicit(&tap->ended, 1, memory_order_relaxed);
    struct record *record = &tap->records[number % TAP_SPANS];
    if (atomic_exchange_explicit(&record->held, true, memory_order_acquire))
        return;
    if (!record->used || record->span.number < number) {
        fill(&record->span, slot);
        record->span.number = number;
        record->used = true;
    }
    atomic_store_explicit(&record->held, false, memory_order_release);
}

/* It says that it is inside before it takes the tap; who closes it takes it away before it looks
 * who is inside: one of the two sees the other. */
static void hear_at(unsigned place, const struct slot *slot)
{
    if (atomic_load_explicit(&places[place].tap, memory_order_relaxed) == NULL)
        return;
    atomic_fetch_add(&places[place].inside, 1);
    struct tap *tap = atomic_load(&places[place].tap);
    if (tap != NULL)
        put(tap, slot);
    atomic_fetch_sub(&places[place].inside, 1);
}

void tap_hear(const struct slot *slot)
{
    for (unsigned place = 0; place < TAPS_MAX; place++)
        hear_at(place, slot);
}

/* --- who listens ----------------------------------------------------------------------------- */

/* In a forked child those of the parent have nobody who would close them. */
static void adopt_locked(void)
{
    if (stamp == self_stamp())
        return;
    stamp = self_stamp();
    for (unsigned place = 0; place < TAPS_MAX; place++) {
        atomic_store(&places[place].tap, NULL);
        atomic_store(&places[place].inside, 0);
    }
    atomic_store(&taps_open, 0);
}

static int place_locked(struct tap *tap)
{
    for (; tap->place < TAPS_MAX; tap->place++) {
        if (atomic_load(&places[tap->place].tap) != NULL)
            continue;
        atomic_store(&places[tap->place].tap, tap);
        atomic_fetch_add(&taps_open, 1);
        return 0;
    }
    return -EBUSY;
}

int tap_open(struct tap **out)
{
    struct tap *tap = calloc(1, sizeof *tap);
    if (tap == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&lock);
    adopt_locked();
    int rc = place_locked(tap);
    pthread_mutex_unlock(&lock);
    if (rc < 0)
        free(tap);
    else
        *out = tap;
    return rc;
}

void tap_close(struct tap *tap)
{
    pthread_mutex_lock(&lock);
    atomic_store(&places[tap->place].tap, NULL);
    atomic_fetch_sub(&taps_open, 1);
    while (atomic_load(&places[tap->place].inside) > 0)
        (void)sched_yield(); /* moments: to copy a span */
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < TAP_SPANS; i++)
        tap->count += tap->records[i].used;
}

const struct tap_span *tap_at(const struct tap *tap, size_t index)
{
    return tap->records[index].used ? &tap->records[index].span : NULL;
}

uint64_t tap_missed(const struct tap *tap)
{
    return atomic_load(&tap->ended) - tap->count;
}

struct tap *tap_free(struct tap *tap)
{
    free(tap);
    return NULL;
}
