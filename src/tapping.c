/* SPDX-License-Identifier: MIT
 *
 * A bar for each span, in the row of the thread that has ended it. Bars of a row have to lie beside
 * or within each other, else Perfetto drops some: spans that overlap otherwise, such as those of
 * requests that one thread serves by turns, get further rows. Times are cut to whole microseconds
 * on both ends, so that what lies within another span still does.
 */
#include "tapping.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "runner.h"
#include "telemetry/tap.h"
#include "telemetry/w3c.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FURTHER_TID (1 << 24) /* of further rows: no thread has such a number */
#define NONE UINT32_MAX

struct bar {
    const struct tap_span *span;
    int64_t start_us, end_us;
    uint32_t row;
    uint32_t below; /* the bar of its row that it lies within, or NONE */
};

struct row {
    int tid;
    uint32_t number;    /* among those of the thread, from 0 */
    uint32_t top;       /* the innermost bar that has not ended yet, or NONE */
    const char *thread; /* its name */
};

struct chart {
    struct bar *bars;
    struct row *rows;
    uint32_t bar_count, row_count;
};

/* --- placing --------------------------------------------------------------------------------- */

/* By start; what lies within another bar comes behind it. */
static int by_start(const void *a, const void *b)
{
    const struct bar *left = a, *right = b;
    if (left->start_us != right->start_us)
        return left->start_us < right->start_us ? -1 : 1;
    if (left->end_us != right->end_us)
        return left->end_us > right->end_us ? -1 : 1;
    return left->span->number > right->span->number ? -1 : 1; /* who ends later is outside */
}

static bool fits(const struct chart *chart, struct row *row, const struct bar *bar)
{
    while (row->top != NONE && chart->bars[row->top].end_us <= bar->start_us)
        row->top = chart->bars[row->top].below;
    return row->top == NONE || chart->bars[row->top].end_us >= bar->end_us;
}

static void place(struct chart *chart, uint32_t index)
{
    struct bar *bar = &chart->bars[index];
    uint32_t number = 0, at = 0;
    for (; at < chart->row_count; at++) {
        if (chart->rows[at].tid != bar->span->tid)
            continue;
        if (fits(chart, &chart->rows[at], bar))
            break;
        number++;
    }
    struct row *row = &chart->rows[at];
    if (at == chart->row_count) {
        *row = (struct row){.tid = bar->span->tid, .number = number, .top = NONE};
        chart->row_count++;
    }
    row->thread = bar->span->thread;
    bar->row = at;
    bar->below = row->top;
    row->top = index;
}

static void fill(struct chart *chart, const struct tap *tap)
{
    for (size_t i = 0; i < TAP_SPANS; i++) {
        const struct tap_span *span = tap_at(tap, i);
        if (span == NULL)
            continue;
        int64_t start = span->start_ns / NS_PER_US, end = span->end_ns / NS_PER_US;
        chart->bars[chart->bar_count++] =
            (struct bar){.span = span, .start_us = start, .end_us = end > start ? end : start};
    }
    if (chart->bar_count > 0)
        qsort(chart->bars, chart->bar_count, sizeof chart->bars[0], by_start);
    for (uint32_t i = 0; i < chart->bar_count; i++)
        place(chart, i);
}

/* --- writing --------------------------------------------------------------------------------- */

static int64_t tid_of(const struct chart *chart, uint32_t row)
{
    return chart->rows[row].number == 0 ? chart->rows[row].tid : FURTHER_TID + (int64_t)row;
}

static void open_event(struct json *events, const char *kind, const char *name, int64_t tid)
{
    json_open(events, NULL, '{');
    json_str(events, "name", name);
    json_str(events, "ph", kind);
    json_int(events, "pid", getpid());
    json_int(events, "tid", tid);
}

static void put_row(struct json *events, const struct chart *chart, uint32_t index)
{
    const struct row *row = &chart->rows[index];
    char name[TAP_THREAD + 16];
    (void)snprintf(name, sizeof name, row->number > 0 ? "%s (%u)" : "%s", row->thread,
                   row->number + 1);
    open_event(events, "M", "thread_name", tid_of(chart, index));
    json_open(events, "args", '{');
    json_str(events, "name", name);
    json_close(events);
    json_close(events);
}

static void put_id(struct json *events, const char *key, const uint8_t *id, size_t size)
{
    char text[33];
    w3c_hex(text, id, size);
    json_str(events, key, text);
}

static void put_args(struct json *events, const struct tap_span *span)
{
    static const char *const kinds[] = {"", "internal", "server", "client", "producer", "consumer"};
    static const char *const states[] = {"unset", "ok", "error"};
    json_open(events, "args", '{');
    put_id(events, "trace_id", span->trace_id, sizeof span->trace_id);
    put_id(events, "span_id", span->span_id, sizeof span->span_id);
    if (!w3c_is_zero(span->parent_span_id, sizeof span->parent_span_id))
        put_id(events, "parent_span_id", span->parent_span_id, sizeof span->parent_span_id);
    json_str(events, "kind", kinds[span->kind]);
    json_str(events, "status", states[span->status]);
    json_int(events, "thread", span->tid);
    json_int(events, "duration_ns", span->end_ns - span->start_ns);
    json_close(events);
}

static void put_bar(struct json *events, const struct chart *chart, const struct bar *bar)
{
    const struct tap_span *span = bar->span;
    open_event(events, "X", span->name, tid_of(chart, bar->row));
    json_str(events, "cat", span->scope[0] != '\0' ? span->scope : "span");
    json_int(events, "ts", bar->start_us);
    json_int(events, "dur", bar->end_us - bar->start_us);
    put_args(events, span);
    json_close(events);
}

static int write_spans(const struct tap *tap, struct json *events)
{
    auto_free struct bar *bars = calloc(TAP_SPANS, sizeof bars[0]);
    auto_free struct row *rows = calloc(TAP_SPANS, sizeof rows[0]);
    struct chart chart = {.bars = bars, .rows = rows};
    if (bars == NULL || rows == NULL)
        return -ENOMEM;
    fill(&chart, tap);
    for (uint32_t i = 0; i < chart.row_count; i++)
        put_row(events, &chart, i);
    for (uint32_t i = 0; i < chart.bar_count; i++)
        put_bar(events, &chart, &bars[i]);
    return 0;
}

/* --- taking ---------------------------------------------------------------------------------- */

static void wait_until(int64_t until_ns, int cancel_fd)
{
    struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
    int64_t left;
    while ((left = until_ns - clock_real_now()) > 0)
        if (poll(&cancel, 1, (int)(left / NS_PER_MS) + 1) > 0)
            return;
}

int tapping_take(srun_runner *runner, int64_t span_ns, int cancel_fd, struct json *events,
                 uint64_t *missed, srun_err *err)
{
    struct tap *tap = NULL;
    if (runner->tracing.traces == NULL)
        return srun_fail(err, -ENOTSUP, "tracing is off: no spans are recorded");
    int rc = tap_open(&tap);
    if (rc == -EBUSY)
        return srun_fail(err, rc, "spans: %d others listen to them already", TAPS_MAX);
    if (rc < 0)
        return srun_fail(err, rc, "spans: out of memory");
    wait_until(clock_real_now() + span_ns, cancel_fd);
    tap_close(tap);
    *missed = tap_missed(tap);
    rc = write_spans(tap, events);
    tap_free(tap);
    return rc < 0 ? srun_fail(err, rc, "spans: out of memory") : 0;
}
