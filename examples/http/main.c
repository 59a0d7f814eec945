/* SPDX-License-Identifier: MIT
 *
 * A web service: a key-value store below, an HTTP server above it. The store starts first and
 * stops last, so no request ever meets a store that is not there. docs/examples.md has the
 * commands to try.
 */
#include "server.h"
#include "store.h"

#include <stdio.h>
#include <string.h>

struct app {
    struct store store;
    struct server server;
};

static int set_address(void *user, const char *value, srun_err *err)
{
    struct server *server = user;
    bool whole = strstr(value, "://") != NULL;
    snprintf(server->address, sizeof server->address, "%s%s", whole ? "" : "tcp://", value);
    return srun_listen_check(server->address, err);
}

static int set_upstream(void *user, const char *value, srun_err *err)
{
    struct server *server = user;
    return upstream_set(&server->upstream, value, err);
}

static int add_flags(srun_runner *runner, struct app *app, srun_err *err)
{
    int rc = set_address(&app->server, "127.0.0.1:8080", err);
    if (rc < 0)
        return rc;

    rc = srun_flag_custom(runner, "http.address", "IP:PORT", set_address, &app->server,
                          "where to listen, port 0: a free one; or unix:///PATH [127.0.0.1:8080]",
                          err);
    if (rc < 0)
        return rc;

    rc = srun_flag_custom(runner, "http.upstream", "URL", set_upstream, &app->server,
                          "where to ask for items that are not here: http://HOST:PORT [none]", err);
    if (rc < 0)
        return rc;

    rc = srun_flag_duration_ms(runner, &app->server.linger_ms, "http.linger", 500,
                               "how long a stop leaves idle connections open", err);
    if (rc < 0)
        return rc;

    return srun_flag_int(runner, &app->store.limit, "store.items", 1024,
                         "how many items the store holds", err);
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct app *app = user;
    app->server.store = &app->store;
    int rc = add_flags(runner, app, err);
    if (rc < 0)
        return rc;

    rc = srun_runner_add(runner, "store", &store_ops, &app->store, NULL, err);
    if (rc < 0)
        return rc;

    static const char *const depends[] = {"store", NULL};
    return srun_runner_add(runner, "http", &server_ops, &app->server,
                           SRUN_OPTIONS(.depends = depends), err);
}

int main(int argc, char **argv)
{
    static struct app app;
    return srun_main(argc, argv,
                     SRUN_CONFIG(.name = "http", .version = "1.0.0", .health.enabled = 1), setup,
                     &app);
}
