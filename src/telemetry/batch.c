/* SPDX-License-Identifier: MIT */
#include "telemetry/batch.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "telemetry/gather.h"
#include "telemetry/interrupt.h"
#include "telemetry/self.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#define NEVER INT64_MAX
#define TELL_EVERY (10 * NS_PER_S) /* of losses */
#define LINE 64
#define ENTRIES 8

enum {
    AWAKE,
    DOZES,
    SLEEPS
}; /* DOZES: until the batch is full, or due. SLEEPS: until there is one */

struct cell {
    _Atomic uint64_t turn; /* its position: free; plus 1: filled */
    uint32_t slot;
};

/* What different threads write has lines of its own, hence the padding. */
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct batch {
    struct batch_options options;
    struct cell *cells;
    uint64_t mask;
    uint32_t *taken; /* of the export in progress */
    struct gather gather;
    int64_t due, told_at;
    uint64_t told; /* losses, so far */
    pthread_t thread;

    _Alignas(LINE) _Atomic uint64_t tail;
    _Alignas(LINE) _Atomic uint64_t head;
    _Atomic int state;
    _Atomic bool closed;
    _Alignas(LINE) _Atomic uint64_t dropped, missed;
    _Atomic uint64_t exported, rejected, lost_in_export, lost_at_end, late;
    struct {
        _Alignas(LINE) batch_entry inside; /* how many threads push */
    } entries[ENTRIES];                    /* by number of the thread */

    pthread_mutex_t lock; /* a leaf; guards what follows */
    pthread_cond_t wake, progress;
    uint64_t flush_to, done;
    uint64_t settled;   /* as done, but what was lost may not have been told yet */
    int64_t closing_at; /* NEVER while it lives */
    bool telling;       /* without the lock */
    bool given_up, ended, joined;
    _Atomic bool abandoned; /* the exporter has not returned. Set under the lock, if that is free */
};

/* --- exporting ------------------------------------------------------------------------------- */

static uint64_t losses(const struct batch *batch)
{
    return atomic_load(&batch->missed) + atomic_load(&batch->dropped) +
           atomic_load(&batch->rejected) + atomic_load(&batch->lost_in_export) +
           atomic_load(&batch->lost_at_end);
}

/* Whether there are losses to tell of, which is done at most every so often; how many. */
static bool claim_losses(struct batch *batch, bool last, uint64_t *lost)
{
    uint64_t all = losses(batch);
    int64_t now = clock_real_now();
    *lost = all - batch->told;
    if (*lost == 0 || (!last && batch->told_at != 0 && now - batch->told_at < TELL_EVERY))
        return false;
    batch->told = all;
    batch->told_at = now;
    return true;
}

static void tell(const struct batch *batch, uint64_t lost, const struct telemetry_result *result)
{
    SRUN_WARN(batch->options.log, "spans were lost", SRUN_UINT("lost", lost),
              SRUN_UINT("so_far_no_slot", atomic_load(&batch->missed)),
              SRUN_UINT("so_far_queue_full", atomic_load(&batch->dropped)),
              SRUN_UINT("so_far_in_export", atomic_load(&batch->lost_in_export)),
              SRUN_UINT("so_far_rejected", atomic_load(&batch->rejected)),
              SRUN_UINT("so_far_at_end", atomic_load(&batch->lost_at_end)),
              SRUN_STR("last", result != NULL ? result->text : ""));
}

/* The lock is left for it: the log may have to wait. */
static void tell_locked(struct batch *batch, const struct telemetry_result *result)
{
    uint64_t lost;
    if (!claim_losses(batch, false, &lost))
        return;
    batch->telling = true;
    pthread_mutex_unlock(&batch->lock);
    tell(batch, lost, result);
    pthread_mutex_lock(&batch->lock);
    batch->telling = false;
    pthread_cond_broadcast(&batch->progress);
}

static void account(struct batch *batch, const struct telemetry_result *result, size_t count)
{
    size_t accepted = result->accepted < count ? result->accepted : count, rest = count - accepted;
    size_t rejected = result->rejected < rest ? result->rejected : rest;
    atomic_fetch_add(&batch->exported, accepted);
    atomic_fetch_add(&batch->rejected, rejected);
    atomic_fetch_add(&batch->lost_in_export, rest - rejected);
}

static void export_slots(struct batch *batch, const uint32_t *slots, size_t count,
                         int64_t deadline_ns, struct telemetry_result *out)
{
    struct telemetry_exporter *exporter = batch->options.exporter;
    *out = (struct telemetry_result){.lost = count, .text = "out of memory"};
    if (gather_spans(&batch->gather, slots, count) == 0) {
        *out = (struct telemetry_result){0};
        exporter->spans(exporter, batch->gather.spans, count, deadline_ns, out);
    }
    span_slots_give(slots, count);
}

/* Once it is abandoned all that was left has been counted as lost, and the log may be gone. */
static void settle_locked(struct batch *batch, const struct telemetry_result *result, size_t count)
{
    if (batch->abandoned)
        return;
    account(batch, result, count);
    batch->settled = atomic_load_explicit(&batch->head, memory_order_relaxed);
    tell_locked(batch, result);
}

static int64_t export_deadline(const struct batch *batch)
{
    int64_t timeout_ms = batch->options.timeout_ms;
    return timeout_ms > 0 ? clock_after_ms(clock_real_now(), timeout_ms) : NEVER;
}

/* --- the queue ------------------------------------------------------------------------------- */

static uint64_t waiting(const struct batch *batch)
{
    return atomic_load(&batch->tail) - atomic_load_explicit(&batch->head, memory_order_relaxed);
}

/* The thread's end of it: up to a batch, in order. Fewer when a thread that has its place in the
 * queue has not put its slot there yet. */
static size_t take(struct batch *batch)
{
    uint64_t head = atomic_load_explicit(&batch->head, memory_order_relaxed);
    size_t count = 0;
    while (count < batch->options.size) {
        struct cell *cell = &batch->cells[head & batch->mask];
        if (atomic_load_explicit(&cell->turn, memory_order_acquire) != head + 1)
            break;
        batch->taken[count++] = cell->slot;
        atomic_store_explicit(&cell->turn, head + batch->mask + 1, memory_order_release);
        head++;
    }
    atomic_store_explicit(&batch->head, head, memory_order_release);
    return count;
}

/* The place in the queue, or false: it is full. */
static bool claim(struct batch *batch, uint64_t *place)
{
    uint64_t tail = atomic_load_explicit(&batch->tail, memory_order_relaxed);
    for (;;) {
        uint64_t head = atomic_load_explicit(&batch->head, memory_order_acquire);
        uint64_t turn =
            atomic_load_explicit(&batch->cells[tail & batch->mask].turn, memory_order_acquire);
        if ((int64_t)(tail - head) >= (int64_t)batch->options.queue || (int64_t)(turn - tail) < 0)
            return false;
        if (turn == tail && atomic_compare_exchange_weak(&batch->tail, &tail, tail + 1)) {
            *place = tail;
            return true;
        }
        if (turn != tail)
            tail = atomic_load_explicit(&batch->tail, memory_order_relaxed);
    }
}

/* Wakes the thread when there is something to do for it. It says what it waits for before it looks
 * at the tail a last time; here the tail has moved before this is read: one of the two sees the
 * other, and that order is why neither is relaxed. */
static void wake_for(struct batch *batch, uint64_t place)
{
    int state = atomic_load(&batch->state);
    uint64_t count = place + 1 - atomic_load_explicit(&batch->head, memory_order_relaxed);
    if (state == AWAKE || (state == DOZES && count < batch->options.size))
        return;
    if (!atomic_compare_exchange_strong(&batch->state, &state, AWAKE))
        return;
    pthread_mutex_lock(&batch->lock);
    pthread_cond_signal(&batch->wake);
    pthread_mutex_unlock(&batch->lock);
}

static void push_simply(struct batch *batch, uint32_t slot)
{
    struct telemetry_result result;
    pthread_mutex_lock(&batch->lock);
    atomic_fetch_add(&batch->tail, 1);
    export_slots(batch, &slot, 1, export_deadline(batch), &result);
    settle_locked(batch, &result, 1);
    pthread_mutex_unlock(&batch->lock);
}

static void push_to_queue(struct batch *batch, uint32_t slot)
{
    uint64_t place;
    if (!claim(batch, &place)) {
        atomic_fetch_add_explicit(&batch->dropped, 1, memory_order_relaxed);
        span_slots_give(&slot, 1);
        return;
    }
    struct cell *cell = &batch->cells[place & batch->mask];
    cell->slot = slot;
    atomic_store_explicit(&cell->turn, place + 1, memory_order_release);
    wake_for(batch, place);
}

void batch_missed(struct batch *batch)
{
    atomic_fetch_add_explicit(&batch->missed, 1, memory_order_relaxed);
}

batch_entry *batch_enter(struct batch *batch)
{
    batch_entry *entry = &batch->entries[telemetry_self.number % ENTRIES].inside;
    atomic_fetch_add(entry, 1);
    return entry;
}

/* It entered before it looks whether the batch is closed, which the shutdown does the other way
 * round: who sees it open is seen. */
void batch_push(struct batch *batch, batch_entry *entry, uint32_t slot)
{
    if (atomic_load(&batch->closed)) {
        atomic_fetch_add(&batch->late, 1);
        span_slots_give(&slot, 1);
    } else if (batch->options.simple) {
        push_simply(batch, slot);
    } else {
        push_to_queue(batch, slot);
    }
    atomic_fetch_sub_explicit(entry, 1, memory_order_release);
}

/* --- the thread ------------------------------------------------------------------------------ */

static bool is_wanted_locked(const struct batch *batch, uint64_t count, int64_t now)
{
    uint64_t head = atomic_load_explicit(&batch->head, memory_order_relaxed);
    return count > 0 && (count >= batch->options.size || now >= batch->due ||
                         batch->flush_to > head || batch->closing_at != NEVER);
}

/* Exports once, without the lock; or, when it is too late, throws away. */
static void work_locked(struct batch *batch)
{
    int64_t closing_at = batch->closing_at;
    bool thrown = batch->given_up || clock_real_now() >= closing_at;
    struct telemetry_result result = {0};
    pthread_mutex_unlock(&batch->lock);
    size_t count = take(batch);
    int64_t deadline = export_deadline(batch);
    if (count == 0)
        (void)sched_yield(); /* for who is about to put a slot there */
    else if (thrown)
        span_slots_give(batch->taken, count);
    else
        export_slots(batch, batch->taken, count, deadline < closing_at ? deadline : closing_at,
                     &result);
    pthread_mutex_lock(&batch->lock);
    if (thrown && !batch->abandoned) {
        atomic_fetch_add(&batch->lost_at_end, count);
        batch->settled = atomic_load_explicit(&batch->head, memory_order_relaxed);
    } else if (count > 0)
        settle_locked(batch, &result, count);
    batch->done = atomic_load_explicit(&batch->head, memory_order_relaxed);
    batch->due =
        waiting(batch) > 0 ? clock_after_ms(clock_real_now(), batch->options.delay_ms) : NEVER;
    pthread_cond_broadcast(&batch->progress);
}

static void sleep_locked(struct batch *batch, uint64_t count)
{
    if (count > 0 && batch->due == NEVER)
        batch->due = clock_after_ms(clock_real_now(), batch->options.delay_ms);
    atomic_store(&batch->state, count > 0 ? DOZES : SLEEPS);
    if (waiting(batch) < (count > 0 ? batch->options.size : 1))
        (void)thread_cond_wait_until(&batch->wake, &batch->lock, count > 0 ? batch->due : NEVER);
    atomic_store(&batch->state, AWAKE);
}

static void *body(void *arg)
{
    struct batch *batch = arg;
    thread_name_self("spans");
    pthread_mutex_lock(&batch->lock);
    for (;;) {
        uint64_t count = waiting(batch);
        if (count == 0 && batch->closing_at != NEVER)
            break;
        if (is_wanted_locked(batch, count, clock_real_now()))
            work_locked(batch);
        else
            sleep_locked(batch, count);
    }
    batch->ended = true;
    pthread_cond_broadcast(&batch->progress);
    pthread_mutex_unlock(&batch->lock);
    return NULL;
}

static void wake_thread_locked(struct batch *batch)
{
    atomic_store(&batch->state, AWAKE);
    pthread_cond_signal(&batch->wake);
}

/* --- flush and shutdown ---------------------------------------------------------------------- */

/* Waits until all up to a number are done, or the thread has ended. */
static bool wait_for_locked(struct batch *batch, uint64_t number, int64_t deadline_ns)
{
    while (batch->done < number && !batch->ended)
        if (!thread_cond_wait_until(&batch->progress, &batch->lock, deadline_ns))
            break;
    return batch->done >= number;
}

static uint64_t lost_by_export(const struct batch *batch)
{
    return atomic_load(&batch->lost_in_export) + atomic_load(&batch->rejected) +
           atomic_load(&batch->lost_at_end);
}

int batch_flush(struct batch *batch, int64_t deadline_ns)
{
    if (batch->options.simple)
        return 0;
    uint64_t number = atomic_load(&batch->tail), lost = lost_by_export(batch);
    pthread_mutex_lock(&batch->lock);
    if (batch->flush_to < number)
        batch->flush_to = number;
    wake_thread_locked(batch);
    bool done = wait_for_locked(batch, number, deadline_ns);
    pthread_mutex_unlock(&batch->lock);
    return !done ? -ETIMEDOUT : lost_by_export(batch) != lost ? -EIO : 0;
}

static bool give_up_locked(struct batch *batch)
{
    batch->given_up = true;
    return interrupt_until_locked(batch->options.exporter, &batch->lock, &batch->progress,
                                  &batch->ended, interrupt_limit(batch->options.last_words_ms));
}

/* The exporter has not returned; the thread may be about to say something, though. */
static void abandon_locked(struct batch *batch)
{
    int64_t limit = clock_real_now() + interrupt_limit(batch->options.last_words_ms);
    while (batch->telling && thread_cond_wait_until(&batch->progress, &batch->lock, limit))
        ;
    atomic_store(&batch->abandoned, true);
    atomic_fetch_add(&batch->lost_at_end, atomic_load(&batch->tail) - batch->settled);
}

static int end_thread(struct batch *batch, int64_t deadline_ns)
{
    pthread_mutex_lock(&batch->lock);
    batch->closing_at = deadline_ns < NEVER ? deadline_ns : NEVER - 1;
    wake_thread_locked(batch);
    while (!batch->ended && thread_cond_wait_until(&batch->progress, &batch->lock, deadline_ns))
        ;
    bool late = !batch->ended, ended = !late || give_up_locked(batch);
    if (!ended)
        abandon_locked(batch);
    pthread_mutex_unlock(&batch->lock);
    batch->joined = thread_part_with(batch->thread, ended, NS_PER_S);
    return !batch->joined ? -EBUSY : late ? -ETIMEDOUT : 0;
}

/* Waits for all who have entered before. False: some have not left in time. */
static bool await_entered(struct batch *batch, int64_t deadline_ns)
{
    for (size_t i = 0; i < ENTRIES; i++)
        while (atomic_load_explicit(&batch->entries[i].inside, memory_order_acquire) > 0) {
            if (clock_real_now() >= deadline_ns)
                return false;
            (void)sched_yield(); /* moments; without a queue, as long as an export */
        }
    return true;
}

/* Without a queue, who has entered exports. */
static int end_simply(struct batch *batch, int64_t deadline_ns)
{
    if (await_entered(batch, deadline_ns))
        return 0;
    int64_t limit = clock_real_now() + interrupt_limit(batch->options.last_words_ms);
    while (clock_real_now() < limit) {
        interrupt_call(batch->options.exporter);
        if (await_entered(batch, clock_real_now() + INTERRUPT_EVERY))
            return -ETIMEDOUT;
    }
    atomic_store(&batch->abandoned, true);
    return -EBUSY;
}

int batch_shutdown(struct batch *batch, int64_t deadline_ns)
{
    uint64_t lost = lost_by_export(batch);
    atomic_store(&batch->closed, true);
    if (!batch->options.simple)
        (void)await_entered(batch, deadline_ns);
    int rc =
        batch->options.simple ? end_simply(batch, deadline_ns) : end_thread(batch, deadline_ns);
    uint64_t untold;
    if (claim_losses(batch, true, &untold))
        tell(batch, untold, NULL);
    return rc == 0 && lost_by_export(batch) != lost ? -EIO : rc;
}

struct batch *batch_free(struct batch *batch)
{
    if (batch == NULL)
        return NULL;
    if (atomic_load(&batch->abandoned) || (!batch->joined && !batch->options.simple))
        return batch;
    (void)await_entered(batch, NEVER);
    batch->options.exporter->free(batch->options.exporter);
    gather_free(&batch->gather);
    (void)pthread_cond_destroy(&batch->wake);
    (void)pthread_cond_destroy(&batch->progress);
    (void)pthread_mutex_destroy(&batch->lock);
    free(batch->cells);
    free(batch->taken);
    free(batch);
    return NULL;
}

void batch_stats(struct batch *batch, struct batch_stats *out)
{
    *out = (struct batch_stats){
        .missed = atomic_load(&batch->missed),
        .taken = atomic_load(&batch->tail),
        .dropped = atomic_load(&batch->dropped),
        .exported = atomic_load(&batch->exported),
        .rejected = atomic_load(&batch->rejected),
        .lost_in_export = atomic_load(&batch->lost_in_export),
        .lost_at_end = atomic_load(&batch->lost_at_end),
        .late = atomic_load(&batch->late),
    };
}

static int make_queue(struct batch *batch)
{
    uint64_t cells = 2;
    while (cells < batch->options.queue)
        cells *= 2;
    batch->mask = cells - 1;
    batch->cells = calloc(cells, sizeof batch->cells[0]);
    batch->taken = calloc(batch->options.size, sizeof batch->taken[0]);
    if (batch->cells == NULL || batch->taken == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < cells; i++)
        atomic_init(&batch->cells[i].turn, i);
    return 0;
}

static int start(struct batch *batch, srun_err *err)
{
    int rc = make_queue(batch);
    rc = rc < 0 ? rc : thread_cond_init(&batch->wake);
    rc = rc < 0 ? rc : thread_cond_init(&batch->progress);
    if (rc == 0 && !batch->options.simple)
        rc = thread_start_deaf(&batch->thread, body, batch);
    return rc < 0 ? srun_fail(err, rc, "spans: %s", srun_strerror(rc)) : 0;
}

int batch_new(struct batch **out, const struct batch_options *options, srun_err *err)
{
    if (options->queue < 1 || options->size < 1 || options->size > options->queue)
        return srun_fail(err, -EINVAL, "spans: a batch of %u from a queue of %u", options->size,
                         options->queue);
    struct batch *batch = aligned_alloc(LINE, (sizeof *batch + LINE - 1) / LINE * LINE);
    if (batch == NULL)
        return srun_fail(err, -ENOMEM, "spans: out of memory");
    *batch = (struct batch){.options = *options, .due = NEVER, .closing_at = NEVER};
    (void)pthread_mutex_init(&batch->lock, NULL);
    int rc = start(batch, err);
    if (rc < 0) {
        free(batch->cells);
        free(batch->taken);
        free(batch);
        return rc;
    }
    *out = batch;
    return 0;
}
