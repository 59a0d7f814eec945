/* SPDX-License-Identifier: MIT
 *
 * Is this one whole JSON value, arrays included? Built on the strictness of json_check.h.
 */
#ifndef TESTS_JSON_VALID_H
#define TESTS_JSON_VALID_H

#include "json_check.h"

#define JSON_VALID_DEPTH 32

static inline void json_space(struct json_check *in)
{
    while (in->at < in->end && strchr(" \t\r\n", *in->at) != NULL && *in->at != '\0')
        in->at++;
}

/* What may stand before a value: the key, within an object. */
static inline bool json_member(struct json_check *in, char opening)
{
    return opening == '[' || (json_string(in) && json_take(in, ":"));
}

/* Nothing but one value, and blanks at its end. */
static inline bool json_is_valid(const char *text, size_t size)
{
    struct json_check in = {(const unsigned char *)text, (const unsigned char *)text + size};
    char open[JSON_VALID_DEPTH];
    int depth = 0;
    for (;;) {
        bool object = json_take(&in, "{");
        if (object || json_take(&in, "[")) {
            if (depth == JSON_VALID_DEPTH)
                return false;
            open[depth++] = object ? '{' : '[';
            if (!json_take(&in, object ? "}" : "]")) {
                if (!json_member(&in, open[depth - 1]))
                    return false;
                continue;
            }
            depth--;
        } else if (!json_scalar(&in)) {
            return false;
        }
        while (depth > 0 && json_take(&in, open[depth - 1] == '{' ? "}" : "]"))
            depth--;
        if (depth == 0)
            break;
        if (!json_take(&in, ",") || !json_member(&in, open[depth - 1]))
            return false;
    }
    json_space(&in);
    return in.at == in.end;
}

#endif
