/* SPDX-License-Identifier: MIT */
#include "telemetry/propagation.h"

#include "telemetry/baggage.h"
#include "telemetry/texts.h"
#include "telemetry/w3c.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic unsigned chosen = PROPAGATE_ALL;

void propagation_choose(unsigned which)
{
    atomic_store(&chosen, which);
}

static bool propagates(unsigned which)
{
    return (atomic_load_explicit(&chosen, memory_order_relaxed) & which) != 0;
}

int srun_span_context_is_valid(const struct srun_span_context *context)
{
    return context != NULL && !w3c_is_zero(context->trace_id, 16) &&
           !w3c_is_zero(context->span_id, 8);
}

void srun_trace_id_text(const struct srun_span_context *context, char out[33])
{
    w3c_hex(out, context->trace_id, 16);
}

void srun_span_id_text(const struct srun_span_context *context, char out[17])
{
    w3c_hex(out, context->span_id, 8);
}

void srun_traceparent_format(const struct srun_span_context *context,
                             char out[SRUN_TRACEPARENT_SIZE])
{
    out[0] = '\0';
    if (srun_span_context_is_valid(context))
        w3c_format(context, out);
}

int srun_traceparent_parse(struct srun_span_context *out, const char *text)
{
    *out = (struct srun_span_context){0};
    if (text == NULL || !w3c_parse(out, text, strlen(text)))
        return -EINVAL;
    out->flags |= SRUN_TRACE_REMOTE;
    return 0;
}

/* --- in -------------------------------------------------------------------------------------- */

#define HEADERS_MAX 64  /* of one name */
#define PARENT_SEEN 256 /* bytes; what a later version adds is not read */

/* What a getter lent is gone when it is asked for the next one. */
static void extract_state(struct srun_span_context *out, srun_header_get *get, void *carrier)
{
    enum { ROOM = 32 * W3C_MEMBER_MAX };
    char joined[ROOM + 1], text[SRUN_TRACESTATE_MAX + 1];
    struct w3c_state state = {.count = 0};
    size_t size = 0;
    const char *value;
    for (size_t i = 0; (value = get(carrier, "tracestate", i)) != NULL; i++) {
        size_t length = strnlen(value, ROOM + 1);
        if (i == HEADERS_MAX || size + length + 1 > ROOM)
            return; /* far more than 32 members can be */
        memcpy(joined + size, value, length);
        size += length;
        joined[size++] = ',';
    }
    w3c_state_add(&state, joined, size);
    out->tracestate = texts_keep(text, w3c_state_text(&state, text));
}

static void extract_parent(struct srun_span_context *out, srun_header_get *get, void *carrier)
{
    struct srun_span_context read = {0};
    const char *value = get(carrier, "traceparent", 0);
    if (value == NULL || !w3c_parse(&read, value, strnlen(value, PARENT_SEEN)))
        return;
    if (get(carrier, "traceparent", 1) != NULL)
        return; /* which one is it? */
    read.flags |= SRUN_TRACE_REMOTE;
    extract_state(&read, get, carrier);
    *out = read;
}

static uint64_t extract_baggage(srun_header_get *get, void *carrier)
{
    char joined[SRUN_BAGGAGE_MAX + 1], text[SRUN_BAGGAGE_MAX + 1];
    struct baggage baggage = {.count = 0};
    size_t size = 0;
    const char *value;
    for (size_t i = 0; (value = get(carrier, "baggage", i)) != NULL; i++) {
        size_t length = strnlen(value, SRUN_BAGGAGE_MAX + 1), comma = size > 0;
        if (i == HEADERS_MAX || size + comma + length > SRUN_BAGGAGE_MAX)
            return 0;
        joined[size] = ',';
        memcpy(joined + size + comma, value, length);
        size += comma + length;
    }
    if (size == 0)
        return 0;
    baggage_add(&baggage, joined, size);
    return texts_keep(text, baggage_text(&baggage, text));
}

int srun_trace_extract(struct srun_span_context *out, srun_header_get *get, void *carrier)
{
    *out = (struct srun_span_context){0};
    if (get == NULL)
        return 0;
    if (propagates(PROPAGATE_TRACE))
        extract_parent(out, get, carrier);
    if (propagates(PROPAGATE_BAGGAGE))
        out->baggage = extract_baggage(get, carrier);
    return srun_span_context_is_valid(out);
}

/* --- out ------------------------------------------------------------------------------------- */

void srun_trace_inject(const struct srun_span_context *context, srun_header_set *set, void *carrier)
{
    char text[SRUN_BAGGAGE_MAX + 1];
    if (context == NULL || set == NULL)
        return;
    if (propagates(PROPAGATE_TRACE) && srun_span_context_is_valid(context)) {
        w3c_format(context, text);
        set(carrier, "traceparent", text);
        if (texts_read(context->tracestate, text, sizeof text) > 0)
            set(carrier, "tracestate", text);
    }
    if (propagates(PROPAGATE_BAGGAGE) && texts_read(context->baggage, text, sizeof text) > 0)
        set(carrier, "baggage", text);
}

/* --- environment ----------------------------------------------------------------------------- */

struct environment {
    char *(*get)(const char *name);
    char *at; /* of the buffer */
    const char **list;
    int count;
};

static const char *name_in_environment(const char *name)
{
    return strcmp(name, "traceparent") == 0  ? "TRACEPARENT"
           : strcmp(name, "tracestate") == 0 ? "TRACESTATE"
                                             : "BAGGAGE";
}

static const char *get_variable(void *carrier, const char *name, size_t index)
{
    const struct environment *environment = carrier;
    return index == 0 ? environment->get(name_in_environment(name)) : NULL;
}

int propagation_from_environment(struct srun_span_context *out, char *(*getenv_fn)(const char *))
{
    struct environment environment = {.get = getenv_fn != NULL ? getenv_fn : secure_getenv};
    return srun_trace_extract(out, get_variable, &environment);
}

int srun_trace_from_environment(struct srun_span_context *out)
{
    return propagation_from_environment(out, NULL);
}

static void set_variable(void *carrier, const char *name, const char *value)
{
    struct environment *environment = carrier;
    environment->list[environment->count++] = environment->at;
    environment->at += sprintf(environment->at, "%s=%s", name_in_environment(name), value) + 1;
}

_Static_assert(SRUN_TRACE_ENVIRONMENT_SIZE > sizeof("TRACEPARENT=TRACESTATE=BAGGAGE=") + 3 +
                                                 SRUN_TRACEPARENT_SIZE + SRUN_TRACESTATE_MAX +
                                                 SRUN_BAGGAGE_MAX,
               "all three fit");

int srun_trace_to_environment(const struct srun_span_context *context, char *buffer,
                              const char *list[4])
{
    struct environment environment = {.at = buffer, .list = list};
    srun_trace_inject(context, set_variable, &environment);
    list[environment.count] = NULL;
    return environment.count;
}

/* --- tracestate and baggage ------------------------------------------------------------------ */

static size_t read_text(uint64_t reference, char *out, size_t size)
{
    char text[TEXTS_MAX + 1];
    size_t length = texts_read(reference, text, sizeof text);
    if (size > 0)
        memcpy(out, length < size ? text : "", length < size ? length + 1 : 1);
    return length;
}

size_t srun_tracestate(const struct srun_span_context *context, char *out, size_t size)
{
    return read_text(context->tracestate, out, size);
}

size_t srun_baggage(const struct srun_span_context *context, char *out, size_t size)
{
    return read_text(context->baggage, out, size);
}

int srun_tracestate_set(struct srun_span_context *context, const char *key, const char *value)
{
    char before[SRUN_TRACESTATE_MAX + 1], after[SRUN_TRACESTATE_MAX + 1], member[W3C_MEMBER_MAX];
    struct w3c_state state = {.count = 0};
    if (key == NULL)
        return -EINVAL;
    w3c_state_add(&state, before, texts_read(context->tracestate, before, sizeof before));
    int rc = w3c_state_set(&state, key, value, member);
    if (rc < 0)
        return rc;
    size_t size = w3c_state_text(&state, after);
    if (value != NULL && (state.count == 0 || state.members[0].at != member))
        return -E2BIG; /* what makes room goes by its size, and it was this one */
    context->tracestate = texts_keep(after, size);
    return 0;
}

static void read_baggage(const struct srun_span_context *context, struct baggage *baggage,
                         char text[SRUN_BAGGAGE_MAX + 1])
{
    baggage_add(baggage, text, texts_read(context->baggage, text, SRUN_BAGGAGE_MAX + 1));
}

int srun_baggage_get(const struct srun_span_context *context, const char *key, char *out,
                     size_t size)
{
    char text[SRUN_BAGGAGE_MAX + 1];
    struct baggage baggage = {.count = 0};
    read_baggage(context, &baggage, text);
    size_t at = key != NULL ? baggage_find(&baggage, key, strlen(key)) : baggage.count;
    return at < baggage.count ? (int)baggage_decode(&baggage.members[at], out, size) : -ENOENT;
}

int srun_baggage_set(struct srun_span_context *context, const char *key, const char *value,
                     const char *metadata)
{
    char text[SRUN_BAGGAGE_MAX + 1], encoded[SRUN_BAGGAGE_MAX + 1];
    struct baggage baggage = {.count = 0};
    size_t key_size = key != NULL ? strlen(key) : 0;
    size_t metadata_size = metadata != NULL ? strlen(metadata) : 0;
    if (key == NULL || !baggage_is_key(key, key_size) ||
        (metadata_size > 0 && !baggage_is_metadata(metadata, metadata_size)))
        return -EINVAL;
    read_baggage(context, &baggage, text);
    size_t at = baggage_find(&baggage, key, key_size);
    if (value == NULL) {
        baggage_remove(&baggage, at);
    } else {
        size_t value_size = baggage_encode(value, encoded, SRUN_BAGGAGE_MAX);
        if (value_size > SRUN_BAGGAGE_MAX || at == SRUN_BAGGAGE_MEMBERS)
            return -E2BIG;
        baggage.members[at] =
            (struct baggage_member){key, encoded, metadata, key_size, value_size, metadata_size};
        baggage.count += at == baggage.count;
    }
    char out[SRUN_BAGGAGE_MAX + 1];
    size_t size = baggage_text(&baggage, out);
    if (size == 0 && baggage.count > 0)
        return -E2BIG;
    context->baggage = texts_keep(out, size);
    return 0;
}

int srun_baggage_each(const struct srun_span_context *context,
                      int (*each)(void *user, const char *key, const char *value,
                                  const char *metadata),
                      void *user)
{
    char text[SRUN_BAGGAGE_MAX + 1], value[SRUN_BAGGAGE_MAX + 4];
    struct baggage baggage = {.count = 0};
    read_baggage(context, &baggage, text);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < baggage.count; i++) {
        const struct baggage_member *member = &baggage.members[i];
        char *key = text + (member->key - text), *metadata = text + (member->metadata - text);
        (void)baggage_decode(member, value, sizeof value);
        key[member->key_size] = '\0'; /* where the = stands, whose place nobody reads any more */
        metadata[member->metadata_size] = '\0';
        rc = each(user, key, value, metadata);
    }
    return rc;
}
