/* SPDX-License-Identifier: MIT
 *
 * Much memory in the first generation, and a thread that measures how long it could not run.
 */
#ifndef ENDURE_BALLAST_H
#define ENDURE_BALLAST_H

#include <srun/srun.h>
#include <stdint.h>

struct ballast {
    int64_t mib; /* set before the service starts */
    _Atomic int64_t longest_ns;
};

extern const struct srun_service_ops ballast_ops;

/* Since it was last asked: the longest time, in ns, in which the thread was ready and did not get
 * on, less what the scheduler gave to others. */
int64_t ballast_longest(struct ballast *ballast);

#endif
