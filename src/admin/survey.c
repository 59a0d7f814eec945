/* SPDX-License-Identifier: MIT */
#include "admin/survey.h"

#include "admin/redact.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- who waits for whom ---------------------------------------------------------------------- */

/* Has it been initiated, now or in a life that has ended since. */
static bool is_initiated(const struct survey_service *service)
{
    return service->info.state >= SRUN_INITIATED || service->info.init_took_ms >= 0;
}

/* Has it come as far as its successors wait for. */
static bool is_there(const struct survey_service *service)
{
    return service->info.state == SRUN_RUNNING ||
           (service->info.state == SRUN_STOPPED && is_initiated(service));
}

static bool is_alive(const struct survey_service *service)
{
    return service->info.state != SRUN_STOPPED;
}

/* The first one from [from, to) that is not what it should be, or NULL. */
static const struct survey_service *first_without(const struct survey *survey, size_t from,
                                                  size_t to,
                                                  bool (*is)(const struct survey_service *))
{
    for (size_t i = from; i < to; i++)
        if (!is(&survey->services[i]))
            return &survey->services[i];
    return NULL;
}

/* While the program starts: inits one after the other, then the runs. */
static const char *waits_to_start(const struct survey *survey, size_t at)
{
    const struct survey_service *service = &survey->services[at], *other = NULL;
    if (service->info.state == SRUN_STOPPED && !is_initiated(service))
        other = first_without(survey, 0, at, is_initiated);
    if (service->info.state == SRUN_INITIATED)
        other = first_without(survey, at + 1, survey->count, is_initiated);
    if (service->info.state == SRUN_INITIATED && other == NULL)
        other = first_without(survey, 0, at, is_there);
    return other != NULL ? other->info.name : "";
}

/* While it stops: in reverse order, the last one that lives is the one that all before it await. */
static const char *waits_to_stop(const struct survey *survey, size_t at)
{
    for (size_t i = survey->count - 1; i > at; i--)
        if (is_alive(&survey->services[i]))
            return survey->services[i].info.name;
    return "";
}

static const char *waits_for(const struct survey *survey, size_t at)
{
    const struct srun_service_info *info = &survey->services[at].info;
    if (info->state == SRUN_INITIATING)
        return "its init";
    if (info->state == SRUN_STARTING)
        return "its ready";
    if (info->state == SRUN_SHUTTING_DOWN)
        return info->stop_took_ms < 0 ? "its stop" : "its run";
    if (strcmp(survey->run.state, "stopping") == 0)
        return is_alive(&survey->services[at]) ? waits_to_stop(survey, at) : "";
    if (strcmp(survey->run.state, "starting") == 0)
        return waits_to_start(survey, at);
    return "";
}

void survey_explain(struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++)
        (void)snprintf(survey->services[i].waits_for, sizeof survey->services[i].waits_for, "%s",
                       waits_for(survey, i));
}

/* --- taking it ------------------------------------------------------------------------------- */

/* What services say of themselves may hold what they were told: passwords in addresses. */
static void redact(char *text, size_t size)
{
    char clean[256];
    if (text[0] != '\0')
        (void)snprintf(text, size, "%s", redact_text(clean, sizeof clean, text));
}

/* All services but the admin port's own. 0 or -ENOMEM. */
static int take_services(struct survey *out, const srun_runner *runner)
{
    size_t count = srun_runner_services(runner, NULL, 0);
    if (count == 0)
        return 0;
    struct srun_service_info *list = calloc(count, sizeof list[0]);
    out->services = calloc(count, sizeof out->services[0]);
    if (list == NULL || out->services == NULL) {
        free(list);
        return -ENOMEM;
    }
    size_t there = srun_runner_services(runner, list, count);
    for (size_t i = 0; i < there && i < count; i++) {
        if (strcmp(list[i].name, ADMIN_SERVICE) == 0)
            continue;
        redact(list[i].error, sizeof list[i].error);
        out->services[out->count++].info = list[i];
    }
    free(list);
    return 0;
}

static void take_health(struct survey_service *service, const srun_runner *runner, bool history)
{
    struct srun_health *health = &service->health;
    if (srun_runner_health(runner, service->info.name, health) < 0)
        *health = (struct srun_health){.age_ms = -1, .took_ms = -1, .next_ms = -1};
    health->service = service->info.name;
    redact(health->note, sizeof health->note);
    if (!history)
        return;
    size_t count = srun_runner_health_history(runner, service->info.name, service->history,
                                              SRUN_HEALTH_HISTORY);
    service->results = count < SRUN_HEALTH_HISTORY ? count : SRUN_HEALTH_HISTORY;
    for (size_t i = 0; i < service->results; i++)
        redact(service->history[i].note, sizeof service->history[i].note);
}

int survey_take(struct survey *out, struct admin *admin, bool history)
{
    const struct admin_host *host = admin_host(admin);
    *out = (struct survey){.now_ms = clock_wall_ms()};
    srun_runner_info(host->runner, &out->run);
    srun_upgrade_info(host->runner, &out->upgrade);
    out->overall = srun_health_overall(host->runner);
    out->health_enabled = host->config != NULL && host->config->health.enabled != 0;

    int rc = take_services(out, host->runner);
    if (rc < 0) {
        survey_free(out);
        return rc;
    }
    for (size_t i = 0; i < out->count; i++)
        take_health(&out->services[i], host->runner, history);
    survey_explain(out);
    return 0;
}

void survey_free(struct survey *survey)
{
    free(survey->services);
    survey->services = NULL;
    survey->count = 0;
}

/* --- why ------------------------------------------------------------------------------------- */

/* What the state of the program says about readiness, or NULL: the services decide. */
static const char *why_by_state(const char *state)
{
    static const struct {
        const char *state, *why;
    } known[] = {
        {"withdrawn", "the program is withdrawn"}, {"yielded", "a newer generation serves"},
        {"draining", "the program is draining"},   {"stopping", "the program is stopping"},
        {"stopped", "the program has stopped"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(state, known[i].state) == 0)
            return known[i].why;
    return NULL;
}

static const char *why_not_running(const struct survey_service *service, char out[SURVEY_WHY_MAX])
{
    const struct srun_service_info *info = &service->info;
    const char *state = srun_state_name(info->state);
    if (info->error[0] != '\0')
        (void)snprintf(out, SURVEY_WHY_MAX, "service %.100s is %s: %.160s", info->name, state,
                       info->error);
    else if (service->waits_for[0] != '\0')
        (void)snprintf(out, SURVEY_WHY_MAX, "service %.100s is %s: waits for %.100s", info->name,
                       state, service->waits_for);
    else
        (void)snprintf(out, SURVEY_WHY_MAX, "service %.100s is %s", info->name, state);
    return out;
}

static bool is_running(const struct survey_service *service)
{
    return service->info.state == SRUN_RUNNING;
}

const char *survey_not_ready(const struct survey *survey, char out[SURVEY_WHY_MAX])
{
    if (survey->run.ready)
        return NULL;
    const char *why = why_by_state(survey->run.state);
    const struct survey_service *service = first_without(survey, 0, survey->count, is_running);
    if (why == NULL && service != NULL)
        return why_not_running(service, out);
    (void)snprintf(out, SURVEY_WHY_MAX, "%s", why != NULL ? why : "the program is not ready");
    return out;
}

/* The one to blame: of the critical ones that are unhealthy the first that is so itself. */
static const struct survey_service *culprit(const struct survey *survey)
{
    const struct survey_service *found = NULL;
    for (size_t i = 0; i < survey->count; i++) {
        const struct survey_service *service = &survey->services[i];
        if (!service->info.critical || service->health.status != SRUN_HEALTH_UNHEALTHY)
            continue;
        if (service->health.own == SRUN_HEALTH_UNHEALTHY)
            return service;
        if (found == NULL)
            found = service;
    }
    return found;
}

const char *survey_not_healthy(const struct survey *survey, char out[SURVEY_WHY_MAX])
{
    if (survey->overall != SRUN_HEALTH_UNHEALTHY)
        return NULL;
    const struct survey_service *service = culprit(survey);
    if (service == NULL) {
        (void)snprintf(out, SURVEY_WHY_MAX, "the program is unhealthy");
        return out;
    }
    const struct srun_health *health = &service->health;
    (void)snprintf(out, SURVEY_WHY_MAX, "service %.80s is unhealthy%s%.90s%s%.90s%s",
                   service->info.name, health->note[0] != '\0' ? ": " : "", health->note,
                   health->path[0] != '\0' ? " (" : "", health->path,
                   health->path[0] != '\0' ? ")" : "");
    return out;
}

const char *survey_not_live(const struct survey *survey, char out[SURVEY_WHY_MAX])
{
    for (size_t i = 0; i < survey->count; i++) {
        const struct srun_service_info *info = &survey->services[i].info;
        if (!info->heartbeat_missed && !info->stuck)
            continue;
        (void)snprintf(out, SURVEY_WHY_MAX, "service %.200s %s", info->name,
                       info->stuck ? "has a thread that is stuck" : "has missed its heartbeat");
        return out;
    }
    if (survey->run.stuck) {
        (void)snprintf(out, SURVEY_WHY_MAX, "a thread is stuck");
        return out;
    }
    return NULL;
}
