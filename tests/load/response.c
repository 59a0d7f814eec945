/* SPDX-License-Identifier: MIT */
#include "response.h"

#include <string.h>
#include <strings.h>

struct header {
    const char *name, *value;
    size_t name_size, value_size;
};

/* What the headers say of the body, until all are read. */
struct framing {
    bool has_length, chunked, close, keep_alive;
    uint64_t length;
};

void response_begin(struct response *response)
{
    memset(response, 0, offsetof(struct response, head));
}

bool response_has_begun(const struct response *response)
{
    return response->part != PART_HEAD || response->head_size > 0;
}

static bool malformed(struct response *response, const char *why)
{
    response->why = why;
    return false;
}

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((text[i] >= 0 && text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

/* Digits only, at least one, within 63 bits. */
static bool read_number(const char *text, size_t size, unsigned base, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        const char *digits = "0123456789abcdef";
        char lower = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 32) : text[i];
        const char *digit = lower != '\0' ? strchr(digits, lower) : NULL;
        if (digit == NULL || (unsigned)(digit - digits) >= base ||
            number > UINT64_MAX / 2 / base - 1)
            return false;
        number = number * base + (unsigned)(digit - digits);
    }
    *out = number;
    return size > 0;
}

static bool read_status_line(struct response *response, const char *line, size_t size)
{
    if (size < 13 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ' || line[12] != ' ' || !is_text(line, size))
        return malformed(response, "status line");
    uint64_t status = 0;
    if (!read_number(line + 9, 3, 10, &status) || status < 200 || status > 599)
        return malformed(response, "status code");
    response->minor = line[7] == '1';
    response->status = (unsigned)status;
    return true;
}

/* Connection: a list of words. */
static void read_connection(struct framing *framing, const char *value, size_t size)
{
    while (size > 0) {
        size_t word = 0;
        while (word < size && is_token(value[word]))
            word++;
        framing->close |= is_word(value, word, "close");
        framing->keep_alive |= is_word(value, word, "keep-alive");
        size_t step = word > 0 ? word : 1;
        value += step;
        size -= step;
    }
}

static bool read_length(struct response *response, struct framing *framing,
                        const struct header *header)
{
    uint64_t length = 0;
    if (!read_number(header->value, header->value_size, 10, &length))
        return malformed(response, "Content-Length");
    if (framing->has_length && framing->length != length)
        return malformed(response, "two Content-Lengths");
    framing->has_length = true;
    framing->length = length;
    return true;
}

static bool read_header(struct response *response, struct framing *framing,
                        const struct header *header)
{
    const char *value = header->value;
    size_t size = header->value_size;
    if (is_word(header->name, header->name_size, "Content-Length"))
        return read_length(response, framing, header);
    if (is_word(header->name, header->name_size, "Transfer-Encoding")) {
        if (framing->chunked || !is_word(value, size, "chunked"))
            return malformed(response, "Transfer-Encoding");
        framing->chunked = true;
    } else if (is_word(header->name, header->name_size, "Connection")) {
        read_connection(framing, value, size);
    } else if (is_word(header->name, header->name_size, "X-Pid")) {
        return read_number(value, size, 10, &response->pid) || malformed(response, "X-Pid");
    } else if (is_word(header->name, header->name_size, "X-Generation")) {
        return read_number(value, size, 10, &response->generation) ||
               malformed(response, "X-Generation");
    }
    return true;
}

static bool split_header(struct response *response, const char *line, size_t size,
                         struct header *out)
{
    size_t name = 0;
    while (name < size && is_token(line[name]))
        name++;
    if (name == 0 || name == size || line[name] != ':')
        return malformed(response, "header name");
    const char *value = line + name + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!is_text(value, (size_t)(end - value)))
        return malformed(response, "header value");
    *out = (struct header){line, value, name, (size_t)(end - value)};
    return true;
}

/* After the headers: what body follows, and what becomes of the connection. */
static bool frame(struct response *response, const struct framing *framing)
{
    if (framing->chunked && (framing->has_length || response->minor == 0))
        return malformed(response, "chunked, and a length or HTTP/1.0");
    bool bodiless = response->status == 204 || response->status == 304;
    response->keep_alive = !framing->close && (response->minor == 1 || framing->keep_alive);
    response->left = framing->length;
    if (bodiless || (framing->has_length && framing->length == 0))
        response->part = PART_DONE;
    else if (framing->chunked)
        response->part = PART_CHUNK_SIZE;
    else if (framing->has_length)
        response->part = PART_BODY;
    else
        response->part = PART_UNTIL_END;
    if (response->part == PART_UNTIL_END)
        response->keep_alive = false;
    return true;
}

/* The whole head, with the CR LF of its last line. */
static bool read_head(struct response *response)
{
    struct framing framing = {.length = 0};
    const char *line = response->head, *end = line + response->head_size;
    for (bool first = true; line < end; first = false) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL || stop == line || stop[-1] != '\r')
            return malformed(response, "a line that CR LF does not end");
        size_t size = (size_t)(stop - 1 - line);
        struct header header;
        bool fine = first ? read_status_line(response, line, size)
                          : split_header(response, line, size, &header) &&
                                read_header(response, &framing, &header);
        if (!fine)
            return false;
        line = stop + 1;
    }
    return frame(response, &framing);
}

/* Keeps data up to and with the first `mark`; how much of it that was, or 0: too long. *found says
 * whether the mark has come. */
static size_t collect(struct response *response, const char *data, size_t size, const char *mark,
                      bool *found)
{
    size_t old = response->head_size, room = sizeof response->head - old;
    size_t taken = size < room ? size : room;
    memcpy(response->head + old, data, taken);
    size_t length = strlen(mark), from = old >= length ? old - length + 1 : 0;
    const char *at = memmem(response->head + from, old + taken - from, mark, length);
    *found = at != NULL;
    if (at == NULL) {
        response->head_size += taken;
        return taken < size || response->head_size == sizeof response->head ? 0 : taken;
    }
    response->head_size = (size_t)(at - response->head) + length;
    return response->head_size - old;
}

static bool feed_head(struct response *response, const char *data, size_t size, size_t *taken)
{
    /* Garbage is told at once, and not when it has filled the head. */
    char first = response->head_size > 0 ? response->head[0] : data[0];
    if (first != 'H')
        return malformed(response, "status line");
    bool found = false;
    *taken = collect(response, data, size, "\r\n\r\n", &found);
    if (*taken == 0)
        return malformed(response, "head too long");
    if (!found)
        return true;
    response->head_size -= 2;
    bool fine = read_head(response);
    response->head_size = 0;
    return fine;
}

/* A line of the framing of chunks: a size, the end of the data, a trailer. */
static bool read_line(struct response *response)
{
    size_t size = response->head_size - 2;
    struct header ignored;
    switch (response->part) {
    case PART_CHUNK_SIZE:
        for (size_t i = 0; i < size; i++)
            if (response->head[i] == ';')
                size = i; /* extensions say nothing to us */
        if (!read_number(response->head, size, 16, &response->left))
            return malformed(response, "chunk size");
        response->part = response->left > 0 ? PART_CHUNK_DATA : PART_TRAILER;
        break;
    case PART_CHUNK_END:
        if (size != 0)
            return malformed(response, "end of a chunk");
        response->part = PART_CHUNK_SIZE;
        break;
    default:
        if (size == 0)
            response->part = PART_DONE;
        else if (!split_header(response, response->head, size, &ignored))
            return false;
        break;
    }
    response->head_size = 0;
    return true;
}

static bool feed_line(struct response *response, const char *data, size_t size, size_t *taken)
{
    bool found = false;
    *taken = collect(response, data, size, "\r\n", &found);
    if (*taken == 0 || (!found && response->head_size > 1024))
        return malformed(response, "line too long");
    return !found || read_line(response);
}

static void feed_body(struct response *response, size_t size, size_t *taken)
{
    *taken =
        size < response->left || response->part == PART_UNTIL_END ? size : (size_t)response->left;
    response->body += *taken;
    if (response->part == PART_UNTIL_END)
        return;
    response->left -= *taken;
    if (response->left == 0)
        response->part = response->part == PART_BODY ? PART_DONE : PART_CHUNK_END;
}

enum response_state response_feed(struct response *response, const char *data, size_t size)
{
    while (size > 0) {
        size_t taken = size;
        bool fine = true;
        switch (response->part) {
        case PART_HEAD:
            fine = feed_head(response, data, size, &taken);
            break;
        case PART_BODY:
        case PART_UNTIL_END:
        case PART_CHUNK_DATA:
            feed_body(response, size, &taken);
            break;
        case PART_DONE:
            fine = malformed(response, "bytes after the response");
            break;
        default:
            fine = feed_line(response, data, size, &taken);
            break;
        }
        if (!fine)
            return RESPONSE_MALFORMED;
        data += taken;
        size -= taken;
    }
    return response->part == PART_DONE ? RESPONSE_DONE : RESPONSE_MORE;
}

enum response_state response_end(struct response *response)
{
    if (response->part == PART_UNTIL_END)
        response->part = PART_DONE;
    return response->part == PART_DONE ? RESPONSE_DONE : RESPONSE_MORE;
}
