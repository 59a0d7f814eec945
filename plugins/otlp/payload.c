/* SPDX-License-Identifier: MIT
 *
 * The body of a request. Level 1: level 6 takes three times as long and saves a tenth.
 */
#include "http.h"

#include <errno.h>
#include <limits.h>

#define KEPT_MAX ((size_t)4 * 1024 * 1024)

static int compress_into(struct http *http, const void *body, size_t size)
{
    z_stream *z = &http->deflate;
    if (!http->deflates && deflateInit2(z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    http->deflates = true;
    if (size > UINT_MAX / 2)
        return -EMSGSIZE;
    size_t room = deflateBound(z, (uLong)size);
    if (!buf_reserve(&http->packed, room))
        return -ENOMEM;
    z->next_in = (Bytef *)(uintptr_t)body; /* zlib only reads it */
    z->avail_in = (uInt)size;
    z->next_out = (Bytef *)http->packed.data + http->packed.size;
    z->avail_out = (uInt)room;
    int rc = deflate(z, Z_FINISH);
    http->packed.size += room - z->avail_out;
    return rc == Z_STREAM_END && deflateReset(z) == Z_OK ? 0 : -EIO;
}

static void fill_head(struct http *http)
{
    size_t size = http->packed.size - FRAME_HEAD;
    char *head = http->packed.data;
    head[0] = http->gzip;
    for (int i = 0; i < 4; i++)
        head[1 + i] = (char)(size >> (8 * (3 - i)));
}

int payload_load(struct transport *transport, const void *body, size_t size)
{
    static const char no_head[FRAME_HEAD];
    struct http *http = (struct http *)transport;
    http->body = body;
    http->size = size;
    if (!http->grpc && !http->gzip)
        return 0;
    if (http->packed.failed || http->packed.capacity > KEPT_MAX)
        buf_free(&http->packed);
    http->packed.size = 0;
    if (http->grpc)
        buf_add(&http->packed, no_head, sizeof no_head);
    if (!http->gzip)
        buf_add(&http->packed, body, size);
    int rc = http->gzip ? compress_into(http, body, size) : 0;
    if (http->packed.failed)
        return -ENOMEM;
    if (rc < 0)
        return rc;
    if (http->grpc)
        fill_head(http);
    http->body = http->packed.data;
    http->size = http->packed.size;
    return 0;
}
