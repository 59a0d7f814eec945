/* SPDX-License-Identifier: MIT
 *
 * Series are made here, once for each set of attributes, put into the table in which series.c looks
 * for them, and given back with their instrument. With the lock of the meters.
 */
#include "telemetry/exemplar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST 16
#define LINE ((size_t)64) /* of the cache */
#define BLOCK_FIRST ((size_t)2048)
#define BLOCK_LARGEST ((size_t)64 * 1024)

/* --- making series --------------------------------------------------------------------------- */

static size_t cells_needed(const struct srun_instrument *instrument)
{
    switch (instrument->how) {
    case SERIES_SUM:
    case SERIES_SUM_REAL:
        return 1;
    case SERIES_LAST:
        return 2;
    case SERIES_HISTOGRAM:
        return SERIES_BUCKETS + instrument->bound_count + 1;
    default:
        return 0;
    }
}

/* Neighbours in time are neighbours in memory, which who collects goes through in this order. */
void *series_room_locked(struct srun_instrument *instrument, size_t size)
{
    struct series_block *block = instrument->blocks;
    size = (size + LINE - 1) / LINE * LINE;
    if (block == NULL || block->size - block->used < size) {
        size_t next = block == NULL ? BLOCK_FIRST : block->size * 2;
        next = next > BLOCK_LARGEST ? BLOCK_LARGEST : next;
        next = next < size ? size : next;
        block = malloc(sizeof *block + 63 + next);
        if (block == NULL)
            return NULL;
        block->next = instrument->blocks;
        block->used = 0;
        block->size = next;
        block->data = (char *)(((uintptr_t)(block + 1) + 63) / 64 * 64);
        instrument->blocks = block;
    }
    void *room = block->data + block->used;
    block->used += size;
    return room;
}

static struct series_exponential *exponential_new(unsigned stripes)
{
    struct series_exponential *made = calloc(stripes, sizeof *made);
    for (unsigned i = 0; made != NULL && i < stripes; i++) {
        (void)pthread_mutex_init(&made[i].lock, NULL);
        exponential_init(&made[i].histogram);
    }
    return made;
}

static void append_locked(struct srun_instrument *instrument, struct srun_series *series)
{
    struct srun_series *_Atomic *place =
        instrument->last != NULL ? &instrument->last->next : &instrument->first;
    atomic_store_explicit(place, series, memory_order_release);
    instrument->last = series;
}

/* What has to be there beside the struct. */
static bool equip_locked(struct srun_instrument *instrument, struct srun_series *series)
{
    struct cells *cells = &instrument->meters->cells;
    size_t needed = cells_needed(instrument);
    series->cpus = cells->cpus;
    if (needed > 0 && (series->cells = cells_take(cells, needed)) == NULL)
        return false;
    return instrument->how != SERIES_EXPONENTIAL ||
           (series->exponential = exponential_new(series_stripes(series))) != NULL;
}

static bool render(const struct labels *labels, struct buf *out)
{
    struct srun_kv list[LABELS_MAX + 1];
    unsigned char *kept = malloc(labels->size + 1);
    if (kept == NULL)
        return false;
    labels_keep(labels, kept);
    labels_list(kept, labels->count, list);
    labels_text(out, list);
    free(kept);
    return !out->failed;
}

struct layout {
    size_t text_at, extra_at, size;
};

static struct layout layout_of(const struct srun_instrument *instrument, size_t label_size,
                               size_t text_size)
{
    bool counts_buckets =
        instrument->how == SERIES_HISTOGRAM || instrument->how == SERIES_EXPONENTIAL;
    size_t extra = instrument->is_observed ? sizeof(struct series_observed)
                   : counts_buckets        ? sizeof(struct extremes)
                                           : 0;
    size_t text_at = sizeof(struct srun_series) + label_size;
    if ((text_at % LINE + text_size + LINE - 1) / LINE > (text_size + LINE - 1) / LINE)
        text_at = (text_at + LINE - 1) / LINE * LINE;
    size_t extra_at = (text_at + text_size + 1 + 7) / 8 * 8;
    return (struct layout){text_at, extra_at, extra_at + extra};
}

static void copy_set(struct srun_series *series, const struct labels *labels,
                     const struct buf *text)
{
    series->label_count = (uint16_t)labels->count;
    series->label_size = (uint32_t)labels->size;
    series->text_size = (uint32_t)text->size;
    series->hash = labels->hash;
    labels_keep(labels, (unsigned char *)(series + 1));
    memcpy((char *)series + series->text_at, text->size > 0 ? text->data : "", text->size + 1);
}

static struct srun_series *series_new_locked(struct srun_instrument *instrument,
                                             const struct labels *labels)
{
    auto_buf struct buf text = {0};
    if (!render(labels, &text))
        return NULL;
    struct layout layout = layout_of(instrument, labels->size, text.size);
    struct srun_series *made =
        instrument->is_observed ? malloc(layout.size) : series_room_locked(instrument, layout.size);
    if (made == NULL)
        return NULL;
    memset(made, 0, layout.size);
    made->how = instrument->how;
    made->is_real = instrument->is_real;
    made->least = instrument->kind == TELEMETRY_COUNTER ? 0 : INT64_MIN;
    made->bounds = instrument->bounds;
    made->bound_count = (uint32_t)instrument->bound_count;
    made->instrument = instrument;
    made->start_ns = meters_now_ns(instrument->meters);
    made->text_at = (uint32_t)layout.text_at;
    copy_set(made, labels, &text);
    void *extra = (char *)made + layout.extra_at;
    if (instrument->is_observed)
        made->observed = extra;
    else if (layout.size > layout.extra_at)
        made->ever = extra;
    if (equip_locked(instrument, made)) {
        exemplars_prepare_locked(made);
        return made;
    }
    if (instrument->is_observed)
        free(made);
    return NULL;
}

/* --- the table ------------------------------------------------------------------------------- */

static struct series_table *table_new(size_t slots)
{
    struct series_table *table = calloc(1, sizeof *table + slots * sizeof table->slots[0]);
    if (table != NULL)
        table->mask = slots - 1;
    return table;
}

void series_table_put(struct series_table *table, struct srun_series *series)
{
    size_t at = (size_t)series->hash & table->mask;
    while (atomic_load_explicit(&table->slots[at].series, memory_order_relaxed) != NULL)
        at = (at + 1) & table->mask;
    table->slots[at].hash = series->hash;
    atomic_store_explicit(&table->slots[at].series, series, memory_order_release);
}

/* At most half of it is used: who looks for what is not there comes to an end. */
struct series_table *series_table_room_locked(struct srun_instrument *instrument)
{
    struct series_table *table = atomic_load_explicit(&instrument->table, memory_order_relaxed);
    size_t slots = table->mask + 1;
    if ((size_t)(instrument->count + 2) * 2 <= slots)
        return table;
    struct series_table *larger = table_new(slots * 2);
    if (larger == NULL)
        return NULL;
    for (size_t i = 0; i < slots; i++) {
        struct srun_series *series =
            atomic_load_explicit(&table->slots[i].series, memory_order_relaxed);
        if (series != NULL)
            series_table_put(larger, series);
    }
    larger->retired = table;
    atomic_store_explicit(&instrument->table, larger, memory_order_release);
    return larger;
}

/* Observed series that were told neither this time nor the time before make room. Nobody looks at
 * them but with the lock. */
static void sweep_locked(struct srun_instrument *instrument)
{
    struct series_table *table = atomic_load(&instrument->table);
    struct srun_series *series = atomic_load(&instrument->first);
    uint64_t turn = instrument->meters->turn;
    if (!instrument->is_observed || instrument->swept == turn)
        return;
    instrument->swept = turn;
    for (size_t i = 0; i <= table->mask; i++)
        atomic_store(&table->slots[i].series, NULL);
    atomic_store(&instrument->first, NULL);
    atomic_store(&instrument->plain, NULL);
    instrument->last = NULL;
    instrument->count = 0;
    while (series != NULL) {
        struct srun_series *next = atomic_load(&series->next);
        atomic_store(&series->next, NULL);
        if (series == instrument->overflow || series->observed->seen + 1 >= turn) {
            append_locked(instrument, series);
            series_table_put(table, series);
            instrument->count += series != instrument->overflow;
        } else {
            for (size_t i = 0; i < TELEMETRY_READERS_MAX; i++)
                free(series->last[i]);
            free(series);
        }
        series = next;
    }
}

struct srun_series *series_spill(struct srun_instrument *instrument)
{
    if (!atomic_load_explicit(&instrument->spilled, memory_order_relaxed))
        atomic_store_explicit(&instrument->spilled, true, memory_order_release);
    return instrument->overflow;
}

static struct srun_series *overflow_locked(struct srun_instrument *instrument)
{
    if (!atomic_load(&instrument->full))
        (void)atomic_fetch_add(&instrument->meters->overflowing, 1);
    atomic_store(&instrument->full, true);
    return series_spill(instrument);
}

struct srun_series *series_get_locked(struct srun_instrument *instrument,
                                      const struct labels *labels)
{
    struct srun_series *series = series_find(atomic_load(&instrument->table), labels);
    if (series != NULL)
        return series;
    if (instrument->count >= instrument->limit)
        sweep_locked(instrument);
    if (instrument->count >= instrument->limit)
        return overflow_locked(instrument);
    struct series_table *table = series_table_room_locked(instrument);
    series = table != NULL ? series_new_locked(instrument, labels) : NULL;
    if (series == NULL)
        return series_spill(instrument); /* without memory: counted, if not apart */
    instrument->count++;
    append_locked(instrument, series);
    series_table_put(table, series);
    if (labels->count == 0)
        atomic_store_explicit(&instrument->plain, series, memory_order_release);
    return series;
}

int series_prepare_locked(struct srun_instrument *instrument)
{
    struct labels labels;
    if (instrument->how == SERIES_NOTHING)
        return 0;
    struct series_table *table = table_new(TABLE_FIRST);
    if (table == NULL)
        return -ENOMEM;
    atomic_store(&instrument->table, table);
    if (instrument->how == SERIES_EACH)
        return streams_prepare_locked(instrument);
    bool made = labels_read(&labels, SRUN_KVS(SRUN_BOOL("otel.metric.overflow", 1)), NULL,
                            instrument->meters->seed);
    instrument->overflow = made ? series_new_locked(instrument, &labels) : NULL;
    if (instrument->overflow == NULL)
        return -ENOMEM;
    append_locked(instrument, instrument->overflow);
    series_table_put(table, instrument->overflow);
    return 0;
}

static void free_series(struct srun_series *series, bool is_observed)
{
    for (size_t i = 0; i < TELEMETRY_READERS_MAX; i++)
        free(series->last[i]);
    for (unsigned i = 0; series->exponential != NULL && i < series_stripes(series); i++)
        (void)pthread_mutex_destroy(&series->exponential[i].lock);
    free(series->exponential);
    if (is_observed)
        free(series);
}

void series_free_all(struct srun_instrument *instrument)
{
    struct srun_series *series = atomic_load(&instrument->first);
    while (series != NULL) {
        struct srun_series *next = atomic_load(&series->next);
        free_series(series, instrument->is_observed);
        series = next;
    }
    struct series_table *table = atomic_load(&instrument->table);
    while (table != NULL) {
        struct series_table *retired = table->retired;
        free(table);
        table = retired;
    }
    while (instrument->blocks != NULL) {
        struct series_block *block = instrument->blocks;
        instrument->blocks = block->next;
        free(block);
    }
}
