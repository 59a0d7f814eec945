/* SPDX-License-Identifier: MIT
 *
 * What a probe is told of a program in every state, and how. The surveys are the test's own.
 */
#include "admin/probe.h"
#include "asking.h"

#define DB 0
#define CACHE 1
#define HTTP 2
#define SERVICES 3

struct scene {
    struct asking asking;
    struct survey survey;
    struct survey_service services[SERVICES];
};

static const char *const on_nothing[] = {NULL};
static const char *const on_db[] = {"db", NULL};

/* All is well: db, cache (which is not critical) and http, which needs db. */
static void scene_open(struct scene *scene)
{
    static const char *const names[] = {"db", "cache", "http"};
    *scene = (struct scene){0};
    asking_open_with(&scene->asking, &(struct admin_host){0});
    scene->survey = (struct survey){.run = {.name = "x",
                                            .version = "1",
                                            .pid = 7,
                                            .generation = 1,
                                            .state = "running",
                                            .ready = 1},
                                    .overall = SRUN_HEALTH_HEALTHY,
                                    .health_enabled = true,
                                    .count = SERVICES,
                                    .services = scene->services};
    for (size_t i = 0; i < SERVICES; i++) {
        struct survey_service *service = &scene->services[i];
        service->info = (struct srun_service_info){
            .state = SRUN_RUNNING, .critical = i != CACHE, .left_ms = -1};
        (void)strcpy(service->info.name, names[i]);
        service->info.depends = i == HTTP ? on_db : on_nothing;
        service->health = (struct srun_health){.service = service->info.name,
                                               .status = SRUN_HEALTH_HEALTHY,
                                               .own = SRUN_HEALTH_HEALTHY,
                                               .source = SRUN_HEALTH_CHECKED,
                                               .age_ms = 3000,
                                               .took_ms = 12,
                                               .next_ms = -1};
    }
}

static void scene_close(struct scene *scene)
{
    asking_close(&scene->asking);
}

/* As the board does it: who depends on it suffers as well. */
static void make_unwell(struct scene *scene, size_t at, srun_health_status status, const char *note)
{
    struct survey_service *service = &scene->services[at];
    service->health.status = service->health.own = status;
    (void)snprintf(service->health.note, sizeof service->health.note, "%s", note);
    if (at == DB) {
        scene->services[HTTP].health.status = status;
        (void)strcpy(scene->services[HTTP].health.path, "http -> db");
    }
    scene->survey.overall = at == CACHE ? SRUN_HEALTH_DEGRADED : status;
}

static void make_state(struct scene *scene, const char *state)
{
    scene->survey.run.state = state;
    scene->survey.run.ready = strcmp(state, "running") == 0;
}

/* Judges and tells; the body. only: of one service, or "". */
static const char *tell_of(struct scene *scene, enum verdict_question question, const char *query,
                           const char *only)
{
    char url[256];
    (void)snprintf(url, sizeof url, "/?%s", query);
    asking_begin(&scene->asking, url);
    ck_assert_int_eq(probe_answer(&scene->asking.exchange, &scene->survey, question, only), 0);
    return scene->asking.exchange.out.data;
}

static const char *tell(struct scene *scene, enum verdict_question question, const char *query)
{
    return tell_of(scene, question, query, "");
}

static unsigned status(struct scene *scene, enum verdict_question question, const char *query)
{
    (void)tell(scene, question, query);
    return scene->asking.exchange.status;
}

START_TEST(all_well_is_ok_to_every_question)
    {
        struct scene scene;
        scene_open(&scene);
        for (int question = VERDICT_HEALTH; question <= VERDICT_READY; question++) {
            ck_assert_str_eq(tell(&scene, (enum verdict_question)question, ""), "OK");
            ck_assert_uint_eq(scene.asking.exchange.status, 200);
            ck_assert_ptr_null(scene.asking.exchange.headers);
        }
        scene_close(&scene);
    }
END_TEST

START_TEST(each_state_of_the_program_has_its_status)
    {
        static const struct {
            const char *state;
            unsigned health, live, ready;
        } cases[] = {
            {"starting", 200, 200, 503}, {"running", 200, 200, 200},  {"withdrawn", 200, 200, 503},
            {"yielded", 200, 200, 200},  {"draining", 200, 200, 503}, {"stopping", 200, 200, 503},
            {"stopped", 503, 200, 503},
        };
        struct scene scene;
        scene_open(&scene);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            make_state(&scene, cases[i].state);
            ck_assert_uint_eq(status(&scene, VERDICT_HEALTH, ""), cases[i].health);
            ck_assert_uint_eq(status(&scene, VERDICT_LIVE, ""), cases[i].live);
            ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), cases[i].ready);
            if (cases[i].ready == 503)
                ck_assert_str_eq(answered_header(&scene.asking, "X-Srun-State"), cases[i].state);
        }
        scene_close(&scene);
    }
END_TEST

START_TEST(envoy_ejects_at_once_what_drains)
    {
        static const char *const eject = "x-envoy-immediate-health-check-fail";
        struct scene scene;
        scene_open(&scene);
        make_state(&scene, "draining");
        (void)tell(&scene, VERDICT_READY, "");
        ck_assert_str_eq(answered_header(&scene.asking, eject), "true");
        make_state(&scene, "stopping");
        (void)tell(&scene, VERDICT_READY, "");
        ck_assert_str_eq(answered_header(&scene.asking, eject), "true");
        make_state(&scene, "withdrawn");
        (void)tell(&scene, VERDICT_READY, "");
        ck_assert_ptr_null(answered_header(&scene.asking, eject));
        scene_close(&scene);
    }
END_TEST

START_TEST(who_has_a_successor_answers_for_it_to_the_last)
    {
        static const char *const states[] = {"yielded", "stopping", "stopped"};
        struct scene scene;
        scene_open(&scene);
        scene.survey.upgrade.draining = 1;
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
            make_state(&scene, states[i]);
            scene.services[HTTP].info.state = i == 0 ? SRUN_RUNNING : SRUN_STOPPED;
            ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, ""), "OK");
            ck_assert_str_eq(tell(&scene, VERDICT_READY, ""), "OK");
            ck_assert_uint_eq(scene.asking.exchange.status, 200);
            ck_assert_str_eq(answered_header(&scene.asking, "X-Srun-State"), states[i]);
            assert_has(tell(&scene, VERDICT_READY, "verbose"),
                       "[+]lifecycle ok: a newer generation serves\nreadyz check passed\n");
        }
        scene_close(&scene);
    }
END_TEST

START_TEST(changing_places_with_another_generation_makes_nobody_unready)
    {
        struct scene scene;
        scene_open(&scene);
        scene.survey.run.ready = 0; /* the gate is shut in the one, and not open yet in the other */
        ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), 200);
        scene.services[CACHE].info.state = SRUN_STOPPED;
        ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), 503);
        scene_close(&scene);
    }
END_TEST

START_TEST(why_it_is_not_ready_is_told_in_one_line)
    {
        struct scene scene;
        scene_open(&scene);
        make_state(&scene, "starting");
        scene.services[HTTP].info.state = SRUN_INITIATED;
        (void)strcpy(scene.services[HTTP].waits_for, "db");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, ""),
                         "not ready: service http: is INITIATED, waits for db\n");
        make_state(&scene, "withdrawn");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, ""), "not ready: the program is withdrawn\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(an_unhealthy_critical_service_fails_health_and_ready)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "no connection");
        ck_assert_uint_eq(status(&scene, VERDICT_HEALTH, ""), 500);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), 500);
        ck_assert_uint_eq(status(&scene, VERDICT_LIVE, ""), 200);
        ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, ""), "failed: service db: no connection\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(an_unhealthy_service_that_is_not_critical_degrades)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, CACHE, SRUN_HEALTH_UNHEALTHY, "cold");
        ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, ""), "OK");
        ck_assert_uint_eq(scene.asking.exchange.status, 200);
        ck_assert_str_eq(answered_header(&scene.asking, "x-envoy-degraded"), "true");
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "degraded=429"), 429);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "degraded=200"), 200);
        scene_close(&scene);
    }
END_TEST

START_TEST(a_missed_heartbeat_or_a_stuck_thread_fails_live_alone)
    {
        struct scene scene;
        scene_open(&scene);
        scene.services[CACHE].info.heartbeat_missed = 1;
        ck_assert_uint_eq(status(&scene, VERDICT_LIVE, ""), 500);
        ck_assert_str_eq(tell(&scene, VERDICT_LIVE, ""),
                         "failed: service cache: missed its heartbeat\n");
        ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), 200);
        ck_assert_uint_eq(status(&scene, VERDICT_LIVE, "exclude=cache"), 200);
        scene.services[CACHE].info.heartbeat_missed = 0;
        scene.survey.run.stuck = 1;
        ck_assert_uint_eq(status(&scene, VERDICT_LIVE, ""), 500);
        scene_close(&scene);
    }
END_TEST

START_TEST(verbose_has_a_line_for_each_service)
    {
        struct scene scene;
        scene_open(&scene);
        ck_assert_str_eq(tell(&scene, VERDICT_READY, "verbose"), "[+]db ok (12ms, 3s ago)\n"
                                                                 "[+]cache ok (12ms, 3s ago)\n"
                                                                 "[+]http ok (12ms, 3s ago)\n"
                                                                 "readyz check passed\n");
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "no connection");
        ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, "verbose"), "[-]db failed: no connection\n"
                                                                  "[+]cache ok (12ms, 3s ago)\n"
                                                                  "[-]http failed: http -> db\n"
                                                                  "healthz check failed\n");
        ck_assert_str_eq(tell(&scene, VERDICT_LIVE, "verbose"),
                         "[+]db ok\n[+]cache ok\n[+]http ok\nlivez check passed\n");
        make_state(&scene, "draining");
        assert_has(tell(&scene, VERDICT_READY, "verbose"),
                   "[-]lifecycle failed: the program is draining\nreadyz check failed\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(reasons_are_for_those_who_may_read)
    {
        struct scene scene;
        scene_open(&scene);
        scene.asking.right = ADMIN_PROBE;
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "hunter2");
        ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, ""), "failed: reason withheld\n");
        assert_has(tell(&scene, VERDICT_HEALTH, "verbose"), "[-]db failed: reason withheld\n");
        assert_has(tell(&scene, VERDICT_HEALTH, "format=json"), "\"reason\":\"reason withheld\"");
        assert_has_not(tell(&scene, VERDICT_HEALTH, "format=json"), "hunter2");
        assert_has_not(tell_of(&scene, VERDICT_HEALTH, "", "db"), "hunter2");
        make_state(&scene, "stopping");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, ""), "not ready: the program is stopping\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(an_excluded_service_does_not_count_nor_does_what_it_made_unwell)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "no connection");
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=db"), 200);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=cache"), 500);
        assert_has(tell(&scene, VERDICT_READY, "verbose&exclude=db"), "[+]db excluded\n");
        scene.services[HTTP].health.own = SRUN_HEALTH_UNHEALTHY;
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=db"), 500);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=db,http"), 200);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=db&exclude=http"), 200);
        scene_close(&scene);
    }
END_TEST

START_TEST(excluding_one_that_still_starts_makes_it_ready)
    {
        struct scene scene;
        scene_open(&scene);
        make_state(&scene, "starting");
        scene.services[CACHE].info.state = SRUN_STARTING;
        ck_assert_uint_eq(status(&scene, VERDICT_READY, ""), 503);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=cache"), 200);
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=db"), 503);
        make_state(&scene, "withdrawn");
        ck_assert_uint_eq(status(&scene, VERDICT_READY, "exclude=cache"), 503);
        scene_close(&scene);
    }
END_TEST

START_TEST(an_unknown_name_to_exclude_is_told_in_verbose)
    {
        struct scene scene;
        scene_open(&scene);
        assert_has(tell(&scene, VERDICT_READY, "verbose&exclude=db,nobody,\x1b[1m"),
                   "warn: no service \"nobody\"\nwarn: no service \"?[1m\"\nreadyz check passed\n");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, "exclude=nobody"), "OK");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, "exclude=,,"), "OK");
        scene_close(&scene);
    }
END_TEST

START_TEST(one_service_is_asked_by_its_name)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "no connection");
        ck_assert_str_eq(tell_of(&scene, VERDICT_READY, "", "cache"), "OK");
        ck_assert_str_eq(tell_of(&scene, VERDICT_READY, "verbose", "cache"),
                         "[+]cache ok (12ms, 3s ago)\nreadyz check passed\n");
        (void)tell_of(&scene, VERDICT_READY, "", "db");
        ck_assert_uint_eq(scene.asking.exchange.status, 500);
        scene.services[CACHE].info.state = SRUN_STARTING;
        (void)tell_of(&scene, VERDICT_READY, "", "cache");
        ck_assert_uint_eq(scene.asking.exchange.status, 503);
        (void)tell_of(&scene, VERDICT_READY, "", "nobody");
        ck_assert_uint_eq(scene.asking.exchange.status, 404);
        scene_close(&scene);
    }
END_TEST

START_TEST(json_has_a_check_for_each_service)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, "no connection");
        const char *body = tell(&scene, VERDICT_READY, "format=json&exclude=cache");
        ck_assert(json_is_valid(body, strlen(body)));
        ck_assert_uint_eq(scene.asking.exchange.status, 500);
        assert_has(body, "{\"v\":1,\"status\":\"failed\",\"reason\":\"service db: no connection\","
                         "\"state\":\"running\"");
        assert_has(body, "{\"name\":\"db\",\"status\":\"failed\",\"reason\":\"no connection\"");
        assert_has(body, "{\"name\":\"cache\",\"status\":\"excluded\",\"state\"");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_hostile_note_forges_no_line_and_no_json)
    {
        struct scene scene;
        scene_open(&scene);
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY,
                    "x\n[+]db ok\r\x1b[2J\xff\"<script>alert('&')</script>\\");
        const char *body = tell(&scene, VERDICT_HEALTH, "verbose");
        assert_has(body, "[-]db failed: x?[+]db ok??[2J?\"<script>alert('&')</script>\\\n");
        body = tell(&scene, VERDICT_HEALTH, "format=json");
        ck_assert(json_is_valid(body, strlen(body)));
        assert_has(body, "x\\u000a[+]db ok\\u000d\\u001b[2J\\ufffd\\\"<script>");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_plain_body_stays_small)
    {
        struct scene scene;
        scene_open(&scene);
        char note[SRUN_HEALTH_NOTE_MAX];
        memset(note, 'n', sizeof note - 1);
        note[sizeof note - 1] = '\0';
        make_unwell(&scene, DB, SRUN_HEALTH_UNHEALTHY, note);
        memset(scene.services[DB].info.name, 'd', sizeof scene.services[DB].info.name - 1);
        ck_assert_uint_le(strlen(tell(&scene, VERDICT_HEALTH, "")), 1024);
        scene_close(&scene);
    }
END_TEST

START_TEST(no_services_and_no_health_are_well)
    {
        struct scene scene;
        scene_open(&scene);
        scene.survey.count = 0;
        scene.survey.overall = SRUN_HEALTH_UNKNOWN;
        ck_assert_str_eq(tell(&scene, VERDICT_HEALTH, "exclude=db"), "OK");
        ck_assert_str_eq(tell(&scene, VERDICT_READY, "verbose"), "readyz check passed\n");
        scene_close(&scene);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_verdict", all_well_is_ok_to_every_question,
                   each_state_of_the_program_has_its_status, envoy_ejects_at_once_what_drains,
                   who_has_a_successor_answers_for_it_to_the_last,
                   changing_places_with_another_generation_makes_nobody_unready,
                   why_it_is_not_ready_is_told_in_one_line,
                   an_unhealthy_critical_service_fails_health_and_ready,
                   an_unhealthy_service_that_is_not_critical_degrades,
                   a_missed_heartbeat_or_a_stuck_thread_fails_live_alone,
                   verbose_has_a_line_for_each_service, reasons_are_for_those_who_may_read,
                   an_excluded_service_does_not_count_nor_does_what_it_made_unwell,
                   excluding_one_that_still_starts_makes_it_ready,
                   an_unknown_name_to_exclude_is_told_in_verbose, one_service_is_asked_by_its_name,
                   json_has_a_check_for_each_service, a_hostile_note_forges_no_line_and_no_json,
                   a_plain_body_stays_small, no_services_and_no_health_are_well);
}
