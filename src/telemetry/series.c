/* SPDX-License-Identifier: MIT
 *
 * Counting. The calls for measurements are here: a few instructions for a series at hand, a look-up
 * without a lock for a set of attributes, the lock only for a set that is new. What cannot be
 * counted is counted as dropped, and told by who collects.
 */
#include "telemetry/exemplar.h"

#include <float.h>

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
    if (instrument->how == SERIES_EACH)
        return instrument->each;
    struct srun_series *series;
    if (labels_read(&labels, kvs, instrument->keep, instrument->meters->seed)) {
        series =
            series_find(atomic_load_explicit(&instrument->table, memory_order_acquire), &labels);
        if (series == NULL)
            series = make(instrument, &labels);
    } else {
        series = series_spill(instrument);
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

/* --- one measurement ------------------------------------------------------------------------- */

/* A call as plain data, for the rare ways. */
struct measurement {
    enum { ADD, ADD_REAL, SET, SET_REAL, RECORD } what;
    int64_t integer;
    double real;
    const struct srun_kv *kvs;
};

static void measure_series(struct srun_series *series, const struct measurement *m)
{
    switch (m->what) {
    case ADD:
        srun_series_add(series, m->integer);
        break;
    case ADD_REAL:
        srun_series_add_real(series, m->real);
        break;
    case SET:
        srun_series_set(series, m->integer);
        break;
    case SET_REAL:
        srun_series_set_real(series, m->real);
        break;
    case RECORD:
        srun_series_record(series, m->real);
        break;
    }
}

static void measure_stream(struct srun_instrument *stream, const struct measurement *m)
{
    switch (m->what) {
    case ADD:
        srun_add(stream, m->integer, m->kvs);
        break;
    case ADD_REAL:
        srun_add_real(stream, m->real, m->kvs);
        break;
    case SET:
        srun_set(stream, m->integer, m->kvs);
        break;
    case SET_REAL:
        srun_set_real(stream, m->real, m->kvs);
        break;
    case RECORD:
        srun_record(stream, m->real, m->kvs);
        break;
    }
}

/* What no series of one stream takes: it goes to several, or is dropped. */
static __attribute__((noinline)) void measure_otherwise(struct srun_series *series,
                                                        struct measurement m)
{
    const struct srun_instrument *instrument = series->instrument;
    for (unsigned i = 0; i < instrument->stream_count; i++) {
        if (series->how == SERIES_MANY)
            measure_series(series_targets(series)[i], &m);
        else
            measure_stream(instrument->streams[i], &m);
    }
    if (instrument->stream_count == 0)
        series_drop(series->instrument);
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
        measure_otherwise(series, (struct measurement){ADD_REAL, .real = n, .kvs = kvs});
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
        measure_otherwise(series, (struct measurement){ADD, .integer = n, .kvs = kvs});
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
        measure_otherwise(series, (struct measurement){SET, .integer = value, .kvs = kvs});
}

static inline void set_real(struct srun_series *series, double value, const struct srun_kv *kvs)
{
    if (series->how == SERIES_LAST && series->is_real && is_finite(value))
        set_bits(series, bits_of(value), kvs);
    else
        measure_otherwise(series, (struct measurement){SET_REAL, .real = value, .kvs = kvs});
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
        measure_otherwise(series, (struct measurement){RECORD, .real = value, .kvs = kvs});
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

/* --- the public side ------------------------------------------------------------------------- */

srun_series *srun_bind(srun_instrument *instrument, const struct srun_kv *kvs)
{
    struct srun_series *series = series_for(instrument, kvs);
    return series->how == SERIES_EACH ? streams_bind(instrument, kvs) : series;
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
