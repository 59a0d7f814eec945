/* SPDX-License-Identifier: MIT
 *
 * The times of what is collected, when the clock is set.
 */
#include "metering.h"
#include "telemetry/series.h"

/* The time of a collect, in seconds from now; the clock seems to have been set by so much. */
static double seconds_off(struct metering *m, struct telemetry_reader *reader, int64_t set_by_s)
{
    (void)atomic_fetch_sub(&m->meters->wall_offset, set_by_s * NS_PER_S);
    (void)metering_collect(m, reader);
    const struct telemetry_point *point = metering_point(m, "n", "");
    ck_assert_ptr_nonnull(point);
    ck_assert_uint_le(point->start_ns, point->time_ns);
    return (double)((int64_t)point->time_ns - clock_wall_ms() * NS_PER_MS) / NS_PER_S;
}

START_TEST(time_follows_the_clock_but_never_steps_back)
    {
        struct metering m;
        metering_open(&m);
        srun_add(srun_counter(m.meter, "n", NULL), 1, NULL);
        ck_assert_double_lt(fabs(seconds_off(&m, m.reader, 0)), 100);
        ck_assert_double_lt(fabs(seconds_off(&m, m.reader, 3600)), 100);
        ck_assert_double_gt(seconds_off(&m, m.reader, -3600), 3500);
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_time", time_follows_the_clock_but_never_steps_back);
}
