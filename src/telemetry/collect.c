/* SPDX-License-Identifier: MIT
 *
 * Collecting: one walk over all series, which goes on counting meanwhile, by the one reader that
 * has the turn. What a series has to tell is in point.c.
 */
#include "telemetry/point.h"

#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- readers --------------------------------------------------------------------------------- */

int telemetry_reader_new(struct telemetry_reader **out, struct telemetry_meters *meters,
                         const struct telemetry_reader_options *options)
{
    struct telemetry_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return -ENOMEM;
    reader->meters = meters;
    if (options != NULL)
        reader->options = *options;
    pthread_mutex_lock(&meters->lock);
    while (reader->index < TELEMETRY_READERS_MAX && meters->readers[reader->index] != NULL)
        reader->index++;
    if (reader->index < TELEMETRY_READERS_MAX) {
        meters->readers[reader->index] = reader;
        (void)atomic_fetch_add(&meters->deltas, reader->options.delta);
    }
    pthread_mutex_unlock(&meters->lock);
    if (reader->index == TELEMETRY_READERS_MAX) {
        free(reader);
        return -EMFILE;
    }
    *out = reader;
    return 0;
}

static bool take_turn(struct telemetry_meters *meters, int64_t deadline_ns, uint64_t *turn)
{
    pthread_mutex_lock(&meters->lock);
    while (meters->collecting &&
           thread_cond_wait_until(&meters->changed, &meters->lock, deadline_ns))
        ;
    bool taken = !meters->collecting;
    if (taken) {
        meters->collecting = true;
        *turn = ++meters->turn;
    }
    pthread_mutex_unlock(&meters->lock);
    return taken;
}

static void give_turn(struct telemetry_meters *meters)
{
    pthread_mutex_lock(&meters->lock);
    meters->collecting = false;
    pthread_cond_broadcast(&meters->changed);
    pthread_mutex_unlock(&meters->lock);
}

struct telemetry_reader *telemetry_reader_free(struct telemetry_reader *reader)
{
    uint64_t turn;
    if (reader == NULL)
        return NULL;
    struct telemetry_meters *meters = reader->meters;
    (void)take_turn(meters, INT64_MAX, &turn); /* nobody looks at its place in the series */
    struct srun_instrument *instrument = atomic_load(&meters->first);
    pthread_mutex_lock(&meters->lock);
    for (; instrument != NULL; instrument = atomic_load(&instrument->next))
        for (struct srun_series *series = atomic_load(&instrument->first); series != NULL;
             series = atomic_load(&series->next)) {
            free(series->last[reader->index]);
            series->last[reader->index] = NULL;
        }
    meters->readers[reader->index] = NULL;
    (void)atomic_fetch_sub(&meters->deltas, reader->options.delta);
    pthread_mutex_unlock(&meters->lock);
    give_turn(meters);
    arena_free(&reader->arena);
    free(reader);
    return NULL;
}

/* --- all of it ------------------------------------------------------------------------------- */

static enum telemetry_metric_kind kind_of(const struct srun_instrument *instrument)
{
    if (instrument->how == SERIES_HISTOGRAM)
        return TELEMETRY_HISTOGRAM;
    if (instrument->how == SERIES_EXPONENTIAL)
        return TELEMETRY_EXPONENTIAL_HISTOGRAM;
    return instrument->kind == TELEMETRY_GAUGE_KIND ? TELEMETRY_GAUGE : TELEMETRY_SUM;
}

static size_t fill_points(struct telemetry_reader *reader, struct srun_instrument *instrument,
                          size_t capacity, struct telemetry_point *points)
{
    size_t count = 0;
    struct srun_series *series = atomic_load_explicit(&instrument->first, memory_order_acquire);
    for (size_t i = 0; series != NULL && i < capacity; i++) {
        count += point_fill(reader, series, &points[count]);
        series = atomic_load_explicit(&series->next, memory_order_acquire);
    }
    return count;
}

/* Those of observed instruments come and go, so they are read with the lock. */
static size_t take_points(struct telemetry_reader *reader, struct srun_instrument *instrument,
                          struct telemetry_point **out)
{
    struct telemetry_meters *meters = reader->meters;
    pthread_mutex_lock(&meters->lock);
    size_t capacity = instrument->count + (size_t)1, count = 0;
    struct telemetry_point *points = arena_take(&reader->arena, capacity * sizeof *points);
    if (points != NULL && instrument->is_observed)
        count = fill_points(reader, instrument, capacity, points);
    pthread_mutex_unlock(&meters->lock);
    if (points != NULL && !instrument->is_observed)
        count = fill_points(reader, instrument, capacity, points);
    *out = points;
    return count;
}

static bool take_metric(struct telemetry_reader *reader, struct srun_instrument *instrument,
                        struct telemetry_metric *out)
{
    struct telemetry_point *points = NULL;
    if (instrument->how == SERIES_NOTHING || instrument->how == SERIES_EACH)
        return false;
    size_t count = take_points(reader, instrument, &points);
    if (count == 0)
        return false;
    *out = (struct telemetry_metric){.scope = &instrument->meter->scope,
                                     .name = instrument->shown,
                                     .unit = instrument->unit,
                                     .help = instrument->shown_help,
                                     .kind = kind_of(instrument),
                                     .monotonic = instrument->kind == TELEMETRY_COUNTER,
                                     .delta = point_is_delta(reader, instrument),
                                     .bounds = instrument->bounds,
                                     .bound_count = instrument->bound_count,
                                     .points = points,
                                     .point_count = count};
    return true;
}

/* What went wrong on the hot path, where nobody logs; the first time only. By who has the turn. */
static void tell_troubles(struct telemetry_meters *meters, struct srun_instrument *instrument)
{
    uint64_t dropped = atomic_load_explicit(&instrument->dropped, memory_order_relaxed);
    if (dropped > 0 && instrument->told_dropped == 0) {
        instrument->told_dropped = dropped;
        SRUN_WARN(meters->log, "measurements were dropped", SRUN_STR("name", instrument->shown),
                  SRUN_UINT("count", dropped),
                  SRUN_STR("why", "negative, not a number, or not of the instrument's type"));
    }
    if (atomic_load(&instrument->full) && instrument->told_full == 0) {
        instrument->told_full = 1;
        SRUN_WARN(meters->log, "a metric has too many sets of attributes",
                  SRUN_STR("name", instrument->shown), SRUN_UINT("limit", instrument->limit),
                  SRUN_STR("hint", "the others are counted as otel.metric.overflow"));
    }
}

static size_t count_instruments(struct telemetry_meters *meters)
{
    size_t count = 0;
    struct srun_instrument *at = atomic_load_explicit(&meters->first, memory_order_acquire);
    for (; at != NULL; at = atomic_load_explicit(&at->next, memory_order_acquire))
        count++;
    return count;
}

static size_t take_all(struct telemetry_reader *reader, const struct telemetry_metric **out)
{
    struct telemetry_meters *meters = reader->meters;
    arena_reset(&reader->arena);
    size_t capacity = count_instruments(meters), count = 0;
    struct telemetry_metric *metrics = arena_take(&reader->arena, (capacity + 1) * sizeof *metrics);
    struct srun_instrument *at = atomic_load_explicit(&meters->first, memory_order_acquire);
    for (size_t i = 0; metrics != NULL && at != NULL && i < capacity; i++) {
        count += take_metric(reader, at, &metrics[count]);
        tell_troubles(meters, at);
        at = atomic_load_explicit(&at->next, memory_order_acquire);
    }
    *out = metrics;
    return count;
}

size_t telemetry_collect(struct telemetry_reader *reader, int64_t deadline_ns,
                         const struct telemetry_metric **out)
{
    struct telemetry_meters *meters = reader->meters;
    *out = NULL;
    if (meters_are_foreign(meters))
        return 0;
    if (!take_turn(meters, deadline_ns, &reader->turn)) {
        (void)atomic_fetch_add(&meters->late, 1);
        return 0;
    }
    observe_all(meters, reader->turn, deadline_ns);
    meters_follow_clock(meters);
    uint64_t now = meters_now_ns(meters);
    reader->now_ns = now > reader->before_ns ? now : reader->before_ns + 1;
    size_t count = take_all(reader, out);
    reader->before_ns = reader->now_ns;
    give_turn(meters);
    return count;
}
