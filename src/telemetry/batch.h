/* SPDX-License-Identifier: MIT
 *
 * The processor of ended spans: a bounded queue without locks, and one thread that exports from it
 * in batches. Promises:
 *   - to end a span never waits; when the queue is full the newest is dropped and counted;
 *   - what ended before a flush began is in it: the queue numbers what it takes;
 *   - exports never overlap; each has a deadline;
 *   - the thread sleeps while the queue is empty, and is woken for the first span (to look at the
 *     clock) and for a full batch;
 *   - shutdown keeps its deadline; what is not out by then is counted as lost.
 * With `simple` there is no queue and no thread: each span is exported as it ends.
 */
#ifndef TELEMETRY_BATCH_H
#define TELEMETRY_BATCH_H

#include "telemetry/span_slots.h"

struct batch;
typedef _Atomic uint32_t batch_entry;

struct batch_options {
    struct telemetry_exporter
        *exporter;         /* owned by the batch from batch_new on, if that succeeds */
    srun_logger *log;      /* borrowed; NULL: nobody is told of losses */
    uint32_t queue, size;  /* spans: in the queue, in a batch at most */
    int64_t delay_ms;      /* from the first span to the export */
    int64_t timeout_ms;    /* of each export; 0: none */
    int64_t last_words_ms; /* for an exporter that was interrupted [200] */
    bool simple;
};

struct batch_stats {
    uint64_t missed;         /* never got a slot */
    uint64_t taken, dropped; /* by the queue */
    uint64_t late;           /* pushed after the shutdown */
    uint64_t exported, rejected, lost_in_export, lost_at_end;
};

/* 0, -EINVAL, -ENOMEM, -EAGAIN. */
int batch_new(struct batch **out, const struct batch_options *options, srun_err *err);

/* A span that got no slot is one of those that are told as lost. Threads: any. */
void batch_missed(struct batch *batch);

/* A push is announced while its slot is still held: from there on, until the push has returned, the
 * batch is not freed. Threads: any. */
batch_entry *batch_enter(struct batch *batch);

/* Takes a slot that is retired. */
void batch_push(struct batch *batch, batch_entry *entry, uint32_t slot);

/* Waits until what was pushed before has been exported: 0, -EIO when some of it was lost,
 * -ETIMEDOUT at a monotonic deadline. Threads: any. */
int batch_flush(struct batch *batch, int64_t deadline_ns);

/* The same, and ends the thread; what is pushed later is lost. -EBUSY: the exporter does not end
 * its call, and batch_free leaves both as they are. Once. */
int batch_shutdown(struct batch *batch, int64_t deadline_ns);

/* After the shutdown, when nobody enters any more; waits for those who have. NULL; or itself, left
 * as it is, when the exporter has not returned. Takes NULL. */
struct batch *batch_free(struct batch *batch);

void batch_stats(struct batch *batch, struct batch_stats *out);

#endif
