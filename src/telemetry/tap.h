/* SPDX-License-Identifier: MIT
 *
 * Listens to spans as they end. While nobody does, the end of a span costs one relaxed load for
 * it. Each tap has a ring of its own, made when it opens, of which an ending span claims the
 * next record: it takes no lock, allocates nothing, and never waits. Only spans that are recorded
 * are heard. Threads: any.
 */
#ifndef TELEMETRY_TAP_H
#define TELEMETRY_TAP_H

#include "telemetry/span_slots.h"

#define TAP_SPANS 4096 /* the last ones are kept */
#define TAPS_MAX 4
#define TAP_NAME 96 /* longer ones are cut */
#define TAP_SCOPE 32
#define TAP_THREAD 16

struct tap_span {
    uint8_t trace_id[16], span_id[8], parent_span_id[8]; /* zero: a root */
    int64_t start_ns, end_ns;                            /* Unix time */
    uint64_t number;                                     /* in the order of their ends, from 0 */
    int tid;                                             /* the thread that has ended it */
    uint8_t kind, status;
    char thread[TAP_THREAD], scope[TAP_SCOPE], name[TAP_NAME];
};

struct tap;

/* 0, -EBUSY: there are TAPS_MAX, -ENOMEM. */
int tap_open(struct tap **out);

/* Nothing comes any more; what has come may be read, until tap_free. */
void tap_close(struct tap *tap);

/* After tap_close: a span, or NULL, for each index below TAP_SPANS, in an order of no meaning. */
const struct tap_span *tap_at(const struct tap *tap, size_t index);

/* How many are not among them: older ones, and those that met another one in their record. */
uint64_t tap_missed(const struct tap *tap);

/* After tap_close. Takes NULL, returns NULL. */
struct tap *tap_free(struct tap *tap);

/* --- for span.c ------------------------------------------------------------------------------ */

extern _Atomic unsigned taps_open;

void tap_hear(const struct slot *slot);

/* A span has ended; its slot is held. */
static inline void tap_span(const struct slot *slot)
{
    if (__builtin_expect(atomic_load_explicit(&taps_open, memory_order_relaxed) > 0, 0))
        tap_hear(slot);
}

#endif
