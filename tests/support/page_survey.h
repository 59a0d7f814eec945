/* SPDX-License-Identifier: MIT
 *
 * What the operator's page is rendered from in tests: a program whose services are in all states
 * that there are, and were told things that must be escaped. From ten services on.
 */
#ifndef TESTS_PAGE_SURVEY_H
#define TESTS_PAGE_SURVEY_H

#include "admin/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const page_survey_depends[] = {"service-0", "service-1", NULL};

static inline void page_survey_set_up(struct survey_service *service, size_t number)
{
    struct srun_service_info *info = &service->info;
    *info = (struct srun_service_info){
        .state = SRUN_RUNNING,
        .ready = 1,
        .background = number == 3,
        .critical = number != 4,
        .in_state_ms = 273600000,
        .left_ms = -1,
        .init_took_ms = (int64_t)(number * 7 % 40 + 1),
        .ready_took_ms = (int64_t)(number * 83 % 340),
        .stop_took_ms = -1,
        .depends = number > 1 ? page_survey_depends : page_survey_depends + 2,
    };
    (void)snprintf(info->name, sizeof info->name, "service-%zu", number);
    service->health = (struct srun_health){
        .status = SRUN_HEALTH_HEALTHY, .own = SRUN_HEALTH_HEALTHY, .next_ms = 19000};
    service->results = SRUN_HEALTH_HISTORY;
    for (size_t i = 0; i < SRUN_HEALTH_HISTORY; i++)
        service->history[i].status = SRUN_HEALTH_HEALTHY;
}

static inline void page_survey_make_odd(struct survey_service *services, size_t count)
{
    if (count < 10)
        return;
    services[2].health.status = services[2].health.own = SRUN_HEALTH_UNHEALTHY;
    services[3].health.status = SRUN_HEALTH_UNHEALTHY;
    (void)strcpy(services[3].health.path, "service-3 -> service-2");
    services[2].history[15].status = SRUN_HEALTH_UNHEALTHY;
    (void)strcpy(services[2].health.note, "<script>document.title = \"owned\"</script>");
    services[5].info.state = SRUN_STARTING;
    services[5].info.left_ms = 12300;
    (void)strcpy(services[5].waits_for, "its ready");
    services[6].info.state = SRUN_SHUTTING_DOWN;
    services[6].info.stuck = 1;
    services[7].info.restarts = 3;
    (void)strcpy(services[7].info.error, "read: \"x\" & 'y' > z");
}

/* To be freed by survey_free. False: out of memory. */
static inline bool page_survey(struct survey *out, size_t count)
{
    *out = (struct survey){.count = count,
                           .overall = SRUN_HEALTH_UNHEALTHY,
                           .health_enabled = true,
                           .now_ms = 1796000000000};
    out->run = (struct srun_run_info){.name = "sample",
                                      .version = "1.0.0",
                                      .pid = 4711,
                                      .generation = 1,
                                      .started_ms = out->now_ms - 273600000,
                                      .state = "running",
                                      .ready = 1};
    out->services = calloc(count + 1, sizeof out->services[0]);
    if (out->services == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        page_survey_set_up(&out->services[i], i);
    page_survey_make_odd(out->services, count);
    return true;
}

#endif
