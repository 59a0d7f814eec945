/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the headers of a request: lines of traceparent, tracestate and baggage. What is read
 * is good: sent on and read again, it is the same; and each member of it can be read and changed.
 */
#include "base/ensure.h"
#include "base/text.h"
#include "fuzz.h"
#include "telemetry/propagation.h"
#include "telemetry/w3c.h"

#include <stdlib.h>
#include <string.h>

enum { LINES = 80 };

struct lines {
    const char *at[LINES];
    char *own[LINES];
    size_t count;
};

static const char letters[] = "psb";
static const char *const names[] = {"traceparent", "tracestate", "baggage"};

/* A line is a header: p, s or b, then its value. */
static const char *get(void *carrier, const char *name, size_t index)
{
    const struct lines *lines = carrier;
    for (size_t i = 0; i < lines->count; i++)
        for (size_t kind = 0; kind < 3; kind++)
            if (lines->at[i][0] == letters[kind] && strcmp(name, names[kind]) == 0 && index-- == 0)
                return lines->at[i] + 1;
    return NULL;
}

static void set(void *carrier, const char *name, const char *value)
{
    struct lines *lines = carrier;
    size_t size = strlen(value), kind = 0;
    while (strcmp(names[kind], name) != 0)
        kind++;
    for (const char *at = value; *at != '\0'; at++)
        ENSURE(*at >= ' ' && *at <= '~');
    char *copy = malloc(size + 2);
    ENSURE(copy != NULL);
    copy[0] = letters[kind];
    memcpy(copy + 1, value, size + 1);
    lines->own[lines->count] = copy;
    lines->at[lines->count++] = copy;
}

static void release(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->own[i]);
}

static int each(void *user, const char *key, const char *value, const char *metadata)
{
    struct srun_span_context *context = user;
    char out[SRUN_BAGGAGE_MAX + 1];
    int size = srun_baggage_get(context, key, out, sizeof out);
    ENSURE(size == (int)strlen(value) && strcmp(out, value) == 0);
    ENSURE(text_utf8_until(value, (size_t)size) == (size_t)size);
    struct srun_span_context changed = *context;
    int rc = srun_baggage_set(&changed, key, value, metadata);
    ENSURE(rc == 0 || rc == -7); /* encoded by us it may be longer: -E2BIG */
    return 0;
}

typedef size_t get_text(const struct srun_span_context *context, char *out, size_t size);

/* The references may differ. */
static bool has_same_text(get_text *text, const struct srun_span_context *one,
                          const struct srun_span_context *other)
{
    char first[SRUN_BAGGAGE_MAX + 1], second[SRUN_BAGGAGE_MAX + 1];
    size_t size = text(one, first, sizeof first);
    return text(other, second, sizeof second) == size && strcmp(first, second) == 0;
}

static void check(struct srun_span_context *context)
{
    struct lines sent = {.count = 0};
    struct srun_span_context again;
    srun_trace_inject(context, set, &sent);
    ENSURE(sent.count <= 3);
    ENSURE(srun_trace_extract(&again, get, &sent) == srun_span_context_is_valid(context));
    ENSURE(memcmp(context->trace_id, again.trace_id, 16) == 0);
    ENSURE(memcmp(context->span_id, again.span_id, 8) == 0 && context->flags == again.flags);
    ENSURE(has_same_text(srun_tracestate, context, &again));
    ENSURE(has_same_text(srun_baggage, context, &again));
    ENSURE(srun_baggage_each(context, each, context) == 0);
    (void)srun_tracestate_set(&again, "key", "value");
    release(&sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines = {.count = 0};
    while (size > 0 && lines.count < LINES) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        char *line = malloc(length + 1); /* of its very size, for the sanitizer */
        ENSURE(line != NULL);
        memcpy(line, data, length);
        line[length] = '\0';
        lines.own[lines.count] = line;
        lines.at[lines.count++] = line;
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
    struct srun_span_context context;
    (void)srun_trace_extract(&context, get, &lines);
    check(&context);
    release(&lines);
    return 0;
}
