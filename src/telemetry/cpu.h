/* SPDX-License-Identifier: MIT
 *
 * On which processor does this thread run: one load where glibc has registered a restartable
 * sequence for the thread, else a call. It may be another one by the time the answer is used, so
 * what is written with it must be atomic; that is cheap as long as the guess is mostly right.
 */
#ifndef TELEMETRY_CPU_H
#define TELEMETRY_CPU_H

#include <sched.h>

unsigned cpu_count(void); /* processors that there can ever be, at least 1 */

#if defined(__x86_64__) || defined(__aarch64__)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define CPU_HAS_RSEQ 1
#endif
#endif

#ifdef CPU_HAS_RSEQ
/* Beyond every processor while the thread is not registered. */
static inline unsigned cpu_guess(void)
{
    const volatile struct rseq *area =
        (const struct rseq *)((const char *)__builtin_thread_pointer() + __rseq_offset);
    return area->cpu_id;
}
#else
static inline unsigned cpu_guess(void)
{
    return (unsigned)sched_getcpu();
}
#endif

unsigned cpu_otherwise(unsigned count);

/* Below count. */
static inline unsigned cpu_now(unsigned count)
{
    unsigned cpu = cpu_guess();
    return __builtin_expect(cpu < count, 1) ? cpu : cpu_otherwise(count);
}

#endif
