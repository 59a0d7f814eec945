/* SPDX-License-Identifier: MIT */
#include "telemetry/cpu.h"

#include <unistd.h>

#define CPUS_MAX 4096

unsigned cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count < 1 ? 1 : count > CPUS_MAX ? CPUS_MAX : (unsigned)count;
}

unsigned cpu_otherwise(unsigned count)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (unsigned)cpu % count;
}
