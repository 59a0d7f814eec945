/* SPDX-License-Identifier: MIT
 *
 * What stands in a slot: attributes, events and links, one after another in the order in which they
 * came, each in one piece; texts are copied. An event's or a link's attributes follow it. The
 * slot is held, or belongs to who exports it.
 */
#ifndef TELEMETRY_ITEMS_H
#define TELEMETRY_ITEMS_H

#include "telemetry/span_slots.h"

enum item_kind { ITEM_DEAD, ITEM_ATTRIBUTE, ITEM_EVENT, ITEM_LINK, ITEM_PART };

struct item {
    uint16_t size; /* of all, a multiple of 8 */
    uint8_t kind, type;
    uint16_t key_size, dropped; /* dropped: attributes of an event or a link */
    union {
        int64_t i; /* of an event: its time */
        uint64_t u;
        double d;
    } value;     /* of a text: its size, or ITEM_NULL */
    char data[]; /* the key or name and a NUL; then the text and a NUL, or what is linked to */
};

#define ITEM_NULL UINT64_MAX

struct limits {
    uint32_t attributes, events, links;         /* of a span */
    uint32_t event_attributes, link_attributes; /* of each */
    uint32_t value_length;                      /* of a text, in characters; UINT32_MAX: none */
};

/* Makes the slot empty. */
void items_begin(struct slot *slot);

/* Copies a text for the name or the status; what is there is overwritten when it fits. Cut when it
 * is long; when there is no room, dropped and counted as an attribute. */
void items_text(struct slot *slot, const char **place, const char *text);

void items_attributes(struct slot *slot, const struct limits *limits, const struct srun_kv *kvs);
void items_event(struct slot *slot, const struct limits *limits, const char *name, int64_t time_ns,
                 const struct srun_kv *kvs);
void items_link(struct slot *slot, const struct limits *limits, const struct srun_span_context *to,
                const struct srun_kv *kvs);

/* From one to the next, from NULL to the first; NULL: there are no more. */
const struct item *items_next(const struct slot *slot, const struct item *item);

/* As a key-value whose texts lie in the slot. */
struct srun_kv items_kv(const struct item *item);
const struct srun_span_context *items_linked(const struct item *item);

#endif
