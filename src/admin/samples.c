/* SPDX-License-Identifier: MIT */
#include "admin/samples.h"

#include "base/clock.h"
#include "base/duration.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

struct samples {
    pthread_mutex_t lock; /* guards what follows; never held while the kernel is asked */
    bool looked;
    int64_t looked_at; /* begun, so that nobody else does */
    int64_t before_at; /* of what follows */
    bool has_before;
    struct process before;
    struct samples_ring ring;
};

const char *samples_name(enum samples_series series)
{
    static const char *const names[] = {"cpu", "rss", "fds", "threads", "switches"};
    return names[series];
}

const char *samples_unit(enum samples_series series)
{
    static const char *const units[] = {"%", "bytes", "", "", "1/s"};
    return units[series];
}

/* --- the ring -------------------------------------------------------------------------------- */

void samples_add(struct samples_ring *ring, const struct samples_point *point)
{
    ring->points[ring->next] = *point;
    ring->next = (ring->next + 1) % SAMPLES_POINTS;
    ring->count += ring->count < SAMPLES_POINTS;
}

const struct samples_point *samples_at(const struct samples_ring *ring, size_t i)
{
    if (i >= ring->count)
        return NULL;
    return &ring->points[(ring->next + SAMPLES_POINTS - ring->count + i) % SAMPLES_POINTS];
}

static double known(int64_t value)
{
    return value >= 0 ? (double)value : NAN;
}

/* So much more in each nanosecond. */
static double rate(int64_t before, int64_t now, int64_t elapsed_ns)
{
    if (before < 0 || now < before || elapsed_ns <= 0)
        return NAN;
    return (double)(now - before) / (double)elapsed_ns;
}

struct samples_point samples_between(const struct process *before, const struct process *now,
                                     int64_t elapsed_ns, int64_t unix_ms)
{
    static const struct process nothing = {-1, -1, -1, -1, -1, -1, -1, -1};
    const struct process *from = before != NULL ? before : &nothing;
    return (struct samples_point){
        .time_ms = unix_ms,
        .values = {[SAMPLES_CPU] = rate(from->cpu_ns, now->cpu_ns, elapsed_ns) * 100,
                   [SAMPLES_RSS] = known(now->rss),
                   [SAMPLES_FDS] = known(now->fds),
                   [SAMPLES_THREADS] = known(now->threads),
                   [SAMPLES_SWITCHES] =
                       rate(from->switches, now->switches, elapsed_ns) * (double)NS_PER_S},
    };
}

/* --- the memory ------------------------------------------------------------------------------ */

struct samples *samples_new(void)
{
    struct samples *samples = calloc(1, sizeof *samples);
    if (samples != NULL)
        (void)pthread_mutex_init(&samples->lock, NULL);
    return samples;
}

struct samples *samples_free(struct samples *samples)
{
    if (samples != NULL)
        (void)pthread_mutex_destroy(&samples->lock);
    free(samples);
    return NULL;
}

static bool is_due(struct samples *samples, int64_t now_ns)
{
    pthread_mutex_lock(&samples->lock);
    bool due = !samples->looked || now_ns - samples->looked_at >= SAMPLES_GAP_MS * NS_PER_MS;
    if (due) {
        samples->looked = true;
        samples->looked_at = now_ns;
    }
    pthread_mutex_unlock(&samples->lock);
    return due;
}

void samples_look(struct samples *samples, int64_t now_ns)
{
    struct process now;
    if (!is_due(samples, now_ns))
        return;
    process_read(&now);
    int64_t unix_ms = clock_wall_ms();

    pthread_mutex_lock(&samples->lock);
    if (!samples->has_before || now_ns > samples->before_at) { /* else somebody overtook us */
        struct samples_point point = samples_between(samples->has_before ? &samples->before : NULL,
                                                     &now, now_ns - samples->before_at, unix_ms);
        samples_add(&samples->ring, &point);
        samples->before = now;
        samples->before_at = now_ns;
        samples->has_before = true;
    }
    pthread_mutex_unlock(&samples->lock);
}

void samples_copy(struct samples *samples, struct samples_ring *out)
{
    pthread_mutex_lock(&samples->lock);
    *out = samples->ring;
    pthread_mutex_unlock(&samples->lock);
}
