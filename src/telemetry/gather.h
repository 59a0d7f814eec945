/* SPDX-License-Identifier: MIT
 *
 * Slots as the plain data that an exporter takes: arrays that are reused from batch to batch and
 * grow to what the largest one needed; all texts stay in the slots. Threads: one at a time.
 */
#ifndef TELEMETRY_GATHER_H
#define TELEMETRY_GATHER_H

#include "telemetry/span_slots.h"

struct gather {
    struct telemetry_span *spans;
    struct srun_kv *kvs;
    struct telemetry_event *events;
    struct telemetry_link *links;
    char *texts; /* tracestates */
    size_t span_room, kv_room, event_room, link_room, text_room;
};

/* What is gathered is valid until the next call. 0 or -ENOMEM. */
int gather_spans(struct gather *gather, const uint32_t *slots, size_t count);
void gather_free(struct gather *gather);

#endif
