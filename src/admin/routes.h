/* SPDX-License-Identifier: MIT
 *
 * Which path is whose: our own views, and the program's routes. Ours are tables that the views'
 * files bring; a program's route never hides one of ours. Threads: add before run; find from any.
 */
#ifndef ADMIN_ROUTES_H
#define ADMIN_ROUTES_H

#include "admin/exchange.h"

/* 0; or a negative code: status 500 with the text of err. */
typedef int admin_view(srun_admin_exchange *exchange, srun_err *err);

/* In the order of the tables' columns. */
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct admin_route {
    const char *method; /* "GET" (HEAD too) or "POST" */
    const char *path;   /* one that ends in a slash (but the root) stands for all below it */
    enum admin_right right;
    admin_view *view;
    const char *help; /* one line for /help; NULL: not listed */
    bool job;         /* takes its time: four at once, then 429 */
};

/* Each ends with an entry without a path. */
extern const struct admin_route probe_routes[]; /* health, ready and their aliases, /metrics */
extern const struct admin_route table_routes[]; /* /services, /config, ... as text and JSON */
extern const struct admin_route page_routes[];  /* / and /status.json */
extern const struct admin_route debug_routes[]; /* /debug/... */
extern const struct admin_route write_routes[]; /* /admin/... */

/* All of ours, one after the other; NULL at the end. */
const struct admin_route *routes_own(size_t index);

/* The program's, in the order of adding. */
struct routes_user {
    char *method, *path; /* owned */
    srun_admin_handler *handler;
    void *user;
    struct routes_user *next;
};

/* As srun_admin_route, but for its state. */
int routes_add(struct routes_user **list, const struct routes_user *what, srun_err *err);
void routes_free(struct routes_user **list);

/* Who answers: one of view and user is set. */
struct routes_found {
    const struct admin_route *view;
    const struct routes_user *user;
    const char *rest;       /* of the path, behind a route that ends in a slash; else "" */
    enum admin_right right; /* that is needed */
    bool job;
    char allow[64]; /* the methods that the path has, when this one is none of them */
};

/* 0; 404: no such path; 405: not by this method. The longest route that fits has the path, and ours
 * goes before the program's. */
unsigned routes_find(const struct routes_user *list, const char *method, const char *path,
                     struct routes_found *out);

#endif
