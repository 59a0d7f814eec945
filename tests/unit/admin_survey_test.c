/* SPDX-License-Identifier: MIT
 *
 * Who waits for whom, and why the program is not ready, not healthy, not live.
 */
#include "admin/survey.h"
#include "asking.h"

#define SERVICES 3

struct scene {
    struct survey survey;
    struct survey_service services[SERVICES];
};

static void scene_open(struct scene *scene, const char *state)
{
    static const char *const names[] = {"db", "cache", "http"};
    *scene = (struct scene){0};
    scene->survey = (struct survey){.run = {.state = state, .ready = strcmp(state, "running") == 0},
                                    .count = SERVICES,
                                    .services = scene->services};
    for (size_t i = 0; i < SERVICES; i++) {
        struct srun_service_info *info = &scene->services[i].info;
        *info = (struct srun_service_info){.state = SRUN_RUNNING,
                                           .critical = 1,
                                           .init_took_ms = -1,
                                           .ready_took_ms = -1,
                                           .stop_took_ms = -1};
        (void)strcpy(info->name, names[i]);
    }
}

/* Sets the states of all three; a state behind STOPPED in its life says that init is over. */
static void set_states(struct scene *scene, srun_state db, srun_state cache, srun_state http)
{
    const srun_state states[] = {db, cache, http};
    for (size_t i = 0; i < SERVICES; i++) {
        scene->services[i].info.state = states[i];
        scene->services[i].info.init_took_ms = states[i] >= SRUN_INITIATED ? 5 : -1;
    }
    survey_explain(&scene->survey);
}

static void assert_waits(const struct scene *scene, const char *db, const char *cache,
                         const char *http)
{
    const char *const wanted[] = {db, cache, http};
    for (size_t i = 0; i < SERVICES; i++)
        ck_assert_str_eq(scene->services[i].waits_for, wanted[i]);
}

START_TEST(while_it_starts_each_waits_for_the_first_that_is_not_there)
    {
        struct scene scene;
        scene_open(&scene, "starting");
        set_states(&scene, SRUN_INITIATING, SRUN_STOPPED, SRUN_STOPPED);
        assert_waits(&scene, "its init", "db", "db");
        set_states(&scene, SRUN_INITIATED, SRUN_INITIATING, SRUN_STOPPED);
        assert_waits(&scene, "cache", "its init", "cache");
        set_states(&scene, SRUN_STARTING, SRUN_INITIATED, SRUN_INITIATED);
        assert_waits(&scene, "its ready", "db", "db");
        set_states(&scene, SRUN_RUNNING, SRUN_STARTING, SRUN_INITIATED);
        assert_waits(&scene, "", "its ready", "cache");
        scene.services[1].info.init_took_ms = 5; /* it has finished already */
        scene.services[1].info.state = SRUN_STOPPED;
        scene.services[2].info.state = SRUN_STARTING;
        survey_explain(&scene.survey);
        assert_waits(&scene, "", "", "its ready");
    }
END_TEST

START_TEST(while_it_stops_each_waits_for_the_last_that_lives)
    {
        struct scene scene;
        scene_open(&scene, "stopping");
        set_states(&scene, SRUN_RUNNING, SRUN_RUNNING, SRUN_SHUTTING_DOWN);
        assert_waits(&scene, "http", "http", "its stop");
        set_states(&scene, SRUN_RUNNING, SRUN_SHUTTING_DOWN, SRUN_STOPPED);
        assert_waits(&scene, "cache", "its stop", "");
        set_states(&scene, SRUN_RUNNING, SRUN_STOPPED, SRUN_STOPPED);
        assert_waits(&scene, "", "", "");
    }
END_TEST

START_TEST(while_it_runs_nobody_waits_but_for_himself)
    {
        struct scene scene;
        scene_open(&scene, "running");
        set_states(&scene, SRUN_RUNNING, SRUN_STARTING, SRUN_RUNNING);
        assert_waits(&scene, "", "its ready", "");
    }
END_TEST

START_TEST(why_it_is_not_ready)
    {
        static const struct {
            const char *state, *why;
        } cases[] = {{"withdrawn", "the program is withdrawn"},
                     {"yielded", "a newer generation serves"},
                     {"draining", "the program is draining"},
                     {"stopping", "the program is stopping"},
                     {"stopped", "the program has stopped"}};
        struct scene scene;
        char why[SURVEY_WHY_MAX];
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            scene_open(&scene, cases[i].state);
            ck_assert_str_eq(survey_not_ready(&scene.survey, why), cases[i].why);
        }
        scene_open(&scene, "running");
        ck_assert_ptr_null(survey_not_ready(&scene.survey, why));
        scene_open(&scene, "starting");
        set_states(&scene, SRUN_INITIATED, SRUN_INITIATED, SRUN_INITIATING);
        ck_assert_str_eq(survey_not_ready(&scene.survey, why),
                         "service db is INITIATED: waits for http");
        (void)strcpy(scene.services[0].info.error, "no route");
        ck_assert_str_eq(survey_not_ready(&scene.survey, why), "service db is INITIATED: no route");
    }
END_TEST

START_TEST(why_it_is_not_healthy_names_the_one_to_blame)
    {
        struct scene scene;
        char why[SURVEY_WHY_MAX];
        scene_open(&scene, "running");
        scene.survey.overall = SRUN_HEALTH_DEGRADED;
        ck_assert_ptr_null(survey_not_healthy(&scene.survey, why));
        scene.survey.overall = SRUN_HEALTH_UNHEALTHY;
        scene.services[0].health.status = SRUN_HEALTH_UNHEALTHY;
        scene.services[0].info.critical = 0;
        scene.services[1].health.status = SRUN_HEALTH_UNHEALTHY;
        (void)strcpy(scene.services[1].health.path, "cache -> db");
        ck_assert_str_eq(survey_not_healthy(&scene.survey, why),
                         "service cache is unhealthy (cache -> db)");
        scene.services[2].health.status = scene.services[2].health.own = SRUN_HEALTH_UNHEALTHY;
        (void)strcpy(scene.services[2].health.note, "no space left");
        ck_assert_str_eq(survey_not_healthy(&scene.survey, why),
                         "service http is unhealthy: no space left");
    }
END_TEST

START_TEST(why_it_is_not_live)
    {
        struct scene scene;
        char why[SURVEY_WHY_MAX];
        scene_open(&scene, "running");
        ck_assert_ptr_null(survey_not_live(&scene.survey, why));
        scene.services[1].info.heartbeat_missed = 1;
        ck_assert_str_eq(survey_not_live(&scene.survey, why),
                         "service cache has missed its heartbeat");
        scene.services[0].info.stuck = 1;
        ck_assert_str_eq(survey_not_live(&scene.survey, why),
                         "service db has a thread that is stuck");
    }
END_TEST

START_TEST(reads_a_runner_and_leaves_the_admin_port_out)
    {
        struct stage stage;
        struct asking asking;
        auto_survey struct survey survey = {0};
        struct actor own = {.name = ADMIN_SERVICE}, db = {.name = "db"};
        struct actor web = {.name = "web", .init = AT_THE_GATE};
        struct gate gate = GATE_CLOSED;
        web.gate = &gate;
        stage_open(&stage, NULL);
        stage_add(&stage, &own);
        stage_add(&stage, &db);
        stage_add(&stage, &web);
        asking_open(&asking, &stage);
        stage_start(&stage);
        stage_wait(&stage, "web", SRUN_INITIATING);
        ck_assert_int_eq(survey_take(&survey, asking.admin, true), 0);
        ck_assert_uint_eq(survey.count, 2);
        ck_assert_str_eq(survey.services[0].info.name, "db");
        ck_assert_int_eq(survey.services[0].info.state, SRUN_INITIATED);
        ck_assert_str_eq(survey.services[1].waits_for, "its init");
        ck_assert(!survey.health_enabled && !survey.run.ready && survey.now_ms > 0);
        gate_open(&gate);
        stage_wait(&stage, "web", SRUN_RUNNING);
        asking_close(&asking);
        stage_close(&stage);
    }
END_TEST

START_TEST(takes_secrets_out_of_what_services_say)
    {
        struct stage stage;
        struct asking asking;
        auto_survey struct survey survey = {0};
        struct actor db = {.name = "postgres://u:hunter2@h", .init_code = -5};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        asking_open(&asking, &stage);
        stage_start(&stage);
        (void)stage_finish(&stage);
        ck_assert_int_eq(survey_take(&survey, asking.admin, false), 0);
        ck_assert_str_eq(survey.services[0].info.error, "init of postgres://***@h went wrong");
        asking_close(&asking);
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_survey", while_it_starts_each_waits_for_the_first_that_is_not_there,
                   while_it_stops_each_waits_for_the_last_that_lives,
                   while_it_runs_nobody_waits_but_for_himself, why_it_is_not_ready,
                   why_it_is_not_healthy_names_the_one_to_blame, why_it_is_not_live,
                   reads_a_runner_and_leaves_the_admin_port_out,
                   takes_secrets_out_of_what_services_say);
}
