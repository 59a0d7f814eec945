/* SPDX-License-Identifier: MIT
 *
 * The inside of meters, shared by instrument.c, series.c, observe.c and collect.c.
 */
#ifndef TELEMETRY_SERIES_H
#define TELEMETRY_SERIES_H

#include "base/pool.h"
#include "telemetry/cells.h"
#include "telemetry/exponential.h"
#include "telemetry/labels.h"
#include "telemetry/meter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define SERIES_LIMIT 2000
#define STREAMS_MAX 8 /* of one instrument */

/* What a measurement does. */
enum series_how {
    SERIES_NOTHING,
    SERIES_SUM,         /* one cell */
    SERIES_SUM_REAL,    /* one cell */
    SERIES_LAST,        /* two, of the first processor: the value, and whether there is one */
    SERIES_HISTOGRAM,   /* as below */
    SERIES_EXPONENTIAL, /* under a lock, one of SERIES_STRIPES_MAX by processor */
    SERIES_OBSERVED,    /* under the lock of the meters */
    SERIES_MANY,        /* to a series of each stream */
    SERIES_EACH         /* the same, but they are looked up first */
};

/* The cells of a histogram. The least and the largest, as in struct extremes, are emptied by who
 * has the turn when some reader wants differences. */
enum { SERIES_TOTAL, SERIES_LEAST, SERIES_LARGEST, SERIES_BUCKETS };

/* One for each processor, or for some of them when there are many: a set of buckets is large. */
#define SERIES_STRIPES_MAX 8

/* The least and the largest value, as numbers that sort as they do; the least by its complement, so
 * that both only grow. 0: there is none. */
struct extremes {
    uint64_t least, largest;
};

struct series_exponential {
    pthread_mutex_t lock; /* guards what follows */
    struct exponential histogram;
    struct extremes fresh; /* as in the cells of a histogram */
    char apart[64];        /* from the next one */
};

/* Of an observed series, guarded by the lock; values by their bits. */
struct series_observed {
    uint64_t value;
    uint64_t seen;     /* in which collect; 0: never */
    uint64_t before;   /* the value that was seen before, */
    uint64_t base;     /* what a counter had before it began anew, all told */
    uint64_t told_ns;  /* when it was told before */
    uint64_t reset_ns; /* the last time at which it had not begun anew; 0: it never has */
};

/* Behind it, in this memory: the set as labels.h has it, then its text, in as few cache lines as
 * can be, since a scrape of many series waits for these; then what extra points to. */
struct srun_series {
    cell *cells;
    int64_t least; /* what may be added to a SERIES_SUM */
    const double *bounds;
    uint32_t bound_count;
    uint8_t how; /* an enum series_how */
    bool is_real;
    uint8_t exemplar_mask, exemplar_always; /* see exemplar_is_wanted */
    unsigned cpus;
    uint16_t label_count;
    uint16_t exemplar_places, exemplar_stride; /* how many, and bytes from one to the next */
    _Atomic bool has_exemplars;
    uint32_t text_at; /* bytes from the beginning of this struct */
    uint32_t label_size, text_size;
    struct exemplars *exemplars; /* NULL: it never has any */
    struct srun_instrument *instrument;
    struct series_exponential *exponential; /* series_stripes of them */
    uint64_t hash, start_ns;
    struct srun_series *_Atomic next;
    /* What a reader that wants differences has seen; its own. */
    void *last[TELEMETRY_READERS_MAX];
    union {
        struct series_observed *observed;
        struct extremes *ever; /* of a histogram, by who has the turn: taken out of its cells */
    };
};

/* Readers look without a lock; a larger one takes the place of a full one, which stays for those
 * who still look. */
struct series_table {
    size_t mask;
    struct series_table *retired;
    struct series_slot {
        uint64_t hash; /* fixed before the pointer is published */
        struct srun_series *_Atomic series;
    } slots[];
};

struct series_block {
    struct series_block *next;
    size_t used, size;
    char *data; /* behind this struct, where a cache line begins */
};

struct srun_instrument {
    struct telemetry_meters *meters;
    struct srun_meter *meter;
    int kind;
    unsigned limit;
    unsigned stream_count; /* of a SERIES_EACH: its views make several metrics of it */
    uint8_t how;           /* of its series */
    bool is_real, is_observed;
    bool is_stream, is_echo; /* of another one, and not the first: it counts nothing as dropped */
    _Atomic bool full;       /* the limit is reached */
    _Atomic bool spilled;    /* something has gone to overflow */
    struct srun_instrument **streams;
    struct srun_series *each;
    char *name, *unit, *help;
    const char *shown, *shown_help; /* as the view says */
    double *bounds;
    size_t bound_count;
    const char *const *keep; /* the view's */
    struct series_table *_Atomic table;
    struct srun_series *_Atomic plain; /* the series of no attributes, once there is one */
    struct srun_series *overflow;      /* for what is beyond the limit; it is in the table too */
    struct srun_series *_Atomic first;
    _Atomic uint64_t dropped; /* measurements that could not be counted */
    struct srun_instrument *_Atomic next;
    /* Guarded by the lock of the meters. */
    struct srun_series *last;
    struct series_block *blocks;
    uint64_t swept; /* in which collect; of observed ones */
    uint64_t told_dropped, told_full;
    unsigned count;
};

struct srun_meter {
    struct telemetry_meters *meters;
    struct telemetry_scope scope; /* owned */
    struct srun_meter *next;
};

struct srun_observer {
    struct telemetry_meters *meters;
    struct srun_instrument *instrument;
    uint64_t turn; /* of the collect that asks */
};

struct srun_observable {
    struct srun_observer observer;
    srun_observe_fn *observe;
    void *user;
    bool on_the_spot; /* on the collector's thread */
    uint64_t asked;   /* in which collect */
    bool running;
    bool held;        /* who has the turn looks at it */
    bool gone;        /* unregistered: not called any more */
    bool orphan;      /* by itself, so nobody waits to free it */
    bool told;        /* that it does not answer */
    pthread_t thread; /* while running */
    struct pool_job job;
    struct srun_observable *next;
};

struct meter_view;

struct telemetry_meters {
    srun_logger *log;
    pid_t pid;      /* elsewhere it is a forked child */
    unsigned stamp; /* self_stamp of the process it works in: the same, for hot paths */
    uint64_t seed;  /* of the hashes */
    _Atomic int64_t wall_offset; /* from monotonic to Unix time; it only grows */
    struct srun_instrument *_Atomic first;
    _Atomic uint64_t late, overflowing;
    _Atomic unsigned deltas; /* readers that want differences */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct cells cells;
    struct exemplar_block *exemplars; /* where those of all series are */
    enum telemetry_exemplar_filter exemplar_filter;
    struct srun_meter *meters;
    struct srun_instrument *last;
    struct meter_view *views, *last_view;
    struct srun_observable *observables, *last_observable;
    struct telemetry_reader *readers[TELEMETRY_READERS_MAX];
    bool collecting;   /* somebody has the turn */
    uint64_t turn;     /* how many there were */
    struct pool *pool; /* of callbacks; who has the turn uses it */
};

/* In a child nobody may be left to give the lock back. A call of the system: not for hot paths. */
bool meters_are_foreign(const struct telemetry_meters *meters);
uint64_t meters_now_ns(const struct telemetry_meters *meters); /* Unix time, never steps back */
/* By who has the turn: after a suspend, or when the clock was set forward, time follows; when it
 * was set back, it goes on as it was. */
void meters_follow_clock(struct telemetry_meters *meters);

/* The one that measures nothing, for whoever is given no other. */
extern struct srun_instrument instrument_of_nothing;
extern struct srun_series series_of_nothing;

/* instrument.c: made, or found. Never NULL. */
struct srun_instrument *instrument_make(srun_meter *meter, int kind, bool is_observed,
                                        const char *name,
                                        const struct srun_instrument_options *options);

/* series_make.c: what an instrument needs before its first measurement; 0 or -ENOMEM. */
int series_prepare_locked(struct srun_instrument *instrument);
void series_free_all(struct srun_instrument *instrument);
/* Room that lives as long as the instrument, not cleared. NULL: no memory. */
void *series_room_locked(struct srun_instrument *instrument, size_t size);
/* Its table, larger if need be, with room for one more. NULL: no memory. */
struct series_table *series_table_room_locked(struct srun_instrument *instrument);
void series_table_put(struct series_table *table, struct srun_series *series);
/* The series of what cannot be counted apart, which is shown from now on. Threads: any. */
struct srun_series *series_spill(struct srun_instrument *instrument);
/* The series of a set, made if need be; the overflow when it cannot be made. With the lock. */
struct srun_series *series_get_locked(struct srun_instrument *instrument,
                                      const struct labels *labels);

/* The first bound that is not below the value. Every step halves what is left, without a branch
 * that could be guessed wrong. */
static inline size_t series_bucket_of(const double *bounds, size_t count, double value)
{
    const double *at = bounds;
    while (count > 1) {
        size_t half = count / 2;
        at += at[half - 1] < value ? half : 0;
        count -= half;
    }
    return (size_t)(at - bounds) + (count == 1 && *at < value);
}

/* streams.c: an instrument of which several views make streams. Its series of a set, for the fast
 * path; and what it needs for that. */
struct srun_series *streams_bind(struct srun_instrument *instrument, const struct srun_kv *kvs);
int streams_prepare_locked(struct srun_instrument *instrument);

/* A measurement could not be counted. */
static inline void series_drop(struct srun_instrument *instrument)
{
    if (instrument->how != SERIES_NOTHING && !instrument->is_echo)
        (void)atomic_fetch_add_explicit(&instrument->dropped, 1, memory_order_relaxed);
}

/* Of a SERIES_MANY: one of each stream, behind the struct. */
static inline struct srun_series **series_targets(struct srun_series *series)
{
    return (struct srun_series **)(void *)(series + 1);
}

static inline const unsigned char *series_labels(const struct srun_series *series)
{
    return (const unsigned char *)(series + 1);
}

static inline struct srun_series *series_find(const struct series_table *table,
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

static inline unsigned series_stripes(const struct srun_series *series)
{
    return series->cpus < SERIES_STRIPES_MAX ? series->cpus : SERIES_STRIPES_MAX;
}

/* observe.c: asks all callbacks, up to a monotonic time. By who has the turn. */
void observe_all(struct telemetry_meters *meters, uint64_t turn, int64_t deadline_ns);
void observe_free_all(struct telemetry_meters *meters);

/* A double as a number that sorts as it does and is never 0; and back. NaN is not allowed. */
static inline uint64_t sortable_of(double value)
{
    uint64_t bits = bits_of(value);
    return (bits >> 63) != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

static inline double of_sortable(uint64_t sortable)
{
    return real_of((sortable >> 63) != 0 ? sortable & ~(UINT64_C(1) << 63) : ~sortable);
}

static inline void extremes_widen(struct extremes *all, struct extremes more)
{
    all->least = more.least > all->least ? more.least : all->least;
    all->largest = more.largest > all->largest ? more.largest : all->largest;
}

#endif
