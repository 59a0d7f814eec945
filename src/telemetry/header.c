/* SPDX-License-Identifier: MIT
 *
 * Names are HTTP's tokens; values have no control characters, so that none can end a line; what the
 * protocol itself says is not the program's to say. Any thread.
 */
#include "telemetry/header.h"

#include "base/auto.h"
#include "base/ensure.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define TOKEN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
#define BLANKS " \t"

static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {
        "content-type", "content-length", "content-encoding", "transfer-encoding",
        "te",           "connection",     "expect",           "host",
    };
    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        if (strcasecmp(name, reserved[i]) == 0)
            return true;
    }
    return strncasecmp(name, "grpc-", 5) == 0;
}

const char *header_refused(const char *name, const char *value)
{
    if (name == NULL || name[0] == '\0' || name[strspn(name, TOKEN)] != '\0')
        return "a header's name is not one of HTTP";
    if (is_reserved(name))
        return "a header of the protocol itself cannot be set";
    if (value == NULL)
        return "a header has no value";
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "a header's value has control characters in it";
    }
    return NULL;
}

/* In place. False: a % without its two digits, or a NUL. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%') {
            *to++ = *at;
            continue;
        }
        int byte = text_percent(at, 3);
        if (byte <= 0)
            return false;
        *to++ = (char)byte;
        at += 2;
    }
    *to = '\0';
    return true;
}

static char *trimmed(char *text)
{
    text += strspn(text, BLANKS);
    size_t size = strlen(text);
    while (size > 0 && strchr(BLANKS, text[size - 1]) != NULL)
        size--;
    text[size] = '\0';
    return text;
}

/* 1: added, 0: no pair, or -ENOMEM. */
static int add_pair(char *pair, struct text_list *out)
{
    char *equals = strchr(pair, '=');
    if (equals == NULL)
        return 0;
    *equals = '\0';
    char *name = trimmed(pair), *value = trimmed(equals + 1);
    if (!decode(value) || header_refused(name, value) != NULL)
        return 0;
    int rc = text_list_add(out, name);
    if (rc == 0)
        rc = text_list_add(out, value);
    return rc < 0 ? rc : 1;
}

int header_list(const char *text, struct text_list *out, unsigned *bad)
{
    auto_free char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    char *rest = copy;
    for (char *pair; (pair = strsep(&rest, ",")) != NULL;) {
        if (pair[strspn(pair, BLANKS)] == '\0')
            continue;
        int rc = add_pair(pair, out);
        if (rc < 0)
            return rc;
        *bad += rc == 0;
    }
    return 0;
}
