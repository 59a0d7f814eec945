/* SPDX-License-Identifier: MIT
 *
 * The meters of one runner: what makes instruments and owns them and their series, and the readers
 * that collect them. Public calls are in srun/metrics.h; this is for who runs the whole.
 *
 *     instrument  what is measured, as rules and views say        series  where it is counted
 *     observe     callbacks                                       collect readers, point what they
 * read
 *
 * One lock, a leaf: it guards lists and what is made for the first time. Whoever collects holds the
 * turn (a flag), not the lock, while callbacks run. Threads: any, but for what says otherwise.
 */
#ifndef TELEMETRY_METER_H
#define TELEMETRY_METER_H

#include "telemetry/export.h"

#include <srun/metrics.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct telemetry_meters;
struct telemetry_reader;

/* 0 or -ENOMEM. log is borrowed, may be NULL. */
int telemetry_meters_new(struct telemetry_meters **out, srun_logger *log);

/* Which measurements may become exemplars: those in a span that is sampled, all, none. For series
 * that are made from now on [those in a span]. */
enum telemetry_exemplar_filter {
    TELEMETRY_EXEMPLARS_OF_TRACES,
    TELEMETRY_EXEMPLARS_ALWAYS,
    TELEMETRY_EXEMPLARS_NEVER
};
void telemetry_exemplars(struct telemetry_meters *meters, enum telemetry_exemplar_filter filter);

/* Nobody collects any more: waits up to 2 s for callbacks that were late. False: one has not
 * returned, so nothing that it may use may be freed. */
bool telemetry_meters_settle(struct telemetry_meters *meters);

/* Settled, and no thread uses any of it. Takes NULL, returns NULL. */
struct telemetry_meters *telemetry_meters_free(struct telemetry_meters *meters);

/* The meter of a scope, made when it is new. "" is the scope of the library itself. NULL: no
 * memory, or a forked child. */
srun_meter *telemetry_meter(struct telemetry_meters *meters, const char *scope,
                            const char *version);

/* 0, -EINVAL, -E2BIG, -ENOMEM. */
int telemetry_view(struct telemetry_meters *meters, const char *pattern,
                   const struct srun_view *view, srun_err *err);

/* --- observing without a thread -------------------------------------------------------------- */

/* Called at the beginning of each collect on the collector's own thread: it must not wait. Reports
 * by telemetry_observe, on instruments that telemetry_observed made. 0 or -ENOMEM. */
int telemetry_on_collect(struct telemetry_meters *meters, srun_observe_fn *observe, void *user);
srun_instrument *telemetry_observed(srun_meter *meter, int kind, const char *name,
                                    const struct srun_instrument_options *options);
void telemetry_observe(srun_observer *observer, srun_instrument *instrument, double value,
                       const struct srun_kv *kvs);

enum {
    TELEMETRY_COUNTER,
    TELEMETRY_UP_DOWN_COUNTER,
    TELEMETRY_GAUGE_KIND,
    TELEMETRY_HISTOGRAM_KIND
};

/* --- reading --------------------------------------------------------------------------------- */

#define TELEMETRY_READERS_MAX 4

struct telemetry_reader_options {
    bool delta;        /* sums that only grow and histograms: since the collect before */
    bool observed_too; /* delta of observable counters as well (OpenTelemetry's "lowmemory": not) */
    bool text_only;    /* points have labels, but no attributes */
};

/* Readers do not disturb each other. 0, -ENOMEM, -EMFILE: TELEMETRY_READERS_MAX are there. */
int telemetry_reader_new(struct telemetry_reader **out, struct telemetry_meters *meters,
                         const struct telemetry_reader_options *options);
struct telemetry_reader *telemetry_reader_free(struct telemetry_reader *reader);

/* All there is, in the order in which it was made; how many. It is the reader's until its next
 * collect. Callbacks and the wait for other collectors end by deadline_ns (monotonic). Threads: one
 * at a time for each reader. */
size_t telemetry_collect(struct telemetry_reader *reader, int64_t deadline_ns,
                         const struct telemetry_metric **out);

/* What went wrong so far. */
struct telemetry_meter_stats {
    uint64_t dropped;  /* measurements: NaN, negative, of the wrong type */
    uint64_t overflow; /* instruments whose sets of attributes have reached the limit */
    uint64_t late;     /* callbacks that did not answer in time */
};
void telemetry_meter_stats(struct telemetry_meters *meters, struct telemetry_meter_stats *out);

#endif
