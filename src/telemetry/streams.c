/* SPDX-License-Identifier: MIT
 *
 * An instrument of which views make several streams: each is an instrument of its own, with its own
 * sets of attributes and its own limit. A series that was bound knows one of each; those that go to
 * the same ones are the same. A measurement with attributes is looked up in each.
 */
#include "telemetry/series.h"

#include <errno.h>
#include <string.h>

static size_t size_of(const struct srun_instrument *instrument)
{
    return instrument->stream_count * sizeof(struct srun_series *);
}

static struct srun_series *new_locked(struct srun_instrument *instrument, enum series_how how,
                                      struct srun_series *const *to)
{
    struct srun_series *made = series_room_locked(instrument, sizeof *made + size_of(instrument));
    if (made == NULL)
        return NULL;
    memset(made, 0, sizeof *made);
    made->how = (uint8_t)how;
    made->instrument = instrument;
    memcpy(series_targets(made), to, size_of(instrument));
    return made;
}

int streams_prepare_locked(struct srun_instrument *instrument)
{
    struct srun_series *to[STREAMS_MAX];
    for (unsigned i = 0; i < instrument->stream_count; i++)
        to[i] = instrument->streams[i]->overflow;
    instrument->overflow = new_locked(instrument, SERIES_MANY, to);
    instrument->each = new_locked(instrument, SERIES_EACH, to);
    return instrument->overflow != NULL && instrument->each != NULL ? 0 : -ENOMEM;
}

static uint64_t hash_of(struct srun_series *const *to, size_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (uintptr_t)to[i] >> 6) * UINT64_C(0x100000001b3); /* they lie 64 apart */
    return hash ^ hash >> 32;
}

/* NULL: it is not there yet. Threads: any. */
static struct srun_series *find(const struct srun_instrument *instrument,
                                struct srun_series *const *to, uint64_t hash)
{
    const struct series_table *table =
        atomic_load_explicit(&instrument->table, memory_order_acquire);
    for (size_t at = (size_t)hash & table->mask;; at = (at + 1) & table->mask) {
        struct srun_series *series =
            atomic_load_explicit(&table->slots[at].series, memory_order_acquire);
        if (series == NULL ||
            (series->hash == hash && memcmp(series_targets(series), to, size_of(instrument)) == 0))
            return series;
    }
}

/* It goes to what is counted together then, of each stream. */
static struct srun_series *overflow_of(struct srun_instrument *instrument)
{
    for (unsigned i = 0; i < instrument->stream_count; i++)
        (void)series_spill(instrument->streams[i]);
    return instrument->overflow;
}

static struct srun_series *get_locked(struct srun_instrument *instrument,
                                      struct srun_series *const *to, uint64_t hash)
{
    struct srun_series *series = find(instrument, to, hash);
    if (series != NULL)
        return series;
    if (instrument->count >= instrument->limit) {
        atomic_store(&instrument->full, true);
        return overflow_of(instrument);
    }
    struct series_table *table = series_table_room_locked(instrument);
    series = table != NULL ? new_locked(instrument, SERIES_MANY, to) : NULL;
    if (series == NULL)
        return overflow_of(instrument);
    series->hash = hash;
    instrument->count++;
    series_table_put(table, series);
    return series;
}

struct srun_series *streams_bind(struct srun_instrument *instrument, const struct srun_kv *kvs)
{
    struct srun_series *to[STREAMS_MAX];
    for (unsigned i = 0; i < instrument->stream_count; i++)
        to[i] = srun_bind(instrument->streams[i], kvs);
    uint64_t hash = hash_of(to, instrument->stream_count);
    struct srun_series *series = find(instrument, to, hash);
    if (series != NULL)
        return series;
    if (atomic_load_explicit(&instrument->full, memory_order_acquire))
        return overflow_of(instrument);
    if (meters_are_foreign(instrument->meters))
        return &series_of_nothing;
    pthread_mutex_lock(&instrument->meters->lock);
    series = get_locked(instrument, to, hash);
    pthread_mutex_unlock(&instrument->meters->lock);
    return series;
}
