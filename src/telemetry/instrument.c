/* SPDX-License-Identifier: MIT
 *
 * Making: meters, scopes, instruments with their rules, views. Everything here is for the time of
 * set-up; it may take the lock, allocate and log. What goes wrong is told once and leaves a handle
 * that works.
 */
#include "telemetry/exemplar.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/sized.h"
#include "base/text.h"
#include "base/thread.h"
#include "telemetry/rules.h"
#include "telemetry/self.h"
#include "telemetry/view.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#define DEFINITION_MAX 400
#define LAST_WORDS (2 * NS_PER_S) /* for callbacks, when all has ended */
#define STEP NS_PER_S             /* of the clock, that is followed */

struct srun_instrument instrument_of_nothing = {.how = SERIES_NOTHING};
struct srun_series series_of_nothing = {.how = SERIES_NOTHING,
                                        .instrument = &instrument_of_nothing};

bool meters_are_foreign(const struct telemetry_meters *meters)
{
    return getpid() != meters->pid;
}

uint64_t meters_now_ns(const struct telemetry_meters *meters)
{
    int64_t offset = atomic_load_explicit(&meters->wall_offset, memory_order_relaxed);
    return (uint64_t)(clock_real_now() + offset);
}

void meters_follow_clock(struct telemetry_meters *meters)
{
    int64_t now = clock_wall_offset();
    if (now > atomic_load_explicit(&meters->wall_offset, memory_order_relaxed) + STEP)
        atomic_store_explicit(&meters->wall_offset, now, memory_order_relaxed);
}

/* --- meters ---------------------------------------------------------------------------------- */

int telemetry_meters_new(struct telemetry_meters **out, srun_logger *log)
{
    struct telemetry_meters *meters = calloc(1, sizeof *meters);
    if (meters == NULL)
        return -ENOMEM;
    meters->log = log;
    self_watch_forks();
    meters->pid = getpid();
    meters->stamp = self_stamp();
    atomic_init(&meters->wall_offset, clock_wall_offset());
    if (getrandom(&meters->seed, sizeof meters->seed, GRND_NONBLOCK) < 0)
        meters->seed = (uint64_t)clock_real_now();
    cells_init(&meters->cells);
    (void)pthread_mutex_init(&meters->lock, NULL);
    (void)thread_cond_init(&meters->changed);
    *out = meters;
    return 0;
}

void telemetry_exemplars(struct telemetry_meters *meters, enum telemetry_exemplar_filter filter)
{
    pthread_mutex_lock(&meters->lock);
    meters->exemplar_filter = filter;
    pthread_mutex_unlock(&meters->lock);
}

static void instrument_free(struct srun_instrument *instrument)
{
    series_free_all(instrument);
    free(instrument->streams);
    free(instrument->name);
    free(instrument->unit);
    free(instrument->help);
    free(instrument->bounds);
    free(instrument);
}

static void free_instruments(struct telemetry_meters *meters)
{
    struct srun_instrument *instrument = atomic_load(&meters->first);
    while (instrument != NULL) {
        struct srun_instrument *next = atomic_load(&instrument->next);
        instrument_free(instrument);
        instrument = next;
    }
}

static bool has_late_locked(const struct telemetry_meters *meters)
{
    const struct srun_observable *at = meters->observables;
    while (at != NULL && !at->running)
        at = at->next;
    return at != NULL;
}

bool telemetry_meters_settle(struct telemetry_meters *meters)
{
    if (meters == NULL)
        return true;
    int64_t until = clock_real_now() + LAST_WORDS;
    pthread_mutex_lock(&meters->lock);
    while (has_late_locked(meters) &&
           thread_cond_wait_until(&meters->changed, &meters->lock, until))
        ;
    bool settled = !has_late_locked(meters);
    struct pool *pool = meters->pool;
    pthread_mutex_unlock(&meters->lock);
    return settled && (pool == NULL || pool_await_lost(pool, LAST_WORDS));
}

struct telemetry_meters *telemetry_meters_free(struct telemetry_meters *meters)
{
    if (meters == NULL)
        return NULL;
    (void)pool_free(meters->pool, LAST_WORDS); /* settled: nobody is left in it */
    observe_free_all(meters);
    for (size_t i = 0; i < TELEMETRY_READERS_MAX; i++)
        (void)telemetry_reader_free(meters->readers[i]);
    free_instruments(meters);
    views_free(meters);
    while (meters->meters != NULL) {
        struct srun_meter *meter = meters->meters;
        meters->meters = meter->next;
        free((void *)(uintptr_t)meter->scope.name);
        free((void *)(uintptr_t)meter->scope.version);
        free(meter);
    }
    cells_free(&meters->cells);
    exemplars_free(meters);
    (void)pthread_cond_destroy(&meters->changed);
    (void)pthread_mutex_destroy(&meters->lock);
    free(meters);
    return NULL;
}

static struct srun_meter *meter_new(struct telemetry_meters *meters, const char *scope,
                                    const char *version)
{
    struct srun_meter *meter = calloc(1, sizeof *meter);
    char *name = strdup(scope), *copy = strdup(version);
    if (meter == NULL || name == NULL || copy == NULL) {
        free(meter);
        free(name);
        free(copy);
        return NULL;
    }
    meter->meters = meters;
    meter->scope = (struct telemetry_scope){.name = name, .version = copy, .schema_url = ""};
    meter->next = meters->meters;
    return meter;
}

srun_meter *telemetry_meter(struct telemetry_meters *meters, const char *scope, const char *version)
{
    if (meters == NULL || meters_are_foreign(meters))
        return NULL;
    pthread_mutex_lock(&meters->lock);
    struct srun_meter *meter = meters->meters;
    while (meter != NULL && strcmp(meter->scope.name, scope) != 0)
        meter = meter->next;
    if (meter == NULL) {
        meter = meter_new(meters, scope, version);
        meters->meters = meter != NULL ? meter : meters->meters;
    }
    pthread_mutex_unlock(&meters->lock);
    return meter;
}

void telemetry_meter_stats(struct telemetry_meters *meters, struct telemetry_meter_stats *out)
{
    *out = (struct telemetry_meter_stats){
        .overflow = atomic_load_explicit(&meters->overflowing, memory_order_relaxed),
        .late = atomic_load_explicit(&meters->late, memory_order_relaxed)};
    struct srun_instrument *instrument = atomic_load_explicit(&meters->first, memory_order_acquire);
    for (; instrument != NULL;
         instrument = atomic_load_explicit(&instrument->next, memory_order_acquire))
        out->dropped += atomic_load_explicit(&instrument->dropped, memory_order_relaxed);
}

/* --- instruments ----------------------------------------------------------------------------- */

/* What is wanted, after the rules; borrowed. */
struct wish {
    int kind;
    bool is_observed;
    const char *name;
    struct srun_instrument_options options;
    const char *unit, *help;
    const char *problem;                             /* to be told, or NULL */
    char one[DEFINITION_MAX], other[DEFINITION_MAX]; /* two metrics of one name, if there are */
};

static enum series_how how_of(const struct wish *wish, const struct meter_view *view)
{
    bool exponential = wish->options.exponential != 0;
    if (view != NULL && view->view.drop != 0)
        return SERIES_NOTHING;
    if (view != NULL && (view->view.exponential != 0 || view->view.bounds != NULL))
        exponential = view->view.exponential != 0;
    if (wish->is_observed)
        return SERIES_OBSERVED;
    switch (wish->kind) {
    case TELEMETRY_HISTOGRAM_KIND:
        return exponential ? SERIES_EXPONENTIAL : SERIES_HISTOGRAM;
    case TELEMETRY_GAUGE_KIND:
        return SERIES_LAST;
    default:
        return wish->options.real != 0 ? SERIES_SUM_REAL : SERIES_SUM;
    }
}

static int choose_bounds(struct srun_instrument *instrument, const struct wish *wish,
                         const struct meter_view *view)
{
    const double *bounds = wish->options.bounds;
    size_t count = wish->options.bound_count;
    if (instrument->how != SERIES_HISTOGRAM)
        return 0;
    if (view != NULL && view->view.bounds != NULL) {
        bounds = view->view.bounds;
        count = view->view.bound_count;
    }
    if (bounds == NULL)
        bounds = rules_default_bounds(wish->unit, &count);
    instrument->bounds = view_copy_bounds(bounds, count);
    instrument->bound_count = count;
    return instrument->bounds != NULL ? 0 : -ENOMEM;
}

static unsigned choose_limit(const struct wish *wish, const struct meter_view *view)
{
    if (view != NULL && view->view.limit > 0)
        return view->view.limit;
    return wish->options.limit > 0 ? wish->options.limit : SERIES_LIMIT;
}

static bool is_real(const struct wish *wish)
{
    return wish->options.real != 0 || wish->kind == TELEMETRY_HISTOGRAM_KIND;
}

/* Without anything to count with. NULL: no memory. */
static struct srun_instrument *bare_new(srun_meter *meter, const struct wish *wish)
{
    struct srun_instrument *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->meters = meter->meters;
    made->meter = meter;
    made->kind = wish->kind;
    made->is_observed = wish->is_observed;
    made->is_real = is_real(wish);
    made->name = strdup(wish->name);
    made->unit = strdup(wish->unit);
    made->help = strdup(wish->help);
    made->shown = made->name;
    made->shown_help = made->help;
    if (made->name != NULL && made->unit != NULL && made->help != NULL)
        return made;
    instrument_free(made);
    return NULL;
}

/* What one view makes of it; NULL: none does. */
static struct srun_instrument *stream_new_locked(srun_meter *meter, const struct wish *wish,
                                                 const struct meter_view *view)
{
    struct srun_instrument *made = bare_new(meter, wish);
    if (made == NULL)
        return NULL;
    made->how = (uint8_t)how_of(wish, view);
    made->limit = choose_limit(wish, view);
    if (view != NULL) {
        made->keep = view->view.keep;
        made->shown = view->view.name != NULL ? view->view.name : made->name;
        made->shown_help = view->view.help != NULL ? view->view.help : made->help;
    }
    if (choose_bounds(made, wish, view) == 0 && series_prepare_locked(made) == 0)
        return made;
    instrument_free(made);
    return NULL;
}

static void free_streams(struct srun_instrument *instrument)
{
    for (unsigned i = 0; i < instrument->stream_count; i++)
        instrument_free(instrument->streams[i]);
    instrument_free(instrument);
}

/* One of which several views make streams. */
static struct srun_instrument *streams_new_locked(srun_meter *meter, const struct wish *wish,
                                                  const struct meter_view *const *views,
                                                  size_t count)
{
    struct srun_instrument *made = bare_new(meter, wish);
    if (made == NULL)
        return NULL;
    made->how = SERIES_EACH;
    made->streams = calloc(count, sizeof(struct srun_instrument *));
    for (size_t i = 0; made->streams != NULL && i < count; i++) {
        struct srun_instrument *stream = stream_new_locked(meter, wish, views[i]);
        if (stream == NULL)
            break;
        stream->is_stream = true;
        stream->is_echo = i > 0;
        if (__builtin_add_overflow(made->limit, stream->limit, &made->limit))
            made->limit = UINT_MAX;
        made->streams[made->stream_count++] = stream;
    }
    if (made->stream_count == count && series_prepare_locked(made) == 0)
        return made;
    free_streams(made);
    return NULL;
}

/* Those that drop it are about its streams, too: they take a name. */
static struct srun_instrument *instrument_new_locked(srun_meter *meter, struct wish *wish)
{
    const struct meter_view *views[STREAMS_MAX];
    const struct view_subject subject = {meter->scope.name, wish->name,
                                         wish->kind + 1 + (wish->is_observed ? 4 : 0)};
    bool more;
    size_t count = views_choose_locked(meter->meters, &subject, views, &more), streams = 0;
    for (size_t i = 0; i < count; i++)
        if (views[i]->view.drop == 0)
            views[streams++] = views[i];
    if (more)
        wish->problem = "a view gives it a name that it has by another one, or that is too many";
    return streams > 1 ? streams_new_locked(meter, wish, views, streams)
                       : stream_new_locked(meter, wish, count > 0 ? views[0] : NULL);
}

static void define(char out[DEFINITION_MAX], const struct srun_instrument *instrument)
{
    static const char *const kinds[] = {[TELEMETRY_COUNTER] = "counter",
                                        [TELEMETRY_UP_DOWN_COUNTER] = "up-down counter",
                                        [TELEMETRY_GAUGE_KIND] = "gauge",
                                        [TELEMETRY_HISTOGRAM_KIND] = "histogram"};
    (void)snprintf(out, DEFINITION_MAX, "%s%s %s of %s%s%s",
                   instrument->is_observed ? "observable " : "", kinds[instrument->kind],
                   instrument->name, instrument->is_real ? "double" : "int64",
                   instrument->unit[0] != '\0' ? ", unit " : "", instrument->unit);
}

/* Is there another metric of this name? Both definitions are for the log. */
static void look_for_conflict_locked(const struct srun_instrument *made, struct wish *wish)
{
    const struct srun_instrument *at = atomic_load(&made->meters->first);
    for (; at != NULL && wish->one[0] == '\0'; at = atomic_load(&at->next))
        if (at != made && at->meter == made->meter && at->how != SERIES_NOTHING &&
            at->how != SERIES_EACH && strcasecmp(at->shown, made->shown) == 0) {
            define(wish->one, at);
            define(wish->other, made);
        }
}

static void publish_locked(struct srun_instrument *made, struct wish *wish)
{
    struct telemetry_meters *meters = made->meters;
    struct srun_instrument *_Atomic *place =
        meters->last != NULL ? &meters->last->next : &meters->first;
    if (made->how != SERIES_NOTHING && made->how != SERIES_EACH)
        look_for_conflict_locked(made, wish);
    atomic_store_explicit(place, made, memory_order_release);
    meters->last = made;
}

static void publish_all_locked(struct srun_instrument *made, struct wish *wish)
{
    publish_locked(made, wish);
    for (unsigned i = 0; i < made->stream_count; i++)
        publish_locked(made->streams[i], wish);
}

/* The one that is there, or NULL. */
static struct srun_instrument *find_locked(const srun_meter *meter, const struct wish *wish)
{
    struct srun_instrument *at = atomic_load(&meter->meters->first);
    while (at != NULL && (at->meter != meter || at->is_stream || at->kind != wish->kind ||
                          at->is_observed != wish->is_observed || at->is_real != is_real(wish) ||
                          strcasecmp(at->name, wish->name) != 0))
        at = atomic_load(&at->next);
    return at;
}

static bool same_bounds(const struct srun_instrument *there, const struct wish *wish)
{
    return wish->options.bounds == NULL || there->bounds == NULL ||
           (there->bound_count == wish->options.bound_count &&
            memcmp(there->bounds, wish->options.bounds, there->bound_count * sizeof(double)) == 0);
}

static const char *difference(const struct srun_instrument *there, const struct wish *wish)
{
    if (strcmp(there->unit, wish->unit) != 0)
        return "it is there with another unit, which stays";
    if (strcmp(there->help, wish->help) != 0)
        return "it is there with another help, which stays";
    if (strcmp(there->name, wish->name) != 0)
        return "it is there in other letters, which stay";
    return same_bounds(there, wish) ? NULL : "it is there with other bounds, which stay";
}

static struct srun_instrument *find_or_make(srun_meter *meter, struct wish *wish)
{
    struct telemetry_meters *meters = meter->meters;
    pthread_mutex_lock(&meters->lock);
    struct srun_instrument *found = find_locked(meter, wish);
    const char *differs = found != NULL ? difference(found, wish) : NULL;
    if (found == NULL && (found = instrument_new_locked(meter, wish)) != NULL)
        publish_all_locked(found, wish);
    else if (found == NULL)
        differs = "out of memory";
    pthread_mutex_unlock(&meters->lock);
    if (differs != NULL)
        wish->problem = differs;
    return found != NULL ? found : &instrument_of_nothing;
}

/* False: nothing can be made of it. What is wrong with a unit or with bounds is left out. */
static bool understand(struct wish *wish, const struct srun_instrument_options *options)
{
    struct srun_instrument_options *known = &wish->options;
    if (!rules_name(wish->name)) {
        wish->problem = "accepted is a letter and up to 254 letters, digits and _ . - /";
        return false;
    }
    if (options != NULL &&
        sized_copy(known, sizeof *known, offsetof(struct srun_instrument_options, help), options) <
            0) {
        wish->problem = "its options are of a newer or a broken program, and are left out";
        *known = (struct srun_instrument_options){0};
    }
    wish->unit = known->unit != NULL ? known->unit : "";
    wish->help = known->help != NULL ? known->help : "";
    if (!rules_unit(wish->unit)) {
        wish->problem = "a unit is up to 63 ASCII characters: left out";
        wish->unit = "";
    }
    if (known->bounds != NULL && !rules_bounds(known->bounds, &known->bound_count)) {
        wish->problem = "bounds have to ascend, and be finite: the usual ones are taken";
        known->bounds = NULL;
    }
    if (known->reserved_int != 0 || !is_zero(known->reserved, sizeof known->reserved))
        wish->problem = "reserved options are not zero: left out";
    return true;
}

struct srun_instrument *instrument_make(srun_meter *meter, int kind, bool is_observed,
                                        const char *name,
                                        const struct srun_instrument_options *options)
{
    char quoted[TEXT_QUOTE_MAX];
    if (meter == NULL || meters_are_foreign(meter->meters))
        return &instrument_of_nothing;
    struct wish wish = {.kind = kind, .is_observed = is_observed, .name = name};
    struct srun_instrument *made =
        understand(&wish, options) ? find_or_make(meter, &wish) : &instrument_of_nothing;
    if (wish.problem != NULL)
        SRUN_WARN(meter->meters->log, "metric",
                  SRUN_STR("name", text_quote(quoted, name != NULL ? name : "")),
                  SRUN_STR("scope", meter->scope.name), SRUN_STR("why", wish.problem));
    if (wish.one[0] != '\0')
        SRUN_WARN(meter->meters->log, "two metrics have one name",
                  SRUN_STR("scope", meter->scope.name), SRUN_STR("one", wish.one),
                  SRUN_STR("other", wish.other),
                  SRUN_STR("hint", "/metrics shows the first one only"));
    return made;
}

/* --- the public side ------------------------------------------------------------------------- */

srun_instrument *srun_counter(srun_meter *meter, const char *name,
                              const struct srun_instrument_options *options)
{
    return instrument_make(meter, TELEMETRY_COUNTER, false, name, options);
}

srun_instrument *srun_up_down_counter(srun_meter *meter, const char *name,
                                      const struct srun_instrument_options *options)
{
    return instrument_make(meter, TELEMETRY_UP_DOWN_COUNTER, false, name, options);
}

srun_instrument *srun_gauge(srun_meter *meter, const char *name,
                            const struct srun_instrument_options *options)
{
    return instrument_make(meter, TELEMETRY_GAUGE_KIND, false, name, options);
}

srun_instrument *srun_histogram(srun_meter *meter, const char *name,
                                const struct srun_instrument_options *options)
{
    return instrument_make(meter, TELEMETRY_HISTOGRAM_KIND, false, name, options);
}

srun_instrument *telemetry_observed(srun_meter *meter, int kind, const char *name,
                                    const struct srun_instrument_options *options)
{
    return instrument_make(meter, kind, true, name, options);
}
