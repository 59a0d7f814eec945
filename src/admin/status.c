/* SPDX-License-Identifier: MIT
 *
 * /status.json: everything at once, for the operator's page and for srunctl.
 */
#include "admin/metrics.h"
#include "admin/redact.h"
#include "admin/revert.h"
#include "admin/samples.h"
#include "admin/show.h"
#include "admin/views.h"
#include "base/auto.h"
#include "base/buildid.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>

/* --- parts ----------------------------------------------------------------------------------- */

static void program_json(struct json *json, const struct survey *survey)
{
    char why[SURVEY_WHY_MAX], id[BUILDID_TEXT_MAX];
    struct utsname system = {0};
    const struct srun_run_info *run = &survey->run;
    (void)uname(&system);
    json_str(json, "name", run->name);
    json_str(json, "version", run->version);
    json_str(json, "libsrun", srun_version());
    json_str(json, "build_id", buildid_own(id));
    json_int(json, "pid", run->pid);
    json_int(json, "generation", run->generation);
    json_str(json, "host", system.nodename);
    json_str(json, "state", run->state);
    json_bool(json, "ready", survey_is_ready(survey));
    json_str(json, "not_ready", survey_not_ready(survey, why));
    const char *not_live = survey_not_live(survey, why);
    json_bool(json, "live", not_live == NULL);
    json_str(json, "not_live", not_live);
    json_bool(json, "health_enabled", survey->health_enabled);
    json_str(json, "overall", srun_health_status_name(survey->overall));
    json_str(json, "not_healthy", survey_not_healthy(survey, why));
    json_int(json, "started_ms", run->started_ms);
    json_int(json, "now_ms", survey->now_ms);
}

static void asker_json(struct json *json, const srun_admin_exchange *exchange)
{
    char level[SHOW_MAX];
    const srun_logger *log = srun_runner_log(admin_host(exchange->admin)->runner);
    int64_t left = revert_left_ms(admin_revert(exchange->admin), clock_real_now());
    json_str(json, "right", show_right(exchange->right));
    json_bool(json, "profiling", admin_host(exchange->admin)->profile != NULL);
    if (log != NULL)
        json_str(json, "log_level", show_level(level, srun_logger_level(log)));
    json_int(json, "log_level_reverts_in_ms", left);
}

static void one_series(struct json *json, const struct samples_ring *ring,
                       enum samples_series series)
{
    const struct samples_point *point;
    json_open(json, NULL, '{');
    json_str(json, "name", samples_name(series));
    json_str(json, "unit", samples_unit(series));
    json_open(json, "times_ms", '[');
    for (size_t i = 0; (point = samples_at(ring, i)) != NULL; i++)
        if (isfinite(point->values[series]))
            json_int(json, NULL, point->time_ms);
    json_close(json);
    json_open(json, "values", '[');
    for (size_t i = 0; (point = samples_at(ring, i)) != NULL; i++)
        if (isfinite(point->values[series]))
            json_double(json, NULL, point->values[series]);
    json_close(json);
    json_close(json);
}

static void series_json(struct json *json, struct samples *samples)
{
    struct samples_ring ring;
    samples_copy(samples, &ring);
    json_open(json, "series", '[');
    for (int series = 0; series < SAMPLES_COUNT; series++)
        one_series(json, &ring, (enum samples_series)series);
    json_close(json);
}

static void upgrade_json(struct json *json, const struct srun_upgrade_info *upgrade)
{
    char text[sizeof upgrade->last_text];
    json_open(json, "upgrade", '{');
    json_str(json, "state", upgrade->state);
    json_int(json, "attempts", upgrade->attempts);
    json_int(json, "succeeded", upgrade->succeeded);
    json_int(json, "failed", upgrade->failed);
    json_int(json, "rolled_back", upgrade->rolled_back);
    json_int(json, "last_ms", upgrade->last_ms);
    json_int(json, "last_took_ms", upgrade->last_took_ms);
    json_int(json, "last_code", upgrade->last_code);
    json_str(json, "last_phase", upgrade->last_phase);
    json_str(json, "last_text", redact_text(text, sizeof text, upgrade->last_text));
    json_int(json, "peer_pid", upgrade->peer_pid);
    json_bool(json, "serving", upgrade->serving);
    json_bool(json, "draining", upgrade->draining);
    json_bool(json, "queued", upgrade->queued);
    json_close(json);
}

/* What /metrics has. 0 or -ENOMEM. */
static int metrics_json(struct json *json, struct admin *admin)
{
    char type[METRICS_TYPE_MAX];
    auto_buf struct buf text = {0};
    int rc = metrics_write(&text, admin, NULL, type);
    if (rc < 0 && rc != -EBUSY) /* the rest of the page is worth more than waiting for these */
        return rc;
    struct metrics_line line;
    json_open(json, "metrics", '[');
    for (const char *at = text.data != NULL ? text.data : ""; metrics_next(&at, &line);) {
        auto_free char *name = strndup(line.name, line.name_size);
        if (name == NULL)
            return -ENOMEM;
        json_open(json, NULL, '{');
        json_str(json, "name", name);
        json_double(json, "value", line.value);
        json_close(json);
    }
    json_close(json);
    return 0;
}

/* --- all of it ------------------------------------------------------------------------------- */

int status_view(srun_admin_exchange *exchange, srun_err *err)
{
    struct admin *admin = exchange->admin;
    const struct admin_host *host = admin_host(admin);
    auto_survey struct survey survey = {0};
    struct json json;
    samples_look(admin_samples(admin), clock_real_now());
    int rc = survey_take(&survey, admin, true);
    if (rc < 0)
        return srun_fail(err, rc, "status: %s", srun_strerror(rc));
    exchange_json(exchange, &json);
    program_json(&json, &survey);
    asker_json(&json, exchange);
    services_json(&json, &survey, true);
    timeline_json(&json, host);
    series_json(&json, admin_samples(admin));
    upgrade_json(&json, &survey.upgrade);
    generations_json(&json, &survey);
    config_json(&json, host);
    flags_json(&json, host);
    threads_json(&json);
    captures_json(&json, host);
    rc = metrics_json(&json, admin);
    if (rc < 0)
        return srun_fail(err, rc, "status: %s", srun_strerror(rc));
    return views_end_json(exchange, &json);
}
