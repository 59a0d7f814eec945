/* SPDX-License-Identifier: MIT */
#include "telemetry/otelenv.h"

#include "base/parse.h"
#include "base/text.h"
#include "telemetry/propagation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define QUEUE_MOST (1 << 20)
#define ATTRIBUTES_MOST 128 /* of a resource */

static const char *value_of(const struct otelenv_source *source, const char *name)
{
    const char *value = source->get(source->arg, name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void warn(const struct otelenv_source *source, const char *name, const char *what)
{
    source->warn(source->arg, name, what);
}

static bool read_bool(const struct otelenv_source *source, const char *name)
{
    const char *value = value_of(source, name);
    if (value == NULL || strcasecmp(value, "false") == 0)
        return false;
    if (strcasecmp(value, "true") == 0)
        return true;
    warn(source, name, "is not true or false, and counts as false");
    return false;
}

/* Decimal digits alone, within [least, most]. */
static void read_number(const struct otelenv_source *source, const char *name, int64_t least,
                        int64_t most, int64_t *out)
{
    const char *value = value_of(source, name);
    int64_t number = 0;
    if (value == NULL)
        return;
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 18 || value[digits] != '\0') {
        warn(source, name, "is not a whole number");
        return;
    }
    for (const char *at = value; *at != '\0'; at++)
        number = number * 10 + (*at - '0');
    if (number < least || number > most)
        warn(source, name, "is out of range");
    else
        *out = number;
}

static void read_limit(const struct otelenv_source *source, const char *name, uint32_t *out)
{
    int64_t number = *out;
    read_number(source, name, 0, INT32_MAX, &number);
    *out = (uint32_t)number;
}

static void read_limits(struct otelenv *out, const struct otelenv_source *source)
{
    struct limits *limits = &out->limits;
    read_limit(source, "OTEL_ATTRIBUTE_COUNT_LIMIT", &limits->attributes);
    limits->event_attributes = limits->link_attributes = limits->attributes;
    read_limit(source, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &limits->attributes);
    read_limit(source, "OTEL_SPAN_EVENT_COUNT_LIMIT", &limits->events);
    read_limit(source, "OTEL_SPAN_LINK_COUNT_LIMIT", &limits->links);
    read_limit(source, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", &limits->event_attributes);
    read_limit(source, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", &limits->link_attributes);
    read_limit(source, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", &limits->value_length);
    read_limit(source, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", &limits->value_length);
}

static void read_batch(struct otelenv *out, const struct otelenv_source *source)
{
    int64_t queue = out->queue, batch = out->batch;
    const int64_t longest = INT64_C(1) << 40;
    read_number(source, "OTEL_BSP_SCHEDULE_DELAY", 0, longest, &out->delay_ms);
    read_number(source, "OTEL_BSP_EXPORT_TIMEOUT", 0, longest, &out->timeout_ms);
    read_number(source, "OTEL_BSP_MAX_QUEUE_SIZE", 1, QUEUE_MOST, &queue);
    read_number(source, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, QUEUE_MOST, &batch);
    if (batch > queue) {
        if (value_of(source, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") != NULL)
            warn(source, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "exceeds the queue, whose size it gets");
        batch = queue;
    }
    out->queue = (uint32_t)queue;
    out->batch = (uint32_t)batch;
}

static double read_ratio(const struct otelenv_source *source)
{
    static const char name[] = "OTEL_TRACES_SAMPLER_ARG";
    const char *value = value_of(source, name);
    double ratio = 1;
    if (value == NULL)
        return 1;
    if (parse_double(value, &ratio) < 0 || !(ratio >= 0 && ratio <= 1)) {
        warn(source, name, "is not a number from 0 to 1, and counts as 1");
        return 1;
    }
    return ratio;
}

static void read_sampler(struct otelenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_TRACES_SAMPLER";
    const char *value = value_of(source, name);
    if (value == NULL)
        return;
    bool has_ratio =
        strlen(value) >= 12 && strcasecmp(value + strlen(value) - 12, "traceidratio") == 0;
    out->has_sampler = sampler_named(&out->sampler, value, has_ratio ? read_ratio(source) : 1);
    if (!out->has_sampler)
        warn(source, name, "is not a sampler that is known here");
}

/* --- lists ----------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes what stands before the next comma, without the spaces around it. */
static size_t take_word(const char **rest, const char **word)
{
    const char *start = *rest, *end = start + strcspn(start, ",");
    *rest = *end == ',' ? end + 1 : end;
    while (start < end && is_space(*start))
        start++;
    while (start < end && is_space(end[-1]))
        end--;
    *word = start;
    return (size_t)(end - start);
}

static bool is_word(const char *word, size_t size, const char *name)
{
    return size == strlen(name) && strncasecmp(word, name, size) == 0;
}

static void read_propagators(struct otelenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_PROPAGATORS";
    const char *rest = value_of(source, name), *word;
    unsigned found = 0;
    bool none = false;
    while (rest != NULL && *rest != '\0') {
        size_t size = take_word(&rest, &word);
        if (is_word(word, size, "tracecontext"))
            found |= PROPAGATE_TRACE;
        else if (is_word(word, size, "baggage"))
            found |= PROPAGATE_BAGGAGE;
        else if (is_word(word, size, "none"))
            none = true;
        else if (size > 0)
            warn(source, name, "names a propagator that is not known here, which is left out");
    }
    if (none || found != 0)
        out->propagators = none ? 0 : found;
}

void otelenv_number(const struct otelenv_source *source, const char *name, int64_t least,
                    int64_t most, int64_t *out)
{
    read_number(source, name, least, most, out);
}

bool otelenv_wants_otlp(const struct otelenv_source *source, const char *name, const char *also)
{
    const char *rest = value_of(source, name), *word;
    bool otlp = false, none = false;
    while (rest != NULL && *rest != '\0') {
        size_t size = take_word(&rest, &word);
        bool is_otlp = is_word(word, size, "otlp"), is_none = is_word(word, size, "none");
        if (size > 0 && !is_otlp && !is_none && (also == NULL || !is_word(word, size, also)))
            warn(source, name, "names an exporter that is not known here, which is left out");
        otlp = otlp || is_otlp;
        none = none || is_none;
    }
    return otlp && !none;
}

static void read_exporter(struct otelenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_TRACES_EXPORTER";
    const char *rest = value_of(source, name), *word;
    while (rest != NULL && *rest != '\0') {
        size_t size = take_word(&rest, &word);
        out->wants_otlp |= is_word(word, size, "otlp");
        out->wants_none |= is_word(word, size, "none");
        if (size > 0 && !is_word(word, size, "otlp") && !is_word(word, size, "none"))
            warn(source, name, "names an exporter that is not known here, which is left out");
    }
    out->wants_otlp &= !out->wants_none;
}

/* --- the resource ---------------------------------------------------------------------------- */

/* Decodes in place of the text that is written; NULL: it is wrong. */
static char *decode(char *to, const char *text, size_t size)
{
    char *start = to;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        int byte = text_percent(text + i, size - i);
        if (byte < 0)
            return NULL;
        *to++ = (char)byte;
        i += 2;
    }
    *to = '\0';
    bool good = memchr(start, '\0', (size_t)(to - start)) == NULL &&
                text_utf8_until(start, (size_t)(to - start)) == (size_t)(to - start);
    return good ? to + 1 : NULL;
}

/* One member; where the next text goes, or NULL. */
static char *read_member(struct srun_kv *kv, char *at, const char *word, size_t size)
{
    const char *equals = memchr(word, '=', size);
    if (equals == NULL)
        return NULL;
    const char *key_end = equals, *value = equals + 1, *end = word + size;
    while (key_end > word && is_space(key_end[-1]))
        key_end--;
    while (value < end && is_space(*value))
        value++;
    if (key_end == word)
        return NULL;
    char *key = at;
    at = decode(at, word, (size_t)(key_end - word));
    char *text = at;
    at = at != NULL ? decode(at, value, (size_t)(end - value)) : NULL;
    *kv = SRUN_STR(key, text);
    kv->key_size = 0;
    return at;
}

static bool read_members(struct otelenv *out, const char *rest)
{
    size_t count = 0;
    char *at = out->texts;
    while (*rest != '\0') {
        const char *word;
        size_t size = take_word(&rest, &word);
        if (size == 0)
            continue;
        if (count == ATTRIBUTES_MOST)
            return false;
        at = read_member(&out->resource[count], at, word, size);
        if (at == NULL)
            return false;
        count++;
    }
    out->resource[count] = SRUN_KV_END_;
    return true;
}

static int read_resource(struct otelenv *out, const struct otelenv_source *source)
{
    static const char name[] = "OTEL_RESOURCE_ATTRIBUTES";
    const char *value = value_of(source, name);
    if (value == NULL)
        return 0;
    out->texts = malloc(2 * strlen(value) + 2);
    out->resource = calloc(ATTRIBUTES_MOST + 1, sizeof out->resource[0]);
    if (out->texts == NULL || out->resource == NULL)
        return -ENOMEM;
    if (read_members(out, value))
        return 0;
    warn(source, name, "is not key=value,key=value: none of it is used");
    free(out->resource);
    out->resource = NULL;
    return 0;
}

int otelenv_read(struct otelenv *out, const struct otelenv_source *source)
{
    const struct traces_options defaults = traces_defaults();
    const char *service_name = value_of(source, "OTEL_SERVICE_NAME");
    *out = (struct otelenv){.disabled = read_bool(source, "OTEL_SDK_DISABLED"),
                            .propagators = PROPAGATE_ALL,
                            .sampler = defaults.sampler,
                            .limits = defaults.limits,
                            .queue = defaults.queue,
                            .batch = defaults.batch,
                            .delay_ms = defaults.delay_ms,
                            .timeout_ms = defaults.timeout_ms};
    read_exporter(out, source);
    read_propagators(out, source);
    read_sampler(out, source);
    read_limits(out, source);
    read_batch(out, source);
    if (service_name != NULL && (out->service_name = strdup(service_name)) == NULL)
        return -ENOMEM;
    return read_resource(out, source);
}

void otelenv_free(struct otelenv *env)
{
    free(env->service_name);
    free(env->resource);
    free(env->texts);
    *env = (struct otelenv){0};
}
