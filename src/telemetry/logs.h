/* SPDX-License-Identifier: MIT
 *
 * The processor of log records: a bounded queue, and one thread that exports from it in batches.
 * Promises:
 *   - to hand over a record never waits for an export and allocates nothing; a lock is held while
 *     its place in the queue is reserved, not while it is copied;
 *   - when the queue is full, by number or by bytes, the newest is dropped and counted;
 *   - records leave in the order in which they came; what came before a flush began is in it;
 *   - exports never overlap; each has a deadline;
 *   - the thread sleeps while the queue is empty, and is woken for the first record (to look at the
 *     clock) and for a full batch;
 *   - what that thread logs does not come back to it: an export that fails cannot feed the next;
 *   - shutdown keeps its deadline; what is not out by then is counted as lost.
 * After fork without exec the child's records are not taken, and nothing here is touched.
 */
#ifndef TELEMETRY_LOGS_H
#define TELEMETRY_LOGS_H

#include "telemetry/log_item.h"

struct logs;

struct logs_options {
    struct telemetry_exporter *exporter; /* owned by it from logs_open on, if that succeeds */
    srun_logger *log;                    /* borrowed; is told of losses. NULL: nobody is */
    uint32_t queue, size;                /* records: in the queue, in a batch at most */
    int64_t delay_ms;                    /* from the first record to the export */
    int64_t timeout_ms;                  /* of each export; 0: none */
    int64_t last_words_ms;               /* for an exporter that was interrupted [200] */
    struct log_limits limits;
};

/* taken: by the queue. All that was handed over is in taken + dropped + late; of taken, what is
 * not waiting is in the other four. */
struct logs_stats {
    uint64_t taken, dropped;
    uint64_t late; /* handed over after the shutdown */
    uint64_t exported, rejected, lost_in_export, lost_at_end;
    uint64_t waiting, capacity; /* records */
};

/* The defaults of OpenTelemetry. */
struct logs_options logs_defaults(void);

/* 0, -EINVAL, -ENOMEM, -EAGAIN. */
int logs_open(struct logs **out, const struct logs_options *options, srun_err *err);

/* Threads: any. */
void logs_push(struct logs *logs, const struct log_given *given);

/* Waits until what came before has been exported: 0, -EIO when some of it was lost, -ETIMEDOUT at a
 * monotonic deadline, SRUN_EFORK. Threads: any. */
int logs_flush(struct logs *logs, int64_t deadline_ns);

/* The same, and ends the thread; what comes later is lost. -EBUSY: the exporter does not end its
 * call, and logs_free leaves both as they are. Later calls do nothing. */
int logs_shutdown(struct logs *logs, int64_t deadline_ns);

/* After the shutdown, when nobody logs any more. NULL; or itself, left as it is, when the exporter
 * has not returned. Takes NULL. */
struct logs *logs_free(struct logs *logs);

/* Takes NULL: all zero. */
void logs_stats(struct logs *logs, struct logs_stats *out);

#endif
