/* SPDX-License-Identifier: MIT
 *
 * An exporter that keeps what it is given, as text that tests compare; or, on demand, only counts,
 * waits, or loses. Threads: any.
 */
#ifndef TESTS_KEPT_SPANS_H
#define TESTS_KEPT_SPANS_H

#include "telemetry/export.h"

#include <pthread.h>
#include <stdatomic.h>

struct kept_span {
    char name[600], scope[64], tracestate[520], status_text[520];
    uint8_t trace_id[16], span_id[8], parent_span_id[8];
    uint32_t flags, dropped_attributes, dropped_events, dropped_links;
    int kind, status;
    uint64_t start_ns, end_ns;
    size_t attribute_count, event_count, link_count;
    char *attributes; /* key=value key=value; texts in quotes */
    char *events;     /* name{key=value} name{} */
    char *links;      /* span id{key=value} */
    uint64_t first_event_ns;
};

struct kept_spans {
    struct telemetry_exporter exporter; /* first */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kept_span *spans;
    size_t count, capacity;
    unsigned calls;
    size_t largest;   /* batch */
    bool counts_only; /* nothing but the ids is kept */
    bool closed;      /* calls wait until kept_spans_open, or their deadline */
    bool interrupted;
    unsigned too_early;  /* so many interrupts do nothing, as before there is a call */
    bool deaf;           /* a call waits whatever its deadline says, and interrupt too */
    size_t lose, reject; /* of each call, so many */
    _Atomic bool freed;
};

void kept_spans_init(struct kept_spans *kept);
void kept_spans_destroy(struct kept_spans *kept);
void kept_spans_close(struct kept_spans *kept);
void kept_spans_open(struct kept_spans *kept);
/* Waits until an export has begun. */
void kept_spans_await_call(struct kept_spans *kept, unsigned calls);
/* The one of this name that was ended first, or NULL. */
const struct kept_span *kept_spans_find(struct kept_spans *kept, const char *name);
size_t kept_spans_count(struct kept_spans *kept);

#endif
