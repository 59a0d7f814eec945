/* SPDX-License-Identifier: MIT */
#include "telemetry/sampler.h"

#include "base/ensure.h"

#include <strings.h>

#define ALL (UINT64_C(1) << 63)

struct sampler sampler_make(enum sampler_kind kind, bool parent_based, double ratio)
{
    struct sampler sampler = {.kind = kind, .parent_based = parent_based};
    if (ratio >= 1)
        sampler.threshold = ALL;
    else if (ratio > 0) /* and not NaN */
        sampler.threshold = (uint64_t)(ratio * (double)ALL);
    return sampler;
}

bool sampler_named(struct sampler *out, const char *name, double ratio)
{
    static const char *const names[] = {
        [SAMPLER_ON] = "always_on", [SAMPLER_OFF] = "always_off", [SAMPLER_RATIO] = "traceidratio"};
    static const char prefix[] = "parentbased_";
    bool parent_based = strncasecmp(name, prefix, sizeof prefix - 1) == 0;
    name += parent_based ? sizeof prefix - 1 : 0;
    for (unsigned kind = 0; kind < COUNT_OF(names); kind++)
        if (strcasecmp(name, names[kind]) == 0) {
            *out = sampler_make(kind, parent_based, ratio);
            return true;
        }
    return false;
}
