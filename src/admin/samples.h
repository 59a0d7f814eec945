/* SPDX-License-Identifier: MIT
 *
 * A short memory of how the process was doing: a ring of points, added to whenever somebody looks
 * (the page, a scrape, a verbose probe), at most once a second, and never by a timer: an idle
 * program stays asleep. The ring is PURE; samples_look reads the kernel. Threads: any.
 */
#ifndef ADMIN_SAMPLES_H
#define ADMIN_SAMPLES_H

#include "admin/process.h"

#include <stdbool.h>

#define SAMPLES_POINTS 144
#define SAMPLES_GAP_MS 1000

enum samples_series {
    SAMPLES_CPU, /* % of one processor, since the point before */
    SAMPLES_RSS, /* bytes */
    SAMPLES_FDS,
    SAMPLES_THREADS,
    SAMPLES_SWITCHES, /* of contexts, in a second */
    SAMPLES_COUNT
};

/* "cpu", "rss", ...; "%", "bytes", "" or "1/s". */
const char *samples_name(enum samples_series series);
const char *samples_unit(enum samples_series series);

struct samples_point {
    int64_t time_ms;              /* Unix time */
    double values[SAMPLES_COUNT]; /* NAN: not known */
};

/* --- the ring -------------------------------------------------------------------------------- */

struct samples_ring {
    size_t count, next;
    struct samples_point points[SAMPLES_POINTS];
};

void samples_add(struct samples_ring *ring, const struct samples_point *point);

/* The i-th, the oldest first, or NULL. */
const struct samples_point *samples_at(const struct samples_ring *ring, size_t i);

/* What has happened between two looks, the first of which may be NULL. elapsed_ns: between them. */
struct samples_point samples_between(const struct process *before, const struct process *now,
                                     int64_t elapsed_ns, int64_t unix_ms);

/* --- the memory ------------------------------------------------------------------------------ */

struct samples;

struct samples *samples_new(void); /* NULL: out of memory */
struct samples *samples_free(struct samples *samples);

/* Adds a point if the last one is old enough. now_ns: of the monotonic clock. */
void samples_look(struct samples *samples, int64_t now_ns);

void samples_copy(struct samples *samples, struct samples_ring *out);

#endif
