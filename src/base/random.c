/* SPDX-License-Identifier: MIT */
#include "base/random.h"

/* xorshift64, which never leaves 0. */
uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state != 0 ? *state : 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

int64_t random_near(uint64_t *state, int64_t span)
{
    int64_t tenth = span / 10, more = (int64_t)(random_next(state) % (uint64_t)(2 * tenth + 1));
    int64_t sum;
    return __builtin_add_overflow(span - tenth, more, &sum) ? INT64_MAX : sum;
}
