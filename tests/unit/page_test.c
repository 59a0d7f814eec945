/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include "admin/page.h"
#include "admin/routes.h"
#include "page_survey.h"

#include <string.h>

static struct survey survey;
static struct buf page;

static const char *rendered(size_t services)
{
    ck_assert(page_survey(&survey, services));
    page_render(&page, &survey, ADMIN_READ, "sample-host");
    ck_assert(!page.failed);
    return page.data;
}

static void let_go(void)
{
    survey_free(&survey);
    buf_free(&page);
}

static void ck_has(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "it does not say: %s", what);
}

static void ck_has_not(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) == NULL, "it says: %s", what);
}

START_TEST(has_at_most_40000_bytes_for_ten_services)
    {
        (void)rendered(10);
        ck_assert_uint_le(page.size, PAGE_MAX);
        let_go();
    }
END_TEST

START_TEST(escapes_what_html_would_take_for_its_own)
    {
        auto_buf struct buf out = {0};
        page_html(&out, "a<b>&\"'c");
        ck_assert_str_eq(out.data, "a&#60;b&#62;&#38;&#34;&#39;c");
    }
END_TEST

START_TEST(shows_names_and_errors_as_text)
    {
        const char *text = rendered(10);
        ck_has(text, "&#60;script&#62;document.title = &#34;owned&#34;&#60;/script&#62;");
        ck_has(text, "read: &#34;x&#34; &#38; &#39;y&#39; &#62; z");
        ck_has_not(text, "<script>document.title");
        let_go();
    }
END_TEST

START_TEST(escapes_the_names_of_program_and_services)
    {
        ck_assert(page_survey(&survey, 1));
        survey.run.name = "<i>program";
        survey.run.version = "<i>version";
        (void)strcpy(survey.services[0].info.name, "<i>service");
        page_render(&page, &survey, ADMIN_READ, "<i>host");
        ck_has(page.data, "<title>&#60;i&#62;program");
        ck_has(page.data, "&#60;i&#62;version");
        ck_has(page.data, "<th scope=row>&#60;i&#62;service");
        ck_has(page.data, "&#60;i&#62;host");
        let_go();
    }
END_TEST

START_TEST(is_complete_without_its_script)
    {
        const char *text = rendered(10);
        const char *const parts[] = {"<h1>sample <small>1.0.0</small></h1>",
                                     "<dt>pid</dt><dd>4711",
                                     "<dt>host</dt><dd>sample-host",
                                     "<dt>you may</dt><dd>read",
                                     "8 of 10 services run.",
                                     "SHUTTING_DOWN · stuck",
                                     "STARTING",
                                     "3 d 4 h",
                                     "service-0, service-1",
                                     "last 16: 15 healthy 1 unhealthy",
                                     "in 19 s",
                                     "Stuck:",
                                     "limit in 12 s",
                                     "Last error:",
                                     "optional",
                                     "because of service-3 -&#62; service-2"};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            ck_has(text, parts[i]);
        let_go();
    }
END_TEST

START_TEST(shows_services_in_start_order)
    {
        const char *at = rendered(10);
        for (size_t i = 0; i < survey.count; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "<th scope=row>service-%zu", i);
            at = strstr(at, name);
            ck_assert_ptr_nonnull(at);
        }
        let_go();
    }
END_TEST

START_TEST(says_so_when_there_are_no_services)
    {
        const char *text = rendered(0);
        ck_has(text, "No services");
        ck_has_not(text, "0 of 0");
        let_go();
    }
END_TEST

START_TEST(says_that_health_is_off)
    {
        ck_assert(page_survey(&survey, 10));
        survey.health_enabled = false;
        page_render(&page, &survey, ADMIN_READ, "");
        ck_has(page.data, "health off");
        ck_has_not(page.data, "Unhealthy:</b>");
        ck_has_not(page.data, "<dt>host");
        let_go();
    }
END_TEST

START_TEST(writes_durations_for_people)
    {
        static const struct {
            int64_t ms;
            const char *text;
        } cases[] = {
            {0, "0 ms"},           {999, "999 ms"},        {1000, "1.0 s"},
            {9999, "9.9 s"},       {10000, "10 s"},        {59999, "59 s"},
            {60000, "1 m 0 s"},    {3599000, "59 m 59 s"}, {3600000, "1 h 0 m"},
            {86400000, "1 d 0 h"}, {273600000, "3 d 4 h"},
        };
        auto_buf struct buf out = {0};
        page_duration(&out, -1);
        ck_assert_uint_eq(out.size, 0);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            out.size = 0;
            page_duration(&out, cases[i].ms);
            ck_assert_str_eq(out.data, cases[i].text);
        }
    }
END_TEST

START_TEST(lets_only_its_own_style_and_script_run)
    {
        ck_has(page_policy, "default-src 'none'; style-src 'sha256-");
        ck_has(page_policy, "; script-src 'sha256-");
        ck_has(page_policy, "; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
                            "form-action 'none'; frame-ancestors 'none'");
        ck_has_not(page_policy, "unsafe");
    }
END_TEST

START_TEST(brings_nothing_from_elsewhere)
    {
        const char *text = rendered(10);
        const char *const parts[] = {"src=",      "@import", "url(",    "href=\"http",
                                     "href=http", "href=//", " style=", " onclick="};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            ck_has_not(text, parts[i]);
        let_go();
    }
END_TEST

START_TEST(comes_with_its_policy)
    {
        srun_runner *runner = NULL;
        struct admin *admin = NULL;
        ck_assert_int_eq(
            srun_runner_new(&runner, SRUN_CONFIG(.name = "page", .signals.disabled = 1), NULL), 0);
        ck_assert_int_eq(admin_new(&admin, &(struct admin_host){.runner = runner}), 0);
        srun_admin_exchange exchange;
        exchange_init(&exchange);
        exchange.admin = admin;
        exchange.right = ADMIN_READ;
        srun_err err = {0};
        ck_assert_str_eq(page_routes[0].path, "/");
        ck_assert_int_eq(page_routes[0].right, ADMIN_READ);
        ck_assert_int_eq(page_routes[0].view(&exchange, &err), 0);
        ck_assert_uint_eq(exchange.status, 200);
        ck_assert_str_eq(exchange.type, "text/html; charset=utf-8");
        ck_assert_str_eq(exchange.headers->name, "Content-Security-Policy");
        ck_assert_str_eq(exchange.headers->value, page_policy);
        ck_has(exchange.out.data, "<h1>page ");
        exchange_free(&exchange);
        admin_free(admin);
        srun_runner_free(runner);
    }
END_TEST

int main(void)
{
    return HARNESS("page", has_at_most_40000_bytes_for_ten_services,
                   escapes_what_html_would_take_for_its_own, shows_names_and_errors_as_text,
                   escapes_the_names_of_program_and_services, is_complete_without_its_script,
                   shows_services_in_start_order, says_so_when_there_are_no_services,
                   says_that_health_is_off, writes_durations_for_people,
                   lets_only_its_own_style_and_script_run, brings_nothing_from_elsewhere,
                   comes_with_its_policy);
}
