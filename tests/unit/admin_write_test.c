/* SPDX-License-Identifier: MIT
 *
 * What an operator may do, and what he is told.
 */
#include "admin/revert.h"
#include "asking.h"

#include <signal.h>

struct scene {
    struct stage stage;
    struct asking asking;
    struct actor db;
};

static void scene_open(struct scene *scene)
{
    *scene = (struct scene){.db = {.name = "db"}};
    stage_open(&scene->stage, NULL);
    stage_add(&scene->stage, &scene->db);
    asking_open(&scene->asking, &scene->stage);
}

static void scene_start(struct scene *scene)
{
    stage_start(&scene->stage);
    stage_wait(&scene->stage, "db", SRUN_RUNNING);
    srun_test_advance_ms(scene->stage.test, 0);
}

static void scene_close(struct scene *scene)
{
    asking_close(&scene->asking);
    stage_close(&scene->stage);
}

static void assert_answer(struct scene *scene, const char *url, unsigned status, const char *body)
{
    const char *found = ask(&scene->asking, write_routes, url);
    ck_assert_uint_eq(scene->asking.exchange.status, status);
    ck_assert_str_eq(found, body);
}

static int level(const struct scene *scene)
{
    return srun_logger_level(srun_runner_log(scene->stage.runner));
}

START_TEST(every_route_needs_the_right_to_write_and_a_post)
    {
        for (const struct admin_route *route = write_routes; route->path != NULL; route++) {
            ck_assert_str_eq(route->method, "POST");
            ck_assert_int_eq(route->right, ADMIN_WRITE);
            ck_assert_ptr_nonnull(route->help);
        }
    }
END_TEST

START_TEST(a_log_level_reverts_by_itself)
    {
        struct scene scene;
        scene_open(&scene);
        assert_answer(&scene, "/admin/log-level?level=debug", 200,
                      "log level: debug, info again in 10m0s\n");
        ck_assert_int_eq(level(&scene), SRUN_LEVEL_DEBUG);
        int64_t left = revert_left_ms(admin_revert(scene.asking.admin), clock_real_now());
        ck_assert_msg(left > 590000 && left <= 600000, "%lld", (long long)left);
        assert_answer(&scene, "/admin/log-level?level=WARN&for=5s", 200,
                      "log level: warn, info again in 5s\n");
        const char *body =
            ask_json(&scene.asking, write_routes, "/admin/log-level?level=debug&for=1m");
        assert_has(body, "\"level\":\"debug\",\"reverts_to\":\"info\",\"reverts_in_ms\":60000}");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_log_level_stays_when_that_is_asked_for)
    {
        struct scene scene;
        scene_open(&scene);
        assert_answer(&scene, "/admin/log-level?level=error&for=forever", 200,
                      "log level: error\n");
        assert_answer(&scene, "/admin/log-level?level=debug&for=0", 200, "log level: debug\n");
        ck_assert_int_eq(level(&scene), SRUN_LEVEL_DEBUG);
        ck_assert_int_eq(revert_left_ms(admin_revert(scene.asking.admin), 0), -1);
        assert_has(ask_json(&scene.asking, write_routes, "/admin/log-level?level=info&for=0"),
                   "\"reverts_to\":null,\"reverts_in_ms\":-1}");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_wrong_value_is_named_and_what_is_accepted)
    {
        static const struct {
            const char *url, *body;
        } cases[] = {
            {"/admin/log-level", "level: is not given: accepted are debug, info, warn, error\n"},
            {"/admin/log-level?level=loud", "level: \"loud\": accepted are debug, info, warn, error"
                                            ", and steps between them (info+2)\n"},
            {"/admin/log-level?level=debug&for=-1s",
             "for: \"-1s\": accepted is a duration up to 168h (10m), 0 or forever\n"},
            {"/admin/log-level?level=debug&for=169h",
             "for: \"169h\": accepted is a duration up to 168h (10m), 0 or forever\n"},
            {"/admin/log-level?level=debug&for=",
             "for: \"\": accepted is a duration up to 168h (10m), 0 or forever\n"},
            {"/admin/upgrade?wait=soon",
             "wait: \"soon\": accepted is a duration up to 10m (30s)\n"},
            {"/admin/upgrade?wait=11m", "wait: \"11m\": accepted is a duration up to 10m (30s)\n"},
            {"/admin/drain?off=perhaps", "off: \"perhaps\": accepted are ?off, true and false\n"},
        };
        struct scene scene;
        scene_open(&scene);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            assert_answer(&scene, cases[i].url, 400, cases[i].body);
        ck_assert_int_eq(level(&scene), SRUN_LEVEL_INFO);
        assert_has(ask_json(&scene.asking, write_routes, "/admin/drain?off=\x1b-\n<b>"),
                   "\"error\":\"off: \\\"?-?<b>\\\"");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_drain_looks_not_ready_until_it_is_taken_back)
    {
        struct scene scene;
        scene_open(&scene);
        scene_start(&scene);
        assert_answer(&scene, "/admin/drain", 200, "drain: on; it looks not ready and serves on\n");
        srun_test_advance_ms(scene.stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(scene.stage.runner), 0);
        assert_logged(&scene.stage, "asked by uid 1000 pid 12");
        assert_answer(&scene, "/admin/drain?off", 200, "drain: off; ready again\n");
        srun_test_advance_ms(scene.stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(scene.stage.runner), 1);
        (void)ask(&scene.asking, write_routes, "/admin/drain?off=false");
        srun_test_advance_ms(scene.stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(scene.stage.runner), 0);
        scene_close(&scene);
    }
END_TEST

START_TEST(a_stop_is_asked_for_and_refused_when_all_has_ended)
    {
        struct scene scene;
        scene_open(&scene);
        scene_start(&scene);
        assert_answer(&scene, "/admin/stop", 202, "stop: asked for\n");
        ck_assert_int_eq(stage_finish(&scene.stage), 0);
        ck_assert_int_eq(stage_cause(&scene.stage).kind, SRUN_CAUSE_REQUEST);
        assert_has(stage_cause(&scene.stage).text, "asked by uid 1000 pid 12");
        assert_answer(&scene, "/admin/stop", 409, "the program does not run, or has ended\n");
        assert_answer(&scene, "/admin/drain", 409, "the program does not run, or has ended\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(an_upgrade_that_cannot_be_is_refused_with_the_reason)
    {
        struct scene scene;
        scene_open(&scene);
        const char *body = ask(&scene.asking, write_routes, "/admin/upgrade?wait=5s");
        ck_assert_uint_eq(scene.asking.exchange.status, 409);
        assert_has(body, "upgrade: ");
        scene_close(&scene);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_write", every_route_needs_the_right_to_write_and_a_post,
                   a_log_level_reverts_by_itself, a_log_level_stays_when_that_is_asked_for,
                   a_wrong_value_is_named_and_what_is_accepted,
                   a_drain_looks_not_ready_until_it_is_taken_back,
                   a_stop_is_asked_for_and_refused_when_all_has_ended,
                   an_upgrade_that_cannot_be_is_refused_with_the_reason);
}
