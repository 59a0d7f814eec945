/* SPDX-License-Identifier: MIT
 *
 * A profile that was taken: stacks with values, the code they lie in, and what there is to say. How
 * its parts fit together:
 *
 *     cpu  threads     what is profiled             timers ring | gate: who has SIGPROF
 *     unwind           a stack, from a handler      modules cfi
 *     stacks           what was seen, counted       locks: who waits for whom
 *     pprof text flame what comes out of it         names symtab | naming: the plugin
 *
 * Threads: one at a time.
 */
#ifndef PROFILE_PROFILE_H
#define PROFILE_PROFILE_H

#include "base/buf.h"
#include "profile/modules.h"
#include "profile/stacks.h"

struct profile {
    struct stacks stacks;
    struct modules *modules;    /* keeps what is next alive */
    const struct module *known; /* the code that was there at the end, or before */
    int64_t start_ns;           /* Unix time */
    int64_t duration_ns;
    int64_t period_ns;  /* of the processor time between two samples; 0: none was sampled */
    struct buf remarks; /* lines, each with its end */
};

void profile_free(struct profile *profile);

static inline void auto_profile_cleanup(struct profile *profile)
{
    profile_free(profile);
}

#define auto_profile __attribute__((cleanup(auto_profile_cleanup)))

#endif
