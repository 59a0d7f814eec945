/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/duration.h"

#include <time.h>

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

int64_t clock_now(const struct clock *clock)
{
    return clock->is_virtual ? atomic_load(&clock->virtual_ns) : clock_real_now();
}
