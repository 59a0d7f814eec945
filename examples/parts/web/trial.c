/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include "../clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MS_MAX 60000
#define STREAM_MB_MAX 1024
#define STREAM_BLOCK ((size_t)32 * 1024)

enum MHD_Result trial_who(struct request *request)
{
    const struct server *server = request->server;
    return request_answer_json(request, MHD_HTTP_OK,
                               "{\"name\":\"%s\",\"version\":\"%s\",\"pid\":%d,\"generation\":%u,"
                               "\"uptime_ms\":%" PRId64 "}\n",
                               server->info.name, server->info.version, server->info.pid,
                               server->info.generation, monotonic_ms() - server->started_ms);
}

/* The number given as ?name=, or -1 when it is missing, no number, or above max. */
static int64_t number_of(struct request *request, const char *name, int64_t max)
{
    const char *text = request_argument(request, name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    int64_t number = strtoll(text, NULL, 10);
    return errno == 0 && number <= max ? number : -1;
}

enum MHD_Result trial_slow(struct request *request)
{
    int64_t ms = number_of(request, "ms", SLOW_MS_MAX);
    if (ms < 0)
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST,
                                    "ms is a number from 0 to 60000");
    if (!traffic_pause_ms(&request->server->traffic, ms))
        return MHD_NO; /* the stop has no more time for us */
    return request_answer_json(request, MHD_HTTP_OK, "{\"slept_ms\":%" PRId64 "}\n", ms);
}

/* cls is the length of the stream; so nothing has to be kept for it. */
static ssize_t stream_block(void *cls, uint64_t position, char *buffer, size_t size)
{
    uint64_t left = (uint64_t)(uintptr_t)cls - position;
    if (left == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (size > left)
        size = (size_t)left;
    memset(buffer, 'x', size);
    return (ssize_t)size;
}

enum MHD_Result trial_stream(struct request *request)
{
    int64_t mb = number_of(request, "mb", STREAM_MB_MAX);
    if (mb < 0)
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST, "mb is a number from 0 to 1024");
    void *length = (void *)((uintptr_t)mb << 20);
    return request_answer(request, MHD_HTTP_OK,
                          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                            stream_block, length, NULL));
}
