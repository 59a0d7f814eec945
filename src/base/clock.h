/* SPDX-License-Identifier: MIT
 *
 * Time as a parameter of the runner: the monotonic clock, or a virtual one that a test moves.
 * Threads: any.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct clock {
    bool is_virtual;
    _Atomic int64_t virtual_ns;
};

int64_t clock_now(const struct clock *clock);

/* Monotonic nanoseconds of the system, whatever the runner's clock says. */
int64_t clock_real_now(void);

/* The processor time that this process has taken, in nanoseconds. */
int64_t clock_processor_now(void);

/* The time ms after now, within 0 and INT64_MAX, which is never. */
int64_t clock_after_ms(int64_t now, int64_t ms);

/* Unix time, for people. */
int64_t clock_wall_ns(void);
int64_t clock_wall_ms(void);

/* Unix time minus clock_real_now, both of the same moment. */
int64_t clock_wall_offset(void);

#endif
