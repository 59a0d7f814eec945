/* SPDX-License-Identifier: MIT
 *
 * Numbers that spread what would otherwise happen at one moment; nobody's secret depends on them.
 * PURE: the state is the caller's, any number at first.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

uint64_t random_next(uint64_t *state);

/* The span, which is not negative, +-10 %; INT64_MAX at most. */
int64_t random_near(uint64_t *state, int64_t span);

#endif
