/* SPDX-License-Identifier: MIT
 *
 * Asking callbacks for values, each on a thread of a small pool, so that one which hangs costs the
 * collector its deadline and nothing more. What they tell is kept under the lock of the meters.
 */
#include "telemetry/series.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"

#include <errno.h>
#include <float.h>
#include <stddef.h>
#include <stdlib.h>

#define POOL_WIDTH 1
#define LIMIT (2 * NS_PER_S) /* for all callbacks of a collect: others wait for their turn */

static struct srun_observable observable_of_nothing;

/* --- what they tell -------------------------------------------------------------------------- */

static void keep_locked(struct srun_series *series, const struct srun_observer *observer,
                        uint64_t bits)
{
    struct series_observed *own = series->observed;
    const struct srun_instrument *instrument = series->instrument;
    bool merges = instrument->kind != TELEMETRY_GAUGE_KIND &&
                  (instrument->keep != NULL || series == instrument->overflow);
    if (own->seen == observer->turn && merges) /* several sets have become this one */
        bits = series->is_real ? bits_of(real_of(own->value) + real_of(bits)) : own->value + bits;
    own->value = bits;
    own->seen = observer->turn;
}

static void tell(srun_observer *observer, struct srun_instrument *instrument, uint64_t bits,
                 const struct srun_kv *kvs)
{
    struct labels labels;
    struct telemetry_meters *meters = observer->meters;
    bool whole = labels_read(&labels, kvs, instrument->keep, meters->seed);
    pthread_mutex_lock(&meters->lock);
    if (observer->turn == meters->turn) /* else it comes too late */
        keep_locked(whole ? series_get_locked(instrument, &labels) : instrument->overflow, observer,
                    bits);
    pthread_mutex_unlock(&meters->lock);
}

static bool takes(const struct srun_observer *observer, struct srun_instrument *instrument)
{
    return observer != NULL && instrument->how == SERIES_OBSERVED;
}

static void tell_int(srun_observer *observer, struct srun_instrument *instrument, int64_t value,
                     const struct srun_kv *kvs)
{
    if (!takes(observer, instrument))
        return;
    if (value < 0 && instrument->kind == TELEMETRY_COUNTER)
        series_drop(instrument);
    else
        tell(observer, instrument, instrument->is_real ? bits_of((double)value) : (uint64_t)value,
             kvs);
}

static void tell_real(srun_observer *observer, struct srun_instrument *instrument, double value,
                      const struct srun_kv *kvs)
{
    if (!takes(observer, instrument))
        return;
    bool fits = value >= -DBL_MAX && value <= DBL_MAX && instrument->is_real;
    if (!fits || (value < 0 && instrument->kind == TELEMETRY_COUNTER))
        series_drop(instrument);
    else
        tell(observer, instrument, bits_of(value), kvs);
}

static void observe_int(srun_observer *observer, struct srun_instrument *instrument, int64_t value,
                        const struct srun_kv *kvs)
{
    tell_int(observer, instrument, value, kvs);
    for (unsigned i = 0; i < instrument->stream_count; i++)
        tell_int(observer, instrument->streams[i], value, kvs);
}

static void observe_real(srun_observer *observer, struct srun_instrument *instrument, double value,
                         const struct srun_kv *kvs)
{
    tell_real(observer, instrument, value, kvs);
    for (unsigned i = 0; i < instrument->stream_count; i++)
        tell_real(observer, instrument->streams[i], value, kvs);
}

void srun_observe(srun_observer *observer, int64_t value, const struct srun_kv *kvs)
{
    if (observer != NULL)
        observe_int(observer, observer->instrument, value, kvs);
}

void srun_observe_real(srun_observer *observer, double value, const struct srun_kv *kvs)
{
    if (observer != NULL)
        observe_real(observer, observer->instrument, value, kvs);
}

void telemetry_observe(srun_observer *observer, srun_instrument *instrument, double value,
                       const struct srun_kv *kvs)
{
    if (instrument->is_real)
        observe_real(observer, instrument, value, kvs);
    else
        observe_int(observer, instrument, (int64_t)value, kvs);
}

/* --- asking ---------------------------------------------------------------------------------- */

static struct srun_observable *of_job(struct pool_job *job)
{
    return (struct srun_observable *)(void *)((char *)job - offsetof(struct srun_observable, job));
}

static void unlink_locked(struct telemetry_meters *meters, struct srun_observable *observable)
{
    struct srun_observable **place = &meters->observables;
    struct srun_observable *before = NULL;
    while (*place != observable) {
        before = *place;
        place = &before->next;
    }
    *place = observable->next;
    if (meters->last_observable == observable)
        meters->last_observable = before;
    free(observable);
}

/* It has answered, or whoever had the turn has finished with it. It may have unregistered itself.
 */
static void settle_locked(struct telemetry_meters *meters, struct srun_observable *observable)
{
    if (observable->orphan && !observable->running && !observable->held)
        unlink_locked(meters, observable);
    pthread_cond_broadcast(&meters->changed);
}

static void call(struct srun_observable *observable)
{
    observable->observe(observable->user, &observable->observer);
}

static void job_run(struct pool_job *job)
{
    struct srun_observable *observable = of_job(job);
    struct telemetry_meters *meters = observable->observer.meters;
    pthread_mutex_lock(&meters->lock);
    observable->thread = pthread_self();
    bool gone = observable->gone;
    pthread_mutex_unlock(&meters->lock);
    if (!gone)
        call(observable);
}

static void job_done(struct pool_job *job)
{
    struct srun_observable *observable = of_job(job);
    struct telemetry_meters *meters = observable->observer.meters;
    pthread_mutex_lock(&meters->lock);
    observable->running = false;
    settle_locked(meters, observable);
    pthread_mutex_unlock(&meters->lock);
}

/* The next one that was not asked this time, marked as running; NULL: all were. */
static struct srun_observable *next_locked(struct telemetry_meters *meters, uint64_t turn)
{
    struct srun_observable *at = meters->observables;
    for (; at != NULL; at = at->next) {
        if (at->asked == turn || at->gone)
            continue;
        at->asked = turn;
        if (!at->running)
            break;
        (void)atomic_fetch_add(&meters->late, 1); /* still at what it was asked before */
    }
    if (at != NULL) {
        at->running = at->held = true;
        at->thread = pthread_self();
        at->observer.turn = turn;
    }
    return at;
}

/* Up to the deadline. True: it has not answered, and nobody was told of it before. */
static bool ask_pool(struct telemetry_meters *meters, struct srun_observable *observable,
                     int64_t deadline_ns)
{
    bool queued = pool_submit(meters->pool, &observable->job) == 0;
    pthread_mutex_lock(&meters->lock);
    while (queued && observable->running &&
           thread_cond_wait_until(&meters->changed, &meters->lock, deadline_ns))
        ;
    bool late = observable->running;
    pthread_mutex_unlock(&meters->lock);
    bool never = late && (!queued || pool_lose(meters->pool, &observable->job));
    pthread_mutex_lock(&meters->lock);
    if (late)
        (void)atomic_fetch_add(&meters->late, 1);
    if (never)
        observable->running = false;
    bool first = late && !observable->told;
    observable->told = observable->told || late;
    pthread_mutex_unlock(&meters->lock);
    return first;
}

static void ask(struct telemetry_meters *meters, struct srun_observable *observable,
                int64_t deadline_ns)
{
    if (observable->on_the_spot)
        call(observable);
    else if (ask_pool(meters, observable, deadline_ns))
        SRUN_WARN(meters->log, "a metric's callback does not answer",
                  SRUN_STR("name", observable->observer.instrument->name));
}

void observe_all(struct telemetry_meters *meters, uint64_t turn, int64_t deadline_ns)
{
    struct srun_observable *observable;
    int64_t limit = clock_real_now() + LIMIT;
    deadline_ns = deadline_ns < limit ? deadline_ns : limit;
    pthread_mutex_lock(&meters->lock);
    while ((observable = next_locked(meters, turn)) != NULL) {
        pthread_mutex_unlock(&meters->lock);
        ask(meters, observable, deadline_ns);
        pthread_mutex_lock(&meters->lock);
        if (observable->on_the_spot)
            observable->running = false;
        observable->held = false;
        settle_locked(meters, observable);
    }
    pthread_mutex_unlock(&meters->lock);
}

/* --- registering ----------------------------------------------------------------------------- */

static struct srun_observable *register_one(struct telemetry_meters *meters,
                                            struct srun_instrument *instrument,
                                            srun_observe_fn *observe, void *user)
{
    struct srun_observable *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->observer = (struct srun_observer){.meters = meters, .instrument = instrument};
    made->observe = observe;
    made->user = user;
    made->on_the_spot = instrument == NULL;
    made->job.run = job_run;
    made->job.done = job_done;
    pthread_mutex_lock(&meters->lock);
    bool able =
        made->on_the_spot || meters->pool != NULL || pool_new(&meters->pool, POOL_WIDTH) == 0;
    if (able) {
        *(meters->last_observable != NULL ? &meters->last_observable->next : &meters->observables) =
            made;
        meters->last_observable = made;
    }
    pthread_mutex_unlock(&meters->lock);
    if (able)
        return made;
    free(made);
    return NULL;
}

int telemetry_on_collect(struct telemetry_meters *meters, srun_observe_fn *observe, void *user)
{
    return register_one(meters, NULL, observe, user) != NULL ? 0 : -ENOMEM;
}

static srun_observable *observe_with(srun_meter *meter, struct srun_instrument *instrument,
                                     srun_observe_fn *observe, void *user)
{
    bool is_measured = instrument->how == SERIES_OBSERVED || instrument->how == SERIES_EACH;
    if (!is_measured || observe == NULL)
        return &observable_of_nothing;
    struct srun_observable *made = register_one(meter->meters, instrument, observe, user);
    if (made != NULL)
        return made;
    SRUN_WARN(meter->meters->log, "metric", SRUN_STR("name", instrument->name),
              SRUN_STR("why", "out of memory"));
    return &observable_of_nothing;
}

srun_observable *srun_observable_counter(srun_meter *meter, const char *name,
                                         const struct srun_instrument_options *options,
                                         srun_observe_fn *observe, void *user)
{
    return observe_with(meter, instrument_make(meter, TELEMETRY_COUNTER, true, name, options),
                        observe, user);
}

srun_observable *srun_observable_up_down_counter(srun_meter *meter, const char *name,
                                                 const struct srun_instrument_options *options,
                                                 srun_observe_fn *observe, void *user)
{
    return observe_with(meter,
                        instrument_make(meter, TELEMETRY_UP_DOWN_COUNTER, true, name, options),
                        observe, user);
}

srun_observable *srun_observable_gauge(srun_meter *meter, const char *name,
                                       const struct srun_instrument_options *options,
                                       srun_observe_fn *observe, void *user)
{
    return observe_with(meter, instrument_make(meter, TELEMETRY_GAUGE_KIND, true, name, options),
                        observe, user);
}

void srun_unregister(srun_observable *observable)
{
    if (observable == NULL || observable == &observable_of_nothing)
        return;
    struct telemetry_meters *meters = observable->observer.meters;
    if (meters_are_foreign(meters))
        return;
    pthread_mutex_lock(&meters->lock);
    observable->gone = true;
    observable->orphan = observable->running && pthread_equal(observable->thread, pthread_self());
    if (!observable->orphan) {
        while (observable->running || observable->held)
            (void)pthread_cond_wait(&meters->changed, &meters->lock);
        unlink_locked(meters, observable);
    }
    pthread_mutex_unlock(&meters->lock);
}

void observe_free_all(struct telemetry_meters *meters)
{
    while (meters->observables != NULL) {
        struct srun_observable *observable = meters->observables;
        meters->observables = observable->next;
        free(observable);
    }
}
