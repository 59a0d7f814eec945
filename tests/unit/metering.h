/* SPDX-License-Identifier: MIT
 *
 * Meters with two readers, whose log is kept in memory; and looking up what was collected.
 */
#ifndef TESTS_UNIT_METERING_H
#define TESTS_UNIT_METERING_H

#include "base/clock.h"
#include "base/duration.h"
#include "harness.h"
#include "log/log.h"
#include "telemetry/meter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct metering {
    struct telemetry_meters *meters;
    srun_meter *meter;                        /* of the scope "test" */
    struct telemetry_reader *reader, *deltas; /* cumulative; differences */
    const struct telemetry_metric *metrics;   /* of the last metering_collect */
    size_t count;
    srun_logger *log;
    int log_fd;
    char log_text[8192];
};

static inline void metering_open(struct metering *m)
{
    *m = (struct metering){.log_fd = memfd_create("log", MFD_CLOEXEC)};
    ck_assert_int_ge(m->log_fd, 0);
    ck_assert_int_eq(log_new(&m->log, m->log_fd, SRUN_LOG_TEXT, SRUN_LEVEL_INFO, 0, NULL), 0);
    ck_assert_int_eq(telemetry_meters_new(&m->meters, m->log), 0);
    m->meter = telemetry_meter(m->meters, "test", "");
    ck_assert_ptr_nonnull(m->meter);
    ck_assert_int_eq(telemetry_reader_new(&m->reader, m->meters, NULL), 0);
    ck_assert_int_eq(telemetry_reader_new(
                         &m->deltas, m->meters,
                         &(struct telemetry_reader_options){.delta = true, .observed_too = true}),
                     0);
}

static inline void metering_close(struct metering *m)
{
    ck_assert(telemetry_meters_settle(m->meters));
    (void)telemetry_reader_free(m->deltas);
    (void)telemetry_reader_free(m->reader);
    ck_assert_ptr_null(telemetry_meters_free(m->meters));
    (void)srun_logger_free(m->log);
    (void)close(m->log_fd);
}

static inline size_t metering_collect(struct metering *m, struct telemetry_reader *reader)
{
    m->count = telemetry_collect(reader, clock_real_now() + 10 * NS_PER_S * harness_slowness(),
                                 &m->metrics);
    return m->count;
}

/* NULL: it is not among what was collected. */
static inline const struct telemetry_metric *metering_metric(const struct metering *m,
                                                             const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->metrics[i].name, name) == 0)
            return &m->metrics[i];
    return NULL;
}

/* The point with these labels, as Prometheus writes them. */
static inline const struct telemetry_point *metering_point(const struct metering *m,
                                                           const char *name, const char *labels)
{
    const struct telemetry_metric *metric = metering_metric(m, name);
    for (size_t i = 0; metric != NULL && i < metric->point_count; i++)
        if (strcmp(metric->points[i].labels, labels) == 0)
            return &metric->points[i];
    return NULL;
}

static inline int64_t metering_int(const struct metering *m, const char *name, const char *labels)
{
    const struct telemetry_point *point = metering_point(m, name, labels);
    ck_assert_msg(point != NULL, "there is no %s{%s}", name, labels);
    ck_assert(!point->is_double);
    return point->integer;
}

static inline double metering_real(const struct metering *m, const char *name, const char *labels)
{
    const struct telemetry_point *point = metering_point(m, name, labels);
    ck_assert_msg(point != NULL, "there is no %s{%s}", name, labels);
    ck_assert(point->is_double);
    return point->real;
}

/* All that was logged so far. */
static inline const char *metering_log(struct metering *m)
{
    ssize_t size = pread(m->log_fd, m->log_text, sizeof m->log_text - 1, 0);
    m->log_text[size > 0 ? size : 0] = '\0';
    return m->log_text;
}

static inline size_t metering_warnings(struct metering *m)
{
    size_t count = 0;
    for (const char *at = metering_log(m); (at = strstr(at, "level=WARN")) != NULL; at++)
        count++;
    return count;
}

static inline struct telemetry_meter_stats metering_stats(struct metering *m)
{
    struct telemetry_meter_stats stats;
    telemetry_meter_stats(m->meters, &stats);
    return stats;
}

#endif
