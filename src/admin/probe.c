/* SPDX-License-Identifier: MIT
 *
 * The probes, as kubelet, Consul, HAProxy, Envoy and Prometheus ask them. Reads what was published,
 * never waits for a service, and does little when all is well. Reasons are for those who may read.
 */
#include "admin/probe.h"

#include "admin/columns.h"
#include "admin/metrics.h"
#include "admin/routes.h"
#include "admin/samples.h"
#include "admin/show.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WITHHELD "reason withheld"

static const char *const question_names[] = {
    [VERDICT_HEALTH] = "healthz", [VERDICT_LIVE] = "livez", [VERDICT_READY] = "readyz"};

/* --- what is asked --------------------------------------------------------------------------- */

/* A query that is there, and does not say no. */
static bool is_asked(const srun_admin_exchange *exchange, const char *name)
{
    const char *value = srun_admin_query(exchange, name);
    return value != NULL && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

static bool may_know(const srun_admin_exchange *exchange)
{
    return exchange->right >= ADMIN_READ;
}

static bool exclude(const struct survey *survey, enum verdict_mark *marks, const char *name,
                    size_t size)
{
    for (size_t i = 0; i < survey->count; i++) {
        const char *service = survey->services[i].info.name;
        if (strlen(service) == size && memcmp(service, name, size) == 0) {
            marks[i] = VERDICT_LEFT_OUT;
            return true;
        }
    }
    return false;
}

/* Several have commas between; a name may hold one itself. The unknown ones go to warnings. */
static void read_excluded(const struct survey *survey, const char *list, enum verdict_mark *marks,
                          struct buf *warnings)
{
    if (exclude(survey, marks, list, strlen(list)))
        return;
    while (*list != '\0') {
        size_t size = strcspn(list, ",");
        if (size > 0 && !exclude(survey, marks, list, size)) {
            char name[256] = "";
            memcpy(name, list, size < sizeof name ? size : sizeof name - 1);
            buf_text(warnings, "warn: no service \"");
            (void)columns_plain(warnings, name);
            buf_text(warnings, "\"\n");
        }
        list += size + (list[size] == ',');
    }
}

/* --- what is told ---------------------------------------------------------------------------- */

struct telling {
    srun_admin_exchange *exchange;
    const struct survey *survey;
    enum verdict_question question;
    enum verdict_mark *marks; /* or NULL */
    const char *only;         /* or "" */
    struct verdict whole;     /* of the program, or of the only one */
};

static bool is_good(enum verdict_answer answer)
{
    return answer == VERDICT_OK || answer == VERDICT_DEGRADED;
}

static const char *reason(const struct telling *telling, const struct verdict *verdict)
{
    return verdict->by_state || may_know(telling->exchange) ? verdict->why : WITHHELD;
}

static const char *answer_name(enum verdict_answer answer)
{
    static const char *const names[] = {[VERDICT_OK] = "ok",
                                        [VERDICT_DEGRADED] = "degraded",
                                        [VERDICT_FAILED] = "failed",
                                        [VERDICT_NOT_NOW] = "failed",
                                        [VERDICT_EXCLUDED] = "excluded"};
    return names[answer];
}

/* Status and headers. */
static void tell_status(const struct telling *telling)
{
    srun_admin_exchange *exchange = telling->exchange;
    const char *state = telling->survey->run.state;
    enum verdict_answer answer = telling->whole.answer;
    if (answer == VERDICT_DEGRADED) {
        const char *wanted = srun_admin_query(exchange, "degraded");
        srun_admin_add_header(exchange, "x-envoy-degraded", "true");
        if (wanted != NULL && strcmp(wanted, "429") == 0)
            srun_admin_status(exchange, 429);
    }
    if (answer == VERDICT_FAILED)
        srun_admin_status(exchange, 500);
    if (answer == VERDICT_NOT_NOW || telling->whole.by_state)
        srun_admin_add_header(exchange, "X-Srun-State", state);
    if (answer != VERDICT_NOT_NOW)
        return;
    srun_admin_status(exchange, 503);
    if (telling->question == VERDICT_READY &&
        (strcmp(state, "draining") == 0 || strcmp(state, "stopping") == 0))
        srun_admin_add_header(exchange, "x-envoy-immediate-health-check-fail", "true");
}

static bool is_told(const struct telling *telling, size_t at)
{
    return telling->only[0] == '\0' ||
           strcmp(telling->survey->services[at].info.name, telling->only) == 0;
}

static bool is_excluded(const struct telling *telling, size_t at)
{
    return telling->marks != NULL && telling->marks[at] == VERDICT_LEFT_OUT;
}

/* " (12ms, 3s ago)" of a check. */
static void tell_when(struct buf *out, const struct srun_health *health)
{
    char took[SHOW_MAX], age[SHOW_MAX];
    if (health->took_ms >= 0 && health->age_ms >= 0)
        buf_printf(out, " (%s, %s ago)", show_ms(took, health->took_ms),
                   show_ms(age, health->age_ms));
}

static void tell_line(const struct telling *telling, size_t at)
{
    struct buf *out = &telling->exchange->out;
    const struct survey_service *service = &telling->survey->services[at];
    struct verdict verdict;
    verdict_service(service, telling->question, &verdict);
    bool excluded = is_excluded(telling, at), good = excluded || is_good(verdict.answer);
    buf_text(out, good ? "[+]" : "[-]");
    (void)columns_plain(out, service->info.name);
    buf_printf(out, " %s", excluded ? "excluded" : answer_name(verdict.answer));
    if (!excluded && verdict.answer != VERDICT_OK) {
        buf_text(out, ": ");
        (void)columns_plain(out, reason(telling, &verdict));
    }
    if (!excluded && good && telling->question != VERDICT_LIVE)
        tell_when(out, &service->health);
    buf_text(out, "\n");
}

static void tell_verbose(const struct telling *telling, const struct buf *warnings)
{
    struct buf *out = &telling->exchange->out;
    for (size_t i = 0; i < telling->survey->count; i++)
        if (is_told(telling, i))
            tell_line(telling, i);
    if (telling->whole.by_state)
        buf_printf(out, "%s: %s\n",
                   is_good(telling->whole.answer) ? "[+]lifecycle ok" : "[-]lifecycle failed",
                   telling->whole.why);
    if (warnings->size > 0)
        buf_add(out, warnings->data, warnings->size);
    buf_printf(out, "%s check %s\n", question_names[telling->question],
               is_good(telling->whole.answer) ? "passed" : "failed");
}

static void tell_plain(const struct telling *telling)
{
    struct buf *out = &telling->exchange->out;
    if (is_good(telling->whole.answer)) {
        buf_text(out, "OK");
        return;
    }
    buf_printf(out, "%s: ", telling->question == VERDICT_READY ? "not ready" : "failed");
    (void)columns_plain(out, reason(telling, &telling->whole));
    buf_text(out, "\n");
}

static void tell_check(const struct telling *telling, struct json *json, size_t at)
{
    const struct survey_service *service = &telling->survey->services[at];
    struct verdict verdict;
    verdict_service(service, telling->question, &verdict);
    if (is_excluded(telling, at))
        verdict = (struct verdict){.answer = VERDICT_EXCLUDED};
    json_open(json, NULL, '{');
    json_str(json, "name", service->info.name);
    json_str(json, "status", answer_name(verdict.answer));
    if (verdict.why[0] != '\0')
        json_str(json, "reason", reason(telling, &verdict));
    json_str(json, "state", srun_state_name(service->info.state));
    json_str(json, "health", srun_health_status_name(service->health.status));
    json_bool(json, "critical", service->info.critical);
    json_int(json, "age_ms", service->health.age_ms);
    json_int(json, "took_ms", service->health.took_ms);
    json_close(json);
}

static void tell_json(const struct telling *telling)
{
    struct json json;
    exchange_json(telling->exchange, &json);
    json_str(&json, "status", answer_name(telling->whole.answer));
    if (telling->whole.why[0] != '\0')
        json_str(&json, "reason", reason(telling, &telling->whole));
    json_str(&json, "state", telling->survey->run.state);
    json_bool(&json, "ready", survey_is_ready(telling->survey));
    json_open(&json, "checks", '[');
    for (size_t i = 0; i < telling->survey->count; i++)
        if (is_told(telling, i))
            tell_check(telling, &json, i);
    json_close(&json);
    json_close(&json);
    buf_text(&telling->exchange->out, "\n");
}

/* False: there is no such service. */
static bool judge(struct telling *telling)
{
    const struct survey *survey = telling->survey;
    if (telling->only[0] == '\0') {
        verdict_program(survey, telling->question, telling->marks, &telling->whole);
        return true;
    }
    for (size_t i = 0; i < survey->count; i++)
        if (is_told(telling, i)) {
            verdict_service(&survey->services[i], telling->question, &telling->whole);
            return true;
        }
    return false;
}

int probe_answer(srun_admin_exchange *exchange, const struct survey *survey,
                 enum verdict_question question, const char *only)
{
    const char *list = srun_admin_query(exchange, "exclude");
    auto_buf struct buf warnings = {0};
    auto_free enum verdict_mark *marks = NULL;
    if (list != NULL && survey->count > 0) {
        marks = calloc(survey->count, sizeof marks[0]);
        if (marks == NULL)
            return -ENOMEM;
    }
    for (unsigned i = 1; marks != NULL && list != NULL; i++) {
        read_excluded(survey, list, marks, &warnings);
        list = exchange_query(exchange, "exclude", i);
    }
    struct telling telling = {
        .exchange = exchange, .survey = survey, .question = question, .marks = marks, .only = only};
    if (!judge(&telling))
        return exchange_refuse(exchange, 404, "there is no service of this name");
    tell_status(&telling);
    if (exchange_wants_json(exchange))
        tell_json(&telling);
    else if (is_asked(exchange, "verbose"))
        tell_verbose(&telling, &warnings);
    else
        tell_plain(&telling);
    exchange->failed |= warnings.failed;
    return 0;
}

/* --- the views ------------------------------------------------------------------------------- */

/* Nothing but the plain answer is wanted. */
static bool is_plain(const srun_admin_exchange *exchange)
{
    return exchange->rest[0] == '\0' && srun_admin_query(exchange, "verbose") == NULL &&
           srun_admin_query(exchange, "exclude") == NULL && !exchange_wants_json(exchange);
}

/* No thread is stuck, no heartbeat missed; false as well when one cannot tell. */
static bool moves(const srun_runner *runner)
{
    size_t count = srun_runner_services(runner, NULL, 0);
    auto_free struct srun_service_info *list = calloc(count > 0 ? count : 1, sizeof list[0]);
    if (list == NULL)
        return false;
    size_t there = srun_runner_services(runner, list, count);
    for (size_t i = 0; i < there && i < count; i++)
        if (list[i].stuck || list[i].heartbeat_missed)
            return false;
    return srun_runner_stuck(runner) == 0;
}

/* Is the answer yes without a closer look? A few atomic reads. */
static bool all_is_well(const srun_runner *runner, enum verdict_question question)
{
    srun_health_status overall = srun_health_overall(runner);
    if (question == VERDICT_LIVE)
        return moves(runner);
    return srun_runner_is_ready(runner) && overall != SRUN_HEALTH_UNHEALTHY &&
           overall != SRUN_HEALTH_DEGRADED;
}

static int probe(srun_admin_exchange *exchange, enum verdict_question question, srun_err *err)
{
    if (is_plain(exchange) && all_is_well(admin_host(exchange->admin)->runner, question)) {
        srun_admin_write(exchange, "OK", 2);
        return 0;
    }
    auto_survey struct survey survey = {0};
    if (is_asked(exchange, "verbose"))
        samples_look(admin_samples(exchange->admin), clock_real_now());
    int rc = survey_take(&survey, exchange->admin, false);
    if (rc == 0)
        rc = probe_answer(exchange, &survey, question, exchange->rest);
    return rc < 0 ? srun_fail(err, rc, "probe: %s", srun_strerror(rc)) : 0;
}

static int health_view(srun_admin_exchange *exchange, srun_err *err)
{
    return probe(exchange, VERDICT_HEALTH, err);
}

static int live_view(srun_admin_exchange *exchange, srun_err *err)
{
    return probe(exchange, VERDICT_LIVE, err);
}

static int ready_view(srun_admin_exchange *exchange, srun_err *err)
{
    return probe(exchange, VERDICT_READY, err);
}

static int metrics_view(srun_admin_exchange *exchange, srun_err *err)
{
    char type[METRICS_TYPE_MAX];
    samples_look(admin_samples(exchange->admin), clock_real_now());
    int rc =
        metrics_write(&exchange->out, exchange->admin, srun_admin_header(exchange, "Accept"), type);
    srun_admin_type(exchange, type);
    return rc < 0 ? srun_fail(err, rc, "metrics: %s", srun_strerror(rc)) : 0;
}

const struct admin_route probe_routes[] = {
    {"GET", "/health", ADMIN_PROBE, health_view,
     "200 while it is well; ?verbose ?exclude=NAME,NAME", false},
    {"GET", "/healthz", ADMIN_PROBE, health_view, "the same", false},
    {"GET", "/healthz/", ADMIN_PROBE, health_view, "/healthz/NAME: one service", false},
    {"GET", "/livez", ADMIN_PROBE, live_view, "200 while it moves: heartbeats and stuck threads",
     false},
    {"GET", "/livez/", ADMIN_PROBE, live_view, "/livez/NAME: one service", false},
    {"GET", "/ready", ADMIN_PROBE, ready_view, "200 while it may be sent work", false},
    {"GET", "/readyz", ADMIN_PROBE, ready_view, "the same", false},
    {"GET", "/readyz/", ADMIN_PROBE, ready_view, "/readyz/NAME: one service", false},
    {"GET", "/metrics", ADMIN_PROBE, metrics_view, "for Prometheus", false},
    {0},
};
