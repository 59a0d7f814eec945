/* SPDX-License-Identifier: MIT
 *
 * What OpenTelemetry accepts as names, units and bounds of instruments. PURE.
 */
#ifndef TELEMETRY_RULES_H
#define TELEMETRY_RULES_H

#include <stdbool.h>
#include <stddef.h>

#define RULES_BOUNDS_MAX 500

/* A letter and up to 254 letters, digits and _ . - /; NULL is none. */
bool rules_name(const char *name);

/* Up to 63 ASCII characters. */
bool rules_unit(const char *unit);

/* Ascending and finite. But the last may be infinite, which says nothing: it is not counted then.
 */
bool rules_bounds(const double *bounds, size_t *count);

/* Those of a histogram that says nothing of them. */
const double *rules_default_bounds(const char *unit, size_t *count);

#endif
