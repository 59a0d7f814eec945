/* SPDX-License-Identifier: MIT
 *
 * Reads replies. Whatever the bytes are: no allocation, no recursion, time in proportion to their
 * number. Any thread.
 */
#include "telemetry/reply.h"

#include "base/duration.h"
#include "base/text.h"
#include "base/wire.h"

#include <string.h>

#define DETAILS_MAX 8192 /* bytes of a status in a header; headers are limited to this order */
#define RETRY_INFO "google.rpc.RetryInfo"

void reply_shown(char *out, size_t room, const void *text, size_t size)
{
    const char *from = text;
    size_t used = 0;
    for (size_t at = 0; at < size && used + 5 < room;) {
        size_t length = 1;
        unsigned char lead = (unsigned char)from[at];
        if (lead >= 0xc2)
            length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        char one[5] = {0};
        bool whole = length <= size - at;
        if (whole)
            memcpy(one, from + at, length);
        if (whole && text_printable(one, sizeof one)) {
            memcpy(out + used, one, length);
            used += length;
            at += length;
        } else {
            out[used++] = '?';
            at++;
        }
    }
    out[used] = '\0';
}

static void partial_field(const struct wire_field *field, struct reply_partial *out)
{
    if (field->number == 1 && field->type == WIRE_VARINT)
        out->rejected = field->value <= INT64_MAX ? field->value : 0;
    if (field->number == 2 && field->type == WIRE_BYTES)
        reply_shown(out->text, sizeof out->text, field->data, field->size);
}

bool reply_partial(const void *body, size_t size, struct reply_partial *out)
{
    struct wire_reader outer = wire_reader(body, size);
    struct wire_field field;
    bool bad = false;
    *out = (struct reply_partial){0};
    while (wire_next(&outer, &field)) {
        if (field.number != 1 || field.type != WIRE_BYTES)
            continue;
        struct wire_reader inner = wire_reader(field.data, field.size);
        while (wire_next(&inner, &field))
            partial_field(&field, out);
        bad = bad || inner.bad;
    }
    bad = bad || outer.bad;
    if (bad)
        *out = (struct reply_partial){0};
    return !bad;
}

/* A Duration; what is negative or too long is cut to what a number can hold. */
static int64_t duration_of(const unsigned char *data, size_t size)
{
    struct wire_reader in = wire_reader(data, size);
    struct wire_field field;
    int64_t seconds = 0, nanos = 0;
    while (wire_next(&in, &field)) {
        if (field.number == 1 && field.type == WIRE_VARINT)
            seconds = (int64_t)field.value;
        if (field.number == 2 && field.type == WIRE_VARINT)
            nanos = (int32_t)(uint32_t)field.value;
    }
    if (in.bad || seconds < 0 || nanos < 0)
        return 0;
    int64_t limit = INT64_MAX / NS_PER_S - 3;
    return (seconds < limit ? seconds : limit) * NS_PER_S + nanos;
}

static bool is_retry_info(const unsigned char *url, size_t size)
{
    size_t wanted = strlen(RETRY_INFO);
    if (size < wanted || memcmp(url + size - wanted, RETRY_INFO, wanted) != 0)
        return false;
    return size == wanted || url[size - wanted - 1] == '/';
}

/* An Any: of a RetryInfo its delay, else -1. */
static int64_t retry_of(const unsigned char *data, size_t size)
{
    struct wire_reader any = wire_reader(data, size);
    struct wire_field field, value = {0};
    bool known = false;
    while (wire_next(&any, &field)) {
        if (field.number == 1 && field.type == WIRE_BYTES)
            known = is_retry_info(field.data, field.size);
        if (field.number == 2 && field.type == WIRE_BYTES)
            value = field;
    }
    if (any.bad || !known)
        return -1;
    struct wire_reader info = wire_reader(value.data, value.size);
    int64_t delay = 0;
    while (wire_next(&info, &field)) {
        if (field.number == 1 && field.type == WIRE_BYTES)
            delay = duration_of(field.data, field.size);
    }
    return info.bad ? -1 : delay;
}

bool reply_status(const void *body, size_t size, struct reply_status *out)
{
    struct wire_reader in = wire_reader(body, size);
    struct wire_field field;
    *out = (struct reply_status){.retry_ns = -1};
    while (wire_next(&in, &field)) {
        if (field.number == 1 && field.type == WIRE_VARINT)
            out->code = (int)(int32_t)(uint32_t)field.value;
        if (field.number == 2 && field.type == WIRE_BYTES)
            reply_shown(out->text, sizeof out->text, field.data, field.size);
        if (field.number == 3 && field.type == WIRE_BYTES && out->retry_ns < 0)
            out->retry_ns = retry_of(field.data, field.size);
    }
    if (in.bad)
        *out = (struct reply_status){.retry_ns = -1};
    return !in.bad;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* The number of bytes, or -1. */
static long base64_decode(const char *text, unsigned char *out, size_t room)
{
    size_t size = strcspn(text, "=");
    size_t used = 0;
    uint32_t bits = 0;
    if (size % 4 == 1 || strspn(text + size, "=") != strlen(text + size) ||
        strlen(text + size) > 2 || size / 4 * 3 + 3 > room)
        return -1;
    for (size_t i = 0; i < size; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            out[used++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return (long)used;
}

bool reply_status_base64(const char *text, struct reply_status *out)
{
    unsigned char bytes[DETAILS_MAX];
    long size = base64_decode(text, bytes, sizeof bytes);
    *out = (struct reply_status){.retry_ns = -1};
    return size > 0 && reply_status(bytes, (size_t)size, out);
}

void reply_message(const char *text, char out[REPLY_TEXT_MAX])
{
    char plain[REPLY_TEXT_MAX] = "";
    size_t size = 0;
    for (; *text != '\0' && size < sizeof plain; text++) {
        int byte = text_percent(text, 3);
        plain[size++] = byte >= 0 ? (char)byte : *text;
        text += byte >= 0 ? 2 : 0;
    }
    reply_shown(out, REPLY_TEXT_MAX, plain, size);
}
