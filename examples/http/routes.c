/* SPDX-License-Identifier: MIT
 *
 * A table of paths and one function for each. Bodies are collected up to the size of an item; what
 * is longer is read to its end, within reason, so that the client gets to see the 413.
 */
#include "routes.h"
#include "server.h"
#include "spans.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOW_MS_MAX 60000
#define STREAM_MB_MAX 1024
#define STREAM_BLOCK ((size_t)32 * 1024)
#define SWALLOW_MAX (1 << 20)

enum { GET = 1, PUT = 2, DELETE = 4 };

/* One request, from its headers on. */
struct request {
    struct server *server;
    struct MHD_Connection *connection;
    unsigned method;  /* GET (HEAD too), PUT, DELETE, or 0 */
    double started;   /* seconds */
    const char *rest; /* of the path, after the route's */
    char *body;
    size_t size; /* of the body; over STORE_VALUE_MAX it was not kept */
    srun_span span;
    const char *verb, *path; /* for the span: of the request, of its route */
    unsigned status;         /* 0: not answered */
};

static enum MHD_Result answer(struct request *request, unsigned status,
                              struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    struct server *server = request->server;
    char pid[16], generation[16];
    snprintf(pid, sizeof pid, "%d", server->info.pid);
    snprintf(generation, sizeof generation, "%u", server->info.generation);
    MHD_add_response_header(response, "X-Pid", pid);
    MHD_add_response_header(response, "X-Generation", generation);
    if (server_lets_go(server))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result rc = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    request->status = status;
    return rc;
}

static struct MHD_Response *json(const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return response;
}

/* what needs no escaping: it is always text of ours. */
static enum MHD_Result answer_error(struct request *request, unsigned status, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "{\"error\":\"%s\"}\n", what);
    return answer(request, status, json(text));
}

static enum MHD_Result root(struct request *request)
{
    const struct server *server = request->server;
    char text[256];
    snprintf(text, sizeof text,
             "{\"name\":\"%s\",\"version\":\"%s\",\"pid\":%d,\"generation\":%u,"
             "\"uptime_ms\":%" PRId64 "}\n",
             server->info.name, server->info.version, server->info.pid, server->info.generation,
             monotonic_ms() - server->started_ms);
    return answer(request, MHD_HTTP_OK, json(text));
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
    return answer(request, MHD_HTTP_OK, response);
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
    int status = upstream_get(&server->upstream, srun_context_tracer(server->ctx), path,
                              STORE_VALUE_MAX, &value, &size, &err);
    if (status == MHD_HTTP_OK)
        return answer_value(request, value, size);
    free(value);
    if (status == MHD_HTTP_NOT_FOUND)
        return answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    SRUN_WARN(server->log, "upstream", SRUN_STR("path", path), SRUN_INT("status", status),
              SRUN_STR("error", err.text));
    return answer_error(request,
                        status == -ETIMEDOUT ? MHD_HTTP_GATEWAY_TIMEOUT : MHD_HTTP_BAD_GATEWAY,
                        "the upstream does not answer as it should");
}

static enum MHD_Result item_get(struct request *request)
{
    void *value = NULL;
    size_t size = 0;
    int rc = store_get(request->server->store, request->rest, &value, &size);
    if (rc == -ENOENT && request->server->upstream.url[0] != '\0')
        return item_ask(request);
    if (rc == -ENOENT)
        return answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    if (rc < 0)
        return answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, srun_strerror(rc));
    return answer_value(request, value, size);
}

static enum MHD_Result item_put(struct request *request)
{
    int rc = store_put(request->server->store, request->rest, request->body, request->size);
    switch (rc) {
    case 1:
        return answer(request, MHD_HTTP_CREATED, json("{\"created\":true}\n"));
    case 0:
        return answer(request, MHD_HTTP_OK, json("{\"created\":false}\n"));
    case -EFBIG:
        return answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "an item holds up to 65536 bytes");
    case -ENOSPC:
        return answer_error(request, MHD_HTTP_INSUFFICIENT_STORAGE, "the store is full");
    default:
        return answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, srun_strerror(rc));
    }
}

static enum MHD_Result item(struct request *request)
{
    if (!store_id_is_valid(request->rest))
        return answer_error(request, MHD_HTTP_BAD_REQUEST,
                            "an id is 1 to 64 letters, digits, '.', '_' or '-'");
    if (request->method == PUT)
        return item_put(request);
    if (request->method == GET)
        return item_get(request);
    if (store_delete(request->server->store, request->rest) < 0)
        return answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    return answer(request, MHD_HTTP_OK, json("{\"deleted\":true}\n"));
}

/* The number given as ?name=, or -1 when it is missing, no number, or above max. */
static int64_t query_number(struct request *request, const char *name, int64_t max)
{
    const char *text =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
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
        return answer_error(request, MHD_HTTP_BAD_REQUEST, "ms is a number from 0 to 60000");
    if (!traffic_pause_ms(&request->server->traffic, ms))
        return MHD_NO; /* the stop has no more time for us */
    char text[64];
    snprintf(text, sizeof text, "{\"slept_ms\":%" PRId64 "}\n", ms);
    return answer(request, MHD_HTTP_OK, json(text));
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
        return answer_error(request, MHD_HTTP_BAD_REQUEST, "mb is a number from 0 to 1024");
    void *length = (void *)((uintptr_t)mb << 20);
    return answer(request, MHD_HTTP_OK,
                  MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_block,
                                                    length, NULL));
}

static const struct route {
    const char *path; /* one that ends in a slash (but the root) is a prefix */
    unsigned methods;
    const char *allow;
    enum MHD_Result (*respond)(struct request *request);
} routes[] = {
    {"/", GET, "GET, HEAD", root},
    {"/items/", GET | PUT | DELETE, "GET, HEAD, PUT, DELETE", item},
    {"/slow", GET, "GET, HEAD", slow},
    {"/stream", GET, "GET, HEAD", stream},
};

static const struct route *find_route(const char *path, const char **rest)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t length = strlen(routes[i].path);
        bool is_prefix = length > 1 && routes[i].path[length - 1] == '/';
        *rest = path + length;
        if (strncmp(path, routes[i].path, length) == 0 && (is_prefix || **rest == '\0'))
            return &routes[i];
    }
    return NULL;
}

static enum MHD_Result dispatch(struct request *request, const char *path)
{
    const struct route *route = find_route(path, &request->rest);
    if (route == NULL)
        return answer_error(request, MHD_HTTP_NOT_FOUND, "no such page");
    request->path = route->path;
    if ((route->methods & request->method) != 0)
        return route->respond(request);

    struct MHD_Response *response = json("{\"error\":\"method not allowed\"}\n");
    if (response != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, route->allow);
    return answer(request, MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What a handler logs says which request it was about. */
static enum MHD_Result dispatch_traced(struct request *request, const char *path)
{
    struct srun_span_token token = srun_span_attach(&request->span.context);
    SRUN_DEBUG(request->server->log, "request", SRUN_STR("method", request->verb),
               SRUN_STR("path", path));
    enum MHD_Result rc = dispatch(request, path);
    (void)srun_span_detach(&token);
    return rc;
}

/* As the span may name it: a method that is not known could be anything. */
static const char *verb_of(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i]) == 0)
            return known[i];
    return "_OTHER";
}

static unsigned parse_method(const char *method)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return GET;
    if (strcmp(method, MHD_HTTP_METHOD_PUT) == 0)
        return PUT;
    return strcmp(method, MHD_HTTP_METHOD_DELETE) == 0 ? DELETE : 0;
}

static enum MHD_Result keep_body(struct request *request, const char *data, size_t size)
{
    size_t total = request->size + size;
    if (total > SWALLOW_MAX)
        return MHD_NO; /* hang up */
    if (total <= STORE_VALUE_MAX) {
        char *grown = realloc(request->body, total);
        if (grown == NULL)
            return MHD_NO;
        memcpy(grown + request->size, data, size);
        request->body = grown;
    }
    request->size = total;
    return MHD_YES;
}

/* Who waits for "100 Continue" can be told at once that the body is too large. */
static bool is_refused_early(struct MHD_Connection *connection)
{
    const char *expect =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return expect != NULL && length != NULL && strtoull(length, NULL, 10) > STORE_VALUE_MAX;
}

/* Called once with the headers, then for each part of the body, then once more without data. */
enum MHD_Result routes_on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    (void)version;
    struct request *request = *state;
    if (request == NULL) {
        request = calloc(1, sizeof *request);
        if (request == NULL)
            return MHD_NO;
        *request = (struct request){.server = cls,
                                    .connection = connection,
                                    .method = parse_method(method),
                                    .verb = verb_of(method),
                                    .started = now_seconds()};
        request->span = span_of_request(srun_context_tracer(request->server->ctx), connection,
                                        request->verb, path);
        *state = request;
        traffic_request_opened(&request->server->traffic);
        return is_refused_early(connection) ? answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
                                                           "an item holds up to 65536 bytes")
                                            : MHD_YES;
    }
    if (*size > 0) {
        size_t part = *size;
        *size = 0;
        return keep_body(request, data, part);
    }
    return dispatch_traced(request, path);
}

/* The route, not the path: a client can think of any number of paths. */
static void count(const struct request *request)
{
    const struct server *server = request->server;
    const char *route = request->path != NULL ? request->path : "none";
    if (request->status == 0)
        return;
    srun_add(server->requests, 1,
             SRUN_KVS(SRUN_STR("route", route), SRUN_UINT("code", request->status)));
    srun_record(server->durations, now_seconds() - request->started,
                SRUN_KVS(SRUN_STR("route", route)));
}

void routes_on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)connection, (void)why;
    struct request *request = *state;
    if (request == NULL)
        return;
    *state = NULL;
    count(request);
    traffic_request_closed(&request->server->traffic);
    span_answered(&request->span, request->verb, request->path, request->status);
    free(request->body);
    free(request);
}
