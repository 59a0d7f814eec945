/* SPDX-License-Identifier: MIT
 *
 * A log record on its way to the exporter: one piece of memory with the record, its key-values and
 * all their texts. Who logs does no more than copy; who exports drops what a later value of the
 * same key has replaced, applies the limits and finds the name of an event. PURE.
 */
#ifndef TELEMETRY_LOG_ITEM_H
#define TELEMETRY_LOG_ITEM_H

#include "telemetry/export.h"

#define LOG_ITEM_MAX (64 * 1024)      /* of all of it; what does not fit is dropped, and counted */
#define LOG_ITEM_BODY_MAX (32 * 1024) /* a longer body is cut */
#define LOG_ITEM_KVS_MAX 1024
#define LOG_ITEM_LISTS 3

#define LOG_EVENT_KEY "event.name"

/* A record as it is written, borrowed. */
struct log_given {
    struct telemetry_log log; /* without attributes and event name; the body needs no NUL */
    size_t body_size;
    const struct srun_kv *lists[LOG_ITEM_LISTS]; /* its attributes; each may be NULL */
};

struct log_limits {
    uint32_t attributes;
    uint32_t value_length; /* of a text, in characters; UINT32_MAX: none */
};

/* The bytes that a copy needs, at most LOG_ITEM_MAX. */
size_t log_item_size(const struct log_given *given);

/* Copies to memory of that size, aligned to 16. A text that grew since then is left out. */
void log_item_fill(void *memory, size_t size, const struct log_given *given);

/* Once: as the exporter takes it; lies within the memory. */
const struct telemetry_log *log_item_finish(void *memory, const struct log_limits *limits);

#endif
