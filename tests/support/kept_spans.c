/* SPDX-License-Identifier: MIT */
#include "kept_spans.h"

#include "base/buf.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_kv(struct buf *out, const struct srun_kv *kv)
{
    buf_add(out, kv->key, kv->key_size);
    switch (kv->type) {
    case SRUN_KV_STR:
        buf_printf(out, kv->value.str != NULL ? "='%s'" : "=%s",
                   kv->value.str != NULL ? kv->value.str : "null");
        break;
    case SRUN_KV_BYTES:
        buf_printf(out, "='%.*s'", (int)kv->size, kv->value.str != NULL ? kv->value.str : "");
        break;
    case SRUN_KV_DOUBLE:
        buf_printf(out, "=%g", kv->value.d);
        break;
    case SRUN_KV_UINT:
        buf_printf(out, "=%llu", (unsigned long long)kv->value.u);
        break;
    default:
        buf_printf(out, "=%lld", (long long)kv->value.i);
    }
}

static size_t add_kvs(struct buf *out, const struct srun_kv *kvs)
{
    size_t count = 0;
    for (; kvs->type != SRUN_KV_END; kvs++, count++) {
        buf_add(out, " ", count > 0);
        add_kv(out, kvs);
    }
    return count;
}

static char *text_of(struct buf *buf)
{
    return buf->data != NULL ? buf->data : strdup("");
}

static void keep_events(struct kept_span *kept, const struct telemetry_span *span)
{
    struct buf text = {0};
    for (size_t i = 0; i < span->event_count; i++) {
        buf_printf(&text, "%s%s{", i > 0 ? " " : "", span->events[i].name);
        (void)add_kvs(&text, span->events[i].attributes);
        if (span->events[i].dropped_attributes > 0)
            buf_printf(&text, " -%u", span->events[i].dropped_attributes);
        buf_text(&text, "}");
    }
    kept->first_event_ns = span->event_count > 0 ? span->events[0].time_ns : 0;
    kept->events = text_of(&text);
}

static void keep_links(struct kept_span *kept, const struct telemetry_span *span)
{
    struct buf text = {0};
    for (size_t i = 0; i < span->link_count; i++) {
        buf_text(&text, i > 0 ? " " : "");
        for (int byte = 0; byte < 8; byte++)
            buf_printf(&text, "%02x", span->links[i].span_id[byte]);
        buf_printf(&text, "/%x{", span->links[i].flags);
        (void)add_kvs(&text, span->links[i].attributes);
        if (span->links[i].dropped_attributes > 0)
            buf_printf(&text, " -%u", span->links[i].dropped_attributes);
        buf_text(&text, "}");
    }
    kept->links = text_of(&text);
}

static void keep(struct kept_spans *all, const struct telemetry_span *span)
{
    if (all->count == all->capacity) {
        all->capacity = all->capacity * 2 + 64;
        all->spans = realloc(all->spans, all->capacity * sizeof all->spans[0]);
        if (all->spans == NULL)
            abort();
    }
    struct kept_span *kept = &all->spans[all->count++];
    memset(kept, 0, sizeof *kept);
    memcpy(kept->trace_id, span->trace_id, 16);
    memcpy(kept->span_id, span->span_id, 8);
    memcpy(kept->parent_span_id, span->parent_span_id, 8);
    if (all->counts_only)
        return;
    (void)snprintf(kept->name, sizeof kept->name, "%s", span->name);
    (void)snprintf(kept->scope, sizeof kept->scope, "%s", span->scope->name);
    (void)snprintf(kept->tracestate, sizeof kept->tracestate, "%s", span->tracestate);
    (void)snprintf(kept->status_text, sizeof kept->status_text, "%s", span->status_text);
    kept->flags = span->flags;
    kept->dropped_attributes = span->dropped_attributes;
    kept->dropped_events = span->dropped_events;
    kept->dropped_links = span->dropped_links;
    kept->kind = span->kind;
    kept->status = span->status;
    kept->start_ns = span->start_ns;
    kept->end_ns = span->end_ns;
    kept->event_count = span->event_count;
    kept->link_count = span->link_count;
    struct buf text = {0};
    kept->attribute_count = add_kvs(&text, span->attributes);
    kept->attributes = text_of(&text);
    keep_events(kept, span);
    keep_links(kept, span);
}

static bool wait_locked(struct kept_spans *kept, int64_t deadline_ns)
{
    while (kept->closed && (kept->deaf || !kept->interrupted))
        if (!thread_cond_wait_until(&kept->changed, &kept->lock,
                                    kept->deaf ? INT64_MAX : deadline_ns))
            return false;
    return !kept->closed;
}

static void take_spans(struct telemetry_exporter *exporter, const struct telemetry_span *spans,
                       size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    struct kept_spans *kept = (struct kept_spans *)exporter;
    pthread_mutex_lock(&kept->lock);
    kept->calls++;
    kept->largest = count > kept->largest ? count : kept->largest;
    pthread_cond_broadcast(&kept->changed);
    if (wait_locked(kept, deadline_ns)) {
        out->lost = kept->lose < count ? kept->lose : count;
        out->rejected = kept->reject < count - out->lost ? kept->reject : count - out->lost;
        out->accepted = count - out->lost - out->rejected;
        for (size_t i = 0; i < out->accepted; i++)
            keep(kept, &spans[i]);
    } else {
        out->lost = count;
        out->code = -ETIMEDOUT;
        (void)snprintf(out->text, sizeof out->text, "nobody came");
    }
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

static void interrupt(struct telemetry_exporter *exporter)
{
    struct kept_spans *kept = (struct kept_spans *)exporter;
    pthread_mutex_lock(&kept->lock);
    kept->interrupted = kept->too_early == 0;
    kept->too_early -= kept->too_early > 0;
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

static void free_it(struct telemetry_exporter *exporter)
{
    atomic_store(&((struct kept_spans *)exporter)->freed, true);
}

void kept_spans_init(struct kept_spans *kept)
{
    *kept = (struct kept_spans){
        .exporter = {.spans = take_spans, .interrupt = interrupt, .free = free_it}};
    (void)pthread_mutex_init(&kept->lock, NULL);
    (void)thread_cond_init(&kept->changed);
}

void kept_spans_destroy(struct kept_spans *kept)
{
    for (size_t i = 0; i < kept->count; i++) {
        free(kept->spans[i].attributes);
        free(kept->spans[i].events);
        free(kept->spans[i].links);
    }
    free(kept->spans);
    (void)pthread_cond_destroy(&kept->changed);
    (void)pthread_mutex_destroy(&kept->lock);
}

static void set_closed(struct kept_spans *kept, bool closed)
{
    pthread_mutex_lock(&kept->lock);
    kept->closed = closed;
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

void kept_spans_close(struct kept_spans *kept)
{
    set_closed(kept, true);
}

void kept_spans_open(struct kept_spans *kept)
{
    set_closed(kept, false);
}

void kept_spans_await_call(struct kept_spans *kept, unsigned calls)
{
    pthread_mutex_lock(&kept->lock);
    while (kept->calls < calls)
        (void)thread_cond_wait_until(&kept->changed, &kept->lock, INT64_MAX);
    pthread_mutex_unlock(&kept->lock);
}

const struct kept_span *kept_spans_find(struct kept_spans *kept, const char *name)
{
    const struct kept_span *found = NULL;
    pthread_mutex_lock(&kept->lock);
    for (size_t i = 0; found == NULL && i < kept->count; i++)
        if (strcmp(kept->spans[i].name, name) == 0)
            found = &kept->spans[i];
    pthread_mutex_unlock(&kept->lock);
    return found;
}

size_t kept_spans_count(struct kept_spans *kept)
{
    pthread_mutex_lock(&kept->lock);
    size_t count = kept->count;
    pthread_mutex_unlock(&kept->lock);
    return count;
}
