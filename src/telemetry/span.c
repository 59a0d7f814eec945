/* SPDX-License-Identifier: MIT
 *
 * Spans, as srun/trace.h promises them. A span that is recorded lies in a slot, which is held for
 * as long as a call writes to it; all others are only a context. Threads: any.
 */
#include "base/clock.h"
#include "base/sized.h"
#include "telemetry/self.h"
#include "telemetry/tap.h"
#include "telemetry/traces.h"
#include "telemetry/w3c.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define likely(x) __builtin_expect((x), 1)

static void misused(void)
{
    atomic_fetch_add_explicit(&traces_misused, 1, memory_order_relaxed);
}

static bool is_valid(const struct srun_span_context *context)
{
    uint64_t words[3];
    memcpy(words, context, sizeof words); /* both ids: they stand first */
    return (words[0] | words[1]) != 0 && words[2] != 0;
}

_Static_assert(offsetof(struct srun_span_context, trace_id) == 0 &&
                   offsetof(struct srun_span_context, span_id) == 16,
               "both ids stand first");

/* --- start ----------------------------------------------------------------------------------- */

/* Those of the caller, or, of another size, a copy; NULL: bad ones, as if there were none. */
static const struct srun_span_options *known_options(const struct srun_span_options *options,
                                                     struct srun_span_options *copy)
{
    if (likely(options == NULL || options->size == sizeof *options))
        return options;
    if (sized_copy(copy, sizeof *copy, 2 * sizeof(void *), options) == 0)
        return copy;
    misused();
    return NULL;
}

/* The parent, valid or not: its baggage counts. */
static const struct srun_span_context *parent_of(const struct srun_span_options *options)
{
    return options != NULL && options->parent != NULL ? options->parent : &telemetry_self.current;
}

static int64_t start_time(struct slot *slot, const struct srun_span_options *options)
{
    int64_t now = clock_real_now();
    bool given = options != NULL && options->start_ns != 0;
    slot->start_monotonic = given ? 0 : now;
    return given ? options->start_ns : self_unix(now);
}

static void fill(struct slot *slot, const srun_tracer *tracer, const char *name,
                 const struct srun_span_options *options, const struct srun_span_context *parent)
{
    const struct traces *traces = tracer->traces;
    items_begin(slot);
    slot->traces = tracer->traces;
    slot->scope = &tracer->scope;
    slot->kind = SRUN_SPAN_INTERNAL;
    slot->status = SRUN_SPAN_UNSET;
    slot->parent_flags = 0x100;
    memset(slot->parent_span_id, 0, sizeof slot->parent_span_id);
    if (parent != NULL) {
        memcpy(slot->parent_span_id, parent->span_id, sizeof slot->parent_span_id);
        slot->parent_flags |= parent->flags & SRUN_TRACE_REMOTE ? 0x200 : 0;
    }
    items_text(slot, &slot->name, name != NULL ? name : "");
    if (options != NULL) {
        if (options->kind > SRUN_SPAN_DEFAULT && options->kind <= SRUN_SPAN_CONSUMER)
            slot->kind = (uint8_t)options->kind;
        items_attributes(slot, &traces->limits, options->attributes);
        for (size_t i = 0; i < options->link_count; i++)
            items_link(slot, &traces->limits, &options->links[i].to, options->links[i].attributes);
    }
    slot->start_ns = start_time(slot, options);
}

/* Gives the span, which has its context, a slot; without one it is not sampled. */
static void record(srun_span *span, const srun_tracer *tracer, const char *name,
                   const struct srun_span_options *options, const struct srun_span_context *parent)
{
    struct traces *traces = tracer->traces;
    struct slot *slot = span_slots_take();
    if (slot == NULL) {
        batch_missed(traces->batch);
        span->context.flags &= ~(uint32_t)SRUN_TRACE_SAMPLED;
        return;
    }
    uint32_t generation = slot_generation(slot);
    slot->context = span->context;
    fill(slot, tracer, name, options, parent);
    span->slot = slot->index;
    span->generation = generation != 0 ? generation : 1;
    slot_publish(slot, span->generation);
}

static bool is_open(const srun_tracer *tracer)
{
    return tracer != NULL && tracer->traces->stamp == self_stamp() &&
           !atomic_load_explicit(&tracer->traces->closed, memory_order_relaxed);
}

static void count_start(struct traces *traces, bool sampled)
{
    unsigned shard = telemetry_self.number % TRACES_SHARDS;
    atomic_fetch_add_explicit(sampled ? &traces->counts[shard].sampled
                                      : &traces->counts[shard].unsampled,
                              1, memory_order_relaxed);
}

srun_span srun_span_start(srun_tracer *tracer, const char *name,
                          const struct srun_span_options *given)
{
    struct srun_span_options copy;
    const struct srun_span_options *options = known_options(given, &copy);
    const struct srun_span_context *parent = parent_of(options);
    bool is_root = (options != NULL && options->root != 0) || !is_valid(parent);
    srun_span span = {0};

    if (!is_open(tracer)) { /* what there is is handed on */
        if (options == NULL || options->root == 0)
            span.context = *parent;
        return span;
    }
    span.context.baggage = parent->baggage;
    if (is_root) {
        self_trace_id(span.context.trace_id);
        span.context.flags = SRUN_TRACE_RANDOM;
        parent = NULL;
    } else {
        memcpy(span.context.trace_id, parent->trace_id, sizeof span.context.trace_id);
        span.context.flags = parent->flags & SRUN_TRACE_RANDOM;
        span.context.tracestate = parent->tracestate;
    }
    bool sampled = sampler_decide(&tracer->traces->sampler, parent, span.context.trace_id);
    self_span_id(span.context.span_id);
    count_start(tracer->traces, sampled);
    if (!sampled)
        return span;
    span.context.flags |= SRUN_TRACE_SAMPLED;
    record(&span, tracer, name, options, parent);
    return span;
}

/* --- while it is recorded -------------------------------------------------------------------- */

static struct slot *hold(const srun_span *span)
{
    return span != NULL ? span_slots_hold(span->slot, span->generation) : NULL;
}

/* Steps of the wall clock do not show within a span. */
static int64_t now_in(const struct slot *slot)
{
    int64_t now = clock_real_now();
    return slot->start_monotonic != 0 ? slot->start_ns + (now - slot->start_monotonic)
                                      : self_unix(now);
}

void srun_span_set(const srun_span *span, const struct srun_kv *attributes)
{
    struct slot *slot = hold(span);
    if (slot == NULL)
        return;
    items_attributes(slot, &slot->traces->limits, attributes);
    slot_let_go(slot);
}

void srun_span_event_at(const srun_span *span, const char *name, const struct srun_kv *attributes,
                        int64_t unix_ns)
{
    struct slot *slot = hold(span);
    if (slot == NULL)
        return;
    items_event(slot, &slot->traces->limits, name != NULL ? name : "",
                unix_ns != 0 ? unix_ns : now_in(slot), attributes);
    slot_let_go(slot);
}

void srun_span_event(const srun_span *span, const char *name, const struct srun_kv *attributes)
{
    srun_span_event_at(span, name, attributes, 0);
}

void srun_span_link(const srun_span *span, const struct srun_span_context *to,
                    const struct srun_kv *attributes)
{
    struct slot *slot = to != NULL ? hold(span) : NULL;
    if (slot == NULL)
        return;
    items_link(slot, &slot->traces->limits, to, attributes);
    slot_let_go(slot);
}

static void set_status(struct slot *slot, srun_span_status status, const char *text)
{
    if (slot->status == SRUN_SPAN_OK || status == SRUN_SPAN_UNSET)
        return;
    slot->status = (uint8_t)status;
    items_text(slot, &slot->status_text, status == SRUN_SPAN_ERROR && text != NULL ? text : "");
}

void srun_span_set_status(const srun_span *span, srun_span_status status, const char *text)
{
    if ((unsigned)status > SRUN_SPAN_ERROR) {
        misused();
        return;
    }
    struct slot *slot = hold(span);
    if (slot == NULL)
        return;
    set_status(slot, status, text);
    slot_let_go(slot);
}

void srun_span_error(const srun_span *span, int code, const char *text)
{
    struct slot *slot = hold(span);
    if (slot == NULL)
        return;
    const char *type = srun_strerror(code), *message = text != NULL ? text : type;
    items_event(slot, &slot->traces->limits, "exception", now_in(slot),
                SRUN_KVS(SRUN_STR("exception.type", type), SRUN_STR("exception.message", message)));
    set_status(slot, SRUN_SPAN_ERROR, message);
    slot_let_go(slot);
}

void srun_span_rename(const srun_span *span, const char *name)
{
    struct slot *slot = name != NULL ? hold(span) : NULL;
    if (slot == NULL)
        return;
    items_text(slot, &slot->name, name);
    slot_let_go(slot);
}

void srun_span_end_at(const srun_span *span, int64_t unix_ns)
{
    struct slot *slot = hold(span);
    if (slot == NULL)
        return;
    struct traces *traces = slot->traces;
    uint32_t index = slot->index;
    slot->end_ns = unix_ns != 0 ? unix_ns : now_in(slot);
    tap_span(slot);
    batch_entry *entry = batch_enter(traces->batch);
    slot_retire(slot);
    batch_push(traces->batch, entry, index);
}

void srun_span_end(const srun_span *span)
{
    srun_span_end_at(span, 0);
}

int srun_span_is_recording(const srun_span *span)
{
    return span != NULL && span_slots_is_live(span->slot, span->generation);
}

/* --- what is current ------------------------------------------------------------------------- */

struct srun_span_context srun_span_current(void)
{
    return telemetry_self.current;
}

/* A serial grows with every attach; its last digits say how many were attached before. */
#define DEPTH_MAX 0xffff

static uint64_t next_serial(void)
{
    unsigned depth = telemetry_self.depth < DEPTH_MAX ? telemetry_self.depth : DEPTH_MAX;
    uint64_t serial = ++telemetry_self.last_serial << 16 | depth;
    if (depth < SELF_ATTACHED)
        telemetry_self.attached[depth] = serial;
    telemetry_self.depth = depth + 1;
    return serial;
}

struct srun_span_token srun_span_attach(const struct srun_span_context *context)
{
    const struct srun_span_token token = {.before = telemetry_self.current,
                                          .serial = next_serial(),
                                          .serial_before = telemetry_self.serial,
                                          .thread = &telemetry_self};
    telemetry_self.serial = token.serial;
    telemetry_self.current = context != NULL ? *context : (struct srun_span_context){0};
    return token;
}

/* Behind so many others nobody remembers one: there it only has to be older than the current one.
 */
static bool is_attached(const struct srun_span_token *token)
{
    unsigned depth = token->serial & DEPTH_MAX;
    if (token->thread != &telemetry_self || token->serial > telemetry_self.serial ||
        (depth >= telemetry_self.depth && depth < DEPTH_MAX))
        return false;
    return depth >= SELF_ATTACHED || telemetry_self.attached[depth] == token->serial;
}

int srun_span_detach(const struct srun_span_token *token)
{
    if (token == NULL || !is_attached(token)) {
        misused();
        return -EINVAL;
    }
    bool last = token->serial == telemetry_self.serial;
    telemetry_self.current = token->before;
    telemetry_self.serial = token->serial_before;
    telemetry_self.depth = token->serial & DEPTH_MAX;
    if (!last)
        misused();
    return last ? 0 : -EBUSY;
}

struct srun_span_scope srun_span_enter(srun_tracer *tracer, const char *name,
                                       const struct srun_span_options *options)
{
    struct srun_span_scope scope = {.span = srun_span_start(tracer, name, options)};
    scope.token = srun_span_attach(&scope.span.context);
    return scope;
}

void srun_span_leave(struct srun_span_scope *scope)
{
    if (scope == NULL || scope->token.thread == NULL)
        return;
    srun_span_end(&scope->span);
    (void)srun_span_detach(&scope->token);
    scope->token.thread = NULL;
}
