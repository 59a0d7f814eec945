/* SPDX-License-Identifier: MIT
 *
 * The header is "type/subtype;name=value;q=0.5, ...", with blanks and quoted values allowed. Names
 * of ours are of letters, digits and _ in every format, so whatever escaping of other names a
 * client allows, it gets what it asked for; those that rewrite _ too are not among it.
 */
#include "telemetry/negotiate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum format { FORMAT_NONE, FORMAT_TEXT, FORMAT_TEXT_1, FORMAT_OPENMETRICS_0, FORMAT_OPENMETRICS_1 };

struct range {
    char type[48], version[16], escaping[24];
    int q; /* in thousandths */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Copies [from, to) without blanks around it and without quotes; cut to fit. */
static void copy(char *out, size_t size, const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    if (to - from >= 2 && *from == '"' && to[-1] == '"') {
        from++;
        to--;
    }
    size_t length = (size_t)(to - from) < size - 1 ? (size_t)(to - from) : size - 1;
    memcpy(out, from, length);
    out[length] = '\0';
}

/* 0, 0.5, 1.000. What is no such number counts as 1. */
static int quality(const char *text)
{
    if (text[0] != '0' && text[0] != '1')
        return 1000;
    int value = (text[0] - '0') * 1000, place = 100;
    for (const char *c = text[1] == '.' ? text + 2 : ""; *c != '\0' && place > 0;
         c++, place /= 10) {
        if (*c < '0' || *c > '9')
            return 1000;
        value += (*c - '0') * place;
    }
    return value > 1000 ? 1000 : value;
}

static void parameter(struct range *range, const char *from, const char *to)
{
    char name[16], value[32];
    const char *equals = memchr(from, '=', (size_t)(to - from));
    if (equals == NULL)
        return;
    copy(name, sizeof name, from, equals);
    copy(value, sizeof value, equals + 1, to);
    if (strcasecmp(name, "q") == 0)
        range->q = quality(value);
    else if (strcasecmp(name, "version") == 0)
        copy(range->version, sizeof range->version, value, value + strlen(value));
    else if (strcasecmp(name, "escaping") == 0)
        copy(range->escaping, sizeof range->escaping, value, value + strlen(value));
}

/* Up to the next one of two characters that is not between quotes. */
static const char *part_end(const char *at, char one, char other)
{
    bool quoted = false;
    for (; *at != '\0' && (quoted || (*at != one && *at != other)); at++)
        quoted ^= *at == '"';
    return at;
}

static const char *read_range(const char *at, struct range *out)
{
    const char *end = part_end(at, ',', ';');
    *out = (struct range){.q = 1000};
    copy(out->type, sizeof out->type, at, end);
    while (*end == ';') {
        at = end + 1;
        end = part_end(at, ',', ';');
        parameter(out, at, end);
    }
    return *end == ',' ? end + 1 : end;
}

static enum format format_of(const struct range *range)
{
    const char *version = range->version;
    bool any = version[0] == '\0';
    if (strcasecmp(range->type, "application/openmetrics-text") == 0)
        return strcmp(version, "1.0.0") == 0          ? FORMAT_OPENMETRICS_1
               : any || strcmp(version, "0.0.1") == 0 ? FORMAT_OPENMETRICS_0
                                                      : FORMAT_NONE;
    if (strcasecmp(range->type, "text/plain") == 0)
        return strcmp(version, "1.0.0") == 0          ? FORMAT_TEXT_1
               : any || strcmp(version, "0.0.4") == 0 ? FORMAT_TEXT
                                                      : FORMAT_NONE;
    bool whatever = strcmp(range->type, "*/*") == 0 || strcasecmp(range->type, "text/*") == 0;
    return whatever ? FORMAT_TEXT : FORMAT_NONE;
}

/* What is said of names; "": nothing, as nobody has asked. */
static const char *escaping_of(const char *asked)
{
    if (strcmp(asked, "allow-utf-8") == 0 || strcmp(asked, "allow-utf8") == 0)
        return "; escaping=allow-utf-8";
    return asked[0] != '\0' ? "; escaping=underscores" : "";
}

void negotiate(const char *accept, struct negotiated *out)
{
    static const char *const types[] = {
        [FORMAT_NONE] = "text/plain; version=0.0.4",
        [FORMAT_TEXT] = "text/plain; version=0.0.4",
        [FORMAT_TEXT_1] = "text/plain; version=1.0.0",
        [FORMAT_OPENMETRICS_0] = "application/openmetrics-text; version=0.0.1",
        [FORMAT_OPENMETRICS_1] = "application/openmetrics-text; version=1.0.0",
    };
    struct range range, best = {.q = 0};
    enum format chosen = FORMAT_NONE;
    for (const char *at = accept != NULL ? accept : ""; *at != '\0';) {
        at = read_range(at, &range);
        enum format format = format_of(&range);
        bool vague = strchr(range.type, '*') != NULL, was_vague = strchr(best.type, '*') != NULL;
        if (format == FORMAT_NONE ||
            !(range.q > best.q || (range.q == best.q && range.q > 0 && was_vague && !vague)))
            continue;
        best = range;
        chosen = format;
    }
    out->openmetrics = chosen == FORMAT_OPENMETRICS_0 || chosen == FORMAT_OPENMETRICS_1;
    (void)snprintf(out->type, sizeof out->type, "%s; charset=utf-8%s", types[chosen],
                   escaping_of(best.escaping));
}
