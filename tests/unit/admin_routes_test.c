/* SPDX-License-Identifier: MIT
 *
 * Which path is whose.
 */
#include "admin/routes.h"
#include "base/ensure.h"
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int handle(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)exchange, (void)err;
    return 0;
}

static int add(struct admin *admin, const char *method, const char *path, srun_err *err)
{
    return admin_add_route(admin, method, path, handle, NULL, err);
}

START_TEST(takes_only_routes_that_can_be_asked_for)
    {
        static const struct {
            const char *method, *path;
            int code;
        } tries[] = {{"GET", "/ok", 0},         {"GET", "/ok", -EEXIST},   {"POST", "/ok", 0},
                     {"GET", "/ok/", 0},        {"HEAD", "/h", -EINVAL},   {"get", "/h", -EINVAL},
                     {"GET", "h", -EINVAL},     {"GET", "", -EINVAL},      {"GET", "/a?b", -EINVAL},
                     {"GET", "/a b", -EINVAL},  {"GET", "/a%20", -EINVAL}, {"GET", "//", -EINVAL},
                     {"GET", "/a\\b", -EINVAL}, {NULL, "/a", -EINVAL},     {"GET", NULL, -EINVAL},
                     {"GET", "/a\n", -EINVAL}};
        struct admin *admin = NULL;
        const struct admin_host host = {0};
        ck_assert_int_eq(admin_new(&admin, &host), 0);
        for (size_t i = 0; i < COUNT_OF(tries); i++) {
            srun_err err = {0};
            ck_assert_int_eq(add(admin, tries[i].method, tries[i].path, &err), tries[i].code);
            ck_assert(tries[i].code == 0 || err.text[0] != '\0');
        }
        ck_assert_int_eq(admin_add_route(admin, "GET", "/null", NULL, NULL, NULL), -EINVAL);
        ck_assert_ptr_null(admin_free(admin));
        ck_assert_ptr_null(admin_free(NULL));
    }
END_TEST

START_TEST(lets_no_route_of_the_program_hide_one_of_ours)
    {
        struct admin *admin = NULL;
        const struct admin_host host = {0};
        const struct admin_route *own;
        ck_assert_int_eq(admin_new(&admin, &host), 0);
        for (size_t i = 0; (own = routes_own(i)) != NULL; i++) {
            srun_err err = {0};
            char below[256];
            ck_assert_int_eq(add(admin, "GET", own->path, &err), -EEXIST);
            ck_assert_int_eq(add(admin, "PUT", own->path, &err), -EEXIST);
            (void)snprintf(below, sizeof below, "%sx", own->path);
            bool prefix = strlen(own->path) > 1 && own->path[strlen(own->path) - 1] == '/';
            ck_assert(!prefix || add(admin, "GET", below, &err) == -EEXIST);
        }
        (void)admin_free(admin);
    }
END_TEST

static struct routes_user *list;

static void add_to_list(const char *method, const char *path)
{
    const struct routes_user what = {
        .method = (char *)(uintptr_t)method, .path = (char *)(uintptr_t)path, .handler = handle};
    ck_assert_int_eq(routes_add(&list, &what, NULL), 0);
}

START_TEST(gives_a_path_to_the_longest_route_that_fits)
    {
        struct routes_found found;
        add_to_list("GET", "/x/");
        add_to_list("GET", "/x/y/");
        add_to_list("GET", "/x/y/z");
        static const struct {
            const char *path, *route, *rest;
        } cases[] = {{"/x/", "/x/", ""},     {"/x/a/b", "/x/", "a/b"},   {"/x/y", "/x/", "y"},
                     {"/x/y/", "/x/y/", ""}, {"/x/y/zz", "/x/y/", "zz"}, {"/x/y/z", "/x/y/z", ""}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            ck_assert_uint_eq(routes_find(list, "GET", cases[i].path, &found), 0);
            ck_assert_str_eq(found.user->path, cases[i].route);
            ck_assert_str_eq(found.rest, cases[i].rest);
            ck_assert(found.right == ADMIN_READ && found.job);
        }
        ck_assert_uint_eq(routes_find(list, "GET", "/x", &found), 404);
        ck_assert_uint_eq(routes_find(list, "GET", "/xx/", &found), 404);
        routes_free(&list);
    }
END_TEST

START_TEST(answers_head_with_get_and_needs_the_right_to_write_for_the_rest)
    {
        struct routes_found found;
        add_to_list("GET", "/x");
        add_to_list("POST", "/x");
        add_to_list("DELETE", "/only");
        ck_assert_uint_eq(routes_find(list, "HEAD", "/x", &found), 0);
        ck_assert_str_eq(found.user->method, "GET");
        ck_assert_uint_eq(routes_find(list, "POST", "/x", &found), 0);
        ck_assert_int_eq(found.right, ADMIN_WRITE);
        ck_assert_uint_eq(routes_find(list, "PUT", "/x", &found), 405);
        ck_assert_str_eq(found.allow, "GET, HEAD, POST");
        ck_assert_uint_eq(routes_find(list, "HEAD", "/only", &found), 405);
        ck_assert_str_eq(found.allow, "DELETE");
        routes_free(&list);
    }
END_TEST

/* By both methods, as pprof asks; who posts there changes nothing. */
static bool is_for_pprof(const struct admin_route *own)
{
    return strcmp(strrchr(own->path, '/'), "/symbol") == 0 && own->right == ADMIN_READ;
}

START_TEST(has_a_right_and_a_known_method_for_each_of_ours)
    {
        const struct admin_route *own;
        for (size_t i = 0; (own = routes_own(i)) != NULL; i++) {
            bool reads = strcmp(own->method, "GET") == 0;
            ck_assert_msg(own->path[0] == '/' && own->view != NULL, "%s", own->path);
            ck_assert_msg(reads || strcmp(own->method, "POST") == 0, "%s", own->path);
            struct routes_found found;
            if (is_for_pprof(own))
                continue;
            ck_assert_msg(reads ? own->right >= ADMIN_PROBE : own->right == ADMIN_WRITE, "%s",
                          own->path);
            ck_assert_uint_eq(routes_find(NULL, own->method, own->path, &found), 0);
            ck_assert_ptr_eq(found.view, own);
            ck_assert_uint_eq(routes_find(NULL, reads ? "POST" : "GET", own->path, &found), 405);
        }
    }
END_TEST

START_TEST(shows_nothing_but_probes_and_metrics_to_who_may_only_probe)
    {
        static const char *const probes[] = {"/health", "/healthz", "/livez",
                                             "/ready",  "/readyz",  "/healthz/",
                                             "/livez/", "/readyz/", "/metrics"};
        const struct admin_route *own;
        for (size_t i = 0; (own = routes_own(i)) != NULL; i++) {
            bool probe = false;
            for (size_t k = 0; k < COUNT_OF(probes); k++)
                probe |= strcmp(own->path, probes[k]) == 0;
            ck_assert_msg((own->right == ADMIN_PROBE) == probe, "%s", own->path);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("admin_routes", takes_only_routes_that_can_be_asked_for,
                   lets_no_route_of_the_program_hide_one_of_ours,
                   gives_a_path_to_the_longest_route_that_fits,
                   answers_head_with_get_and_needs_the_right_to_write_for_the_rest,
                   has_a_right_and_a_known_method_for_each_of_ours,
                   shows_nothing_but_probes_and_metrics_to_who_may_only_probe);
}
