/* SPDX-License-Identifier: MIT
 *
 * Whoever wants an export takes a ticket; the thread exports, and all tickets that were taken
 * before it began to collect are served by that. So a flush never answers for values of before it
 * was asked.
 */
#include "telemetry/periodic.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "telemetry/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTERVAL_MS 60000
#define TIMEOUT_MS 30000
#define LAST_WORDS (NS_PER_S / 2) /* for an exporter that was interrupted */

struct telemetry_periodic {
    struct telemetry_meters *meters;
    struct telemetry_reader *reader;
    struct telemetry_exporter *exporter;
    int64_t interval_ns, timeout_ns;
    srun_logger *log;
    pthread_t thread;
    pid_t pid; /* elsewhere it is a forked child */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t asked, served;  /* tickets */
    int64_t deadline;        /* of the one that asked last */
    bool closing, collected; /* collected: for the last export */
    bool exporting, ended, finished, joined, failing;
    int code; /* of the last export */
    struct telemetry_periodic_stats stats;
};

/* --- the thread ------------------------------------------------------------------------------ */

static size_t count_points(const struct telemetry_metric *metrics, size_t count)
{
    size_t points = 0;
    for (size_t i = 0; i < count; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without metrics the count is 0
        points += metrics[i].point_count;
    return points;
}

static void tell(const struct telemetry_periodic *periodic, bool changed,
                 const struct telemetry_result *result)
{
    bool lost = result->code < 0 || result->lost + result->rejected > 0;
    if (changed && lost)
        SRUN_WARN(periodic->log, "metrics are not exported", SRUN_STR("why", result->text),
                  SRUN_UINT("rejected", result->rejected), SRUN_UINT("lost", result->lost),
                  SRUN_CODE("error", result->code));
    else if (changed)
        SRUN_INFO(periodic->log, "metrics are exported again");
}

static void note(struct telemetry_periodic *periodic, size_t points,
                 const struct telemetry_result *result)
{
    uint64_t lost = result->lost + result->rejected;
    bool failed = lost > 0 || result->code < 0;
    pthread_mutex_lock(&periodic->lock);
    periodic->stats.exports++;
    periodic->stats.failures += failed;
    periodic->stats.points += points;
    periodic->stats.lost += lost;
    periodic->stats.last_code = periodic->code = result->code;
    bool changed = failed != periodic->failing;
    periodic->failing = failed;
    pthread_mutex_unlock(&periodic->lock);
    tell(periodic, changed, result);
}

static void set_collected(struct telemetry_periodic *periodic)
{
    pthread_mutex_lock(&periodic->lock);
    periodic->collected = true;
    pthread_cond_broadcast(&periodic->changed);
    pthread_mutex_unlock(&periodic->lock);
}

/* Without metrics nothing is sent, which is a success. */
static void export_all(struct telemetry_periodic *periodic, int64_t deadline_ns, bool last)
{
    const struct telemetry_metric *metrics = NULL;
    struct telemetry_result result = {0};
    size_t count = telemetry_collect(periodic->reader, deadline_ns, &metrics);
    if (last)
        set_collected(periodic);
    if (metrics == NULL) {
        result.code = -ETIMEDOUT;
        (void)snprintf(result.text, sizeof result.text, "nothing could be collected in time");
    }
    if (count > 0)
        periodic->exporter->metrics(periodic->exporter, metrics, count, deadline_ns, &result);
    note(periodic, count_points(metrics, count), &result);
}

/* Who asked and has given up waiting does not spoil it: what is collected in no time is lost. */
static int64_t deadline_locked(const struct telemetry_periodic *periodic, bool asked)
{
    int64_t now = clock_real_now(), usual = now + periodic->timeout_ns;
    bool counts = asked && (periodic->closing || periodic->deadline > now);
    return counts && periodic->deadline < usual ? periodic->deadline : usual;
}

static void *work(void *arg)
{
    struct telemetry_periodic *periodic = arg;
    int64_t next = clock_real_now() + periodic->interval_ns;
    thread_name_self("metrics");
    pthread_mutex_lock(&periodic->lock);
    for (bool last = false; !last;) {
        while (periodic->asked == periodic->served && !periodic->closing &&
               thread_cond_wait_until(&periodic->changed, &periodic->lock, next))
            ;
        uint64_t ticket = periodic->asked;
        int64_t deadline = deadline_locked(periodic, ticket > periodic->served);
        last = periodic->closing;
        periodic->exporting = true;
        pthread_mutex_unlock(&periodic->lock);
        export_all(periodic, deadline, last);
        int64_t now = clock_real_now();
        if (now >= next) /* a slow export delays the next one, and does not let them pile up */
            next = now + periodic->interval_ns - (now - next) % periodic->interval_ns;
        pthread_mutex_lock(&periodic->lock);
        periodic->exporting = false;
        periodic->served = ticket;
        pthread_cond_broadcast(&periodic->changed);
    }
    periodic->ended = true;
    pthread_cond_broadcast(&periodic->changed);
    pthread_mutex_unlock(&periodic->lock);
    return NULL;
}

/* --- asking ---------------------------------------------------------------------------------- */

int telemetry_periodic_flush(struct telemetry_periodic *periodic, int64_t deadline_ns)
{
    if (getpid() != periodic->pid)
        return -ECANCELED;
    pthread_mutex_lock(&periodic->lock);
    if (periodic->closing) {
        pthread_mutex_unlock(&periodic->lock);
        return -ECANCELED;
    }
    uint64_t ticket = ++periodic->asked;
    periodic->deadline = deadline_ns;
    pthread_cond_broadcast(&periodic->changed);
    while (periodic->served < ticket &&
           thread_cond_wait_until(&periodic->changed, &periodic->lock, deadline_ns))
        ;
    int code = periodic->served >= ticket ? periodic->code : -ETIMEDOUT;
    pthread_mutex_unlock(&periodic->lock);
    return code;
}

static void await_end_locked(struct telemetry_periodic *periodic, int64_t until_ns)
{
    while (!periodic->ended &&
           thread_cond_wait_until(&periodic->changed, &periodic->lock, until_ns))
        ;
}

static bool flies_locked(const struct telemetry_periodic *periodic, uint64_t exports)
{
    return periodic->exporting && periodic->stats.exports == exports;
}

/* The export that was in flight when the end came: the values it has are in the last one too,
 * unless they are differences, so it is given some of the time. */
static void settle_flight(struct telemetry_periodic *periodic, int64_t deadline_ns)
{
    int64_t now = clock_real_now(), half = now + (deadline_ns - now) / 2;
    pthread_mutex_lock(&periodic->lock);
    uint64_t exports = periodic->stats.exports;
    while (flies_locked(periodic, exports) &&
           thread_cond_wait_until(&periodic->changed, &periodic->lock, half))
        ;
    while (flies_locked(periodic, exports) && clock_real_now() < deadline_ns) {
        interrupt_call(periodic->exporter); /* under the lock: the next export has not begun */
        (void)thread_cond_wait_until(&periodic->changed, &periodic->lock,
                                     clock_real_now() + INTERRUPT_EVERY);
    }
    pthread_mutex_unlock(&periodic->lock);
}

static int end(struct telemetry_periodic *periodic, int64_t deadline_ns)
{
    pthread_mutex_lock(&periodic->lock);
    await_end_locked(periodic, deadline_ns);
    bool in_time = periodic->ended;
    bool ended = interrupt_until_locked(periodic->exporter, &periodic->lock, &periodic->changed,
                                        &periodic->ended, LAST_WORDS);
    int code = in_time ? periodic->code : -ETIMEDOUT;
    pthread_mutex_unlock(&periodic->lock);
    periodic->joined = thread_part_with(periodic->thread, ended, LAST_WORDS);
    return code;
}

int telemetry_periodic_close(struct telemetry_periodic *periodic, int64_t deadline_ns)
{
    if (periodic == NULL || getpid() != periodic->pid)
        return 0;
    pthread_mutex_lock(&periodic->lock);
    bool flies = !periodic->closing && periodic->exporting;
    if (!periodic->closing) {
        periodic->asked++;
        periodic->deadline = deadline_ns;
        periodic->closing = true;
    }
    pthread_cond_broadcast(&periodic->changed);
    pthread_mutex_unlock(&periodic->lock);
    if (flies)
        settle_flight(periodic, deadline_ns);
    pthread_mutex_lock(&periodic->lock);
    while (!periodic->collected &&
           thread_cond_wait_until(&periodic->changed, &periodic->lock, deadline_ns))
        ;
    bool collected = periodic->collected;
    pthread_mutex_unlock(&periodic->lock);
    return collected ? 0 : -ETIMEDOUT;
}

int telemetry_periodic_shutdown(struct telemetry_periodic *periodic, int64_t deadline_ns)
{
    if (periodic == NULL || getpid() != periodic->pid || periodic->finished)
        return 0;
    periodic->finished = true;
    (void)telemetry_periodic_close(periodic, deadline_ns);
    return end(periodic, deadline_ns);
}

void telemetry_periodic_stats(struct telemetry_periodic *periodic,
                              struct telemetry_periodic_stats *out)
{
    pthread_mutex_lock(&periodic->lock);
    *out = periodic->stats;
    pthread_mutex_unlock(&periodic->lock);
}

/* --- making ---------------------------------------------------------------------------------- */

static void release(struct telemetry_periodic *periodic)
{
    (void)telemetry_reader_free(periodic->reader);
    (void)pthread_cond_destroy(&periodic->changed);
    (void)pthread_mutex_destroy(&periodic->lock);
    free(periodic);
}

int telemetry_periodic_open(struct telemetry_periodic **out, struct telemetry_meters *meters,
                            const struct telemetry_periodic_options *options)
{
    if (options->exporter == NULL || options->exporter->metrics == NULL)
        return -EINVAL;
    struct telemetry_periodic *made = calloc(1, sizeof *made);
    if (made == NULL)
        return -ENOMEM;
    made->meters = meters;
    made->exporter = options->exporter;
    made->log = options->log;
    made->pid = getpid();
    made->interval_ns = (options->interval_ms > 0 ? options->interval_ms : INTERVAL_MS) * NS_PER_MS;
    made->timeout_ns = (options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS) * NS_PER_MS;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)thread_cond_init(&made->changed);
    int rc = telemetry_reader_new(&made->reader, meters, &options->reader);
    rc = rc < 0 ? rc : thread_start_deaf(&made->thread, work, made);
    if (rc < 0)
        release(made);
    else
        *out = made;
    return rc;
}

struct telemetry_periodic *telemetry_periodic_free(struct telemetry_periodic *periodic)
{
    if (periodic == NULL)
        return NULL;
    if (!periodic->joined)
        return periodic;
    if (periodic->exporter->free != NULL)
        periodic->exporter->free(periodic->exporter);
    release(periodic);
    return NULL;
}
