/* SPDX-License-Identifier: MIT
 *
 * Asks the views of the admin port without any HTTP: a view is found in its table, and given an
 * exchange whose query and headers are those of the test.
 */
#ifndef TESTS_UNIT_ASKING_H
#define TESTS_UNIT_ASKING_H

#include "admin/exchange.h"
#include "admin/routes.h"
#include "cast.h"
#include "json_valid.h"

#define ASKING_QUERIES 4

struct asking {
    struct admin *admin;
    enum admin_right right;
    const char *accept; /* the header, or NULL */
    char query[512];    /* "verbose&exclude=db" */
    char values[ASKING_QUERIES][128];
    srun_admin_exchange exchange;
};

/* The parts of the query are looked up as the server does; nothing is decoded. */
static inline const char *asking_query(void *cookie, const char *name, unsigned index)
{
    struct asking *asking = cookie;
    size_t size = strlen(name), found = 0;
    for (const char *at = asking->query; *at != '\0' && found < ASKING_QUERIES; found++) {
        size_t length = strcspn(at, "&"), key = strcspn(at, "=&");
        if (key == size && strncmp(at, name, size) == 0 && index-- == 0) {
            const char *value = at + key + (at[key] == '=');
            (void)snprintf(asking->values[found], sizeof asking->values[0], "%.*s",
                           (int)(at + length - value), value);
            return asking->values[found];
        }
        at += length + (at[length] == '&');
    }
    return NULL;
}

static inline const char *asking_header(void *cookie, const char *name)
{
    const struct asking *asking = cookie;
    return strcmp(name, "Accept") == 0 ? asking->accept : NULL;
}

static inline const struct admin_route *asking_find(const struct admin_route *table,
                                                    const char *path, const char **rest)
{
    for (; table->path != NULL; table++) {
        size_t size = strlen(table->path);
        bool below = size > 1 && table->path[size - 1] == '/';
        if (strcmp(table->path, path) == 0 || (below && strncmp(table->path, path, size) == 0)) {
            *rest = below ? path + size : "";
            return table;
        }
    }
    ck_abort_msg("there is no route for %s", path);
    return NULL;
}

/* Makes an empty exchange for a path with a query. */
static inline void asking_begin(struct asking *asking, const char *url)
{
    static char path[256];
    size_t size = strcspn(url, "?");
    exchange_free(&asking->exchange);
    exchange_init(&asking->exchange);
    (void)snprintf(path, sizeof path, "%.*s", (int)size, url);
    (void)snprintf(asking->query, sizeof asking->query, "%s", url + size + (url[size] == '?'));
    asking->exchange.admin = asking->admin;
    asking->exchange.path = path;
    asking->exchange.peer = "uid 1000 pid 12";
    asking->exchange.right = asking->right;
    asking->exchange.query = asking_query;
    asking->exchange.header = asking_header;
    asking->exchange.cookie = asking;
}

/* The body, which is valid until the next question; the status is in exchange. */
static inline const char *ask(struct asking *asking, const struct admin_route *table,
                              const char *url)
{
    srun_err err = {0};
    asking_begin(asking, url);
    const struct admin_route *route =
        asking_find(table, asking->exchange.path, &asking->exchange.rest);
    asking->exchange.method = route->method;
    int rc = route->view(&asking->exchange, &err);
    ck_assert_msg(rc == 0, "%s: %s", url, err.text);
    ck_assert(!asking->exchange.failed && !asking->exchange.out.failed);
    return asking->exchange.out.data != NULL ? asking->exchange.out.data : "";
}

/* The same, and what comes must be JSON of version 1. */
static inline const char *ask_json(struct asking *asking, const struct admin_route *table,
                                   const char *url)
{
    const char *before = asking->accept;
    asking->accept = "application/json";
    const char *body = ask(asking, table, url);
    asking->accept = before;
    ck_assert_msg(json_is_valid(body, strlen(body)), "not JSON: %s", body);
    ck_assert_msg(strncmp(body, "{\"v\":1", 6) == 0, "%.100s", body);
    ck_assert_str_eq(asking->exchange.type, "application/json");
    return body;
}

/* A header of the last response, or NULL. */
static inline const char *answered_header(const struct asking *asking, const char *name)
{
    for (const struct exchange_pair *pair = asking->exchange.headers; pair != NULL;
         pair = pair->next)
        if (strcmp(pair->name, name) == 0)
            return pair->value;
    return NULL;
}

#define assert_has(text, part)                                                                     \
    ck_assert_msg(strstr((text), (part)) != NULL, "'%s' is not in:\n%.3000s", (part), (text))
#define assert_has_not(text, part)                                                                 \
    ck_assert_msg(strstr((text), (part)) == NULL, "'%s' is in:\n%.3000s", (part), (text))

static inline void asking_open_with(struct asking *asking, const struct admin_host *host)
{
    *asking = (struct asking){.right = ADMIN_WRITE};
    exchange_init(&asking->exchange);
    ck_assert_int_eq(admin_new(&asking->admin, host), 0);
}

static inline void asking_open(struct asking *asking, struct stage *stage)
{
    asking_open_with(asking, &(struct admin_host){.runner = stage->runner});
}

static inline void asking_close(struct asking *asking)
{
    exchange_free(&asking->exchange);
    asking->admin = admin_free(asking->admin);
}

#endif
