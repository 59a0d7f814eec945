/* SPDX-License-Identifier: MIT */
#include "profile/trigger.h"

#include "base/duration.h"

#define INTERVALS 4
#define INTERVAL_MIN (10 * NS_PER_MS)
#define INTERVAL_MAX (5 * NS_PER_S)
#define BUSY_PAUSE (300 * NS_PER_S)
#define HANG_PAUSE (300 * NS_PER_S) /* of one service */
#define HANG_APART (10 * NS_PER_S)  /* a look is one at all services */

void trigger_init(struct trigger *trigger, unsigned percent, int64_t after_ns)
{
    *trigger = (struct trigger){.percent = percent,
                                .after_ns = after_ns,
                                .armed = true,
                                .over_time_ns = TRIGGER_NEVER,
                                .fired_ns = TRIGGER_NEVER};
}

int64_t trigger_interval(const struct trigger *trigger)
{
    int64_t interval = trigger->after_ns / INTERVALS;
    if (interval > INTERVAL_MAX)
        return INTERVAL_MAX;
    return interval < INTERVAL_MIN ? INTERVAL_MIN : interval;
}

static unsigned percent_of(int64_t cpu_ns, int64_t time_ns)
{
    return cpu_ns > 0 ? (unsigned)((__int128)cpu_ns * 100 / time_ns) : 0;
}

static bool is_past(int64_t now, int64_t event, int64_t pause)
{
    return event == TRIGGER_NEVER || now - event >= pause;
}

bool trigger_sample(struct trigger *trigger, int64_t time_ns, int64_t cpu_ns, unsigned *busy)
{
    int64_t time_before = trigger->time_ns, cpu_before = trigger->cpu_ns;
    bool first = !trigger->began;
    if (!first && time_ns <= time_before)
        return false;
    trigger->began = true;
    trigger->time_ns = time_ns;
    trigger->cpu_ns = cpu_ns;
    if (first)
        return false;
    if (percent_of(cpu_ns - cpu_before, time_ns - time_before) < trigger->percent) {
        trigger->over_time_ns = TRIGGER_NEVER;
        trigger->armed = true;
        return false;
    }
    if (trigger->over_time_ns == TRIGGER_NEVER) {
        trigger->over_time_ns = time_before;
        trigger->over_cpu_ns = cpu_before;
    }
    if (!trigger->armed || time_ns - trigger->over_time_ns < trigger->after_ns ||
        !is_past(time_ns, trigger->fired_ns, BUSY_PAUSE))
        return false;
    trigger->armed = false;
    trigger->fired_ns = time_ns;
    *busy = percent_of(cpu_ns - trigger->over_cpu_ns, time_ns - trigger->over_time_ns);
    return true;
}

int64_t trigger_hang_at(int64_t since, int64_t limit)
{
    return limit == TRIGGER_NEVER || limit < since ? limit : since + (limit - since) / 4 * 3;
}

bool trigger_hang(int64_t now, int64_t any_ns, int64_t same_ns)
{
    return is_past(now, any_ns, HANG_APART) && is_past(now, same_ns, HANG_PAUSE);
}
