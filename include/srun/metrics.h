/* SPDX-License-Identifier: MIT
 *
 * Metrics in OpenTelemetry's terms: a meter makes instruments, an instrument has a series for each
 * set of attributes, and /metrics of the admin port shows them all.
 *
 *     srun_meter *meter = srun_context_meter(ctx);
 *     srun_instrument *requests = srun_counter(meter, "http.requests", SRUN_INSTRUMENT(.help = "..."));
 *     srun_series *ok = srun_bind(requests, SRUN_KVS(SRUN_INT("code", 200)));   // once
 *     srun_series_add(ok, 1);                                                   // 2 ns, any thread
 *     srun_add(requests, 1, SRUN_KVS(SRUN_INT("code", code)));                  // looks it up
 *
 * Making an instrument never fails: what cannot be made is a working one that measures nothing, with
 * one warning in the log. All handles may be NULL, live as long as the runner, and do nothing in a
 * forked child. Nothing here but the making and the first use of a set of attributes allocates, takes
 * a lock or logs; an exponential histogram has up to 8 locks, by processor. Threads: any.
 */
#ifndef SRUN_METRICS_H
#define SRUN_METRICS_H

#include <srun/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_meter srun_meter;
typedef struct srun_instrument srun_instrument;
typedef struct srun_series srun_series;

/* The meter of a service: its instruments have the service's name as their scope. And that of the
 * program. Borrowed. */
SRUN_API srun_meter *srun_context_meter(const srun_context *ctx);
SRUN_API srun_meter *srun_runner_meter(const srun_runner *runner);

/* --- instruments ----------------------------------------------------------------------------- */

/* Everything is optional: zero means the default in brackets. All is copied. */
struct srun_instrument_options {
    size_t size;          /* sizeof(struct srun_instrument_options) */
    const char *unit;     /* UCUM: "s", "By", "1", "{request}"; up to 63 ASCII characters [none] */
    const char *help;     /* one sentence for people [none] */
    int real;             /* 1: values are doubles [int64; a histogram's always are doubles] */
    unsigned limit;       /* sets of attributes; what is beyond goes to one series with the attribute
                             otel.metric.overflow=true [2000] */
    const double *bounds; /* of a histogram, ascending: bucket i counts values above bounds[i - 1], up
                             to and with bounds[i]; at most 500 [unit "s": 0.005 to 10, else 0 to
                             10000, as OpenTelemetry says] */
    size_t bound_count;
    int exponential;      /* 1: a histogram whose buckets fit themselves: base 2, at most 160 */
    int reserved_int;
    void *reserved[4];    /* zero */
};

#define SRUN_INSTRUMENT(...) SRUN_STRUCT_(srun_instrument_options, __VA_ARGS__)

/* A name is a letter and up to 254 letters, digits and _ . - / characters. The same name once more
 * (upper and lower case are the same) answers the same instrument; what differs in it is told by a
 * warning. A kind or type that differs gives a second one, which /metrics cannot show: that is told,
 * too. options may be NULL. Never NULL. */
/* Sums that only grow. */
SRUN_API srun_instrument *srun_counter(srun_meter *meter, const char *name,
                                       const struct srun_instrument_options *options);
/* Sums that go up and down. */
SRUN_API srun_instrument *srun_up_down_counter(srun_meter *meter, const char *name,
                                               const struct srun_instrument_options *options);
/* The last value that was set. */
SRUN_API srun_instrument *srun_gauge(srun_meter *meter, const char *name,
                                     const struct srun_instrument_options *options);
/* How many values lie where; values are not negative. */
SRUN_API srun_instrument *srun_histogram(srun_meter *meter, const char *name,
                                         const struct srun_instrument_options *options);

/* --- measuring ------------------------------------------------------------------------------- */

/* A measurement in a span that is sampled (srun/trace.h) may be kept as an exemplar, with the ids of
 * that span; OTEL_METRICS_EXEMPLAR_FILTER says which. */

/* The series of a set of attributes, for the fast path. NULL: of none. Their order does not matter,
 * of two with one key the last counts. A counter is shown from here on, with 0. Never NULL. */
SRUN_API srun_series *srun_bind(srun_instrument *instrument, const struct srun_kv *kvs);

/* Counters: add. A negative n for a counter, a NaN or infinite one, or a double for an instrument
 * of int64 is dropped and counted (srun_metrics_dropped_total), told once. An int64 sum wraps. */
SRUN_API void srun_series_add(srun_series *series, int64_t n);
SRUN_API void srun_series_add_real(srun_series *series, double n);
/* Gauges: set. */
SRUN_API void srun_series_set(srun_series *series, int64_t value);
SRUN_API void srun_series_set_real(srun_series *series, double value);
/* Histograms: record. */
SRUN_API void srun_series_record(srun_series *series, double value);

/* The same for a set that is looked up first (3 attributes: about 50 ns). kvs: as for srun_bind. */
SRUN_API void srun_add(srun_instrument *instrument, int64_t n, const struct srun_kv *kvs);
SRUN_API void srun_add_real(srun_instrument *instrument, double n, const struct srun_kv *kvs);
SRUN_API void srun_set(srun_instrument *instrument, int64_t value, const struct srun_kv *kvs);
SRUN_API void srun_set_real(srun_instrument *instrument, double value, const struct srun_kv *kvs);
SRUN_API void srun_record(srun_instrument *instrument, double value, const struct srun_kv *kvs);

/* --- observing ------------------------------------------------------------------------------- */

/* Values that exist anyway: asked for when somebody collects, by a callback that tells each of them.
 * What it does not tell is not shown. It runs on a thread of ours, never twice at once. One that has
 * not answered when two seconds are over, for all callbacks of a collect together, is left out,
 * counted and not called again until it has returned. It may call everything here. */
typedef struct srun_observer srun_observer;
typedef struct srun_observable srun_observable;
typedef void srun_observe_fn(void *user, srun_observer *observer);

/* Names and options as above. Never NULL. Values of a counter are totals, not differences; one
 * that is less than it was has begun anew. */
SRUN_API srun_observable *srun_observable_counter(srun_meter *meter, const char *name,
                                                  const struct srun_instrument_options *options,
                                                  srun_observe_fn *observe, void *user);
SRUN_API srun_observable *srun_observable_up_down_counter(
    srun_meter *meter, const char *name, const struct srun_instrument_options *options,
    srun_observe_fn *observe, void *user);
SRUN_API srun_observable *srun_observable_gauge(srun_meter *meter, const char *name,
                                                const struct srun_instrument_options *options,
                                                srun_observe_fn *observe, void *user);

/* Within the callback only. */
SRUN_API void srun_observe(srun_observer *observer, int64_t value, const struct srun_kv *kvs);
SRUN_API void srun_observe_real(srun_observer *observer, double value, const struct srun_kv *kvs);

/* The callback is not called any more; waits for one that runs, unless called from it. Once: the
 * handle is gone then. */
SRUN_API void srun_unregister(srun_observable *observable);

/* --- views ----------------------------------------------------------------------------------- */

enum srun_instrument_kind {
    SRUN_KIND_ANY,
    SRUN_KIND_COUNTER,
    SRUN_KIND_UP_DOWN_COUNTER,
    SRUN_KIND_GAUGE,
    SRUN_KIND_HISTOGRAM,
    SRUN_KIND_OBSERVABLE_COUNTER,
    SRUN_KIND_OBSERVABLE_UP_DOWN_COUNTER,
    SRUN_KIND_OBSERVABLE_GAUGE
};

/* What the program decides about the instruments of others. All is copied. */
struct srun_view {
    size_t size;             /* sizeof(struct srun_view) */
    int drop;                /* 1: it measures nothing */
    unsigned limit;          /* instead of the instrument's [the instrument's] */
    const char *const *keep; /* NULL-ended: the only attributes that are kept; series that become the
                                same by it are one [all of them] */
    const double *bounds;    /* of a histogram [the instrument's] */
    size_t bound_count;
    int exponential;         /* 1: as in the options */
    int kind;                /* an enum srun_instrument_kind: only these [any] */
    const char *meter;       /* only of the meters whose name matches, as the pattern does [any] */
    const char *name;        /* what it is called instead; the pattern then has no * and ? [as it is] */
    const char *help;        /* instead of the instrument's [the instrument's] */
    void *reserved[1];       /* zero */
};

#define SRUN_VIEW(...) SRUN_STRUCT_(srun_view, __VA_ARGS__)

/* For instruments that are made from now on, whose name matches: upper and lower case are the same,
 * * stands for any text and ? for one character. Views that match are looked at in their order: each
 * makes a metric of the instrument, up to 8, but of those that would have the same name the first
 * one counts. So later views are the rule to which earlier ones are the exception; and for the same
 * instrument under its own name and under another one it takes a view for each. -EINVAL: the pattern
 * is empty, or what the view says makes no sense; -E2BIG as for config; SRUN_ESTATE: after the start;
 * -ENOMEM, SRUN_EFORK. Threads: before run. */
SRUN_API int srun_runner_view(srun_runner *runner, const char *pattern, const struct srun_view *view,
                              srun_err *err);

#ifdef __cplusplus
}
#endif
#endif
