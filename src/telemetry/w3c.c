/* SPDX-License-Identifier: MIT */
#include "telemetry/w3c.h"

#include "base/ensure.h"

#include <errno.h>
#include <string.h>

#define LONG_MEMBER 128 /* W3C: what is longer goes first */

/* --- traceparent ----------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(uint8_t *out, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool w3c_is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t all = 0;
    for (size_t i = 0; i < size; i++)
        all |= bytes[i];
    return all == 0;
}

bool w3c_parse(struct srun_span_context *out, const char *text, size_t size)
{
    struct srun_span_context read = *out;
    uint8_t version, flags;
    const size_t known = SRUN_TRACEPARENT_SIZE - 1;
    if (size < known || !read_hex(&version, 1, text) || version == 0xff)
        return false;
    if (version == 0 ? size != known : size > known && text[known] != '-')
        return false;
    if (text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!read_hex(read.trace_id, 16, text + 3) || !read_hex(read.span_id, 8, text + 36) ||
        !read_hex(&flags, 1, text + 53))
        return false;
    if (w3c_is_zero(read.trace_id, 16) || w3c_is_zero(read.span_id, 8))
        return false;
    read.flags = flags & (SRUN_TRACE_SAMPLED | SRUN_TRACE_RANDOM);
    *out = read;
    return true;
}

void w3c_hex(char *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

void w3c_format(const struct srun_span_context *context, char out[SRUN_TRACEPARENT_SIZE])
{
    uint8_t flags = context->flags & (SRUN_TRACE_SAMPLED | SRUN_TRACE_RANDOM);
    memcpy(out, "00-", 3);
    w3c_hex(out + 3, context->trace_id, 16);
    out[35] = '-';
    w3c_hex(out + 36, context->span_id, 8);
    out[52] = '-';
    w3c_hex(out + 53, &flags, 1);
}

/* --- tracestate ------------------------------------------------------------------------------ */

static bool key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-*/@", c) != NULL);
}

static bool is_key(const char *text, size_t size)
{
    if (size < 1 || size > 256 || strchr("_-*/@", text[0]) != NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!key_byte(text[i]))
            return false;
    return true;
}

static bool is_value(const char *text, size_t size)
{
    if (size < 1 || size > 256 || text[size - 1] == ' ')
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == ',' || text[i] == '=')
            return false;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_key(const struct w3c_state *state, const char *key, size_t size)
{
    for (size_t i = 0; i < state->count; i++)
        if (state->members[i].key_size == size && memcmp(state->members[i].at, key, size) == 0)
            return true;
    return false;
}

static void add_member(struct w3c_state *state, const char *at, size_t size)
{
    const char *equals = memchr(at, '=', size);
    size_t key_size = equals != NULL ? (size_t)(equals - at) : 0;
    if (equals == NULL || !is_key(at, key_size) || !is_value(equals + 1, size - key_size - 1) ||
        state->count == COUNT_OF(state->members)) {
        state->invalid = true;
        return;
    }
    if (!has_key(state, at, key_size))
        state->members[state->count++] = (struct w3c_member){at, size, key_size};
}

void w3c_state_add(struct w3c_state *state, const char *text, size_t size)
{
    const char *end = text + size;
    while (!state->invalid && text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *next = comma != NULL ? comma + 1 : end, *last = comma != NULL ? comma : end;
        while (text < last && is_space(*text))
            text++;
        while (text < last && is_space(last[-1]))
            last--;
        if (text < last) /* an empty member is none */
            add_member(state, text, (size_t)(last - text));
        text = next;
    }
}

static void remove_member(struct w3c_state *state, size_t at)
{
    state->count--;
    memmove(&state->members[at], &state->members[at + 1],
            (state->count - at) * sizeof state->members[0]);
}

int w3c_state_set(struct w3c_state *state, const char *key, const char *value,
                  char member[W3C_MEMBER_MAX])
{
    size_t key_size = strnlen(key, 257), value_size = value != NULL ? strnlen(value, 257) : 0;
    if (!is_key(key, key_size) || (value != NULL && !is_value(value, value_size)))
        return -EINVAL;
    for (size_t i = 0; i < state->count; i++)
        if (state->members[i].key_size == key_size &&
            memcmp(state->members[i].at, key, key_size) == 0)
            remove_member(state, i);
    if (value == NULL)
        return 0;
    if (state->count == COUNT_OF(state->members) || key_size + 1 + value_size > SRUN_TRACESTATE_MAX)
        return -E2BIG;
    memcpy(member, key, key_size);
    member[key_size] = '=';
    memcpy(member + key_size + 1, value, value_size);
    memmove(&state->members[1], &state->members[0], state->count * sizeof state->members[0]);
    state->members[0] = (struct w3c_member){member, key_size + 1 + value_size, key_size};
    state->count++;
    return 0;
}

static size_t text_size(const struct w3c_state *state)
{
    size_t size = 0;
    for (size_t i = 0; i < state->count; i++)
        size += state->members[i].size + (i > 0);
    return size;
}

/* The last long one, else the last one: those at the front are the newest. */
static size_t dispensable(const struct w3c_state *state)
{
    for (size_t i = state->count; i > 0; i--)
        if (state->members[i - 1].size > LONG_MEMBER)
            return i - 1;
    return state->count - 1;
}

size_t w3c_state_text(struct w3c_state *state, char out[SRUN_TRACESTATE_MAX + 1])
{
    char *at = out;
    if (state->invalid)
        state->count = 0;
    while (text_size(state) > SRUN_TRACESTATE_MAX)
        remove_member(state, dispensable(state));
    for (size_t i = 0; i < state->count; i++) {
        if (i > 0)
            *at++ = ',';
        memcpy(at, state->members[i].at, state->members[i].size);
        at += state->members[i].size;
    }
    *at = '\0';
    return (size_t)(at - out);
}
