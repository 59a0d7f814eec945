/* SPDX-License-Identifier: MIT
 *
 * A table of paths and one function for each.
 */
#include "app.h"
#include "parts/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MS_MAX 60000
#define STREAM_MB_MAX 1024
#define STREAM_BLOCK ((size_t)32 * 1024)

static struct app *app_of(const struct request *request)
{
    return request->server->app;
}

static enum MHD_Result root(struct request *request)
{
    const struct server *server = request->server;
    return request_answer_json(request, MHD_HTTP_OK,
                               "{\"name\":\"%s\",\"version\":\"%s\",\"pid\":%d,\"generation\":%u,"
                               "\"uptime_ms\":%" PRId64 "}\n",
                               server->info.name, server->info.version, server->info.pid,
                               server->info.generation, monotonic_ms() - server->started_ms);
}

static enum MHD_Result answer_value(struct request *request, void *value, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, value, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(value);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    return request_answer(request, MHD_HTTP_OK, response);
}

/* What is not here may be there. The current span is the request's, so the call is a part of it. */
static enum MHD_Result item_ask(struct request *request)
{
    struct server *server = request->server;
    char path[sizeof "/items/" + STORE_ID_MAX];
    char *value = NULL;
    size_t size = 0;
    srun_err err = {0};
    snprintf(path, sizeof path, "/items/%s", request->rest);
    int status = upstream_get(&app_of(request)->upstream, srun_context_tracer(server->ctx), path,
                              STORE_VALUE_MAX, &value, &size, &err);
    if (status == MHD_HTTP_OK)
        return answer_value(request, value, size);
    free(value);
    if (status == MHD_HTTP_NOT_FOUND)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    SRUN_WARN(server->log, "upstream", SRUN_STR("path", path), SRUN_INT("status", status),
              SRUN_STR("error", err.text));
    return request_answer_error(
        request, status == -ETIMEDOUT ? MHD_HTTP_GATEWAY_TIMEOUT : MHD_HTTP_BAD_GATEWAY,
        "the upstream does not answer as it should");
}

static enum MHD_Result item_get(struct request *request)
{
    void *value = NULL;
    size_t size = 0;
    int rc = store_get(&app_of(request)->store, request->rest, &value, &size);
    if (rc == -ENOENT && app_of(request)->upstream.url[0] != '\0')
        return item_ask(request);
    if (rc == -ENOENT)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    if (rc < 0)
        return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, srun_strerror(rc));
    return answer_value(request, value, size);
}

static enum MHD_Result item_put(struct request *request)
{
    int rc = store_put(&app_of(request)->store, request->rest, request->body, request->size);
    switch (rc) {
    case 1:
        return request_answer_json(request, MHD_HTTP_CREATED, "{\"created\":true}\n");
    case 0:
        return request_answer_json(request, MHD_HTTP_OK, "{\"created\":false}\n");
    case -ENOSPC:
        return request_answer_error(request, MHD_HTTP_INSUFFICIENT_STORAGE, "the store is full");
    default:
        return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, srun_strerror(rc));
    }
}

static enum MHD_Result item(struct request *request)
{
    if (!store_id_is_valid(request->rest))
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST,
                                    "an id is 1 to 64 letters, digits, '.', '_' or '-'");
    if (request->method == PUT)
        return item_put(request);
    if (request->method == GET)
        return item_get(request);
    if (store_delete(&app_of(request)->store, request->rest) < 0)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    return request_answer_json(request, MHD_HTTP_OK, "{\"deleted\":true}\n");
}

/* The number given as ?name=, or -1 when it is missing, no number, or above max. */
static int64_t query_number(struct request *request, const char *name, int64_t max)
{
    const char *text = request_argument(request, name);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    int64_t number = strtoll(text, NULL, 10);
    return errno == 0 && number <= max ? number : -1;
}

static enum MHD_Result slow(struct request *request)
{
    int64_t ms = query_number(request, "ms", SLOW_MS_MAX);
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

static enum MHD_Result stream(struct request *request)
{
    int64_t mb = query_number(request, "mb", STREAM_MB_MAX);
    if (mb < 0)
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST, "mb is a number from 0 to 1024");
    void *length = (void *)((uintptr_t)mb << 20);
    return request_answer(request, MHD_HTTP_OK,
                          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                            stream_block, length, NULL));
}

const struct route routes[] = {
    {"/", GET, "GET, HEAD", root},
    {"/items/", GET | PUT | DELETE, "GET, HEAD, PUT, DELETE", item},
    {"/slow", GET, "GET, HEAD", slow},
    {"/stream", GET, "GET, HEAD", stream},
    {NULL, 0, NULL, NULL},
};
