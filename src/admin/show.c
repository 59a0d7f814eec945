/* SPDX-License-Identifier: MIT */
#include "admin/show.h"

#include "base/duration.h"

#include <inttypes.h>
#include <srun/log.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *show_ms(char out[SHOW_MAX], int64_t ms)
{
    static const int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
    if (ms < 0)
        return memcpy(out, "-", sizeof "-");
    if (ms >= 4 * day) {
        (void)snprintf(out, SHOW_MAX, "%" PRId64 "d%" PRId64 "h", ms / day, ms % day / hour);
        return out;
    }
    if (ms >= hour) {
        (void)snprintf(out, SHOW_MAX, "%" PRId64 "h%" PRId64 "m", ms / hour, ms % hour / minute);
        return out;
    }
    if (ms >= 10 * second)
        ms -= ms % second;
    else if (ms >= second)
        ms -= ms % 100;
    char text[DURATION_TEXT_MAX];
    (void)duration_format(text, ms * NS_PER_MS);
    (void)snprintf(out, SHOW_MAX, "%s", text);
    return out;
}

const char *show_time(char out[SHOW_MAX], int64_t unix_ms)
{
    time_t seconds = unix_ms / 1000;
    struct tm parts;
    char text[32];
    if (unix_ms <= 0 || localtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return memcpy(out, "-", sizeof "-");
    (void)snprintf(out, SHOW_MAX, "%s.%03d", text, (int)(unix_ms % 1000));
    return out;
}

const char *show_level(char out[SHOW_MAX], int level)
{
    static const struct {
        int level;
        const char *name;
    } names[] = {{SRUN_LEVEL_ERROR, "error"},
                 {SRUN_LEVEL_WARN, "warn"},
                 {SRUN_LEVEL_INFO, "info"},
                 {SRUN_LEVEL_DEBUG, "debug"}};
    size_t i = 0;
    while (i < sizeof names / sizeof names[0] - 1 && level < names[i].level)
        i++;
    int64_t distance = (int64_t)level - names[i].level;
    if (distance == 0)
        (void)snprintf(out, SHOW_MAX, "%s", names[i].name);
    else
        (void)snprintf(out, SHOW_MAX, "%s%+" PRId64, names[i].name, distance);
    return out;
}

const char *show_right(enum admin_right right)
{
    static const char *const names[] = {"nothing", "probe", "read", "write"};
    return (unsigned)right < sizeof names / sizeof names[0] ? names[right] : names[0];
}
