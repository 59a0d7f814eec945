/* SPDX-License-Identifier: MIT
 *
 * Which tables there are, and the page that says what there is at all: /help.
 */
#include "admin/columns.h"
#include "admin/show.h"
#include "admin/views.h"

#include <string.h>

int views_end_json(srun_admin_exchange *exchange, struct json *json)
{
    json_close(json);
    buf_text(&exchange->out, "\n");
    return 0;
}

/* --- /help ----------------------------------------------------------------------------------- */

static const char *own_right(const struct routes_user *route)
{
    return show_right(strcmp(route->method, "GET") == 0 ? ADMIN_READ : ADMIN_WRITE);
}

static void help_text(struct buf *out, const struct admin *admin)
{
    const struct admin_route *route;
    auto_columns struct columns table = {0};
    columns_heads(&table, "METHOD|PATH|NEEDS|WHAT");
    for (size_t i = 0; (route = routes_own(i)) != NULL; i++) {
        if (route->help == NULL)
            continue;
        columns_add(&table, route->method);
        columns_add(&table, route->path);
        columns_add(&table, show_right(route->right));
        columns_add(&table, route->help);
    }
    for (const struct routes_user *own = admin_routes(admin); own != NULL; own = own->next) {
        columns_add(&table, own->method);
        columns_add(&table, own->path);
        columns_add(&table, own_right(own));
        columns_add(&table, "of the program");
    }
    columns_write(&table, out);
    buf_text(out, "\nTables are text and JSON: ?format=json, or Accept: application/json.\n"
                  "POST wants the header X-Srun-Admin: 1.\n");
}

static int help_view(srun_admin_exchange *exchange, srun_err *err)
{
    struct json json;
    const struct admin_route *route;
    (void)err;
    if (!exchange_wants_json(exchange)) {
        help_text(&exchange->out, exchange->admin);
        return 0;
    }
    exchange_json(exchange, &json);
    json_open(&json, "routes", '[');
    for (size_t i = 0; (route = routes_own(i)) != NULL; i++) {
        if (route->help == NULL)
            continue;
        json_open(&json, NULL, '{');
        json_str(&json, "method", route->method);
        json_str(&json, "path", route->path);
        json_str(&json, "needs", show_right(route->right));
        json_str(&json, "help", route->help);
        json_close(&json);
    }
    for (const struct routes_user *own = admin_routes(exchange->admin); own != NULL;
         own = own->next) {
        json_open(&json, NULL, '{');
        json_str(&json, "method", own->method);
        json_str(&json, "path", own->path);
        json_str(&json, "needs", own_right(own));
        json_close(&json);
    }
    json_close(&json);
    return views_end_json(exchange, &json);
}

/* --- the routes ------------------------------------------------------------------------------ */

const struct admin_route table_routes[] = {
    {"GET", "/status.json", ADMIN_READ, status_view, "everything at once", false},
    {"GET", "/services", ADMIN_READ, services_view, "states, health, what each one waits for",
     false},
    {"GET", "/health/history", ADMIN_READ, history_view, "the last results; ?service=NAME", false},
    {"GET", "/timeline", ADMIN_READ, timeline_view, "the last changes of state", false},
    {"GET", "/config", ADMIN_READ, config_view, "settings, and where they come from", false},
    {"GET", "/flags", ADMIN_READ, flags_view, "the command line", false},
    {"GET", "/build", ADMIN_READ, build_view, "versions, build id", false},
    {"GET", "/generations", ADMIN_READ, generations_view, "the processes of an upgrade", false},
    {"GET", "/threads", ADMIN_READ, threads_view, "name, state and CPU time", false},
    {"GET", "/help", ADMIN_READ, help_view, "this", false},
    {0},
};
