/* SPDX-License-Identifier: MIT
 *
 * A web service: a key-value store below, an HTTP server above it. The store starts first and
 * stops last, so no request ever meets a store that is not there. docs/examples.md has the
 * commands to try.
 */
#include "app.h"

static int set_upstream(void *user, const char *value, srun_err *err)
{
    return upstream_set(user, value, err);
}

static int add_flags(srun_runner *runner, struct app *app, srun_err *err)
{
    int rc = server_add_flags(runner, &app->server, err);
    if (rc < 0)
        return rc;

    rc = srun_flag_custom(runner, "http.upstream", "URL", set_upstream, &app->upstream,
                          "where to ask for items that are not here: http://HOST:PORT [none]", err);
    if (rc < 0)
        return rc;

    return srun_flag_int(runner, &app->store.limit, "store.items", 1024,
                         "how many items the store holds", err);
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct app *app = user;
    app->server.routes = routes;
    app->server.body_max = STORE_VALUE_MAX;
    app->server.app = app;
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
