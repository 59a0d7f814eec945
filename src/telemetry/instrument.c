/* SPDX-License-Identifier: MIT
 *
 * Making: meters, scopes, instruments with their rules, views. Everything here is for the time of
 * set-up; it may take the lock, allocate and log. What goes wrong is told once and leaves a handle
 * that works.
 */
#include "telemetry/exemplar.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/sized.h"
#include "base/text.h"
#include "base/thread.h"
#include "telemetry/self.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#define NAME_MAX_BYTES 255
#define UNIT_MAX_BYTES 63
#define LAST_WORDS (2 * NS_PER_S) /* for callbacks, when all has ended */

struct srun_instrument instrument_of_nothing = {.how = SERIES_NOTHING};
struct srun_series series_of_nothing = {.how = SERIES_NOTHING,
                                        .instrument = &instrument_of_nothing};

bool meters_are_foreign(const struct telemetry_meters *meters)
{
    return getpid() != meters->pid;
}

uint64_t meters_now_ns(const struct telemetry_meters *meters)
{
    return (uint64_t)(clock_real_now() + meters->wall_offset);
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
    meters->wall_offset = clock_wall_ms() * NS_PER_MS - clock_real_now();
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

static void free_instruments(struct telemetry_meters *meters)
{
    struct srun_instrument *instrument = atomic_load(&meters->first);
    while (instrument != NULL) {
        struct srun_instrument *next = atomic_load(&instrument->next);
        series_free_all(instrument);
        free(instrument->name);
        free(instrument->unit);
        free(instrument->help);
        free(instrument->bounds);
        free(instrument);
        instrument = next;
    }
}

static void free_view(struct meter_view *view)
{
    for (size_t i = 0; view->keep != NULL && view->keep[i] != NULL; i++)
        free(view->keep[i]);
    free(view->keep);
    free((void *)(uintptr_t)view->view.bounds);
    free(view->pattern);
    free(view);
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
    while (meters->views != NULL) {
        struct meter_view *view = meters->views;
        meters->views = view->next;
        free_view(view);
    }
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

/* --- rules ----------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(const char *name)
{
    size_t size = name != NULL ? strnlen(name, NAME_MAX_BYTES + 1) : 0;
    if (size == 0 || size > NAME_MAX_BYTES || !is_letter(name[0]))
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!is_letter(*c) && !(*c >= '0' && *c <= '9') && strchr("_.-/", *c) == NULL)
            return false;
    return true;
}

static bool is_unit(const char *unit)
{
    size_t size = strnlen(unit, UNIT_MAX_BYTES + 1);
    for (size_t i = 0; i < size; i++)
        if (unit[i] < ' ' || unit[i] > '~')
            return false;
    return size <= UNIT_MAX_BYTES;
}

/* Ascending and finite, but that the last may be infinite, which says nothing. */
static bool are_bounds(const double *bounds, size_t *count)
{
    if (*count > 0 && isinf(bounds[*count - 1]) && bounds[*count - 1] > 0)
        --*count;
    if (*count > SERIES_BOUNDS_MAX)
        return false;
    for (size_t i = 0; i < *count; i++)
        if (!isfinite(bounds[i]) || (i > 0 && !(bounds[i - 1] < bounds[i])))
            return false;
    return true;
}

static const double usual_bounds[] = {0,   5,   10,   25,   50,   75,   100,  250,
                                      500, 750, 1000, 2500, 5000, 7500, 10000};
/* What fits durations in seconds: the usual ones would put nearly all of them in two buckets. */
static const double second_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                       0.5,   0.75, 1,     2.5,  5,     7.5, 10};

static const double *default_bounds(const char *unit, size_t *count)
{
    bool seconds = strcmp(unit, "s") == 0;
    *count = seconds ? COUNT_OF(second_bounds) : COUNT_OF(usual_bounds);
    return seconds ? second_bounds : usual_bounds;
}

/* --- views ----------------------------------------------------------------------------------- */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Without recursion: after a mismatch the last * takes one more character. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?' || lower(*pattern) == lower(*name)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static const struct meter_view *view_of_locked(const struct telemetry_meters *meters,
                                               const char *name)
{
    const struct meter_view *view = meters->views;
    while (view != NULL && !matches(view->pattern, name))
        view = view->next;
    return view;
}

static bool copy_keep(struct meter_view *copy, const char *const *keep)
{
    size_t count = 0;
    while (keep[count] != NULL)
        count++;
    copy->keep = calloc(count + 1, sizeof copy->keep[0]);
    for (size_t i = 0; copy->keep != NULL && i < count; i++) {
        copy->keep[i] = strdup(keep[i]);
        if (copy->keep[i] == NULL)
            return false;
    }
    copy->view.keep = (const char *const *)copy->keep;
    return copy->keep != NULL;
}

static double *copy_bounds(const double *bounds, size_t count)
{
    double *copy = calloc(count + 1, sizeof *copy);
    if (copy != NULL && count > 0)
        memcpy(copy, bounds, count * sizeof *copy);
    return copy;
}

static struct meter_view *copy_view(const char *pattern, const struct srun_view *view)
{
    struct meter_view *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy->view = *view;
    copy->view.keep = NULL;
    copy->view.bounds = NULL;
    copy->pattern = strdup(pattern);
    bool whole = copy->pattern != NULL;
    if (whole && view->keep != NULL)
        whole = copy_keep(copy, view->keep);
    if (whole && view->bounds != NULL) {
        copy->view.bounds = copy_bounds(view->bounds, view->bound_count);
        whole = copy->view.bounds != NULL;
    }
    if (whole)
        return copy;
    free_view(copy);
    return NULL;
}

int telemetry_view(struct telemetry_meters *meters, const char *pattern,
                   const struct srun_view *view, srun_err *err)
{
    struct srun_view known;
    int rc = view != NULL ? sized_copy(&known, sizeof known, offsetof(struct srun_view, keep), view)
                          : -EINVAL;
    if (rc < 0)
        return srun_fail(err, rc, "view: its size: accepted is sizeof(struct srun_view), here %zu",
                         sizeof known);
    if (pattern == NULL || pattern[0] == '\0')
        return srun_fail(err, -EINVAL, "view: the pattern is empty");
    if (known.bounds != NULL && !are_bounds(known.bounds, &known.bound_count))
        return srun_fail(err, -EINVAL, "view %s: bounds: accepted are up to %d that ascend",
                         pattern, SERIES_BOUNDS_MAX);
    if (known.reserved_int != 0 || !is_zero(known.reserved, sizeof known.reserved))
        return srun_fail(err, -EINVAL, "view %s: reserved is not zero", pattern);
    struct meter_view *copy = copy_view(pattern, &known);
    if (copy == NULL)
        return srun_fail(err, -ENOMEM, "view %s: out of memory", pattern);
    pthread_mutex_lock(&meters->lock);
    *(meters->last_view != NULL ? &meters->last_view->next : &meters->views) = copy;
    meters->last_view = copy;
    pthread_mutex_unlock(&meters->lock);
    return 0;
}

/* --- instruments ----------------------------------------------------------------------------- */

/* What is wanted, after the rules; borrowed. */
struct wish {
    int kind;
    bool is_observed;
    const char *name;
    struct srun_instrument_options options;
    const char *unit, *help;
    const char *problem; /* to be told, or NULL */
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
        bounds = default_bounds(wish->unit, &count);
    instrument->bounds = copy_bounds(bounds, count);
    instrument->bound_count = count;
    return instrument->bounds != NULL ? 0 : -ENOMEM;
}

static unsigned choose_limit(const struct wish *wish, const struct meter_view *view)
{
    if (view != NULL && view->view.limit > 0)
        return view->view.limit;
    return wish->options.limit > 0 ? wish->options.limit : SERIES_LIMIT;
}

static struct srun_instrument *instrument_new_locked(srun_meter *meter, const struct wish *wish)
{
    struct telemetry_meters *meters = meter->meters;
    const struct meter_view *view = view_of_locked(meters, wish->name);
    struct srun_instrument *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->meters = meters;
    made->meter = meter;
    made->kind = wish->kind;
    made->is_observed = wish->is_observed;
    made->is_real = wish->options.real != 0 || wish->kind == TELEMETRY_HISTOGRAM_KIND;
    made->how = (uint8_t)how_of(wish, view);
    made->limit = choose_limit(wish, view);
    made->keep = view != NULL ? view->view.keep : NULL;
    made->name = strdup(wish->name);
    made->unit = strdup(wish->unit);
    made->help = strdup(wish->help);
    if (made->name != NULL && made->unit != NULL && made->help != NULL &&
        choose_bounds(made, wish, view) == 0 && series_prepare_locked(made) == 0)
        return made;
    series_free_all(made);
    free(made->name);
    free(made->unit);
    free(made->help);
    free(made->bounds);
    free(made);
    return NULL;
}

static void publish_locked(struct telemetry_meters *meters, struct srun_instrument *made)
{
    struct srun_instrument *_Atomic *place =
        meters->last != NULL ? &meters->last->next : &meters->first;
    atomic_store_explicit(place, made, memory_order_release);
    meters->last = made;
}

static bool same_kind(const struct srun_instrument *there, const struct wish *wish)
{
    bool real = wish->options.real != 0 || wish->kind == TELEMETRY_HISTOGRAM_KIND;
    return there->kind == wish->kind && there->is_observed == wish->is_observed &&
           there->is_real == real;
}

/* The one that is there: of the same kind, else any, else NULL. */
static struct srun_instrument *find_locked(const srun_meter *meter, const struct wish *wish)
{
    struct srun_instrument *any = NULL, *at = atomic_load(&meter->meters->first);
    for (; at != NULL; at = atomic_load(&at->next)) {
        if (at->meter != meter || strcasecmp(at->name, wish->name) != 0)
            continue;
        if (same_kind(at, wish))
            return at;
        any = any == NULL ? at : any;
    }
    return any;
}

static bool same_bounds(const struct srun_instrument *there, const struct wish *wish)
{
    return wish->options.bounds == NULL || there->bounds == NULL ||
           (there->bound_count == wish->options.bound_count &&
            memcmp(there->bounds, wish->options.bounds, there->bound_count * sizeof(double)) == 0);
}

static const char *difference(const struct srun_instrument *there, const struct wish *wish)
{
    if (!same_kind(there, wish))
        return "it is there as another kind or type: /metrics shows the first one only";
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
    struct srun_instrument *there = find_locked(meter, wish), *made = NULL;
    const char *differs = there != NULL ? difference(there, wish) : NULL;
    if (there == NULL || !same_kind(there, wish)) {
        made = instrument_new_locked(meter, wish);
        if (made != NULL)
            publish_locked(meters, made);
        else
            differs = "out of memory";
        there = made;
    }
    pthread_mutex_unlock(&meters->lock);
    if (differs != NULL)
        wish->problem = differs;
    return there != NULL ? there : &instrument_of_nothing;
}

/* False: nothing can be made of it. What is wrong with a unit or with bounds is left out. */
static bool understand(struct wish *wish, const struct srun_instrument_options *options)
{
    struct srun_instrument_options *known = &wish->options;
    if (!is_name(wish->name)) {
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
    if (!is_unit(wish->unit)) {
        wish->problem = "a unit is up to 63 ASCII characters: left out";
        wish->unit = "";
    }
    if (known->bounds != NULL && !are_bounds(known->bounds, &known->bound_count)) {
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
