/* SPDX-License-Identifier: MIT
 *
 * Sums are never reset: a reader that wants differences keeps what it has seen, for each series,
 * and so disturbs no other. The least and the largest value have no difference: they are taken out,
 * and told to each reader. The number of values in a histogram is the sum of its buckets as they
 * were read, so both agree in every answer; its sum of values may lag behind by those that are
 * being recorded.
 */
#include "telemetry/point.h"

#include "telemetry/exemplar.h"

#include <stdlib.h>
#include <string.h>

/* What this reader has seen of the series, zeroed at first. NULL: no memory. */
static void *last_of(const struct telemetry_reader *reader, struct srun_series *series, size_t size)
{
    void **last = &series->last[reader->index];
    if (*last == NULL)
        *last = calloc(1, size);
    return *last;
}

/* Of a histogram: what comes first in it is always the same. */
struct seen_histogram {
    struct extremes pending; /* of values recorded since */
    uint64_t sum, buckets[];
};

struct seen_exponential {
    struct extremes pending;
    struct exponential histogram;
};

static void *last_of_histogram(const struct telemetry_reader *reader, struct srun_series *series,
                               size_t size)
{
    bool first = series->last[reader->index] == NULL;
    struct extremes *pending = last_of(reader, series, size);
    if (pending == NULL)
        return NULL;
    if (first)
        *pending = *series->ever;
    return pending;
}

/* What was taken out of the cells belongs to all that want differences. */
static void spread(struct srun_series *series, struct extremes fresh)
{
    extremes_widen(series->ever, fresh);
    for (size_t i = 0; i < TELEMETRY_READERS_MAX; i++)
        if (series->last[i] != NULL)
            extremes_widen(series->last[i], fresh);
}

static bool some_want_delta(const struct telemetry_reader *reader)
{
    return atomic_load_explicit(&reader->meters->deltas, memory_order_relaxed) > 0;
}

static void show_extremes(struct telemetry_point *point, struct extremes extremes)
{
    point->has_min_max = extremes.least != 0 && extremes.largest != 0;
    if (point->has_min_max) {
        point->min = of_sortable(~extremes.least);
        point->max = of_sortable(extremes.largest);
    }
}

bool point_is_delta(const struct telemetry_reader *reader, const struct srun_instrument *instrument)
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

/* A counter that is less than it was has begun anew after it was told before: its total starts
 * there. Differences go on from all that it ever had. */
static void note_reset(const struct telemetry_reader *reader, const struct srun_series *series)
{
    struct series_observed *own = series->observed;
    bool fell = series->is_real ? real_of(own->value) < real_of(own->before)
                                : (int64_t)own->value < (int64_t)own->before;
    if (fell) {
        own->base = series->is_real ? bits_of(real_of(own->base) + real_of(own->before))
                                    : own->base + own->before;
        own->reset_ns = own->told_ns;
    }
    own->before = own->value;
    own->told_ns = reader->now_ns;
}

static void fill_observed(const struct telemetry_reader *reader, const struct srun_series *series,
                          struct telemetry_point *point)
{
    const struct series_observed *own = series->observed;
    bool delta = point_is_delta(reader, series->instrument);
    if (series->instrument->kind == TELEMETRY_COUNTER)
        note_reset(reader, series);
    if (!delta && own->reset_ns != 0)
        point->start_ns = own->reset_ns;
    uint64_t base = delta ? own->base : 0;
    if (series->is_real)
        point->real = real_of(base) + real_of(own->value);
    else
        point->integer = (int64_t)(base + own->value);
}

static bool fill_sum(const struct telemetry_reader *reader, struct srun_series *series,
                     struct telemetry_point *point)
{
    point->is_double = series->is_real;
    if (series->how == SERIES_OBSERVED) {
        fill_observed(reader, series, point);
    } else if (point->is_double) {
        point->real = cells_sum_real(series->cells, series->cpus);
    } else {
        point->integer = (int64_t)cells_sum(series->cells, series->cpus);
    }
    return !point_is_delta(reader, series->instrument) || sum_delta(reader, series, point);
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

/* The value lies in the bucket. */
static bool is_in(const struct srun_series *series, size_t bucket, double value)
{
    return (bucket == 0 || value > series->bounds[bucket - 1]) &&
           (bucket == series->bound_count || value <= series->bounds[bucket]);
}

/* A value that is being recorded just now may be among the counts and not yet among the extremes,
 * or be among the extremes of the next time. So they are told where they fit the buckets only. */
static bool are_plausible(const struct srun_series *series, const struct telemetry_point *point)
{
    size_t first = 0, last = point->bucket_count - 1;
    while (point->buckets[first] == 0)
        first++;
    while (point->buckets[last] == 0)
        last--;
    return is_in(series, first, point->min) && is_in(series, last, point->max);
}

/* Commits nothing while nothing is counted: a sum may be there before its count. */
static bool histogram_delta(const struct telemetry_reader *reader, struct srun_series *series,
                            struct telemetry_point *point, uint64_t *buckets)
{
    struct seen_histogram *last = last_of_histogram(
        reader, series, sizeof *last + point->bucket_count * sizeof last->buckets[0]);
    if (last == NULL)
        return false;
    point->count = 0;
    for (size_t i = 0; i < point->bucket_count; i++)
        point->count += buckets[i] - last->buckets[i];
    if (point->count == 0)
        return false;
    for (size_t i = 0; i < point->bucket_count; i++) {
        uint64_t now = buckets[i];
        buckets[i] = now - last->buckets[i];
        last->buckets[i] = now;
    }
    double sum = point->sum;
    point->sum -= real_of(last->sum);
    last->sum = bits_of(sum);
    show_extremes(point, last->pending);
    point->has_min_max = point->has_min_max && are_plausible(series, point);
    last->pending = (struct extremes){0};
    return true;
}

static struct extremes extremes_of(const struct telemetry_reader *reader,
                                   struct srun_series *series)
{
    cell *least = &series->cells[SERIES_LEAST], *largest = &series->cells[SERIES_LARGEST];
    struct extremes all = *series->ever;
    if (some_want_delta(reader)) {
        spread(series, (struct extremes){cells_take_largest(least, series->cpus),
                                         cells_take_largest(largest, series->cpus)});
        return *series->ever;
    }
    extremes_widen(&all, (struct extremes){cells_largest(least, series->cpus),
                                           cells_largest(largest, series->cpus)});
    return all;
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
    point->buckets = buckets;
    point->bucket_count = count;
    point->has_sum = true;
    point->sum = cells_sum_real(&series->cells[SERIES_TOTAL], series->cpus);
    show_extremes(point, extremes_of(reader, series));
    return !point_is_delta(reader, series->instrument) ||
           histogram_delta(reader, series, point, buckets);
}

/* The difference; fresh: its extremes. False: nothing has happened, or there is no memory. */
static bool exponential_delta(const struct telemetry_reader *reader, struct srun_series *series,
                              struct exponential *now, struct extremes *fresh)
{
    struct exponential current = *now;
    struct seen_exponential *last = last_of_histogram(reader, series, sizeof *last);
    if (last == NULL)
        return false;
    if (last->histogram.count > 0)
        exponential_subtract(now, &last->histogram);
    last->histogram = current;
    *fresh = last->pending;
    last->pending = (struct extremes){0};
    return now->count > 0;
}

static void sum_stripes(const struct telemetry_reader *reader, struct srun_series *series,
                        struct exponential *out)
{
    bool take = some_want_delta(reader);
    struct extremes fresh = {0};
    exponential_init(out);
    for (unsigned i = 0; i < series_stripes(series); i++) {
        struct series_exponential *stripe = &series->exponential[i];
        pthread_mutex_lock(&stripe->lock);
        struct exponential copy = stripe->histogram;
        if (take) {
            extremes_widen(&fresh, stripe->fresh);
            stripe->fresh = (struct extremes){0};
        }
        pthread_mutex_unlock(&stripe->lock);
        exponential_merge(out, &copy);
    }
    spread(series, fresh);
}

static bool fill_exponential(struct telemetry_reader *reader, struct srun_series *series,
                             struct telemetry_point *point)
{
    bool delta = point_is_delta(reader, series->instrument);
    struct exponential *copy = arena_take(&reader->arena, sizeof *copy);
    if (copy == NULL)
        return false;
    struct extremes fresh = {0};
    sum_stripes(reader, series, copy);
    if (delta && !exponential_delta(reader, series, copy, &fresh))
        return false;
    point->count = copy->count;
    point->zero_count = copy->zero_count;
    point->scale = copy->scale;
    point->has_sum = true;
    point->sum = copy->sum;
    point->has_min_max = copy->count > 0;
    point->min = copy->min;
    point->max = copy->max;
    if (delta)
        show_extremes(point, fresh);
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
        return series->observed->seen == reader->turn && fill_sum(reader, series, point);
    default:
        return fill_sum(reader, series, point);
    }
}

/* The set of attributes. That of an observed series may go when the lock does, so it is copied. */
static bool fill_labels(struct telemetry_reader *reader, const struct srun_series *series,
                        struct telemetry_point *point)
{
    size_t text_at = series->text_at - sizeof *series;
    size_t size = text_at + series->text_size + 1;
    const unsigned char *labels = series_labels(series);
    if (series->how == SERIES_OBSERVED) {
        unsigned char *copy = arena_take(&reader->arena, size);
        if (copy == NULL)
            return false;
        memcpy(copy, labels, size);
        labels = copy;
    }
    point->labels = (const char *)labels + text_at;
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

bool point_fill(struct telemetry_reader *reader, struct srun_series *series,
                struct telemetry_point *point)
{
    *point = (struct telemetry_point){.start_ns = series->start_ns, .time_ns = reader->now_ns};
    if (is_hidden(reader, series) || !fill_labels(reader, series, point))
        return false;
    exemplars_fill(reader, series, point); /* before the value, which so has them in it */
    if (!fill_value(reader, series, point))
        return false;
    if (point_is_delta(reader, series->instrument) && reader->before_ns > point->start_ns)
        point->start_ns = reader->before_ns;
    return true;
}
