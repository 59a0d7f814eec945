/* SPDX-License-Identifier: MIT */
#include "admin/verdict.h"

#include <stdio.h>
#include <string.h>

static bool is_state(const struct survey *survey, const char *state)
{
    return strcmp(survey->run.state, state) == 0;
}

static void decide(struct verdict *out, enum verdict_answer answer, const char *why)
{
    out->answer = answer;
    (void)snprintf(out->why, sizeof out->why, "%s", why);
}

/* --- one service ----------------------------------------------------------------------------- */

static void decide_by_health(const struct survey_service *service, struct verdict *out)
{
    const struct srun_health *health = &service->health;
    if (health->status != SRUN_HEALTH_UNHEALTHY && health->status != SRUN_HEALTH_DEGRADED)
        return;
    bool failed = health->status == SRUN_HEALTH_UNHEALTHY;
    const char *note = health->note, *path = health->path;
    out->answer = failed ? VERDICT_FAILED : VERDICT_DEGRADED;
    if (note[0] == '\0' && path[0] == '\0')
        note = srun_health_status_name(health->status);
    (void)snprintf(out->why, sizeof out->why, "%s%s%s", note,
                   note[0] != '\0' && path[0] != '\0' ? "; " : "", path);
}

static void decide_by_state(const struct survey_service *service, struct verdict *out)
{
    const struct srun_service_info *info = &service->info;
    const char *waits = service->waits_for;
    if (info->state == SRUN_RUNNING)
        return;
    out->answer = VERDICT_NOT_NOW;
    (void)snprintf(out->why, sizeof out->why, "is %s%s%.200s", srun_state_name(info->state),
                   info->error[0] != '\0' ? ": "
                   : waits[0] != '\0'     ? ", waits for "
                                          : "",
                   info->error[0] != '\0' ? info->error : waits);
}

void verdict_service(const struct survey_service *service, enum verdict_question question,
                     struct verdict *out)
{
    *out = (struct verdict){.answer = VERDICT_OK};
    if (question == VERDICT_LIVE) {
        if (service->info.stuck)
            decide(out, VERDICT_FAILED, "a thread is stuck");
        else if (service->info.heartbeat_missed)
            decide(out, VERDICT_FAILED, "missed its heartbeat");
        return;
    }
    decide_by_health(service, out);
    if (question == VERDICT_READY && out->answer != VERDICT_FAILED)
        decide_by_state(service, out);
}

/* --- the program ----------------------------------------------------------------------------- */

/* "service db: why" */
static void blame(const struct survey_service *service, const struct verdict *of,
                  struct verdict *out)
{
    out->answer = of->answer;
    (void)snprintf(out->why, sizeof out->why, "service %.100s: %.200s", service->info.name,
                   of->why);
}

/* Is it unwell because of one that nobody wants to know of? What it depends on stands before it. */
static bool is_infected(const struct survey *survey, size_t at, const enum verdict_mark *marks)
{
    const struct survey_service *service = &survey->services[at];
    if (service->health.own == service->health.status)
        return false;
    for (const char *const *name = service->info.depends; name != NULL && *name != NULL; name++)
        for (size_t i = 0; i < at; i++)
            if (marks[i] != VERDICT_COUNTS && strcmp(survey->services[i].info.name, *name) == 0)
                return true;
    return false;
}

static void mark_infected(const struct survey *survey, enum verdict_mark *marks)
{
    for (size_t i = 0; i < survey->count; i++)
        if (marks[i] != VERDICT_LEFT_OUT)
            marks[i] = is_infected(survey, i, marks) ? VERDICT_INFECTED : VERDICT_COUNTS;
}

/* One service for the program; the answer of a verdict on it may be changed to what it counts. */
static enum verdict_answer weigh(const struct survey *survey, size_t at,
                                 enum verdict_question question, bool infected, struct verdict *of)
{
    const struct survey_service *service = &survey->services[at];
    if (infected) { /* its own health is what is left */
        struct survey_service alone = *service;
        alone.health.status = alone.health.own;
        alone.health.path[0] = '\0';
        verdict_service(&alone, question, of);
    } else {
        verdict_service(service, question, of);
    }
    if (of->answer == VERDICT_NOT_NOW && survey->run.ready)
        return VERDICT_OK; /* it has done its work, or this survey is a moment too old */
    if (question != VERDICT_LIVE && of->answer == VERDICT_FAILED && !service->info.critical)
        of->answer = VERDICT_DEGRADED;
    return of->answer;
}

/* The worst of all services but those left out, in the order of enum verdict_answer; of several
 * the first. */
static void judge_services(const struct survey *survey, enum verdict_question question,
                           const enum verdict_mark *marks, struct verdict *out)
{
    struct verdict of;
    for (size_t i = 0; i < survey->count; i++) {
        enum verdict_mark mark = marks != NULL ? marks[i] : VERDICT_COUNTS;
        if (mark != VERDICT_LEFT_OUT &&
            weigh(survey, i, question, mark == VERDICT_INFECTED, &of) > out->answer)
            blame(&survey->services[i], &of, out);
    }
}

/* Does the state of the whole program say no, whatever its services say? */
static bool forbidden(const struct survey *survey, enum verdict_question question)
{
    static const char *const no_work[] = {"withdrawn", "draining", "stopping", "stopped"};
    if (question == VERDICT_LIVE)
        return false;
    if (question == VERDICT_HEALTH)
        return is_state(survey, "stopped");
    for (size_t i = 0; i < sizeof no_work / sizeof no_work[0]; i++)
        if (is_state(survey, no_work[i]))
            return true;
    return false;
}

static void decide_by_program(const struct survey *survey, struct verdict *out)
{
    struct survey asked = {.run = survey->run}; /* its state alone */
    asked.run.ready = 0;
    char why[SURVEY_WHY_MAX];
    decide(out, VERDICT_NOT_NOW, survey_not_ready(&asked, why));
    out->by_state = true;
}

/* What the runner says counts as well: it knows more than what the services say, and it may be
 * newer; unless the one that is to blame may be one that is left out. */
static void decide_by_runner(const struct survey *survey, enum verdict_question question,
                             const enum verdict_mark *marks, struct verdict *out)
{
    if (out->answer >= VERDICT_FAILED)
        return;
    if (marks == NULL && question == VERDICT_LIVE && survey->run.stuck)
        decide(out, VERDICT_FAILED, "a thread is stuck");
    if (marks == NULL && question != VERDICT_LIVE && survey->overall == SRUN_HEALTH_UNHEALTHY)
        decide(out, VERDICT_FAILED, "the program is unhealthy");
    /* While two generations change places neither says for a moment that it is ready; but both are,
     * when their services run, and nobody gets here whom not one of them has let in. */
    bool excused = survey->run.ready || is_state(survey, "running");
    for (size_t i = 0; marks != NULL && i < survey->count; i++)
        excused |= marks[i] == VERDICT_LEFT_OUT && survey->services[i].info.state != SRUN_RUNNING;
    if (question == VERDICT_READY && !excused)
        decide_by_program(survey, out);
}

/* Who still reaches this process had connected a moment before its successor took over: he asks
 * about the address, and there a generation serves that is ready. No probe fails in an upgrade. */
static bool has_successor(const struct survey *survey)
{
    return is_state(survey, "yielded") || survey->upgrade.draining;
}

void verdict_program(const struct survey *survey, enum verdict_question question,
                     enum verdict_mark *marks, struct verdict *out)
{
    *out = (struct verdict){.answer = VERDICT_OK};
    if (question != VERDICT_LIVE && has_successor(survey)) {
        decide(out, VERDICT_OK, "a newer generation serves");
        out->by_state = true;
        return;
    }
    if (forbidden(survey, question)) {
        decide_by_program(survey, out);
        return;
    }
    if (marks != NULL)
        mark_infected(survey, marks);
    judge_services(survey, question, marks, out);
    decide_by_runner(survey, question, marks, out);
}
