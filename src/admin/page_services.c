/* SPDX-License-Identifier: MIT
 *
 * The table of services on the operator's page. page.js builds the same elements, and lays them
 * over these.
 */
#include "admin/page.h"

#include <inttypes.h>
#include <string.h>

#define COST_WIDTH 84 /* as .cost in page.css */

/* --- cells ----------------------------------------------------------------------------------- */

static void write_name(struct buf *out, const struct srun_service_info *info)
{
    buf_text(out, "<tbody><tr><th scope=row>");
    page_html(out, info->name);
    if (!info->critical)
        buf_text(out, "<span class=tag>optional</span>");
    if (info->background)
        buf_text(out, "<span class=tag>background</span>");
}

/* On the way from one state to another: the one that all others wait for. */
static bool is_passing(srun_state state)
{
    return state == SRUN_INITIATING || state == SRUN_STARTING || state == SRUN_SHUTTING_DOWN;
}

static void write_state(struct buf *out, const struct survey_service *service)
{
    const struct srun_service_info *info = &service->info;
    const char *state = srun_state_name(info->state);
    bool odd = info->failed || info->stuck;
    buf_printf(out, "<td><span class=\"p %s%s\">%s%s</span>", odd ? "bad" : state,
               odd || is_passing(info->state) ? " loud" : "", state,
               info->stuck ? " · stuck"
               : odd       ? " · failed"
                           : "");
    if (service->waits_for[0] == '\0' || is_passing(info->state))
        return;
    buf_text(out, "<small> waits for ");
    page_html(out, service->waits_for);
    buf_text(out, "</small>");
}

static int64_t at_least_0(int64_t value)
{
    return value > 0 ? value : 0;
}

static int64_t start_cost(const struct srun_service_info *info)
{
    return at_least_0(info->init_took_ms) + at_least_0(info->ready_took_ms);
}

/* most: what the slowest of all took, at least 1. */
static void write_cost(struct buf *out, const struct srun_service_info *info, int64_t most)
{
    int64_t init = at_least_0(info->init_took_ms) * COST_WIDTH / most;
    int64_t ready = at_least_0(info->ready_took_ms) * COST_WIDTH / most;
    if (info->init_took_ms < 0 && info->ready_took_ms < 0)
        return;
    buf_printf(out,
               "<svg class=cost aria-hidden=true><path class=i d=\"M0 4h%" PRId64
               "\"/><path class=r d=\"M%" PRId64 " 4h%" PRId64 "\"/></svg>",
               init, init, ready);
    page_duration(out, info->init_took_ms);
    if (info->ready_took_ms >= 0)
        buf_text(out, " + ");
    page_duration(out, info->ready_took_ms);
}

static void write_depends(struct buf *out, const struct srun_service_info *info)
{
    for (size_t i = 0; info->depends != NULL && info->depends[i] != NULL; i++) {
        if (i > 0)
            buf_text(out, ", ");
        page_html(out, info->depends[i]);
    }
}

/* The last results, as cells for the eye and as numbers for who cannot see them. */
static void write_strip(struct buf *out, const struct survey_service *service)
{
    static const char *const cells[] = {
        [SRUN_HEALTH_UNKNOWN] = "<i class=k></i>",   [SRUN_HEALTH_STOPPED] = "<i class=s></i>",
        [SRUN_HEALTH_UNHEALTHY] = "<i class=u></i>", [SRUN_HEALTH_DEGRADED] = "<i class=d></i>",
        [SRUN_HEALTH_HEALTHY] = "<i></i>",
    };
    size_t counts[sizeof cells / sizeof cells[0]] = {0};
    if (service->results == 0)
        return;
    for (size_t i = 0; i < service->results; i++)
        counts[service->history[i].status]++;
    buf_printf(out, "<span class=strip role=img aria-label=\"last %zu:", service->results);
    for (int status = SRUN_HEALTH_HEALTHY; status >= SRUN_HEALTH_UNKNOWN; status--)
        if (counts[status] > 0)
            buf_printf(out, " %zu %s", counts[status],
                       srun_health_status_name((srun_health_status)status));
    buf_text(out, "\">");
    for (size_t i = 0; i < service->results; i++)
        buf_text(out, cells[service->history[i].status]);
    buf_text(out, "</span>");
}

static bool is_sick(srun_health_status status)
{
    return status == SRUN_HEALTH_UNHEALTHY || status == SRUN_HEALTH_DEGRADED;
}

static void write_health(struct buf *out, const struct survey_service *service)
{
    const char *name = srun_health_status_name(service->health.status);
    buf_printf(out, "<span class=\"p %s%s\">%s</span>", name,
               is_sick(service->health.own) ? " loud" : "", name);
    write_strip(out, service);
    buf_text(out, "<td class=n>");
    if (service->health.next_ms >= 0)
        buf_text(out, "in ");
    page_duration(out, service->health.next_ms);
}

/* --- what there is to say -------------------------------------------------------------------- */

static void begin_line(struct buf *out, const char *kind, const char *what)
{
    buf_printf(out, "<p><span class=\"p %s\"><span><b>%s</b> ", kind, what);
}

static void write_line(struct buf *out, const char *kind, const char *what, const char *text)
{
    begin_line(out, kind, what);
    page_html(out, text);
    buf_text(out, "</span></span></p>");
}

/* What is wrong with itself; or, more quietly, which other one is to blame. */
static void write_sick(struct buf *out, const struct srun_health *health)
{
    if (!is_sick(health->own)) {
        buf_text(out, "<p class=mute>because of ");
        page_html(out, health->path);
        buf_text(out, "</p>");
        return;
    }
    bool unhealthy = health->own == SRUN_HEALTH_UNHEALTHY;
    write_line(out, srun_health_status_name(health->own), unhealthy ? "Unhealthy:" : "Degraded:",
               health->note[0] != '\0' ? health->note : "no reason was given");
}

static void write_waits(struct buf *out, const struct survey_service *service)
{
    begin_line(out, srun_state_name(service->info.state), "Waits for");
    page_html(out, service->waits_for);
    if (service->info.left_ms >= 0)
        buf_text(out, " · limit in ");
    page_duration(out, service->info.left_ms);
    buf_text(out, "</span></span></p>");
}

static void write_said(struct buf *out, const struct survey_service *service, bool health)
{
    const struct srun_service_info *info = &service->info;
    bool waits = service->waits_for[0] != '\0' && is_passing(info->state);
    bool sick = health && (is_sick(service->health.status) || is_sick(service->health.own));
    if (!info->stuck && !waits && !info->heartbeat_missed && !sick && info->error[0] == '\0')
        return;
    buf_text(out, "<tr class=m><td colspan=8>");
    if (info->stuck)
        write_line(out, "bad", "Stuck:", "one of its functions does not return");
    if (waits)
        write_waits(out, service);
    if (info->heartbeat_missed)
        write_line(out, "bad", "Heartbeat missed", "");
    if (sick)
        write_sick(out, &service->health);
    if (info->error[0] != '\0')
        write_line(out, info->failed ? "bad" : "degraded",
                   info->failed ? "Failed:" : "Last error:", info->error);
}

/* --- the table ------------------------------------------------------------------------------- */

static void write_service(struct buf *out, const struct survey_service *service, bool health,
                          int64_t most)
{
    const struct srun_service_info *info = &service->info;
    write_name(out, info);
    write_state(out, service);
    buf_text(out, "<td class=n>");
    page_duration(out, info->in_state_ms);
    buf_text(out, "<td>");
    write_cost(out, info, most);
    buf_text(out, "<td>");
    write_depends(out, info);
    buf_text(out, "<td>");
    if (health)
        write_health(out, service);
    else
        buf_text(out, "<td>");
    buf_printf(out, "<td class=%s>%u", info->restarts > 0 ? "n" : "\"n z\"", info->restarts);
    write_said(out, service, health);
    buf_text(out, "\n");
}

void page_services(struct buf *out, const struct survey *survey)
{
    if (survey->count == 0) {
        buf_text(out, "<p class=hint>No services: nothing was added by srun_runner_add.\n");
        return;
    }
    bool health = survey->health_enabled;
    buf_printf(out,
               "<table class=sv><thead><tr><th scope=col>Service<th scope=col>State"
               "<th class=n scope=col>For<th scope=col>Start<span><i class=key></i>init"
               "<i class=\"key r\"></i>ready</span><th scope=col>Depends on<th scope=col>%s"
               "<th class=n scope=col>%s<th class=n scope=col>Restarts</thead>\n",
               health ? "Health" : "", health ? "Next check" : "");
    int64_t most = 1;
    for (size_t i = 0; i < survey->count; i++)
        if (start_cost(&survey->services[i].info) > most)
            most = start_cost(&survey->services[i].info);
    for (size_t i = 0; i < survey->count; i++)
        write_service(out, &survey->services[i], health, most);
    buf_text(out, "</table>\n");
}
