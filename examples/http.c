/* SPDX-License-Identifier: MIT
 *
 * A web service: a key-value store below, an HTTP server above it. The store starts first and
 * stops last, so no request ever meets a store that is not there. What it does not have may be
 * asked of another such server. docs/examples.md has the commands to try.
 */
#include "parts/store.h"
#include "parts/upstream.h"
#include "parts/web/request.h"
#include "parts/web/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct app {
    struct store store;
    struct upstream upstream;
    struct server server;
};

/* What is not here may be there. The current span is the request's, so the call is a part of it. */
static enum MHD_Result item_ask(struct request *request)
{
    const struct app *app = request->server->app;
    char path[sizeof "/items/" + STORE_ID_MAX];
    char *value = NULL;
    size_t size = 0;
    srun_err err = {0};
    snprintf(path, sizeof path, "/items/%s", request->rest);
    int status = upstream_get(&app->upstream, srun_context_tracer(app->server.ctx), path,
                              STORE_VALUE_MAX, &value, &size, &err);
    if (status == MHD_HTTP_OK)
        return request_answer_bytes(request, value, size);
    free(value);
    if (status == MHD_HTTP_NOT_FOUND)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    SRUN_WARN(app->server.log, "upstream", SRUN_STR("path", path), SRUN_INT("status", status),
              SRUN_STR("error", err.text));
    return request_answer_error(
        request, status == -ETIMEDOUT ? MHD_HTTP_GATEWAY_TIMEOUT : MHD_HTTP_BAD_GATEWAY,
        "the upstream does not answer as it should");
}

static enum MHD_Result item_get(struct request *request)
{
    struct app *app = request->server->app;
    void *value = NULL;
    size_t size = 0;
    int rc = store_get(&app->store, request->rest, &value, &size);
    if (rc == 0)
        return request_answer_bytes(request, value, size);
    if (rc == -ENOENT && app->upstream.url[0] != '\0')
        return item_ask(request);
    if (rc == -ENOENT)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    return request_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, srun_strerror(rc));
}

static enum MHD_Result item_put(struct request *request)
{
    struct app *app = request->server->app;
    int rc = store_put(&app->store, request->rest, request->body, request->size);
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

static enum MHD_Result item_delete(struct request *request)
{
    struct app *app = request->server->app;
    if (store_delete(&app->store, request->rest) < 0)
        return request_answer_error(request, MHD_HTTP_NOT_FOUND, "no such item");
    return request_answer_json(request, MHD_HTTP_OK, "{\"deleted\":true}\n");
}

static enum MHD_Result item(struct request *request)
{
    if (!store_id_is_valid(request->rest))
        return request_answer_error(request, MHD_HTTP_BAD_REQUEST,
                                    "an id is 1 to 64 letters, digits, '.', '_' or '-'");
    return request->method == PUT   ? item_put(request)
           : request->method == GET ? item_get(request)
                                    : item_delete(request);
}

static const struct route routes[] = {
    {"/", GET, "GET, HEAD", trial_who},
    {"/items/", GET | PUT | DELETE, "GET, HEAD, PUT, DELETE", item},
    {"/slow", GET, "GET, HEAD", trial_slow},
    {"/stream", GET, "GET, HEAD", trial_stream},
    {NULL, 0, NULL, NULL},
};

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct app *app = user;
    app->server.routes = routes;
    app->server.body_max = STORE_VALUE_MAX;
    app->server.app = app;
    int rc = server_add_flags(runner, &app->server, err);
    if (rc < 0)
        return rc;

    rc = srun_flag_custom(runner, "http.upstream", "URL", upstream_set, &app->upstream,
                          "where to ask for items that are not here: http://HOST:PORT [none]", err);
    if (rc < 0)
        return rc;

    rc = store_add(runner, &app->store, err);
    if (rc < 0)
        return rc;

    static const char *const below[] = {"store", NULL};
    return srun_runner_add(runner, "http", &server_ops, &app->server,
                           SRUN_OPTIONS(.depends = below), err);
}

int main(int argc, char **argv)
{
    static struct app app;
    return srun_main(argc, argv,
                     SRUN_CONFIG(.name = "http", .version = "1.0.0", .health.enabled = 1), setup,
                     &app);
}
