/* SPDX-License-Identifier: MIT */
#include "telemetry/gather.h"

#include "telemetry/items.h"
#include "telemetry/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct needs {
    size_t kvs, events, links, texts;
};

static struct needs count_needs(const uint32_t *slots, size_t count)
{
    struct needs needs = {0};
    for (size_t i = 0; i < count; i++) {
        const struct slot *slot = span_slots_at(slots[i]);
        needs.texts += slot->context.tracestate != 0;
        needs.kvs++; /* the end of the span's own */
        for (const struct item *item = items_next(slot, NULL); item != NULL;
             item = items_next(slot, item)) {
            needs.kvs++; /* itself, or the end of its own */
            needs.events += item->kind == ITEM_EVENT;
            needs.links += item->kind == ITEM_LINK;
            needs.texts += item->kind == ITEM_LINK && items_linked(item)->tracestate != 0;
        }
    }
    return needs;
}

static bool grow(void **array, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room && *array != NULL)
        return true;
    wanted += wanted / 2 + 1;
    free(*array); /* nothing in it is kept */
    *room = 0;
    *array = calloc(wanted, size);
    *room = *array != NULL ? wanted : 0;
    return *array != NULL;
}

#define GROW(array, room, wanted)                                                                  \
    grow((void **)&gather->array, &gather->room, (wanted), sizeof *gather->array)

/* Where the next one of each goes. */
struct pen {
    struct srun_kv *kv;
    struct telemetry_event *event;
    struct telemetry_link *link;
    char *text;
};

static const char *write_state(struct pen *pen, uint64_t tracestate)
{
    if (tracestate == 0)
        return "";
    const char *text = pen->text;
    pen->text += texts_read(tracestate, pen->text, SRUN_TRACESTATE_MAX + 1) + 1;
    return text;
}

static void end_kvs(struct pen *pen)
{
    *pen->kv++ = SRUN_KV_END_;
}

static void write_attributes(struct pen *pen, const struct slot *slot, struct telemetry_span *span)
{
    span->attributes = pen->kv;
    for (const struct item *item = items_next(slot, NULL); item != NULL;
         item = items_next(slot, item))
        if (item->kind == ITEM_ATTRIBUTE)
            *pen->kv++ = items_kv(item);
    end_kvs(pen);
}

static const struct srun_kv *write_parts(struct pen *pen, const struct slot *slot,
                                         const struct item *item)
{
    const struct srun_kv *first = pen->kv;
    while ((item = items_next(slot, item)) != NULL &&
           (item->kind == ITEM_PART || item->kind == ITEM_DEAD || item->kind == ITEM_ATTRIBUTE))
        if (item->kind == ITEM_PART)
            *pen->kv++ = items_kv(item);
    end_kvs(pen);
    return first;
}

static void write_link(struct pen *pen, const struct slot *slot, const struct item *item)
{
    const struct srun_span_context *to = items_linked(item);
    struct telemetry_link *link = pen->link++;
    *link = (struct telemetry_link){
        .tracestate = write_state(pen, to->tracestate),
        .flags = (to->flags & 0xff) | 0x100 | (to->flags & SRUN_TRACE_REMOTE ? 0x200 : 0),
        .attributes = write_parts(pen, slot, item),
        .dropped_attributes = item->dropped,
    };
    memcpy(link->trace_id, to->trace_id, sizeof link->trace_id);
    memcpy(link->span_id, to->span_id, sizeof link->span_id);
}

static void write_events_and_links(struct pen *pen, const struct slot *slot,
                                   struct telemetry_span *span)
{
    span->events = pen->event;
    span->links = pen->link;
    for (const struct item *item = items_next(slot, NULL); item != NULL;
         item = items_next(slot, item)) {
        if (item->kind == ITEM_EVENT)
            *pen->event++ = (struct telemetry_event){.time_ns = (uint64_t)item->value.i,
                                                     .name = item->data,
                                                     .attributes = write_parts(pen, slot, item),
                                                     .dropped_attributes = item->dropped};
        else if (item->kind == ITEM_LINK)
            write_link(pen, slot, item);
    }
    span->event_count = (size_t)(pen->event - span->events);
    span->link_count = (size_t)(pen->link - span->links);
}

static void write_span(struct pen *pen, const struct slot *slot, struct telemetry_span *span)
{
    *span = (struct telemetry_span){
        .scope = slot->scope,
        .tracestate = write_state(pen, slot->context.tracestate),
        .flags = (slot->context.flags & 0xff) | slot->parent_flags,
        .name = slot->name,
        .kind = slot->kind,
        .start_ns = (uint64_t)slot->start_ns,
        .end_ns = (uint64_t)slot->end_ns,
        .dropped_attributes = slot->dropped_attributes,
        .dropped_events = slot->dropped_events,
        .dropped_links = slot->dropped_links,
        .status = slot->status,
        .status_text = slot->status_text,
    };
    memcpy(span->trace_id, slot->context.trace_id, sizeof span->trace_id);
    memcpy(span->span_id, slot->context.span_id, sizeof span->span_id);
    memcpy(span->parent_span_id, slot->parent_span_id, sizeof span->parent_span_id);
    write_attributes(pen, slot, span);
    write_events_and_links(pen, slot, span);
}

int gather_spans(struct gather *gather, const uint32_t *slots, size_t count)
{
    const struct needs needs = count_needs(slots, count);
    if (!GROW(spans, span_room, count) || !GROW(kvs, kv_room, needs.kvs) ||
        !GROW(events, event_room, needs.events) || !GROW(links, link_room, needs.links) ||
        !GROW(texts, text_room, needs.texts * (SRUN_TRACESTATE_MAX + 1)))
        return -ENOMEM;
    struct pen pen = {gather->kvs, gather->events, gather->links, gather->texts};
    for (size_t i = 0; i < count; i++)
        write_span(&pen, span_slots_at(slots[i]), &gather->spans[i]);
    return 0;
}

void gather_free(struct gather *gather)
{
    free(gather->spans);
    free(gather->kvs);
    free(gather->events);
    free(gather->links);
    free(gather->texts);
    *gather = (struct gather){0};
}
