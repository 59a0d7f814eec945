/* SPDX-License-Identifier: MIT
 *
 * Reads one HTTP/1 response, in pieces as they come, and is strict: what RFC 9112 does not allow a
 * server to send is malformed, never guessed at. Bodies are counted, not kept. PURE.
 */
#ifndef LOAD_RESPONSE_H
#define LOAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX 8192

enum response_state {
    RESPONSE_MORE,      /* incomplete so far */
    RESPONSE_DONE,      /* complete */
    RESPONSE_MALFORMED, /* see why */
};

/* What the reader reads next. */
enum response_part {
    PART_HEAD,
    PART_BODY,      /* `left` bytes of it */
    PART_UNTIL_END, /* a body that the end of the connection ends */
    PART_CHUNK_SIZE,
    PART_CHUNK_DATA, /* `left` bytes, then CR LF */
    PART_CHUNK_END,
    PART_TRAILER,
    PART_DONE,
};

struct response {
    enum response_part part;
    const char *why;          /* malformed: static text */
    unsigned status;          /* 100 to 599 */
    unsigned minor;           /* of HTTP/1.x */
    bool keep_alive;          /* the connection may be used again */
    uint64_t pid, generation; /* X-Pid, X-Generation; 0: not told */
    uint64_t left, body;      /* to come in this part; bytes of the body so far */
    size_t head_size;         /* also of a line within a chunked body */
    char head[RESPONSE_HEAD_MAX];
};

/* Before each response. */
void response_begin(struct response *response);

/* Whether any byte of it has come. */
bool response_has_begun(const struct response *response);

/* Takes all of data, unless the response is complete before its end: that, too, is malformed, for
 * nobody asked for more. */
enum response_state response_feed(struct response *response, const char *data, size_t size);

/* The connection has ended: complete only when that is how the body ends. */
enum response_state response_end(struct response *response);

#endif
