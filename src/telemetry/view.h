/* SPDX-License-Identifier: MIT
 *
 * Views: what the program decides about instruments, and which of it counts for one. The views that
 * match make streams, in their order; of two with one name the first counts.
 */
#ifndef TELEMETRY_VIEW_H
#define TELEMETRY_VIEW_H

#include "telemetry/series.h"

struct meter_view {
    char *pattern;
    struct srun_view view; /* its pointers are owned */
    char **keep;
    struct meter_view *next;
};

/* An instrument that views may be about. */
struct view_subject {
    const char *meter, *name;
    int kind; /* an enum srun_instrument_kind */
};

/* The views that make its streams; how many. more: set when there were others, which do not count
 * though they have a name of their own. With the lock. */
size_t views_choose_locked(const struct telemetry_meters *meters,
                           const struct view_subject *subject,
                           const struct meter_view *out[STREAMS_MAX], bool *more);

void views_free(struct telemetry_meters *meters);

/* NULL: no memory. */
double *view_copy_bounds(const double *bounds, size_t count);

#endif
