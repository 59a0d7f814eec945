/* SPDX-License-Identifier: MIT
 *
 * When a profile is worth keeping. Of a busy process: when its share of processor time was over the
 * limit in each interval for so long; not again before it was below, and not within a pause. Of a
 * service that hangs: when three quarters of its limit are over, while somebody can still look.
 * PURE. Times are of one clock, in ns.
 */
#ifndef PROFILE_TRIGGER_H
#define PROFILE_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

#define TRIGGER_NEVER INT64_MAX

struct trigger {
    unsigned percent; /* of one processor */
    int64_t after_ns;
    bool began, armed;
    int64_t time_ns, cpu_ns;           /* of the last sample */
    int64_t over_time_ns, over_cpu_ns; /* when it became busy; TRIGGER_NEVER: it is not */
    int64_t fired_ns;                  /* last; TRIGGER_NEVER: not yet */
};

void trigger_init(struct trigger *trigger, unsigned percent, int64_t after_ns);

/* How long to the next sample: as long as fits four times into after_ns, 5 s at most. */
int64_t trigger_interval(const struct trigger *trigger);

/* What the clock and the processor time of the process are now. True: take a profile; *busy is its
 * share since it became busy, in percent. */
bool trigger_sample(struct trigger *trigger, int64_t time_ns, int64_t cpu_ns, unsigned *busy);

/* When a service that has begun something at `since`, and has until `limit`, seems to hang.
 * TRIGGER_NEVER without a limit. */
int64_t trigger_hang_at(int64_t since, int64_t limit);

/* Is it worth a look now? The last look was at any_ns, the last at the same service at same_ns. */
bool trigger_hang(int64_t now, int64_t any_ns, int64_t same_ns);

#endif
