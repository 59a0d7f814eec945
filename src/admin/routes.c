/* SPDX-License-Identifier: MIT
 *
 * A few dozen routes, looked through from the first to the last for each request.
 */
#include "admin/routes.h"

#include "base/ensure.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_HERE 255

/* --- ours ------------------------------------------------------------------------------------ */

static const struct admin_route *const tables[] = {
    probe_routes, page_routes, table_routes, debug_routes, write_routes,
};

const struct admin_route *routes_own(size_t index)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const struct admin_route *route = tables[i]; route->path != NULL; route++)
            if (index-- == 0)
                return route;
    return NULL;
}

/* --- finding --------------------------------------------------------------------------------- */

/* How much of the path a route stands for; 0: none. */
static size_t fits(const char *route, const char *path)
{
    size_t size = strlen(route);
    if (strncmp(route, path, size) != 0)
        return 0;
    bool prefix = size > 1 && route[size - 1] == '/';
    return prefix || path[size] == '\0' ? size : 0;
}

static bool has_method(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route, "GET") == 0);
}

static void allow(struct routes_found *out, const char *method)
{
    const char *text = strcmp(method, "GET") == 0 ? "GET, HEAD" : method;
    size_t used = strlen(out->allow);
    if (strstr(out->allow, text) == NULL)
        (void)snprintf(out->allow + used, sizeof out->allow - used, "%s%s", used > 0 ? ", " : "",
                       text); /* four methods fit */
}

static unsigned find_own(const char *method, const char *path, struct routes_found *out)
{
    size_t best = 0, size;
    const struct admin_route *route;
    for (size_t i = 0; (route = routes_own(i)) != NULL; i++)
        if ((size = fits(route->path, path)) > best)
            best = size;
    for (size_t i = 0; best > 0 && (route = routes_own(i)) != NULL; i++) {
        if (fits(route->path, path) != best)
            continue;
        allow(out, route->method);
        if (has_method(route->method, method))
            out->view = route;
    }
    if (out->view != NULL) {
        out->right = out->view->right;
        out->job = out->view->job;
    }
    out->rest = path + best;
    return best == 0 ? 404 : out->view == NULL ? 405 : 0;
}

static unsigned find_user(const struct routes_user *list, const char *method, const char *path,
                          struct routes_found *out)
{
    size_t best = 0, size;
    for (const struct routes_user *route = list; route != NULL; route = route->next)
        if ((size = fits(route->path, path)) > best)
            best = size;
    for (const struct routes_user *route = list; best > 0 && route != NULL; route = route->next) {
        if (fits(route->path, path) != best)
            continue;
        allow(out, route->method);
        if (has_method(route->method, method))
            out->user = route;
    }
    if (out->user != NULL) {
        out->right = strcmp(out->user->method, "GET") == 0 ? ADMIN_READ : ADMIN_WRITE;
        out->job = true;
    }
    out->rest = path + best;
    return best == 0 ? 404 : out->user == NULL ? 405 : 0;
}

unsigned routes_find(const struct routes_user *list, const char *method, const char *path,
                     struct routes_found *out)
{
    *out = (struct routes_found){.right = ADMIN_READ};
    unsigned status = find_own(method, path, out);
    return status == 404 ? find_user(list, method, path, out) : status;
}

/* --- the program's --------------------------------------------------------------------------- */

static bool is_method(const char *method)
{
    static const char *const known[] = {"GET", "POST", "PUT", "DELETE"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(method, known[i]) == 0)
            return true;
    return false;
}

/* What a request can ask for and its log line can show. */
static bool is_path(const char *path)
{
    if (path[0] != '/' || strpbrk(path, "?#%\"\\ ") != NULL || strstr(path, "//") != NULL)
        return false;
    return text_printable(path, PATH_MAX_HERE);
}

static int check(const struct routes_user *list, const struct routes_user *what, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    if (what->method == NULL || !is_method(what->method))
        return srun_fail(err, -EINVAL, "route: method %s: accepted are GET, POST, PUT, DELETE",
                         text_quote(quoted, what->method != NULL ? what->method : "NULL"));
    if (what->path == NULL || !is_path(what->path))
        return srun_fail(err, -EINVAL,
                         "route: path %s: accepted is /PATH of up to %d printable bytes without "
                         "spaces and any of ? # %% \" \\ //",
                         text_quote(quoted, what->path != NULL ? what->path : "NULL"),
                         PATH_MAX_HERE);
    if (what->handler == NULL)
        return srun_fail(err, -EINVAL, "route %s: there is no handler", what->path);
    struct routes_found found = {0};
    if (find_own(what->method, what->path, &found) != 404)
        return srun_fail(err, -EEXIST, "route %s: the admin port has this path itself", what->path);
    for (const struct routes_user *other = list; other != NULL; other = other->next)
        if (strcmp(other->path, what->path) == 0 && strcmp(other->method, what->method) == 0)
            return srun_fail(err, -EEXIST, "route %s %s: is there already", what->method,
                             what->path);
    return 0;
}

static void free_one(struct routes_user *route)
{
    free(route->method);
    free(route->path);
    free(route);
}

int routes_add(struct routes_user **list, const struct routes_user *what, srun_err *err)
{
    int rc = check(*list, what, err);
    if (rc < 0)
        return rc;
    struct routes_user *route = calloc(1, sizeof *route);
    if (route == NULL)
        return srun_fail(err, -ENOMEM, "route: out of memory");
    route->handler = what->handler;
    route->user = what->user;
    route->method = strdup(what->method);
    route->path = strdup(what->path);
    if (route->method == NULL || route->path == NULL) {
        free_one(route);
        return srun_fail(err, -ENOMEM, "route: out of memory");
    }
    while (*list != NULL)
        list = &(*list)->next;
    *list = route;
    return 0;
}

void routes_free(struct routes_user **list)
{
    while (*list != NULL) {
        struct routes_user *route = *list;
        *list = route->next;
        free_one(route);
    }
}
