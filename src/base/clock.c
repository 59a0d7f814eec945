/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/duration.h"

#include <time.h>

#define LOOK_NS 20000 /* longer than a look takes, with a sanitizer as well */
#define LOOKS_MAX 8

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_real_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_processor_now(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_after_ms(int64_t now, int64_t ms)
{
    int64_t span, sum;
    if (__builtin_mul_overflow(ms, NS_PER_MS, &span) || __builtin_add_overflow(now, span, &sum))
        return ms < 0 ? 0 : INT64_MAX;
    return sum < 0 ? 0 : sum;
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_ns() / NS_PER_MS;
}

/* Between two looks at one clock the other one is looked at. When that took long, this thread has
 * lost its processor meanwhile, and nobody knows on which side. */
int64_t clock_wall_offset(void)
{
    int64_t offset = 0, least = INT64_MAX;
    for (int i = 0; i < LOOKS_MAX && least > LOOK_NS; i++) {
        int64_t before = clock_real_now(), wall = clock_wall_ns();
        int64_t took = clock_real_now() - before;
        if (took < least) {
            least = took;
            offset = wall - before - took / 2;
        }
    }
    return offset;
}

int64_t clock_now(const struct clock *clock)
{
    return clock->is_virtual ? atomic_load(&clock->virtual_ns) : clock_real_now();
}
