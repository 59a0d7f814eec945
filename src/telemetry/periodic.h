/* SPDX-License-Identifier: MIT
 *
 * Metrics that are pushed: a reader with a thread that collects every so often and hands all of it
 * to an exporter, one call at a time. What an export loses is counted; the log tells when it begins
 * to fail and when it works again. Threads: any, but for making and freeing.
 */
#ifndef TELEMETRY_PERIODIC_H
#define TELEMETRY_PERIODIC_H

#include "telemetry/meter.h"

struct telemetry_periodic;

struct telemetry_periodic_options {
    struct telemetry_exporter *exporter;    /* its owner once it is open */
    struct telemetry_reader_options reader; /* differences or totals */
    int64_t interval_ms;                    /* [60000] */
    int64_t timeout_ms;                     /* of a collect and its export together [30000] */
    srun_logger *log;                       /* borrowed, may be NULL */
};

/* 0, -EINVAL: no exporter; -ENOMEM, -EMFILE, -EAGAIN: no thread. */
int telemetry_periodic_open(struct telemetry_periodic **out, struct telemetry_meters *meters,
                            const struct telemetry_periodic_options *options);

/* Collects and exports now, beside the interval. Deadlines are monotonic. 0; -ETIMEDOUT; what the
 * export answered; -ECANCELED after the shutdown. */
int telemetry_periodic_flush(struct telemetry_periodic *periodic, int64_t deadline_ns);

/* Begins the last export, which is to end by the deadline, and returns when its values have been
 * collected: no callback runs any more. A call that is in flight is given half of the time. 0, or
 * -ETIMEDOUT. Later calls do the waiting alone. */
int telemetry_periodic_close(struct telemetry_periodic *periodic, int64_t deadline_ns);

/* The same, and waits until the export and the thread have ended. 0, or as flush; once: later calls
 * answer 0 at once. */
int telemetry_periodic_shutdown(struct telemetry_periodic *periodic, int64_t deadline_ns);

/* After the shutdown, and before the meters. NULL; or itself, left as it is, when the exporter has
 * not returned. Takes NULL. */
struct telemetry_periodic *telemetry_periodic_free(struct telemetry_periodic *periodic);

struct telemetry_periodic_stats {
    uint64_t exports, failures; /* calls; those that lost something */
    uint64_t points, lost;      /* handed over; of these, not accepted */
    int last_code;
};
void telemetry_periodic_stats(struct telemetry_periodic *periodic,
                              struct telemetry_periodic_stats *out);

#endif
