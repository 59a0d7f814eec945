/* SPDX-License-Identifier: MIT
 *
 * One look at the whole program, for all views: services with their health, what each waits for,
 * whether it is live and ready and if not, why. Reads published snapshots only, so it never waits
 * for a service. Threads: any.
 */
#ifndef ADMIN_SURVEY_H
#define ADMIN_SURVEY_H

#include "admin/admin.h"

#include <srun/health.h>
#include <srun/upgrade.h>

struct survey_service {
    struct srun_service_info info;
    struct srun_health health;
    size_t results; /* the last ones, newest last */
    struct srun_health_result history[SRUN_HEALTH_HISTORY];
    char waits_for[256]; /* "db", "its init", "its stop", ... or "" */
};

struct survey {
    struct srun_run_info run;
    struct srun_upgrade_info upgrade;
    srun_health_status overall; /* unknown while health is off */
    bool health_enabled;
    int64_t now_ms; /* Unix time */
    size_t count;
    struct survey_service *services; /* in start order; the admin service itself is left out */
};

/* 0 or -ENOMEM. history: fill that in too. Notes and errors have lost what looks like a secret. */
int survey_take(struct survey *out, struct admin *admin, bool history);
void survey_free(struct survey *survey);

/* Fills in what each one waits for, by the states: a part of survey_take. PURE. */
void survey_explain(struct survey *survey);

static inline void auto_survey_cleanup(struct survey *survey)
{
    survey_free(survey);
}

#define auto_survey __attribute__((cleanup(auto_survey_cleanup)))

/* As /ready sees it: the life cycle says yes, and health does not say no. */
static inline bool survey_is_ready(const struct survey *survey)
{
    return survey->run.ready && survey->overall != SRUN_HEALTH_UNHEALTHY;
}

/* Why the life cycle says no, why it is not healthy, not live; NULL when it is. Kept in out. */
#define SURVEY_WHY_MAX 320
const char *survey_not_ready(const struct survey *survey, char out[SURVEY_WHY_MAX]);
const char *survey_not_healthy(const struct survey *survey, char out[SURVEY_WHY_MAX]);
const char *survey_not_live(const struct survey *survey, char out[SURVEY_WHY_MAX]);

#endif
