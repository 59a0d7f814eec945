/* SPDX-License-Identifier: MIT
 *
 * Bodies are collected up to the size that the server takes; what is longer is read to its end,
 * within reason, so that the client gets to see the 413.
 */
#include "request.h"
#include "spans.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SWALLOW_MAX (1 << 20)
#define TEXT_MAX 512

enum MHD_Result request_answer(struct request *request, unsigned status,
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
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
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

enum MHD_Result request_answer_json(struct request *request, unsigned status, const char *format,
                                    ...)
{
    char text[TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return request_answer(request, status, json(text));
}

enum MHD_Result request_answer_error(struct request *request, unsigned status, const char *what)
{
    return request_answer_json(request, status, "{\"error\":\"%s\"}\n", what);
}

const char *request_argument(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

enum MHD_Result request_answer_bytes(struct request *request, void *data, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(data);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    return request_answer(request, MHD_HTTP_OK, response);
}

static enum MHD_Result answer_too_large(struct request *request)
{
    return request_answer_json(request, MHD_HTTP_CONTENT_TOO_LARGE,
                               "{\"error\":\"a body holds up to %zu bytes\"}\n",
                               request->server->body_max);
}

static const struct route *find_route(struct request *request, const char *path)
{
    for (const struct route *route = request->server->routes; route->path != NULL; route++) {
        size_t length = strlen(route->path);
        bool is_prefix = length > 1 && route->path[length - 1] == '/';
        request->rest = path + length;
        if (strncmp(path, route->path, length) == 0 && (is_prefix || *request->rest == '\0'))
            return route;
    }
    return NULL;
}

static enum MHD_Result dispatch(struct request *request, const char *path)
{
    const struct route *route = find_route(request, path);
    if (route == NULL)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such page");
    request->path = route->path;
    if ((route->methods & request->method) == 0) {
        struct MHD_Response *response = json("{\"error\":\"method not allowed\"}\n");
        if (response != NULL)
            MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, route->allow);
        return request_answer(request, MHD_HTTP_METHOD_NOT_ALLOWED, response);
    }
    if (request->size > request->server->body_max)
        return answer_too_large(request);
    return route->respond(request);
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
    if (total <= request->server->body_max) {
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
static bool is_refused_early(const struct request *request)
{
    struct MHD_Connection *connection = request->connection;
    const char *expect =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return expect != NULL && length != NULL &&
           strtoull(length, NULL, 10) > request->server->body_max;
}

/* Called once with the headers, then for each part of the body, then once more without data. */
enum MHD_Result request_on_data(void *cls, struct MHD_Connection *connection, const char *path,
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
        return is_refused_early(request) ? answer_too_large(request) : MHD_YES;
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

void request_on_completed(void *cls, struct MHD_Connection *connection, void **state,
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
