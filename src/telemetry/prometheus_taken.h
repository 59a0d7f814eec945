/* SPDX-License-Identifier: MIT
 *
 * The names that the families of a page have taken. A family takes more than its own: a histogram
 * also those of its lines, and in OpenMetrics a counter `a` the names a, a_total and a_created. A
 * second family that wants one of them would make the page invalid. PURE but for its memory.
 */
#ifndef TELEMETRY_PROMETHEUS_TAKEN_H
#define TELEMETRY_PROMETHEUS_TAKEN_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define TAKEN_NAMES_MAX 5 /* of one family */

struct taken {
    struct buf texts; /* the names, each with its NUL */
    size_t *slots;    /* a hash table: where one is in texts, plus 1; 0: free */
    size_t mask;
};

/* For so many families; false: no memory. */
bool taken_init(struct taken *taken, size_t families);
void taken_free(struct taken *taken);

/* Takes the base with each of the suffixes, NULL-ended; false, and takes none: one of them is taken
 * already. Without memory: false as well, and texts.failed is set. */
bool taken_add(struct taken *taken, const char *base, size_t size, const char *const *suffixes);

#endif
