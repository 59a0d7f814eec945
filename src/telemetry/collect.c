/* SPDX-License-Identifier: MIT
 *
 * Collecting: one walk over all series, which goes on counting meanwhile. Cells are never reset: a
 * reader that wants differences keeps what it has seen, for each series, and so disturbs no other.
 * The number of values in a histogram is the sum of its buckets as they were read, so both agree in
 * every answer; its sum of values may lag behind by those that are being recorded.
 */
#include "telemetry/series.h"

#include "base/thread.h"
#include "telemetry/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct telemetry_reader {
    struct telemetry_meters *meters;
    struct telemetry_reader_options options;
    size_t index; /* among the readers, and in srun_series.last */
    struct arena arena;
    uint64_t before_ns, now_ns; /* of the collect before, of this one */
    uint64_t turn;
};

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
    if (reader->index < TELEMETRY_READERS_MAX)
        meters->readers[reader->index] = reader;
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
    pthread_mutex_unlock(&meters->lock);
    give_turn(meters);
    arena_free(&reader->arena);
    free(reader);
    return NULL;
}

/* --- one point ------------------------------------------------------------------------------- */

/* What this reader has seen of the series, zeroed at first. NULL: no memory. */
static void *last_of(const struct telemetry_reader *reader, struct srun_series *series, size_t size)
{
    void **last = &series->last[reader->index];
    if (*last == NULL)
        *last = calloc(1, size);
    return *last;
}

static bool wants_delta(const struct telemetry_reader *reader,
                        const struct srun_instrument *instrument)
{
    if (!reader->options.delta || (instrument->is_observed && !reader->options.observed_too))
        return false;
    return instrument->kind == TELEMETRY_COUNTER || instrument->kind == TELEMETRY_HISTOGRAM_KIND;
}

/* The difference to what was seen. False: nothing has happened, or there is no memory. */
static bool sum_delta(const struct telemetry_reader *reader, struct srun_series *series,
                      struct telemetry_point *point)
{
    uint64_t *last = last_of(reader, series, sizeof *last);
    if (last == NULL)
        return false;
    if (point->is_double) {
        double now = point->real;
        point->real = now - real_of(*last);
        *last = bits_of(now);
        return point->real != 0;
    }
    uint64_t now = (uint64_t)point->integer;
    point->integer = (int64_t)(now - *last);
    *last = now;
    return point->integer != 0;
}

static bool fill_sum(const struct telemetry_reader *reader, struct srun_series *series,
                     struct telemetry_point *point)
{
    point->is_double = series->is_real;
    if (series->how == SERIES_OBSERVED) {
        point->real = point->is_double ? real_of(series->observed) : 0;
        point->integer = (int64_t)series->observed;
    } else if (point->is_double) {
        point->real = cells_sum_real(series->cells, series->cpus);
    } else {
        point->integer = (int64_t)cells_sum(series->cells, series->cpus);
    }
    return !wants_delta(reader, series->instrument) || sum_delta(reader, series, point);
}

static bool fill_last(struct srun_series *series, struct telemetry_point *point)
{
    if (atomic_load_explicit(&series->cells[1], memory_order_acquire) == 0)
        return false; /* it was never set */
    uint64_t bits = atomic_load_explicit(&series->cells[0], memory_order_relaxed);
    point->is_double = series->is_real;
    point->integer = (int64_t)bits;
    point->real = series->is_real ? real_of(bits) : 0;
    return true;
}

static bool histogram_delta(const struct telemetry_reader *reader, struct srun_series *series,
                            struct telemetry_point *point, uint64_t *buckets)
{
    uint64_t *last = last_of(reader, series, (point->bucket_count + 1) * sizeof *last);
    if (last == NULL)
        return false;
    double sum = point->sum;
    point->sum -= real_of(last[0]);
    last[0] = bits_of(sum);
    point->count = 0;
    for (size_t i = 0; i < point->bucket_count; i++) {
        uint64_t now = buckets[i];
        buckets[i] = now - last[i + 1];
        point->count += buckets[i];
        last[i + 1] = now;
    }
    point->has_min_max = false; /* those of the whole life are known only */
    return point->count > 0;
}

static bool fill_histogram(struct telemetry_reader *reader, struct srun_series *series,
                           struct telemetry_point *point)
{
    size_t count = series->bound_count + (size_t)1;
    uint64_t *buckets = arena_take(&reader->arena, count * sizeof *buckets);
    if (buckets == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        buckets[i] = cells_sum(&series->cells[SERIES_BUCKETS + i], series->cpus);
        point->count += buckets[i];
    }
    uint64_t least = cells_largest(&series->cells[SERIES_LEAST], series->cpus);
    uint64_t largest = cells_largest(&series->cells[SERIES_LARGEST], series->cpus);
    point->buckets = buckets;
    point->bucket_count = count;
    point->has_sum = true;
    point->sum = cells_sum_real(&series->cells[SERIES_TOTAL], series->cpus);
    point->has_min_max = least != 0 && largest != 0;
    if (point->has_min_max) {
        point->min = of_sortable(~least);
        point->max = of_sortable(largest);
    }
    return !wants_delta(reader, series->instrument) ||
           histogram_delta(reader, series, point, buckets);
}

static bool exponential_delta(const struct telemetry_reader *reader, struct srun_series *series,
                              struct exponential *now)
{
    struct exponential *last = last_of(reader, series, sizeof *last), current = *now;
    if (last == NULL)
        return false;
    if (last->count > 0)
        exponential_subtract(now, last);
    *last = current;
    return now->count > 0;
}

static void sum_stripes(struct srun_series *series, struct exponential *out)
{
    exponential_init(out);
    for (unsigned i = 0; i < series_stripes(series); i++) {
        struct series_exponential *stripe = &series->exponential[i];
        pthread_mutex_lock(&stripe->lock);
        struct exponential copy = stripe->histogram;
        pthread_mutex_unlock(&stripe->lock);
        exponential_merge(out, &copy);
    }
}

static bool fill_exponential(struct telemetry_reader *reader, struct srun_series *series,
                             struct telemetry_point *point)
{
    bool delta = wants_delta(reader, series->instrument);
    struct exponential *copy = arena_take(&reader->arena, sizeof *copy);
    if (copy == NULL)
        return false;
    sum_stripes(series, copy);
    if (delta && !exponential_delta(reader, series, copy))
        return false;
    point->count = copy->count;
    point->zero_count = copy->zero_count;
    point->scale = copy->scale;
    point->has_sum = true;
    point->sum = copy->sum;
    point->has_min_max = !delta && copy->count > 0;
    point->min = copy->min;
    point->max = copy->max;
    point->positive = copy->buckets;
    point->positive_count = copy->used;
    point->positive_offset = copy->offset;
    return true;
}

static bool fill_value(struct telemetry_reader *reader, struct srun_series *series,
                       struct telemetry_point *point)
{
    switch (series->how) {
    case SERIES_LAST:
        return fill_last(series, point);
    case SERIES_HISTOGRAM:
        return fill_histogram(reader, series, point);
    case SERIES_EXPONENTIAL:
        return fill_exponential(reader, series, point);
    case SERIES_OBSERVED:
        return series->seen == reader->turn && fill_sum(reader, series, point);
    default:
        return fill_sum(reader, series, point);
    }
}

/* The set of attributes. That of an observed series may go when the lock does, so it is copied. */
static bool fill_labels(struct telemetry_reader *reader, const struct srun_series *series,
                        struct telemetry_point *point)
{
    size_t size = series->label_size + (size_t)series->text_size + 1;
    const unsigned char *labels = series_labels(series);
    if (series->how == SERIES_OBSERVED) {
        unsigned char *copy = arena_take(&reader->arena, size);
        if (copy == NULL)
            return false;
        memcpy(copy, labels, size);
        labels = copy;
    }
    point->labels = (const char *)labels + series->label_size;
    point->label_size = series->text_size;
    if (reader->options.text_only)
        return true;
    struct srun_kv *list =
        arena_take(&reader->arena, (series->label_count + (size_t)1) * sizeof *list);
    if (list != NULL)
        labels_list(labels, series->label_count, list);
    point->attributes = list;
    return list != NULL;
}

/* The overflow is there from the beginning, but shown only once something has gone there. What was
 * made after the moment that this collect tells of is for the next one. */
static bool is_hidden(const struct telemetry_reader *reader, const struct srun_series *series)
{
    const struct srun_instrument *instrument = series->instrument;
    if (series->start_ns >= reader->now_ns)
        return true;
    return series == instrument->overflow && !instrument->is_observed &&
           !atomic_load_explicit(&instrument->spilled, memory_order_acquire);
}

static bool fill_point(struct telemetry_reader *reader, struct srun_series *series,
                       struct telemetry_point *point)
{
    *point = (struct telemetry_point){.start_ns = series->start_ns, .time_ns = reader->now_ns};
    if (is_hidden(reader, series) || !fill_value(reader, series, point) ||
        !fill_labels(reader, series, point))
        return false;
    if (wants_delta(reader, series->instrument) && reader->before_ns > point->start_ns)
        point->start_ns = reader->before_ns;
    return true;
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
        count += fill_point(reader, series, &points[count]);
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
    if (instrument->how == SERIES_NOTHING)
        return false;
    size_t count = take_points(reader, instrument, &points);
    if (count == 0)
        return false;
    *out = (struct telemetry_metric){.scope = &instrument->meter->scope,
                                     .name = instrument->name,
                                     .unit = instrument->unit,
                                     .help = instrument->help,
                                     .kind = kind_of(instrument),
                                     .monotonic = instrument->kind == TELEMETRY_COUNTER,
                                     .delta = wants_delta(reader, instrument),
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
        SRUN_WARN(meters->log, "measurements were dropped", SRUN_STR("name", instrument->name),
                  SRUN_UINT("count", dropped),
                  SRUN_STR("why", "negative, not a number, or not of the instrument's type"));
    }
    if (atomic_load(&instrument->full) && instrument->told_full == 0) {
        instrument->told_full = 1;
        SRUN_WARN(meters->log, "a metric has too many sets of attributes",
                  SRUN_STR("name", instrument->name), SRUN_UINT("limit", instrument->limit),
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
    uint64_t now = meters_now_ns(meters);
    reader->now_ns = now > reader->before_ns ? now : reader->before_ns + 1;
    size_t count = take_all(reader, out);
    reader->before_ns = reader->now_ns;
    give_turn(meters);
    return count;
}
