/* SPDX-License-Identifier: MIT */
#include "admin/page.h"

#include "admin/routes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define MS_PER_S 1000
#define S_PER_MINUTE 60
#define S_PER_HOUR 3600
#define S_PER_DAY 86400

/* --- pieces ---------------------------------------------------------------------------------- */

void page_html(struct buf *out, const char *text)
{
    for (;;) {
        size_t plain = strcspn(text, "&<>\"'");
        buf_add(out, text, plain);
        text += plain;
        if (*text == '\0')
            return;
        buf_printf(out, "&#%d;", *text++);
    }
}

void page_duration(struct buf *out, int64_t ms)
{
    int64_t s = ms / MS_PER_S;
    if (ms < 0)
        return;
    if (ms < MS_PER_S)
        buf_printf(out, "%" PRId64 " ms", ms);
    else if (s < 10)
        buf_printf(out, "%" PRId64 ".%" PRId64 " s", s, ms % MS_PER_S / 100);
    else if (s < S_PER_MINUTE)
        buf_printf(out, "%" PRId64 " s", s);
    else if (s < S_PER_HOUR)
        buf_printf(out, "%" PRId64 " m %" PRId64 " s", s / S_PER_MINUTE, s % S_PER_MINUTE);
    else if (s < S_PER_DAY)
        buf_printf(out, "%" PRId64 " h %" PRId64 " m", s / S_PER_HOUR,
                   s % S_PER_HOUR / S_PER_MINUTE);
    else
        buf_printf(out, "%" PRId64 " d %" PRId64 " h", s / S_PER_DAY, s % S_PER_DAY / S_PER_HOUR);
}

static void write_pill(struct buf *out, const char *state, const char *text)
{
    buf_printf(out, "<span class=\"p %s\">%s</span>\n", state, text);
}

/* --- the head -------------------------------------------------------------------------------- */

static void write_title(struct buf *out, const struct survey *survey)
{
    buf_text(out, "<title>");
    page_html(out, survey->run.name);
    buf_printf(out, " · %s</title>\n", survey->run.state);
}

static void write_head(struct buf *out, const struct survey *survey)
{
    const struct srun_run_info *run = &survey->run;
    char why[SURVEY_WHY_MAX], health[64];
    buf_text(out, "<h1>");
    page_html(out, run->name);
    buf_text(out, " <small>");
    page_html(out, run->version);
    buf_text(out, "</small></h1>");
    write_pill(out, run->state, run->state);
    bool ready = survey_is_ready(survey);
    write_pill(out, ready ? "ready" : "degraded", ready ? "ready" : "not ready");
    const char *overall = srun_health_status_name(survey->overall);
    bool told = survey->health_enabled && survey->overall >= SRUN_HEALTH_UNHEALTHY;
    (void)snprintf(health, sizeof health, "%s%s", told ? "" : "health ",
                   survey->health_enabled ? overall : "off");
    write_pill(out, survey->health_enabled ? overall : "unknown", health);
    if (survey_not_live(survey, why) != NULL)
        write_pill(out, "bad", "not live");
}

static void write_why(struct buf *out, const char *kind, const char *what, const char *why)
{
    if (why == NULL)
        return;
    buf_printf(out, "<p><span class=\"p %s\"><span>%s: ", kind, what);
    page_html(out, why);
    buf_text(out, ".</span></span></p>\n");
}

static void write_fact(struct buf *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    buf_printf(out, "<div><dt>%s</dt><dd>", name);
    page_html(out, value);
    buf_text(out, "</dd></div>\n");
}

static void write_number(struct buf *out, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    write_fact(out, name, text);
}

static void write_facts(struct buf *out, const struct survey *survey, enum admin_right right,
                        const char *host)
{
    buf_text(out, "<dl class=facts>\n<div><dt>up</dt><dd>");
    page_duration(out, survey->now_ms - survey->run.started_ms);
    buf_text(out, "</dd></div>\n");
    write_number(out, "pid", survey->run.pid);
    write_number(out, "generation", survey->run.generation);
    write_fact(out, "host", host);
    write_fact(out, "libsrun", srun_version());
    write_fact(out, "you may", right == ADMIN_WRITE ? "write" : "read");
    buf_text(out, "</dl>\n");
}

static void write_verdict(struct buf *out, const struct survey *survey)
{
    char why[SURVEY_WHY_MAX];
    size_t running = 0;
    for (size_t i = 0; i < survey->count; i++)
        running += survey->services[i].info.state == SRUN_RUNNING;
    buf_text(out, "<div id=verdict>");
    if (survey->count > 0)
        buf_printf(out, "<p>%zu of %zu services run.</p>\n", running, survey->count);
    write_why(out, "degraded", "Not ready", survey_not_ready(survey, why));
    write_why(out, "bad", "Not live", survey_not_live(survey, why));
    write_why(out, "bad", "Not healthy", survey_not_healthy(survey, why));
    buf_text(out, "</div>\n");
}

/* --- the page -------------------------------------------------------------------------------- */

void page_render(struct buf *out, const struct survey *survey, enum admin_right right,
                 const char *host)
{
    buf_text(out, page_parts[PAGE_TO_TITLE]);
    write_title(out, survey);
    buf_text(out, page_parts[PAGE_TO_HEAD]);
    write_head(out, survey);
    buf_text(out, page_parts[PAGE_TO_VERDICT]);
    write_verdict(out, survey);
    write_facts(out, survey, right, host);
    buf_text(out, page_parts[PAGE_TO_SERVICES]);
    page_services(out, survey);
    buf_text(out, page_parts[PAGE_TO_END]);
}

static int show_page(srun_admin_exchange *exchange, srun_err *err)
{
    auto_survey struct survey survey = {0};
    int rc = survey_take(&survey, exchange->admin, true);
    if (rc < 0)
        return srun_fail(err, rc, "page: out of memory");
    struct utsname machine;
    bool named = uname(&machine) == 0;
    srun_admin_type(exchange, "text/html; charset=utf-8");
    srun_admin_add_header(exchange, "Content-Security-Policy", page_policy);
    page_render(&exchange->out, &survey, exchange->right, named ? machine.nodename : "");
    return 0;
}

const struct admin_route page_routes[] = {
    {"GET", "/", ADMIN_READ, show_page, "the operator's page, for a browser", false},
    {NULL, NULL, ADMIN_NOTHING, NULL, NULL, false},
};
