/* SPDX-License-Identifier: MIT
 *
 * What services say of their health, as the probes and the tables tell it.
 */
#include "asking.h"

#include <srun/health.h>
#include <stdatomic.h>

struct patient {
    atomic_int answer; /* of the health verb */
    atomic_int asked;
    const char *note;
};

static int patient_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static int patient_health(void *self, srun_context *ctx, srun_err *err)
{
    struct patient *patient = self;
    (void)ctx;
    atomic_fetch_add(&patient->asked, 1);
    int answer = atomic_load(&patient->answer);
    return answer == 0 ? 0 : srun_fail(err, answer, "%s", patient->note);
}

static const struct srun_service_ops patient_ops = {
    .size = sizeof patient_ops, .run = patient_run, .health = patient_health};

struct scene {
    struct stage stage;
    struct asking asking;
    struct patient db, cache;
};

static const struct srun_config config = {.size = sizeof config,
                                          .health = {.enabled = 1, .interval_ms = 1000}};

static void add(struct scene *scene, const char *name, struct patient *patient,
                const struct srun_service_options *options)
{
    srun_err err = {0};
    int rc = srun_runner_add(scene->stage.runner, name, &patient_ops, patient, options, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static void scene_open(struct scene *scene)
{
    *scene = (struct scene){.db = {.note = "no way to x://u:hunter2@h"}, .cache = {.note = "cold"}};
    stage_open(&scene->stage, &config);
    add(scene, "db", &scene->db, NULL);
    add(scene, "cache", &scene->cache, SRUN_OPTIONS(.health.optional = 1));
    asking_open_with(&scene->asking,
                     &(struct admin_host){.runner = scene->stage.runner, .config = &config});
    stage_start(&scene->stage);
    stage_wait(&scene->stage, "cache", SRUN_RUNNING);
    srun_test_advance_ms(scene->stage.test, 0);
}

static void scene_close(struct scene *scene)
{
    asking_close(&scene->asking);
    stage_close(&scene->stage);
}

/* Answers so from now on, until the overall health is this one. */
static void change(struct scene *scene, struct patient *patient, int answer,
                   srun_health_status overall)
{
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    atomic_store(&patient->answer, answer);
    while (srun_health_overall(scene->stage.runner) != overall && harness_now_ms() < end) {
        srun_test_advance_ms(scene->stage.test, 100);
        (void)usleep(200); /* the answer is on its way from the pool */
    }
    ck_assert_int_eq(srun_health_overall(scene->stage.runner), overall);
}

static unsigned probe(struct scene *scene, const char *url)
{
    (void)ask(&scene->asking, probe_routes, url);
    return scene->asking.exchange.status;
}

START_TEST(an_unhealthy_service_fails_health_and_ready_until_it_recovers)
    {
        struct scene scene;
        scene_open(&scene);
        change(&scene, &scene.db, 0, SRUN_HEALTH_HEALTHY);
        ck_assert_uint_eq(probe(&scene, "/health"), 200);
        ck_assert_uint_eq(probe(&scene, "/ready"), 200);
        change(&scene, &scene.db, -EIO, SRUN_HEALTH_UNHEALTHY);
        ck_assert_uint_eq(probe(&scene, "/health"), 500);
        ck_assert_uint_eq(probe(&scene, "/ready"), 500);
        ck_assert_uint_eq(probe(&scene, "/livez"), 200);
        ck_assert_uint_eq(probe(&scene, "/readyz?exclude=db"), 200);
        ck_assert_uint_eq(probe(&scene, "/healthz/db"), 500);
        ck_assert_uint_eq(probe(&scene, "/healthz/cache"), 200);
        change(&scene, &scene.db, 0, SRUN_HEALTH_HEALTHY);
        ck_assert_uint_eq(probe(&scene, "/health"), 200);
        scene_close(&scene);
    }
END_TEST

START_TEST(a_degraded_program_is_told_so_in_a_header_or_as_429)
    {
        struct scene scene;
        scene_open(&scene);
        change(&scene, &scene.cache, -EIO, SRUN_HEALTH_DEGRADED);
        ck_assert_uint_eq(probe(&scene, "/health"), 200);
        ck_assert_str_eq(answered_header(&scene.asking, "x-envoy-degraded"), "true");
        ck_assert_uint_eq(probe(&scene, "/health?degraded=429"), 429);
        scene_close(&scene);
    }
END_TEST

START_TEST(reasons_are_told_without_their_secrets)
    {
        struct scene scene;
        scene_open(&scene);
        change(&scene, &scene.db, -EIO, SRUN_HEALTH_UNHEALTHY);
        assert_has(ask(&scene.asking, probe_routes, "/healthz?verbose"),
                   "[-]db failed: no way to x://***@h\n");
        assert_has(ask(&scene.asking, table_routes, "/services"), "unhealthy");
        assert_has(ask(&scene.asking, table_routes, "/health/history?service=db"),
                   "no way to x://***@h\n");
        assert_has(ask_json(&scene.asking, table_routes, "/status.json"),
                   "\"not_healthy\":\"service db is unhealthy: no way to x://***@h\"");
        for (const struct admin_route *route = table_routes; route->path != NULL; route++)
            assert_has_not(ask_json(&scene.asking, table_routes, route->path), "hunter2");
        scene_close(&scene);
    }
END_TEST

START_TEST(probes_ask_no_service)
    {
        struct scene scene;
        scene_open(&scene);
        change(&scene, &scene.db, 0, SRUN_HEALTH_HEALTHY);
        int asked = atomic_load(&scene.db.asked);
        for (int i = 0; i < 100; i++) {
            (void)probe(&scene, "/health");
            (void)probe(&scene, "/readyz?verbose");
        }
        ck_assert_int_eq(atomic_load(&scene.db.asked), asked);
        scene_close(&scene);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_health", an_unhealthy_service_fails_health_and_ready_until_it_recovers,
                   a_degraded_program_is_told_so_in_a_header_or_as_429,
                   reasons_are_told_without_their_secrets, probes_ask_no_service);
}
