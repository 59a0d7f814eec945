/* SPDX-License-Identifier: MIT */
#include "telemetry/logs.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "telemetry/interrupt.h"
#include "telemetry/log_ring.h"
#include "telemetry/self.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define NEVER INT64_MAX
#define TELL_EVERY (10 * NS_PER_S) /* of losses */
#define BYTES_PER_RECORD 1024      /* of the queue; a longer record takes from the others */
#define RING_LEAST ((size_t)4 * LOG_ITEM_MAX)
#define RING_MOST ((size_t)64 * 1024 * 1024)

enum {
    AWAKE,
    DOZES,
    SLEEPS
}; /* DOZES: until the batch is full, or due. SLEEPS: until there is a record */

struct logs {
    struct logs_options options;
    char *memory;
    unsigned stamp; /* self_stamp of the process it works in */
    pthread_t thread;
    void **items;                /* of the export in progress */
    struct telemetry_log *batch; /* the same, as the exporter takes them */
    _Atomic bool closed;         /* written under the lock */

    pthread_mutex_t lock; /* a leaf; guards what follows */
    pthread_cond_t wake, progress;
    struct log_ring ring;
    uint64_t taken, dropped, late; /* by the queue */
    uint64_t flush_to, done;       /* of taken */
    uint64_t settled;              /* as done, but what was lost may not have been told yet */
    int64_t due, closing_at;       /* closing_at: NEVER while it lives */
    int state;
    uint64_t exported, rejected, lost_in_export, lost_at_end;
    uint64_t told; /* losses, so far */
    int64_t told_at;
    bool telling; /* without the lock */
    bool given_up, ended;
    bool abandoned; /* the exporter has not returned; what was left is counted, the log may be gone
                     */
    bool joined;    /* the shutdown's own */
    char why[sizeof((struct telemetry_result *)0)->text]; /* of the last loss in an export */
};

/* --- handing over ---------------------------------------------------------------------------- */

/* The place, or NULL; and whether the thread has to be woken for it. */
static void *reserve_locked(struct logs *logs, size_t size, bool *wake)
{
    *wake = false;
    if (atomic_load_explicit(&logs->closed, memory_order_relaxed)) {
        logs->late++;
        return NULL;
    }
    void *item = log_ring_reserve_locked(&logs->ring, size);
    if (item == NULL) {
        logs->dropped++;
        return NULL;
    }
    logs->taken++;
    *wake =
        logs->state == SLEEPS || (logs->state == DOZES && logs->ring.waiting >= logs->options.size);
    if (*wake)
        logs->state = AWAKE;
    return item;
}

void logs_push(struct logs *logs, const struct log_given *given)
{
    if (telemetry_self.exports_logs || logs->stamp != self_stamp())
        return;
    bool wake = false;
    size_t size = log_item_size(given);
    pthread_mutex_lock(&logs->lock);
    void *item = reserve_locked(logs, size, &wake);
    pthread_mutex_unlock(&logs->lock);
    if (item == NULL)
        return;
    log_item_fill(item, size, given);
    log_ring_fill(item);
    if (wake) {
        pthread_mutex_lock(&logs->lock);
        pthread_cond_signal(&logs->wake);
        pthread_mutex_unlock(&logs->lock);
    }
}

static void stats_locked(const struct logs *logs, struct logs_stats *out)
{
    *out = (struct logs_stats){.taken = logs->taken,
                               .dropped = logs->dropped,
                               .late = logs->late,
                               .exported = logs->exported,
                               .rejected = logs->rejected,
                               .lost_in_export = logs->lost_in_export,
                               .lost_at_end = logs->lost_at_end,
                               .waiting = logs->ring.waiting,
                               .capacity = logs->options.queue};
}

/* --- exporting ------------------------------------------------------------------------------- */

static uint64_t lost_by_export_locked(const struct logs *logs)
{
    return logs->lost_in_export + logs->rejected + logs->lost_at_end;
}

/* Tells of losses, at most every so often; the lock is left for it. */
static void tell_locked(struct logs *logs, bool last)
{
    uint64_t lost = logs->dropped + lost_by_export_locked(logs), before = logs->told;
    int64_t now = clock_real_now();
    bool soon = logs->told_at != 0 && now - logs->told_at < TELL_EVERY;
    if (lost == before || (!last && (soon || logs->abandoned)))
        return;
    char why[sizeof logs->why];
    memcpy(why, logs->why, sizeof why);
    struct logs_stats stats;
    stats_locked(logs, &stats);
    logs->told = lost;
    logs->told_at = now;
    logs->telling = true;
    pthread_mutex_unlock(&logs->lock);
    SRUN_WARN(logs->options.log, "log records were not sent", SRUN_UINT("records", lost - before),
              SRUN_UINT("so_far_queue_full", stats.dropped),
              SRUN_UINT("so_far_in_export", stats.lost_in_export),
              SRUN_UINT("so_far_rejected", stats.rejected),
              SRUN_UINT("so_far_at_end", stats.lost_at_end), SRUN_STR("last", why));
    pthread_mutex_lock(&logs->lock);
    logs->telling = false;
    pthread_cond_broadcast(&logs->progress);
}

static void account_locked(struct logs *logs, const struct telemetry_result *result, size_t count)
{
    size_t accepted = result->accepted < count ? result->accepted : count, rest = count - accepted;
    size_t rejected = result->rejected < rest ? result->rejected : rest;
    logs->exported += accepted;
    logs->rejected += rejected;
    logs->lost_in_export += rest - rejected;
    if (result->text[0] != '\0')
        memcpy(logs->why, result->text, sizeof logs->why);
}

static int64_t export_deadline(const struct logs *logs)
{
    int64_t timeout_ms = logs->options.timeout_ms;
    return timeout_ms > 0 ? clock_after_ms(clock_real_now(), timeout_ms) : NEVER;
}

/* --- the thread ------------------------------------------------------------------------------ */

static bool is_wanted_locked(const struct logs *logs, int64_t now)
{
    size_t count = logs->ring.waiting;
    return count > 0 && (count >= logs->options.size || now >= logs->due ||
                         logs->flush_to > logs->done || logs->closing_at != NEVER);
}

/* Takes a batch, while the lock is left. 0: who has reserved the next record is about to fill it.
 */
static size_t take_locked(struct logs *logs)
{
    uint64_t tail = logs->ring.tail;
    pthread_mutex_unlock(&logs->lock);
    size_t count = log_ring_take(&logs->ring, tail, logs->items, logs->options.size);
    if (count == 0)
        (void)sched_yield();
    pthread_mutex_lock(&logs->lock);
    log_ring_leave_locked(&logs->ring, logs->abandoned ? 0 : count);
    return count;
}

/* Exports a batch, while the lock is left. */
static void export_locked(struct logs *logs, size_t count, struct telemetry_result *out)
{
    struct telemetry_exporter *exporter = logs->options.exporter;
    int64_t closing_at = logs->closing_at, deadline = export_deadline(logs);
    pthread_mutex_unlock(&logs->lock);
    for (size_t i = 0; i < count; i++)
        logs->batch[i] = *log_item_finish(logs->items[i], &logs->options.limits);
    exporter->logs(exporter, logs->batch, count, deadline < closing_at ? deadline : closing_at,
                   out);
    pthread_mutex_lock(&logs->lock);
}

/* The next batch: exported, or, when it is too late, thrown away. */
static void work_locked(struct logs *logs)
{
    struct telemetry_result result = {0};
    size_t count = take_locked(logs);
    bool thrown = logs->given_up || clock_real_now() >= logs->closing_at;
    if (count > 0 && !thrown)
        export_locked(logs, count, &result);
    if (thrown && !logs->abandoned)
        logs->lost_at_end += count;
    else if (!logs->abandoned)
        account_locked(logs, &result, count);
    log_ring_release_locked(&logs->ring);
    logs->settled += count;
    tell_locked(logs, false); /* before who waits for this batch goes on */
    logs->done += count;
    logs->due =
        logs->ring.waiting > 0 ? clock_after_ms(clock_real_now(), logs->options.delay_ms) : NEVER;
    pthread_cond_broadcast(&logs->progress);
}

static void sleep_locked(struct logs *logs)
{
    bool dozes = logs->ring.waiting > 0;
    if (dozes && logs->due == NEVER)
        logs->due = clock_after_ms(clock_real_now(), logs->options.delay_ms);
    logs->state = dozes ? DOZES : SLEEPS;
    (void)thread_cond_wait_until(&logs->wake, &logs->lock, dozes ? logs->due : NEVER);
    logs->state = AWAKE;
}

static void *body(void *arg)
{
    struct logs *logs = arg;
    thread_name_self("logs");
    telemetry_self.exports_logs = true;
    pthread_mutex_lock(&logs->lock);
    while (logs->ring.waiting > 0 || logs->closing_at == NEVER) {
        if (is_wanted_locked(logs, clock_real_now()))
            work_locked(logs);
        else
            sleep_locked(logs);
    }
    logs->ended = true;
    pthread_cond_broadcast(&logs->progress);
    pthread_mutex_unlock(&logs->lock);
    return NULL;
}

static void wake_thread_locked(struct logs *logs)
{
    logs->state = AWAKE;
    pthread_cond_signal(&logs->wake);
}

/* --- flush and shutdown ---------------------------------------------------------------------- */

int logs_flush(struct logs *logs, int64_t deadline_ns)
{
    if (logs->stamp != self_stamp())
        return SRUN_EFORK;
    pthread_mutex_lock(&logs->lock);
    uint64_t number = logs->taken, lost = lost_by_export_locked(logs);
    if (logs->flush_to < number)
        logs->flush_to = number;
    wake_thread_locked(logs);
    while (logs->done < number && !logs->ended)
        if (!thread_cond_wait_until(&logs->progress, &logs->lock, deadline_ns))
            break;
    int rc = logs->done < number ? -ETIMEDOUT : lost_by_export_locked(logs) != lost ? -EIO : 0;
    pthread_mutex_unlock(&logs->lock);
    return rc;
}

static bool give_up_locked(struct logs *logs)
{
    logs->given_up = true;
    return interrupt_until_locked(logs->options.exporter, &logs->lock, &logs->progress,
                                  &logs->ended, interrupt_limit(logs->options.last_words_ms));
}

/* The exporter has not returned; the thread may be about to say something, though. */
static void abandon_locked(struct logs *logs)
{
    int64_t limit = clock_real_now() + interrupt_limit(logs->options.last_words_ms);
    while (logs->telling && thread_cond_wait_until(&logs->progress, &logs->lock, limit))
        ;
    logs->abandoned = true;
    logs->lost_at_end += logs->taken - logs->settled;
    logs->ring.waiting = 0;
}

static int end_thread_locked(struct logs *logs, int64_t deadline_ns)
{
    logs->closing_at = deadline_ns < NEVER ? deadline_ns : NEVER - 1;
    wake_thread_locked(logs);
    while (!logs->ended && thread_cond_wait_until(&logs->progress, &logs->lock, deadline_ns))
        ;
    bool late = !logs->ended, ended = !late || give_up_locked(logs);
    if (!ended)
        abandon_locked(logs);
    pthread_mutex_unlock(&logs->lock);
    logs->joined = thread_part_with(logs->thread, ended, NS_PER_S);
    pthread_mutex_lock(&logs->lock);
    return !logs->joined ? -EBUSY : late ? -ETIMEDOUT : 0;
}

int logs_shutdown(struct logs *logs, int64_t deadline_ns)
{
    if (logs->stamp != self_stamp() || atomic_load(&logs->closed))
        return 0;
    pthread_mutex_lock(&logs->lock); /* who is beside it is in the queue, or late */
    atomic_store(&logs->closed, true);
    uint64_t lost = lost_by_export_locked(logs);
    int rc = end_thread_locked(logs, deadline_ns);
    rc = rc == 0 && lost_by_export_locked(logs) != lost ? -EIO : rc;
    tell_locked(logs, true);
    pthread_mutex_unlock(&logs->lock);
    return rc;
}

/* --- making ---------------------------------------------------------------------------------- */

static void free_parts(struct logs *logs)
{
    free(logs->memory);
    free(logs->items);
    free(logs->batch);
    free(logs);
}

struct logs *logs_free(struct logs *logs)
{
    if (logs == NULL || logs->stamp != self_stamp())
        return NULL;
    if (!logs->joined)
        return logs;
    logs->options.exporter->free(logs->options.exporter);
    (void)pthread_cond_destroy(&logs->wake);
    (void)pthread_cond_destroy(&logs->progress);
    (void)pthread_mutex_destroy(&logs->lock);
    free_parts(logs);
    return NULL;
}

void logs_stats(struct logs *logs, struct logs_stats *out)
{
    *out = (struct logs_stats){0};
    if (logs == NULL || logs->stamp != self_stamp())
        return;
    pthread_mutex_lock(&logs->lock);
    stats_locked(logs, out);
    pthread_mutex_unlock(&logs->lock);
}

struct logs_options logs_defaults(void)
{
    return (struct logs_options){.queue = 2048,
                                 .size = 512,
                                 .delay_ms = 1000,
                                 .timeout_ms = 30000,
                                 .limits = {128, UINT32_MAX}};
}

/* What a batch holds during its export is no longer in the queue, but still in its memory. The
 * system gives of it what is used. */
static int make_queue(struct logs *logs)
{
    size_t records = (size_t)logs->options.queue + logs->options.size;
    size_t bytes = records * BYTES_PER_RECORD;
    bytes = bytes < RING_LEAST ? RING_LEAST : bytes > RING_MOST ? RING_MOST : bytes;
    logs->memory = aligned_alloc(LOG_RING_ALIGN, bytes);
    logs->items = calloc(logs->options.size, sizeof logs->items[0]);
    logs->batch = calloc(logs->options.size, sizeof logs->batch[0]);
    if (logs->memory == NULL || logs->items == NULL || logs->batch == NULL)
        return -ENOMEM;
    log_ring_init(&logs->ring, logs->memory, bytes, logs->options.queue);
    return 0;
}

static int start(struct logs *logs)
{
    int rc = make_queue(logs);
    rc = rc < 0 ? rc : thread_cond_init(&logs->wake);
    rc = rc < 0 ? rc : thread_cond_init(&logs->progress);
    return rc < 0 ? rc : thread_start_deaf(&logs->thread, body, logs);
}

int logs_open(struct logs **out, const struct logs_options *options, srun_err *err)
{
    if (options->queue < 1 || options->size < 1 || options->size > options->queue)
        return srun_fail(err, -EINVAL, "logs: a batch of %u from a queue of %u", options->size,
                         options->queue);
    struct logs *logs = calloc(1, sizeof *logs);
    if (logs == NULL)
        return srun_fail(err, -ENOMEM, "logs: out of memory");
    self_watch_forks();
    logs->options = *options;
    logs->stamp = self_stamp();
    logs->due = logs->closing_at = NEVER;
    (void)pthread_mutex_init(&logs->lock, NULL);
    int rc = start(logs);
    if (rc < 0) {
        free_parts(logs);
        return srun_fail(err, rc, "logs: %s", srun_strerror(rc));
    }
    *out = logs;
    return 0;
}
