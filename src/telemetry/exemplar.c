/* SPDX-License-Identifier: MIT */
#include "telemetry/exemplar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_SIZE ((size_t)256 * 1024)
#define ATTRIBUTES_ROOM                                                                            \
    192              /* bytes of those that the series does not have; more: none are kept          \
                      */
#define SIMPLE_MAX 4 /* places of a sum or a gauge, on so many processors */
#define EXPONENTIAL_PLACES 20
#define PATIENCE 1000 /* looks at a place that somebody writes to: a few microseconds */

struct exemplar_place {
    _Atomic unsigned busy; /* somebody is at it; guards what follows */
    uint16_t label_count, label_size;
    uint64_t time_ns; /* 0: it is empty */
    uint64_t value;
    uint8_t trace_id[16], span_id[8];
    unsigned char labels[]; /* as labels_keep writes them */
};

struct exemplars {
    _Alignas(64) _Atomic uint64_t offered; /* since a collect */
    _Alignas(64) char places[];
};

struct exemplar_block {
    struct exemplar_block *next;
    size_t used, size;
    char *data;
};

/* --- memory ---------------------------------------------------------------------------------- */

static struct exemplar_block *block_new(size_t size)
{
    struct exemplar_block *block = malloc(sizeof *block);
    void *data = block == NULL ? MAP_FAILED
                               : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        free(block);
        return NULL;
    }
    *block = (struct exemplar_block){.size = size, .data = data};
    return block;
}

static void *take_room_locked(struct telemetry_meters *meters, size_t size)
{
    struct exemplar_block *block = meters->exemplars;
    if (block == NULL || block->size - block->used < size) {
        block = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);
        if (block == NULL)
            return NULL;
        block->next = meters->exemplars;
        meters->exemplars = block;
    }
    void *room = block->data + block->used;
    block->used += size;
    return room;
}

void exemplars_free(struct telemetry_meters *meters)
{
    while (meters->exemplars != NULL) {
        struct exemplar_block *block = meters->exemplars;
        meters->exemplars = block->next;
        (void)munmap(block->data, block->size);
        free(block);
    }
}

static size_t places_wanted(const struct srun_series *series)
{
    switch (series->how) {
    case SERIES_SUM:
    case SERIES_SUM_REAL:
    case SERIES_LAST:
        return series->cpus < SIMPLE_MAX ? series->cpus : SIMPLE_MAX;
    case SERIES_HISTOGRAM:
        return series->bound_count + (size_t)1;
    case SERIES_EXPONENTIAL:
        return EXPONENTIAL_PLACES;
    default:
        return 0;
    }
}

void exemplars_prepare_locked(struct srun_series *series)
{
    struct telemetry_meters *meters = series->instrument->meters;
    size_t places = places_wanted(series), stride = 64;
    if (places == 0 || meters->exemplar_filter == TELEMETRY_EXEMPLARS_NEVER)
        return;
    if (series->instrument->keep != NULL)
        stride += ATTRIBUTES_ROOM;
    series->exemplars = take_room_locked(meters, sizeof(struct exemplars) + places * stride);
    if (series->exemplars == NULL)
        return;
    series->exemplar_places = (uint16_t)places;
    series->exemplar_stride = (uint16_t)stride;
    series->exemplar_mask = SRUN_TRACE_SAMPLED;
    if (meters->exemplar_filter == TELEMETRY_EXEMPLARS_ALWAYS)
        series->exemplar_always = SRUN_TRACE_SAMPLED;
}

/* --- offering -------------------------------------------------------------------------------- */

static struct exemplar_place *place_at(const struct srun_series *series, size_t index)
{
    return (struct exemplar_place *)(void *)(series->exemplars->places +
                                             index * series->exemplar_stride);
}

/* The n-th of an interval gets a place with a chance of places / n, so that each has the same.
 * NULL: it gets none. */
static struct exemplar_place *choose(const struct srun_series *series, uint64_t value)
{
    if (series->how == SERIES_HISTOGRAM)
        return place_at(series,
                        series_bucket_of(series->bounds, series->bound_count, real_of(value)));
    uint64_t before =
        atomic_fetch_add_explicit(&series->exemplars->offered, 1, memory_order_relaxed);
    uint64_t index = before < series->exemplar_places ? before : self_random() % (before + 1);
    return index < series->exemplar_places ? place_at(series, (size_t)index) : NULL;
}

static bool take(struct exemplar_place *place)
{
    return atomic_load_explicit(&place->busy, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&place->busy, 1, memory_order_acquire) == 0;
}

static void give(struct exemplar_place *place)
{
    atomic_store_explicit(&place->busy, 0, memory_order_release);
}

static void keep_labels(struct exemplar_place *place, const struct srun_series *series,
                        const struct srun_kv *kvs)
{
    struct srun_kv dropped[LABELS_MAX + 1];
    struct labels labels;
    place->label_count = place->label_size = 0;
    if (series->instrument->keep == NULL || kvs == NULL ||
        !labels_others(kvs, series->instrument->keep, dropped) ||
        !labels_read(&labels, dropped, NULL, 0) || labels.size > ATTRIBUTES_ROOM)
        return;
    labels_keep(&labels, place->labels);
    place->label_count = (uint16_t)labels.count;
    place->label_size = (uint16_t)labels.size;
}

void exemplar_offer(struct srun_series *series, uint64_t value, const struct srun_kv *kvs)
{
    const struct srun_span_context *current = &telemetry_self.current;
    struct exemplar_place *place = choose(series, value);
    if (place == NULL || !take(place))
        return;
    place->time_ns = meters_now_ns(series->instrument->meters);
    place->value = value;
    memcpy(place->trace_id, current->trace_id, sizeof place->trace_id);
    memcpy(place->span_id, current->span_id, sizeof place->span_id);
    keep_labels(place, series, kvs);
    give(place);
    if (!atomic_load_explicit(&series->has_exemplars, memory_order_relaxed))
        atomic_store_explicit(&series->has_exemplars, true, memory_order_release);
}

/* --- telling --------------------------------------------------------------------------------- */

/* Who writes to it may have lost the processor; then it is told the next time. */
static bool take_patiently(struct exemplar_place *place)
{
    for (unsigned i = 0; i < PATIENCE; i++)
        if (take(place))
            return true;
    return false;
}

static const struct srun_kv *copy_labels(struct telemetry_reader *reader,
                                         const struct exemplar_place *place)
{
    struct srun_kv *list =
        arena_take(&reader->arena, (place->label_count + (size_t)1) * sizeof *list);
    unsigned char *copy = arena_take(&reader->arena, place->label_size);
    if (list == NULL || copy == NULL)
        return NULL;
    memcpy(copy, place->labels, place->label_size);
    labels_list(copy, place->label_count, list);
    return list;
}

/* While measurements go on, one that is newer than the collect may be all there is, so it is told;
 * who wants differences is told of it twice then, at worst. */
static bool copy(struct telemetry_reader *reader, const struct srun_series *series,
                 const struct exemplar_place *place, struct telemetry_exemplar *out)
{
    bool delta = point_is_delta(reader, series->instrument);
    if (place->time_ns == 0 || (delta && place->time_ns <= reader->before_ns))
        return false;
    *out = (struct telemetry_exemplar){
        .time_ns = place->time_ns,
        .is_integer = !series->is_real,
        .integer = (int64_t)place->value,
        .value = series->is_real ? real_of(place->value) : (double)(int64_t)place->value,
        .attributes = place->label_count > 0 ? copy_labels(reader, place) : NULL};
    memcpy(out->trace_id, place->trace_id, sizeof out->trace_id);
    memcpy(out->span_id, place->span_id, sizeof out->span_id);
    return true;
}

void exemplars_fill(struct telemetry_reader *reader, struct srun_series *series,
                    struct telemetry_point *point)
{
    if (!atomic_load_explicit(&series->has_exemplars, memory_order_acquire))
        return;
    struct telemetry_exemplar *list =
        arena_take(&reader->arena, series->exemplar_places * sizeof *list);
    for (size_t i = 0; list != NULL && i < series->exemplar_places; i++) {
        struct exemplar_place *place = place_at(series, i);
        if (!take_patiently(place))
            continue;
        point->exemplar_count += copy(reader, series, place, &list[point->exemplar_count]);
        give(place);
    }
    point->exemplars = list;
    atomic_store_explicit(&series->exemplars->offered, 0, memory_order_relaxed);
}
