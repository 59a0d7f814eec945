/* SPDX-License-Identifier: MIT
 *
 * Time stamps. Everything but the fraction is kept per thread for as long as the second lasts, so
 * that localtime_r, with its lock and its zone rules, runs once a second per thread at most; and
 * because it runs each second, a change to or from summer time shows at once. Any thread.
 */
#include "log/stamp.h"

#include "base/number.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
    bool filled;
    struct stamp stamp;
} cache;

static void render_offset(struct stamp *out, long seconds)
{
    if (seconds == 0) {
        out->offset[0] = 'Z';
        out->offset_size = 1;
        return;
    }
    uint32_t minutes = (uint32_t)labs(seconds) / 60;
    out->offset[0] = seconds < 0 ? '-' : '+';
    number_padded(out->offset + 1, minutes / 60, 2);
    out->offset[3] = ':';
    number_padded(out->offset + 4, minutes % 60, 2);
    out->offset_size = 6;
}

static void render(struct stamp *out, time_t second)
{
    struct tm local = {0};
    if (localtime_r(&second, &local) == NULL)
        local = (struct tm){.tm_year = 70, .tm_mday = 1};
    memcpy(out->seconds, "0000-00-00T00:00:00", sizeof out->seconds);
    number_padded(out->seconds, (uint32_t)(local.tm_year + 1900) % 10000, 4);
    number_padded(out->seconds + 5, (uint32_t)local.tm_mon + 1, 2);
    number_padded(out->seconds + 8, (uint32_t)local.tm_mday, 2);
    number_padded(out->seconds + 11, (uint32_t)local.tm_hour, 2);
    number_padded(out->seconds + 14, (uint32_t)local.tm_min, 2);
    number_padded(out->seconds + 17, (uint32_t)local.tm_sec, 2);
    render_offset(out, local.tm_gmtoff);
}

const struct stamp *stamp_at(struct timespec when)
{
    if (!cache.filled || cache.stamp.second != when.tv_sec) {
        render(&cache.stamp, when.tv_sec);
        cache.stamp.second = when.tv_sec;
        cache.filled = true;
    }
    cache.stamp.ns = (uint32_t)when.tv_nsec;
    return &cache.stamp;
}

const struct stamp *stamp_now(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return stamp_at(now);
}
