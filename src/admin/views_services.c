/* SPDX-License-Identifier: MIT
 *
 * /services and /health/history.
 */
#include "admin/columns.h"
#include "admin/show.h"
#include "admin/views.h"

#include <string.h>

/* --- JSON ------------------------------------------------------------------------------------ */

static void results_json(struct json *json, const struct survey_service *service)
{
    json_open(json, "history", '[');
    for (size_t i = 0; i < service->results; i++) {
        const struct srun_health_result *result = &service->history[i];
        json_open(json, NULL, '{');
        json_str(json, "status", srun_health_status_name(result->status));
        json_str(json, "source", srun_health_source_name(result->source));
        json_int(json, "time_ms", result->time_ms);
        json_int(json, "took_ms", result->took_ms);
        json_str(json, "note", result->note);
        json_close(json);
    }
    json_close(json);
}

static void health_json(struct json *json, const struct survey_service *service, bool history)
{
    const struct srun_health *health = &service->health;
    json_open(json, "health", '{');
    json_str(json, "status", srun_health_status_name(health->status));
    json_str(json, "own", srun_health_status_name(health->own));
    json_str(json, "source", srun_health_source_name(health->source));
    json_int(json, "time_ms", health->time_ms);
    json_int(json, "age_ms", health->age_ms);
    json_int(json, "took_ms", health->took_ms);
    json_int(json, "next_ms", health->next_ms);
    json_str(json, "note", health->note);
    json_str(json, "path", health->path);
    if (history)
        results_json(json, service);
    json_close(json);
}

static void service_json(struct json *json, const struct survey_service *service, bool history)
{
    const struct srun_service_info *info = &service->info;
    json_open(json, NULL, '{');
    json_str(json, "name", info->name);
    json_str(json, "state", srun_state_name(info->state));
    json_int(json, "in_state_ms", info->in_state_ms);
    json_int(json, "init_took_ms", info->init_took_ms);
    json_int(json, "ready_took_ms", info->ready_took_ms);
    json_int(json, "stop_took_ms", info->stop_took_ms);
    json_int(json, "left_ms", info->left_ms);
    json_bool(json, "failed", info->failed);
    json_bool(json, "stuck", info->stuck);
    json_bool(json, "background", info->background);
    json_bool(json, "heartbeat_missed", info->heartbeat_missed);
    json_int(json, "restarts", info->restarts);
    json_bool(json, "critical", info->critical);
    json_str(json, "error", info->error);
    json_open(json, "depends", '[');
    for (const char *const *name = info->depends; name != NULL && *name != NULL; name++)
        json_str(json, NULL, *name);
    json_close(json);
    json_str(json, "waits_for", service->waits_for);
    health_json(json, service, history);
    json_close(json);
}

void services_json(struct json *json, const struct survey *survey, bool history)
{
    json_open(json, "services", '[');
    for (size_t i = 0; i < survey->count; i++)
        service_json(json, &survey->services[i], history);
    json_close(json);
}

/* --- text ------------------------------------------------------------------------------------ */

/* What init and ready took; -1: neither has happened. */
static int64_t start_took_ms(const struct srun_service_info *info)
{
    int64_t init = info->init_took_ms, ready = info->ready_took_ms;
    if (init < 0 && ready < 0)
        return -1;
    return (init > 0 ? init : 0) + (ready > 0 ? ready : 0);
}

/* The one thing that one wants to know of a service besides its state. */
static void add_remark(struct columns *table, const struct survey_service *service)
{
    const struct srun_service_info *info = &service->info;
    const struct srun_health *health = &service->health;
    bool unwell = health->status == SRUN_HEALTH_UNHEALTHY || health->status == SRUN_HEALTH_DEGRADED;
    if (info->stuck)
        columns_addf(table, "a thread is stuck%s%s", info->error[0] != '\0' ? ": " : "",
                     info->error);
    else if (info->heartbeat_missed)
        columns_add(table, "missed its heartbeat");
    else if (service->waits_for[0] != '\0')
        columns_addf(table, "waits for %s", service->waits_for);
    else if (unwell && (health->note[0] != '\0' || health->path[0] != '\0'))
        columns_addf(table, "%s%s%s", health->note,
                     health->note[0] != '\0' && health->path[0] != '\0' ? "; " : "", health->path);
    else
        columns_add(table, info->error);
}

static void services_text(struct buf *out, const struct survey *survey)
{
    char since[SHOW_MAX], start[SHOW_MAX];
    auto_columns struct columns table = {0};
    columns_heads(&table, "NAME|STATE|>SINCE|>START|HEALTH|>RESTARTS|WAITS FOR / ERROR");
    for (size_t i = 0; i < survey->count; i++) {
        const struct srun_service_info *info = &survey->services[i].info;
        columns_add(&table, info->name);
        columns_add(&table, srun_state_name(info->state));
        columns_add(&table, show_ms(since, info->in_state_ms));
        columns_add(&table, show_ms(start, start_took_ms(info)));
        columns_add(&table, survey->health_enabled
                                ? srun_health_status_name(survey->services[i].health.status)
                                : "");
        columns_addf(&table, "%u", info->restarts);
        add_remark(&table, &survey->services[i]);
    }
    columns_write(&table, out);
}

int services_view(srun_admin_exchange *exchange, srun_err *err)
{
    auto_survey struct survey survey = {0};
    int rc = survey_take(&survey, exchange->admin, false);
    if (rc < 0)
        return srun_fail(err, rc, "services: %s", srun_strerror(rc));
    if (!exchange_wants_json(exchange)) {
        services_text(&exchange->out, &survey);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    services_json(&json, &survey, false);
    return views_end_json(exchange, &json);
}

/* --- the last results ------------------------------------------------------------------------ */

static bool is_wanted(const struct survey_service *service, const char *name)
{
    return name == NULL || strcmp(service->info.name, name) == 0;
}

static bool is_known(const struct survey *survey, const char *name)
{
    for (size_t i = 0; i < survey->count; i++)
        if (is_wanted(&survey->services[i], name))
            return true;
    return name == NULL;
}

static void add_results(struct columns *table, const struct survey_service *service)
{
    char time[SHOW_MAX], took[SHOW_MAX];
    for (size_t i = 0; i < service->results; i++) {
        const struct srun_health_result *result = &service->history[i];
        columns_add(table, service->info.name);
        columns_add(table, show_time(time, result->time_ms));
        columns_add(table, srun_health_status_name(result->status));
        columns_add(table, srun_health_source_name(result->source));
        columns_add(table, show_ms(took, result->took_ms));
        columns_add(table, result->note);
    }
}

static void history_text(struct buf *out, const struct survey *survey, const char *name)
{
    auto_columns struct columns table = {0};
    if (!survey->health_enabled) {
        buf_text(out, "Health is off: health.enabled, or SRUN_HEALTH=true, asks the services.\n");
        return;
    }
    columns_heads(&table, "SERVICE|TIME|STATUS|SOURCE|>TOOK|NOTE");
    for (size_t i = 0; i < survey->count; i++)
        if (is_wanted(&survey->services[i], name))
            add_results(&table, &survey->services[i]);
    columns_write(&table, out);
}

static void history_json(struct json *json, const struct survey *survey, const char *name)
{
    json_bool(json, "health_enabled", survey->health_enabled);
    json_open(json, "services", '[');
    for (size_t i = 0; i < survey->count; i++) {
        if (!is_wanted(&survey->services[i], name))
            continue;
        json_open(json, NULL, '{');
        json_str(json, "name", survey->services[i].info.name);
        health_json(json, &survey->services[i], true);
        json_close(json);
    }
    json_close(json);
}

int history_view(srun_admin_exchange *exchange, srun_err *err)
{
    const char *name = srun_admin_query(exchange, "service");
    auto_survey struct survey survey = {0};
    int rc = survey_take(&survey, exchange->admin, true);
    if (rc < 0)
        return srun_fail(err, rc, "health: %s", srun_strerror(rc));
    if (!is_known(&survey, name))
        return exchange_refuse(exchange, 404, "service: there is none of this name; see /services");
    if (!exchange_wants_json(exchange)) {
        history_text(&exchange->out, &survey, name);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    history_json(&json, &survey, name);
    return views_end_json(exchange, &json);
}
