/* SPDX-License-Identifier: MIT */
#include "admin/head.h"

#include "admin/exchange.h"
#include "base/ensure.h"

#include <string.h>
#include <strings.h>

/* A part of the data. */
struct part {
    const char *at;
    size_t size;
};

struct fields {
    struct part host, length;
    unsigned count, hosts, lengths;
    size_t cookies; /* what separates them */
    bool encoded, close;
};

struct line {
    struct part method, target;
    bool is_1_1;
};

static enum head_state refuse(struct head *out, unsigned status, const char *why)
{
    out->status = status;
    out->why = why;
    return HEAD_REFUSED;
}

static bool is(struct part part, const char *text)
{
    return strlen(text) == part.size && memcmp(part.at, text, part.size) == 0;
}

static bool is_any_case(struct part part, const char *text)
{
    return strlen(text) == part.size && strncasecmp(part.at, text, part.size) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_token(struct part part)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < part.size; i++) {
        char c = part.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !is_digit(c) && memchr(others, c, sizeof others - 1) == NULL)
            return false;
    }
    return part.size > 0;
}

static struct part trim(struct part part)
{
    while (part.size > 0 && (part.at[0] == ' ' || part.at[0] == '\t'))
        part = (struct part){part.at + 1, part.size - 1};
    while (part.size > 0 && (part.at[part.size - 1] == ' ' || part.at[part.size - 1] == '\t'))
        part.size--;
    return part;
}

static size_t count_of(struct part part, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < part.size; i++)
        count += part.at[i] == c;
    return count;
}

/* Up to the separator, which is skipped; without one all that is left. */
static struct part cut(struct part *rest, char separator)
{
    const char *end = rest->size > 0 ? memchr(rest->at, separator, rest->size) : NULL;
    struct part part = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->size};
    size_t skip = part.size + (end != NULL);
    *rest = (struct part){rest->at + skip, rest->size - skip};
    return part;
}

/* --- the end of the head --------------------------------------------------------------------- */

/* Lines end in CR LF; elsewhere no control character but the tab. Finds the end of the first empty
 * line: 0 while there is none, SIZE_MAX when a byte is wrong. */
static size_t find_end(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '\r') {
            if (i + 1 == size)
                return 0;
            if (data[i + 1] != '\n')
                return SIZE_MAX;
            i++;
            if (i >= 3 && data[i - 2] == '\n')
                return i + 1;
        } else if ((c < ' ' && c != '\t') || c == 0x7f) {
            return SIZE_MAX;
        }
    }
    return 0;
}

/* --- the request line ------------------------------------------------------------------------ */

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* No %00 anywhere, no control character in the path, nothing that is not ASCII. */
static bool is_target(struct part target)
{
    bool query = false;
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
        query |= c == '?';
        if (c != '%')
            continue;
        int high = i + 2 < target.size ? hex(target.at[i + 1]) : -1;
        int low = high >= 0 ? hex(target.at[i + 2]) : -1;
        int byte = high * 16 + low;
        if (low < 0 || byte == 0 || (!query && (byte < ' ' || byte == 0x7f)))
            return false;
    }
    return true;
}

static enum head_state read_line(struct part text, struct line *line, struct head *out)
{
    line->method = cut(&text, ' ');
    line->target = cut(&text, ' ');
    line->is_1_1 = is(text, "HTTP/1.1");
    if (!is_token(line->method) || line->target.size == 0 || text.size == 0)
        return refuse(out, 400, "the first line is not \"METHOD /PATH HTTP/1.1\"");
    if (!line->is_1_1 && !is(text, "HTTP/1.0"))
        return refuse(out, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");

    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        found |= is(line->method, known[i]);
    if (is(line->method, "TRACE") || is(line->method, "CONNECT"))
        return refuse(out, 405, "the method is not offered here");
    if (!found)
        return refuse(out, 501, "the method is not known here");
    if (line->target.at[0] != '/')
        return refuse(out, 400, "the target does not begin with a slash");
    if (!is_target(line->target))
        return refuse(out, 400, "the target holds what it must not, or a bad % escape");
    return HEAD_DONE;
}

/* --- the fields ------------------------------------------------------------------------------ */

static void note(struct fields *fields, struct part name, struct part value)
{
    if (is_any_case(name, "host")) {
        fields->host = value;
        fields->hosts++;
    } else if (is_any_case(name, "content-length")) {
        fields->length = value;
        fields->lengths++;
    } else if (is_any_case(name, "transfer-encoding")) {
        fields->encoded = true;
    } else if (is_any_case(name, "cookie")) {
        fields->cookies += count_of(value, ';');
    } else if (is_any_case(name, "connection")) {
        while (value.size > 0)
            fields->close |= is_any_case(trim(cut(&value, ',')), "close");
    }
}

static enum head_state read_fields(struct part text, struct fields *fields, struct head *out)
{
    while (text.size > 0) { /* GCOV_EXCL_BR_LINE: a whole head has the empty line, where it ends */
        struct part value = cut(&text, '\n');
        value.size--; /* the CR */
        if (value.size == 0)
            break;
        if (memchr(value.at, ':', value.size) == NULL)
            return refuse(out, 400, "a header field has no colon");
        struct part name = cut(&value, ':');
        if (!is_token(name)) /* which a folded line is not either */
            return refuse(out, 400, "the name of a header field is not one");
        if (++fields->count > HEAD_FIELDS_MAX)
            return refuse(out, 431, "more than 64 header fields");
        note(fields, name, trim(value));
    }
    return HEAD_DONE;
}

/* Seven digits say more than is accepted. */
static bool read_length(struct part text, size_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.at[i]))
            return false;
        *out = *out < 1000000 ? *out * 10 + (size_t)(text.at[i] - '0') : *out;
    }
    return text.size > 0;
}

static enum head_state read_meaning(const struct line *line, const struct fields *fields,
                                    struct head *out)
{
    if (fields->hosts > 1 || (line->is_1_1 && fields->hosts == 0))
        return refuse(out, 400, "one Host is needed, and only one");
    if (fields->encoded)
        return refuse(out, fields->lengths > 0 ? 400 : 501,
                      "Transfer-Encoding is not accepted; send Content-Length");
    if (fields->lengths > 1 || (fields->lengths == 1 && !read_length(fields->length, &out->body)))
        return refuse(out, 400, "Content-Length is not one number");
    if (out->body > EXCHANGE_BODY_MAX)
        return refuse(out, 413, "a body of at most 65536 bytes is accepted");
    if (count_of(line->target, '&') + fields->cookies > HEAD_PARTS_MAX)
        return refuse(out, 431, "more than 192 arguments and cookies");
    bool bodied = is(line->method, "POST") || is(line->method, "PUT") ||
                  is(line->method, "DELETE") || is(line->method, "PATCH");
    if (out->body > 0 && !bodied)
        return refuse(out, 400, "this method takes no body");
    out->keep = line->is_1_1 && !fields->close;
    return HEAD_DONE;
}

enum head_state head_parse(const char *data, size_t size, struct head *out)
{
    *out = (struct head){0};
    size_t end = find_end(data, size < HEAD_MAX ? size : HEAD_MAX);
    if (end == SIZE_MAX)
        return refuse(out, 400, "a line does not end in CR LF, or holds a control character");
    if (end == 0 && size >= HEAD_MAX)
        return refuse(out, 431, "a request head of at most 8192 bytes is accepted");
    if (end == 0)
        return HEAD_MORE;
    out->size = end;

    struct part rest = {data, end}, first = cut(&rest, '\n');
    first.size--; /* the CR */
    struct line line;
    struct fields fields = {0};
    enum head_state state = read_line(first, &line, out);
    if (state == HEAD_DONE)
        state = read_fields(rest, &fields, out);
    return state == HEAD_DONE ? read_meaning(&line, &fields, out) : state;
}
