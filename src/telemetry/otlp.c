/* SPDX-License-Identifier: MIT
 *
 * What all three signals share (resource, scopes, attributes), and spans and log records. The
 * numbers are the field numbers of opentelemetry-proto, which OTLP 1.x never changes. Any thread.
 */
#include "telemetry/otlp.h"

#include "base/ensure.h"
#include "base/wire.h"

#include <stdio.h>
#include <string.h>

/* So many scopes are grouped wherever their items stand; of more, only neighbours are. */
#define SCOPES_MAX 64

static void value_text(struct buf *out, const char *text)
{
    if (text != NULL)
        wire_text_always(out, 1, text, strlen(text));
}

static void value_counted(struct buf *out, const char *text, size_t size)
{
    if (wire_is_utf8(text, size))
        wire_bytes_always(out, 1, text, size);
    else
        wire_bytes_always(out, 7, text, size);
}

static void value_uint(struct buf *out, uint64_t value)
{
    char text[24];
    if (value <= INT64_MAX) {
        wire_uint_always(out, 3, value);
        return;
    }
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    wire_bytes_always(out, 1, text, (size_t)size);
}

/* The fields of an AnyValue. */
static void value_fields(struct buf *out, const struct srun_kv *kv)
{
    switch (kv->type) {
    case SRUN_KV_STR:
        value_text(out, kv->value.str);
        break;
    case SRUN_KV_BYTES:
        value_counted(out, kv->value.str, kv->size);
        break;
    case SRUN_KV_INT:
    case SRUN_KV_DURATION:
        wire_uint_always(out, 3, (uint64_t)kv->value.i);
        break;
    case SRUN_KV_UINT:
        value_uint(out, kv->value.u);
        break;
    case SRUN_KV_DOUBLE:
        wire_double_always(out, 4, kv->value.d);
        break;
    case SRUN_KV_BOOL:
        wire_uint_always(out, 2, kv->value.i != 0);
        break;
    case SRUN_KV_ERRNO:
        value_text(out, srun_strerror((int)kv->value.i));
        break;
    default: /* SRUN_KV_END is no attribute; a type that this library does not know has no value */
        break;
    }
}

/* Plain text, as most are: false when it is anything else. */
static bool add_plain(struct buf *out, uint32_t field, const struct srun_kv *kv, size_t key_size)
{
    if (kv->type != SRUN_KV_STR || kv->value.str == NULL || !wire_is_utf8(kv->key, key_size))
        return false;
    size_t size = strlen(kv->value.str);
    if (!wire_is_utf8(kv->value.str, size))
        return false;
    wire_pair(out, field, kv->key, key_size, kv->value.str, size);
    return true;
}

void otlp_attributes(struct buf *out, uint32_t field, const struct srun_kv *attributes)
{
    for (const struct srun_kv *kv = attributes; kv != NULL && kv->type != SRUN_KV_END; kv++) {
        if (kv->key == NULL || kv->key[0] == '\0')
            continue;
        size_t key_size = kv->key_size > 0 ? kv->key_size : strlen(kv->key);
        if (add_plain(out, field, kv, key_size))
            continue;
        struct wire_mark pair = wire_open(out, field, 1);
        wire_text_always(out, 1, kv->key, key_size);
        struct wire_mark value = wire_open(out, 2, 1);
        value_fields(out, kv);
        wire_close(out, value);
        wire_close(out, pair);
    }
}

void otlp_id(struct buf *out, uint32_t field, const uint8_t *id, size_t size)
{
    static const uint8_t none[16];
    ENSURE(size <= sizeof none);
    if (memcmp(id, none, size) != 0)
        wire_bytes_always(out, field, id, size);
}

void otlp_resource(struct otlp_resource *out, const struct telemetry_resource *resource)
{
    *out = (struct otlp_resource){0};
    struct wire_mark mark = wire_open(&out->resource, 1, 2);
    otlp_attributes(&out->resource, 1, resource != NULL ? resource->attributes : NULL);
    wire_close(&out->resource, mark);
    wire_text(&out->schema_url, 3, resource != NULL ? resource->schema_url : NULL);
}

void otlp_resource_free(struct otlp_resource *resource)
{
    buf_free(&resource->resource);
    buf_free(&resource->schema_url);
}

/* --- grouping by scope -------------------------------------------------------------------------
 */

static const void *item_at(const struct otlp_items *items, size_t index)
{
    return (const char *)items->first + index * items->stride;
}

static const struct telemetry_scope *scope_at(const struct otlp_items *items, size_t index)
{
    static const struct telemetry_scope nobody = {"", "", ""};
    const struct telemetry_scope *const *first = item_at(items, index);
    const struct telemetry_scope *scope = *first;
    return scope != NULL ? scope : &nobody;
}

static bool same_text(const char *one, const char *other)
{
    return strcmp(one != NULL ? one : "", other != NULL ? other : "") == 0;
}

static bool same_scope(const struct telemetry_scope *one, const struct telemetry_scope *other)
{
    return one == other ||
           (same_text(one->name, other->name) && same_text(one->version, other->version) &&
            same_text(one->schema_url, other->schema_url));
}

struct scopes_seen {
    const struct telemetry_scope *scopes[SCOPES_MAX];
    size_t count;
};

static bool seen_before(const struct scopes_seen *seen, const struct telemetry_scope *scope)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (same_scope(seen->scopes[i], scope))
            return true;
    }
    return false;
}

/* The items of the scope of the item `from`: all that follow, or the neighbours only. Answers where
 * the neighbours end. */
static size_t encode_scope(struct buf *out, const struct otlp_items *items, size_t from, bool all)
{
    const struct telemetry_scope *scope = scope_at(items, from);
    struct wire_mark group = wire_open(out, 2, 3);
    struct wire_mark who = wire_open(out, 1, 1);
    wire_text(out, 1, scope->name);
    wire_text(out, 2, scope->version);
    wire_close(out, who);
    size_t end = from;
    for (size_t i = from; i < items->count; i++) {
        bool same = same_scope(scope_at(items, i), scope);
        if (!same && !all)
            break;
        if (same) {
            items->encode(out, item_at(items, i));
            end = end == i ? i + 1 : end;
        }
    }
    wire_text(out, 3, scope->schema_url);
    wire_close(out, group);
    return end;
}

void otlp_request(struct buf *out, const struct otlp_resource *resource,
                  const struct otlp_items *items)
{
    if (items->count == 0)
        return;
    struct scopes_seen seen;
    seen.count = 0;
    out->failed = out->failed || resource->resource.failed || resource->schema_url.failed;
    struct wire_mark mark = wire_open(out, 1, 3);
    buf_add(out, resource->resource.data, resource->resource.size);
    for (size_t i = 0; i < items->count;) {
        const struct telemetry_scope *scope = scope_at(items, i);
        if (seen_before(&seen, scope)) {
            i++;
            continue;
        }
        bool remembered = seen.count < SCOPES_MAX;
        if (remembered)
            seen.scopes[seen.count++] = scope;
        i = encode_scope(out, items, i, remembered);
    }
    buf_add(out, resource->schema_url.data, resource->schema_url.size);
    wire_close(out, mark);
}

/* --- spans ----------------------------------------------------------------------------------- */

static void encode_event(struct buf *out, const struct telemetry_event *event)
{
    struct wire_mark mark = wire_open(out, 11, 1);
    wire_fixed64(out, 1, event->time_ns);
    wire_text(out, 2, event->name);
    otlp_attributes(out, 3, event->attributes);
    wire_uint(out, 4, event->dropped_attributes);
    wire_close(out, mark);
}

static void encode_link(struct buf *out, const struct telemetry_link *link)
{
    struct wire_mark mark = wire_open(out, 13, 1);
    otlp_id(out, 1, link->trace_id, sizeof link->trace_id);
    otlp_id(out, 2, link->span_id, sizeof link->span_id);
    wire_text(out, 3, link->tracestate);
    otlp_attributes(out, 4, link->attributes);
    wire_uint(out, 5, link->dropped_attributes);
    wire_fixed32(out, 6, link->flags);
    wire_close(out, mark);
}

static void encode_status(struct buf *out, const struct telemetry_span *span)
{
    if (span->status == 0)
        return;
    struct wire_mark mark = wire_open(out, 15, 1);
    if (span->status == 2) /* the specification knows no description of anything else */
        wire_text(out, 2, span->status_text);
    wire_uint(out, 3, (uint64_t)span->status);
    wire_close(out, mark);
}

static void encode_span(struct buf *out, const void *item)
{
    const struct telemetry_span *span = item;
    struct wire_mark mark = wire_open(out, 2, 2);
    otlp_id(out, 1, span->trace_id, sizeof span->trace_id);
    otlp_id(out, 2, span->span_id, sizeof span->span_id);
    wire_text(out, 3, span->tracestate);
    otlp_id(out, 4, span->parent_span_id, sizeof span->parent_span_id);
    wire_text(out, 5, span->name);
    wire_uint(out, 6, (uint64_t)span->kind);
    wire_fixed64(out, 7, span->start_ns);
    wire_fixed64(out, 8, span->end_ns);
    otlp_attributes(out, 9, span->attributes);
    wire_uint(out, 10, span->dropped_attributes);
    for (size_t i = 0; i < span->event_count; i++)
        encode_event(out, &span->events[i]);
    wire_uint(out, 12, span->dropped_events);
    for (size_t i = 0; i < span->link_count; i++)
        encode_link(out, &span->links[i]);
    wire_uint(out, 14, span->dropped_links);
    encode_status(out, span);
    wire_fixed32(out, 16, span->flags);
    wire_close(out, mark);
}

void otlp_spans(struct buf *out, const struct otlp_resource *resource,
                const struct telemetry_span *spans, size_t count)
{
    otlp_request(out, resource, &(struct otlp_items){spans, count, sizeof *spans, encode_span});
}

/* --- logs ------------------------------------------------------------------------------------ */

static void encode_log(struct buf *out, const void *item)
{
    const struct telemetry_log *log = item;
    struct wire_mark mark = wire_open(out, 2, 2);
    wire_fixed64(out, 1, log->time_ns);
    wire_uint(out, 2, (uint64_t)log->severity);
    wire_text(out, 3, log->severity_text);
    if (log->body != NULL) {
        struct wire_mark body = wire_open(out, 5, 1);
        wire_text_always(out, 1, log->body, strlen(log->body));
        wire_close(out, body);
    }
    otlp_attributes(out, 6, log->attributes);
    wire_uint(out, 7, log->dropped_attributes);
    wire_fixed32(out, 8, log->flags);
    otlp_id(out, 9, log->trace_id, sizeof log->trace_id);
    otlp_id(out, 10, log->span_id, sizeof log->span_id);
    wire_fixed64(out, 11, log->observed_ns);
    wire_text(out, 12, log->event_name);
    wire_close(out, mark);
}

void otlp_logs(struct buf *out, const struct otlp_resource *resource,
               const struct telemetry_log *logs, size_t count)
{
    otlp_request(out, resource, &(struct otlp_items){logs, count, sizeof *logs, encode_log});
}

_Static_assert(offsetof(struct telemetry_span, scope) == 0, "otlp_items wants the scope first");
_Static_assert(offsetof(struct telemetry_metric, scope) == 0, "otlp_items wants the scope first");
_Static_assert(offsetof(struct telemetry_log, scope) == 0, "otlp_items wants the scope first");
