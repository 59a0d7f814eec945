/* SPDX-License-Identifier: MIT
 *
 * Writes JSON into a buf: commas and quotes are its business, so what comes out is always valid.
 *
 *     json_open(&json, NULL, '{');
 *     json_str(&json, "name", name);
 *     json_open(&json, "services", '[');
 *         json_int(&json, NULL, 1);
 *     json_close(&json);
 *     json_close(&json);
 *
 * A key is a literal of ours, NULL within an array. Text that is not UTF-8 shows as U+FFFD.
 * Threads: one at a time.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#include <stdint.h>

#define JSON_DEPTH 16

struct json {
    struct buf *out;
    unsigned depth;
    bool more[JSON_DEPTH]; /* something stands in this one already */
    char ends[JSON_DEPTH]; /* what closes it */
};

void json_open(struct json *json, const char *key, char opening);
void json_close(struct json *json);

void json_str(struct json *json, const char *key, const char *value); /* NULL: null */
void json_int(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_double(struct json *json, const char *key, double value); /* not finite: null */
void json_null(struct json *json, const char *key);

/* The text as a JSON string, with its quotes. */
void json_quote(struct buf *out, const char *text);

#endif
