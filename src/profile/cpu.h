/* SPDX-License-Identifier: MIT
 *
 * Where processor time goes, by samples: each thread is interrupted once per period of the
 * processor time that it takes. Profiles that overlap share the timers; each has what came while it
 * ran, at the rate of the fastest. A sample weighs as many periods as have passed since the one
 * before, so the sum is right also when the kernel's clock is too coarse for the rate.
 * Threads: cpu_profile any, several at once; cpu_on_timer a handler.
 */
#ifndef PROFILE_CPU_H
#define PROFILE_CPU_H

#include "profile/profile.h"

#include <signal.h>
#include <srun/error.h>

#define CPU_HZ 100

struct cpu_ask {
    int64_t span_ns;
    unsigned hz;
    int cancel_fd; /* ends it early once it is readable; -1: nothing does */
};

/* Takes the span, or less. 0; -EBUSY, -ENOTSUP: as gate_open; -ENOMEM; a negative errno. */
int cpu_profile(const struct cpu_ask *ask, struct profile *out, srun_err *err);

void cpu_on_timer(const siginfo_t *info, const void *context);

#endif
