/* SPDX-License-Identifier: MIT
 *
 * A strict little checker: is this one flat JSON object, as a log line is? Objects may nest, arrays
 * do not occur. Strings must be well-formed UTF-8 without control bytes. For tests and fuzzers.
 */
#ifndef TESTS_JSON_CHECK_H
#define TESTS_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct json_check {
    const unsigned char *at, *end;
};

static inline bool json_take(struct json_check *in, const char *literal)
{
    size_t size = strlen(literal);
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, literal, size) != 0)
        return false;
    in->at += size;
    return true;
}

static inline bool json_is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool json_escape(struct json_check *in)
{
    if (in->at == in->end)
        return false;
    if (*in->at != 'u') {
        bool known = strchr("\"\\/bfnrt", *in->at) != NULL && *in->at != '\0';
        in->at++;
        return known;
    }
    if (in->end - in->at < 5)
        return false;
    for (int i = 1; i <= 4; i++) {
        if (!json_is_hex(in->at[i]))
            return false;
    }
    in->at += 5;
    return true;
}

static inline bool json_utf8(struct json_check *in)
{
    unsigned char lead = *in->at;
    long size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (size == 0 || in->end - in->at < size)
        return false;
    for (long i = 1; i < size; i++) {
        if ((in->at[i] & 0xc0) != 0x80)
            return false;
    }
    unsigned char second = in->at[1];
    bool odd = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
               (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ||
               (lead == 0xc2 && second < 0xa0); /* C1 controls must be escaped */
    in->at += size;
    return !odd;
}

static inline bool json_string(struct json_check *in)
{
    if (!json_take(in, "\""))
        return false;
    while (in->at < in->end) {
        unsigned char c = *in->at;
        bool good = true;
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c == '"') {
            in->at++;
            return true;
        }
        if (c >= 0x80) {
            good = json_utf8(in);
        } else {
            in->at++;
            good = c != '\\' || json_escape(in);
        }
        if (!good)
            return false;
    }
    return false;
}

static inline size_t json_digits(struct json_check *in)
{
    size_t count = 0;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        count++;
    return count;
}

static inline bool json_number(struct json_check *in)
{
    (void)json_take(in, "-");
    bool zero = in->at < in->end && *in->at == '0';
    size_t whole = json_digits(in);
    if (whole == 0 || (zero && whole > 1))
        return false;
    if (json_take(in, ".") && json_digits(in) == 0)
        return false;
    if (json_take(in, "e") || json_take(in, "E")) {
        if (!json_take(in, "-"))
            (void)json_take(in, "+");
        return json_digits(in) > 0;
    }
    return true;
}

/* A value that is no object. */
static inline bool json_scalar(struct json_check *in)
{
    if (in->at < in->end && *in->at == '"')
        return json_string(in);
    return json_take(in, "null") || json_take(in, "true") || json_take(in, "false") ||
           json_number(in);
}

/* One whole object and nothing else. */
static inline bool json_is_object(const char *text, size_t size)
{
    struct json_check in = {(const unsigned char *)text, (const unsigned char *)text + size};
    int depth = 1;
    if (!json_take(&in, "{"))
        return false;
    while (depth > 0) {
        if (!json_string(&in) || !json_take(&in, ":"))
            return false;
        if (json_take(&in, "{")) {
            depth++;
            continue;
        }
        if (!json_scalar(&in))
            return false;
        while (depth > 0 && json_take(&in, "}"))
            depth--;
        if (depth > 0 && !json_take(&in, ","))
            return false;
    }
    return in.at == in.end;
}

#endif
