/* SPDX-License-Identifier: MIT
 *
 * Counting. The calls for measurements are here: a few instructions for a series at hand, a look-up
 * without a lock for a set of attributes, the lock only for a set that is new. What cannot be
 * counted is counted as dropped, and told by who collects.
 */
#include "telemetry/exemplar.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FIRST 16
#define BLOCK_FIRST ((size_t)2048)
#define BLOCK_LARGEST ((size_t)64 * 1024)

/* --- one measurement ------------------------------------------------------------------------- */

static void drop(struct srun_series *series)
{
    if (series->how != SERIES_NOTHING)
        (void)atomic_fetch_add_explicit(&series->instrument->dropped, 1, memory_order_relaxed);
}

/* Its own, of this processor. */
static inline cell *here(const struct srun_series *series)
{
    return cells_of(series->cells, cpu_now(series->cpus));
}

static inline bool is_finite(double value)
{
    return value >= -DBL_MAX && value <= DBL_MAX;
}

/* What was counted: kvs as in exemplar_offer. */
static inline void counted(struct srun_series *series, uint64_t bits, const struct srun_kv *kvs)
{
    if (exemplar_is_wanted(series))
        exemplar_offer(series, bits, kvs);
}

static inline void add_real(struct srun_series *series, double n, const struct srun_kv *kvs)
{
    bool monotonic = series->least == 0;
    if (series->how == SERIES_SUM_REAL && is_finite(n) && !(monotonic && n < 0)) {
        cell_add_real(here(series), n);
        counted(series, bits_of(n), kvs);
    } else {
        drop(series);
    }
}

/* All but the one case that has to be quick; apart, so that this one needs no frame. */
static __attribute__((noinline)) void add_otherwise(struct srun_series *series, int64_t n,
                                                    const struct srun_kv *kvs)
{
    if (series->how == SERIES_SUM_REAL) {
        add_real(series, (double)n, kvs);
    } else if (series->how == SERIES_SUM && n >= series->least) {
        cell_add(here(series), (uint64_t)n);
        counted(series, (uint64_t)n, kvs);
    } else {
        drop(series);
    }
}

static inline void add(struct srun_series *series, int64_t n, const struct srun_kv *kvs)
{
    unsigned cpu = cpu_guess();
    if (__builtin_expect(series->how == SERIES_SUM && n >= series->least && cpu < series->cpus,
                         1)) {
        cell_add(cells_of(series->cells, cpu), (uint64_t)n);
        counted(series, (uint64_t)n, kvs);
    } else {
        add_otherwise(series, n, kvs);
    }
}

static inline void set_bits(struct srun_series *series, uint64_t bits, const struct srun_kv *kvs)
{
    atomic_store_explicit(&series->cells[0], bits, memory_order_relaxed);
    if (atomic_load_explicit(&series->cells[1], memory_order_relaxed) == 0)
        atomic_store_explicit(&series->cells[1], 1, memory_order_release);
    counted(series, bits, kvs);
}

static inline void set(struct srun_series *series, int64_t value, const struct srun_kv *kvs)
{
    if (series->how == SERIES_LAST)
        set_bits(series, series->is_real ? bits_of((double)value) : (uint64_t)value, kvs);
    else
        drop(series);
}

static inline void set_real(struct srun_series *series, double value, const struct srun_kv *kvs)
{
    if (series->how == SERIES_LAST && series->is_real && is_finite(value))
        set_bits(series, bits_of(value), kvs);
    else
        drop(series);
}

/* Who has the lock may have been moved elsewhere, so it is one; but hardly anybody waits for it. In
 * a forked child nobody may be left to give it back. */
static void record_exponential(const struct srun_series *series, double value)
{
    if (series->instrument->meters->stamp != self_stamp())
        return;
    struct series_exponential *own =
        &series->exponential[cpu_now(series->cpus) % series_stripes(series)];
    struct extremes extremes = {~sortable_of(value), sortable_of(value)};
    pthread_mutex_lock(&own->lock);
    exponential_record(&own->histogram, value);
    extremes_widen(&own->fresh, extremes);
    pthread_mutex_unlock(&own->lock);
}

static inline void record_bucket(struct srun_series *series, double value)
{
    size_t bucket = series_bucket_of(series->bounds, series->bound_count, value);
    cell *cells = here(series);
    cell_add(&cells[SERIES_BUCKETS + bucket], 1);
    cell_add_real(&cells[SERIES_TOTAL], value);
    cell_raise(&cells[SERIES_LEAST], ~sortable_of(value));
    cell_raise(&cells[SERIES_LARGEST], sortable_of(value));
}

static inline void record(struct srun_series *series, double value, const struct srun_kv *kvs)
{
    bool fits = value >= 0 && value <= DBL_MAX;
    if (fits && series->how == SERIES_HISTOGRAM) {
        record_bucket(series, value);
    } else if (fits && series->how == SERIES_EXPONENTIAL) {
        record_exponential(series, value);
    } else {
        drop(series);
        return;
    }
    counted(series, bits_of(value), kvs);
}

void srun_series_add(srun_series *series, int64_t n)
{
    if (series != NULL)
        add(series, n, NULL);
}

void srun_series_add_real(srun_series *series, double n)
{
    if (series != NULL)
        add_real(series, n, NULL);
}

void srun_series_set(srun_series *series, int64_t value)
{
    if (series != NULL)
        set(series, value, NULL);
}

void srun_series_set_real(srun_series *series, double value)
{
    if (series != NULL)
        set_real(series, value, NULL);
}

void srun_series_record(srun_series *series, double value)
{
    if (series != NULL)
        record(series, value, NULL);
}

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

/* Room that lives as long as the instrument: neighbours in time are neighbours in memory, which who
 * collects goes through in this order. */
static void *take_room_locked(struct srun_instrument *instrument, size_t size)
{
    struct series_block *block = instrument->blocks;
    size = (size + 63) / 64 * 64;
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

static struct srun_series *series_new_locked(struct srun_instrument *instrument,
                                             const struct labels *labels)
{
    auto_buf struct buf text = {0};
    if (!render(labels, &text))
        return NULL;
    size_t size = sizeof(struct srun_series) + labels->size + text.size + 1;
    struct srun_series *made =
        instrument->is_observed ? malloc(size) : take_room_locked(instrument, size);
    if (made == NULL)
        return NULL;
    memset(made, 0, sizeof *made);
    made->how = instrument->how;
    made->is_real = instrument->is_real;
    made->least = instrument->kind == TELEMETRY_COUNTER ? 0 : INT64_MIN;
    made->bounds = instrument->bounds;
    made->bound_count = (uint32_t)instrument->bound_count;
    made->label_count = (uint16_t)labels->count;
    made->label_size = (uint32_t)labels->size;
    made->text_size = (uint32_t)text.size;
    made->instrument = instrument;
    made->hash = labels->hash;
    made->start_ns = meters_now_ns(instrument->meters);
    char *behind = (char *)(made + 1);
    labels_keep(labels, (unsigned char *)behind);
    memcpy(behind + labels->size, text.size > 0 ? text.data : "", text.size + 1);
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

static void table_put(struct series_table *table, struct srun_series *series)
{
    size_t at = (size_t)series->hash & table->mask;
    while (atomic_load_explicit(&table->slots[at].series, memory_order_relaxed) != NULL)
        at = (at + 1) & table->mask;
    table->slots[at].hash = series->hash;
    atomic_store_explicit(&table->slots[at].series, series, memory_order_release);
}

static inline struct srun_series *table_find(const struct series_table *table,
                                             const struct labels *labels)
{
    for (size_t at = (size_t)labels->hash & table->mask;; at = (at + 1) & table->mask) {
        struct srun_series *series =
            atomic_load_explicit(&table->slots[at].series, memory_order_acquire);
        if (series == NULL)
            return NULL;
        if (table->slots[at].hash == labels->hash && series->label_size == labels->size &&
            series->label_count == labels->count && labels_are(labels, series_labels(series)))
            return series;
    }
}

/* Room for one more, at most half of it used: who looks for what is not there comes to an end. */
static struct series_table *table_with_room_locked(struct srun_instrument *instrument)
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
            table_put(larger, series);
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
        if (series == instrument->overflow || series->seen + 1 >= turn) {
            append_locked(instrument, series);
            table_put(table, series);
            instrument->count += series != instrument->overflow;
        } else {
            for (size_t i = 0; i < TELEMETRY_READERS_MAX; i++)
                free(series->last[i]);
            free(series);
        }
        series = next;
    }
}

/* For what cannot be counted apart. */
static struct srun_series *spill(struct srun_instrument *instrument)
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
    return spill(instrument);
}

struct srun_series *series_get_locked(struct srun_instrument *instrument,
                                      const struct labels *labels)
{
    struct srun_series *series = table_find(atomic_load(&instrument->table), labels);
    if (series != NULL)
        return series;
    if (instrument->count >= instrument->limit)
        sweep_locked(instrument);
    if (instrument->count >= instrument->limit)
        return overflow_locked(instrument);
    struct series_table *table = table_with_room_locked(instrument);
    series = table != NULL ? series_new_locked(instrument, labels) : NULL;
    if (series == NULL)
        return spill(instrument); /* without memory: counted, if not apart */
    instrument->count++;
    append_locked(instrument, series);
    table_put(table, series);
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
    bool made = labels_read(&labels, SRUN_KVS(SRUN_BOOL("otel.metric.overflow", 1)), NULL,
                            instrument->meters->seed);
    instrument->overflow = made ? series_new_locked(instrument, &labels) : NULL;
    if (instrument->overflow == NULL)
        return -ENOMEM;
    append_locked(instrument, instrument->overflow);
    table_put(table, instrument->overflow);
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

/* --- looking up ------------------------------------------------------------------------------ */

static struct srun_series *make(struct srun_instrument *instrument, const struct labels *labels)
{
    if (atomic_load_explicit(&instrument->full, memory_order_acquire))
        return instrument->overflow;
    if (meters_are_foreign(instrument->meters))
        return &series_of_nothing;
    pthread_mutex_lock(&instrument->meters->lock);
    struct srun_series *series = series_get_locked(instrument, labels);
    pthread_mutex_unlock(&instrument->meters->lock);
    return series;
}

static struct srun_series *look_up(struct srun_instrument *instrument, const struct srun_kv *kvs)
{
    struct labels labels;
    if (instrument->how == SERIES_NOTHING || instrument->how == SERIES_OBSERVED)
        return &series_of_nothing;
    struct srun_series *series;
    if (labels_read(&labels, kvs, instrument->keep, instrument->meters->seed)) {
        series =
            table_find(atomic_load_explicit(&instrument->table, memory_order_acquire), &labels);
        if (series == NULL)
            series = make(instrument, &labels);
    } else {
        series = spill(instrument);
    }
    return series;
}

static inline struct srun_series *series_for(struct srun_instrument *instrument,
                                             const struct srun_kv *kvs)
{
    if (instrument == NULL)
        return &series_of_nothing;
    if (kvs == NULL || kvs->type == SRUN_KV_END) {
        struct srun_series *plain = atomic_load_explicit(&instrument->plain, memory_order_acquire);
        if (plain != NULL && instrument->how != SERIES_OBSERVED)
            return plain;
    }
    return look_up(instrument, kvs);
}

srun_series *srun_bind(srun_instrument *instrument, const struct srun_kv *kvs)
{
    return series_for(instrument, kvs);
}

void srun_add(srun_instrument *instrument, int64_t n, const struct srun_kv *kvs)
{
    add(series_for(instrument, kvs), n, kvs);
}

void srun_add_real(srun_instrument *instrument, double n, const struct srun_kv *kvs)
{
    add_real(series_for(instrument, kvs), n, kvs);
}

void srun_set(srun_instrument *instrument, int64_t value, const struct srun_kv *kvs)
{
    set(series_for(instrument, kvs), value, kvs);
}

void srun_set_real(srun_instrument *instrument, double value, const struct srun_kv *kvs)
{
    set_real(series_for(instrument, kvs), value, kvs);
}

void srun_record(srun_instrument *instrument, double value, const struct srun_kv *kvs)
{
    record(series_for(instrument, kvs), value, kvs);
}
