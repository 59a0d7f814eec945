/* SPDX-License-Identifier: MIT */
#include "telemetry/rules.h"

#include "base/ensure.h"

#include <math.h>
#include <string.h>

#define NAME_MAX_BYTES 255
#define UNIT_MAX_BYTES 63

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool rules_name(const char *name)
{
    size_t size = name != NULL ? strnlen(name, NAME_MAX_BYTES + 1) : 0;
    if (size == 0 || size > NAME_MAX_BYTES || !is_letter(name[0]))
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!is_letter(*c) && !(*c >= '0' && *c <= '9') && strchr("_.-/", *c) == NULL)
            return false;
    return true;
}

bool rules_unit(const char *unit)
{
    size_t size = strnlen(unit, UNIT_MAX_BYTES + 1);
    for (size_t i = 0; i < size; i++)
        if (unit[i] < ' ' || unit[i] > '~')
            return false;
    return size <= UNIT_MAX_BYTES;
}

bool rules_bounds(const double *bounds, size_t *count)
{
    if (*count > 0 && isinf(bounds[*count - 1]) && bounds[*count - 1] > 0)
        --*count;
    if (*count > RULES_BOUNDS_MAX)
        return false;
    for (size_t i = 0; i < *count; i++)
        if (!isfinite(bounds[i]) || (i > 0 && !(bounds[i - 1] < bounds[i])))
            return false;
    return true;
}

static const double usual_bounds[] = {0,   5,   10,   25,   50,   75,   100,  250,
                                      500, 750, 1000, 2500, 5000, 7500, 10000};
/* What fits durations in seconds: the usual ones would put nearly all of them in two buckets. */
static const double second_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                       0.5,   0.75, 1,     2.5,  5,     7.5, 10};

const double *rules_default_bounds(const char *unit, size_t *count)
{
    bool seconds = strcmp(unit, "s") == 0;
    *count = seconds ? COUNT_OF(second_bounds) : COUNT_OF(usual_bounds);
    return seconds ? second_bounds : usual_bounds;
}
