/* SPDX-License-Identifier: MIT
 *
 * Exemplars: single measurements that are kept beside the sum or the bucket they went into, with
 * the span that was current. A histogram keeps the last one of each bucket (OpenTelemetry's aligned
 * reservoir), all else a few, chosen at random among those since the collect before (its simple
 * one). Who measures never waits: a place that somebody else is at is left as it is.
 *
 * The memory is there from the beginning, but costs none until it is written to.
 */
#ifndef TELEMETRY_EXEMPLAR_H
#define TELEMETRY_EXEMPLAR_H

#include "telemetry/point.h"
#include "telemetry/self.h"

/* For a series that has all else; without memory it has no exemplars. With the lock. */
void exemplars_prepare_locked(struct srun_series *series);
void exemplars_free(struct telemetry_meters *meters);

/* Is a measurement that is made now a candidate? The one test that is paid without a span. */
static inline bool exemplar_is_wanted(const struct srun_series *series)
{
    uint32_t flags = telemetry_self.current.flags | series->exemplar_always;
    return __builtin_expect((flags & series->exemplar_mask) != 0, 0);
}

/* The value by its bits, as the series has them; kvs: the attributes of this measurement, of which
 * those are kept that the series does not have. NULL: not known. */
void exemplar_offer(struct srun_series *series, uint64_t value, const struct srun_kv *kvs);

/* Those that the reader is to be told: of its interval if it wants differences, else the last ones.
 * Threads: the one that has the turn. */
void exemplars_fill(struct telemetry_reader *reader, struct srun_series *series,
                    struct telemetry_point *point);

#endif
