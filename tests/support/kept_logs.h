/* SPDX-License-Identifier: MIT
 *
 * An exporter that keeps the log records it is given, as text that tests compare; or, on demand,
 * only counts, waits, loses, or logs itself. Threads: any.
 */
#ifndef TESTS_KEPT_LOGS_H
#define TESTS_KEPT_LOGS_H

#include "telemetry/export.h"

#include <pthread.h>
#include <stdatomic.h>

struct kept_log {
    char scope[64], version[32], severity_text[32], event_name[64], body[600];
    char attributes[1200]; /* key=value key=value; texts in quotes */
    uint8_t trace_id[16], span_id[8];
    uint32_t flags, dropped_attributes;
    int severity;
    uint64_t time_ns, observed_ns;
};

struct kept_logs {
    struct telemetry_exporter exporter; /* first */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kept_log *logs;
    size_t count, capacity;
    unsigned calls;
    size_t largest;   /* batch */
    bool counts_only; /* and shows them to look, if there is one */
    bool closed;      /* calls wait until kept_logs_open, or their deadline */
    bool interrupted;
    unsigned too_early;  /* so many interrupts do nothing, as before there is a call */
    bool deaf;           /* a call waits whatever its deadline says, and interrupt too */
    size_t lose, reject; /* of each call, so many, or as many as there are */
    size_t lost;         /* of those calls, so far */
    srun_logger *talks;  /* each call logs to it */
    void (*look)(void *arg, const struct telemetry_log *log);
    void *arg;
    _Atomic bool freed;
};

void kept_logs_init(struct kept_logs *kept);
void kept_logs_destroy(struct kept_logs *kept);
void kept_logs_close(struct kept_logs *kept);
void kept_logs_open(struct kept_logs *kept);
/* Waits until an export has begun. */
void kept_logs_await_call(struct kept_logs *kept, unsigned calls);
size_t kept_logs_count(struct kept_logs *kept);
/* The first one with this body, or NULL. */
const struct kept_log *kept_logs_find(struct kept_logs *kept, const char *body);

#endif
