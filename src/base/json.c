/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/ensure.h"
#include "base/parse.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Text that is UTF-8. The C1 controls, which some terminals obey, are U+0080 to U+009F. */
static void quote_valid(struct buf *out, const char *text, size_t size)
{
    size_t from = 0;
    for (size_t at = 0; at < size; at++) {
        unsigned char c = (unsigned char)text[at];
        bool c1 = c == 0xc2 && (unsigned char)text[at + 1] < 0xa0;
        if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\' && !c1)
            continue;
        buf_add(out, text + from, at - from);
        at += c1;
        from = at + 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else
            buf_printf(out, "\\u%04x", (unsigned char)text[at]);
    }
    buf_add(out, text + from, size - from);
}

void json_quote(struct buf *out, const char *text)
{
    size_t left = strlen(text);
    buf_text(out, "\"");
    for (;;) {
        size_t valid = text_utf8_until(text, left);
        quote_valid(out, text, valid);
        if (valid == left)
            break;
        buf_text(out, "\\ufffd");
        text += valid + 1;
        left -= valid + 1;
    }
    buf_text(out, "\"");
}

/* What stands before a value. */
static void begin(struct json *json, const char *key)
{
    if (json->depth > 0) {
        if (json->more[json->depth - 1])
            buf_text(json->out, ",");
        json->more[json->depth - 1] = true;
    }
    if (key != NULL)
        buf_printf(json->out, "\"%s\":", key);
}

void json_open(struct json *json, const char *key, char opening)
{
    ENSURE(json->depth < JSON_DEPTH);
    begin(json, key);
    buf_add(json->out, &opening, 1);
    json->more[json->depth] = false;
    json->ends[json->depth++] = opening == '{' ? '}' : ']';
}

void json_close(struct json *json)
{
    ENSURE(json->depth > 0);
    buf_add(json->out, &json->ends[--json->depth], 1);
}

void json_null(struct json *json, const char *key)
{
    begin(json, key);
    buf_text(json->out, "null");
}

void json_str(struct json *json, const char *key, const char *value)
{
    if (value == NULL) {
        json_null(json, key);
        return;
    }
    begin(json, key);
    json_quote(json->out, value);
}

void json_int(struct json *json, const char *key, int64_t value)
{
    begin(json, key);
    buf_printf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin(json, key);
    buf_text(json->out, value ? "true" : "false");
}

void json_double(struct json *json, const char *key, double value)
{
    char text[PARSE_DOUBLE_TEXT_MAX];
    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    begin(json, key);
    buf_text(json->out, parse_double_text(text, value));
}
