/* SPDX-License-Identifier: MIT
 *
 * The tables as text and as JSON, /status.json, /metrics, and the probes of a program at work.
 */
#include "admin/metrics.h"
#include "admin/views.h"
#include "asking.h"
#include "base/buildid.h"
#include "base/clock.h"
#include "comma.h"
#include "instruments.h"
#include "runner.h"
#include "telemetry/meter.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <srun/flags.h>

struct scene {
    struct stage stage;
    struct asking asking;
    struct actor db, web;
};

/* --- what a host says ------------------------------------------------------------------------ */

static bool some_settings(const srun_runner *runner, size_t index, struct admin_setting *out)
{
    static const struct admin_setting list[] = {
        {"log", "level", "SRUN_LOG_LEVEL", "environment", "debug", "info"},
        {"db", "password", NULL, "file", "hunter2", "hunter2"},
        {"db", "url", NULL, "file", "postgres://u:hunter2@h/x", ""},
    };
    (void)runner;
    if (index >= sizeof list / sizeof list[0])
        return false;
    *out = list[index];
    return true;
}

static bool some_flags(const srun_runner *runner, size_t index, struct admin_flag *out)
{
    static const struct admin_flag list[] = {
        {"http.address", "127.0.0.1:0", true},
        {"db.dsn", "hunter2", true},
        {"api.key", "", false},
        {"options", "a=1 token=hunter2", true},
        {"label", "<b>\"'&\n\x1b", true},
    };
    (void)runner;
    if (index >= sizeof list / sizeof list[0])
        return false;
    *out = list[index];
    return true;
}

static size_t some_timeline(srun_runner *runner, struct srun_transition *out, size_t capacity)
{
    static const struct srun_transition list[] = {
        {ADMIN_SERVICE, SRUN_STOPPED, SRUN_INITIATING, 1},
        {"db", SRUN_STOPPED, SRUN_INITIATING, INT64_C(4102444800000)},
        {"db", SRUN_INITIATING, SRUN_INITIATED, INT64_C(4102444800250)},
    };
    (void)runner;
    size_t count = sizeof list / sizeof list[0];
    for (size_t i = 0; i < count && i < capacity; i++)
        out[i] = list[i];
    return count;
}

static const struct srun_config health_on = {.size = sizeof health_on, .health.enabled = 1};

static void scene_open(struct scene *scene, const struct srun_config *config)
{
    static const struct srun_config plain = {
        .size = sizeof plain, .name = "shop\"<x>", .version = "1.4"};
    *scene = (struct scene){.db = {.name = "db"}, .web = {.name = "web \"<script>\" \\"}};
    stage_open(&scene->stage, &plain);
    stage_add(&scene->stage, &scene->db);
    stage_add_with(&scene->stage, &scene->web,
                   SRUN_OPTIONS(.depends = (const char *const[]){"db", NULL}));
    asking_open_with(&scene->asking, &(struct admin_host){.runner = scene->stage.runner,
                                                          .config = config,
                                                          .setting = some_settings,
                                                          .flag = some_flags,
                                                          .timeline = some_timeline,
                                                          .metrics = instruments_expose});
}

static void scene_start(struct scene *scene)
{
    stage_start(&scene->stage);
    stage_wait(&scene->stage, scene->web.name, SRUN_RUNNING);
    srun_test_advance_ms(scene->stage.test, 0);
}

static void scene_close(struct scene *scene)
{
    asking_close(&scene->asking);
    stage_close(&scene->stage);
}

static const char *page(struct scene *scene, const char *url)
{
    return ask(&scene->asking, table_routes, url);
}

static const char *page_json(struct scene *scene, const char *url)
{
    return ask_json(&scene->asking, table_routes, url);
}

/* --- tables ---------------------------------------------------------------------------------- */

START_TEST(every_table_is_text_and_json_and_needs_the_right_to_read)
    {
        struct scene scene;
        scene_open(&scene, &health_on);
        scene_start(&scene);
        for (const struct admin_route *route = table_routes; route->path != NULL; route++) {
            ck_assert_int_eq(route->right, ADMIN_READ);
            const char *body = page_json(&scene, route->path);
            ck_assert_int_eq(body[strlen(body) - 1], '\n');
            body = page(&scene, route->path);
            ck_assert_uint_eq(scene.asking.exchange.status, 200);
            ck_assert_int_eq(body[strlen(body) - 1], '\n');
            for (const char *c = body; *c != '\0'; c++)
                ck_assert_msg((unsigned char)*c >= ' ' || *c == '\n', "%s: byte %d", route->path,
                              *c);
        }
        scene_close(&scene);
    }
END_TEST

START_TEST(no_page_shows_a_secret)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        for (const struct admin_route *route = table_routes; route->path != NULL; route++) {
            assert_has_not(page(&scene, route->path), "hunter2");
            assert_has_not(page_json(&scene, route->path), "hunter2");
        }
        scene_close(&scene);
    }
END_TEST

START_TEST(services_are_told_in_start_order)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        scene_start(&scene);
        srun_test_advance_ms(scene.stage.test, 65000);
        ck_assert_str_eq(
            page(&scene, "/services"),
            "NAME              STATE    SINCE  START  HEALTH  RESTARTS  WAITS FOR / ERROR\n"
            "db                RUNNING   1m5s     0s  -              0  -\n"
            "web \"<script>\" \\  RUNNING   1m5s     0s  -              0  -\n");
        const char *body = page_json(&scene, "/services");
        assert_has(body, "{\"name\":\"web \\\"<script>\\\" \\\\\",\"state\":\"RUNNING\"");
        scene_close(&scene);
    }
END_TEST

START_TEST(a_service_that_failed_shows_its_error)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        scene.db.init_code = -5;
        stage_start(&scene.stage);
        (void)stage_finish(&scene.stage);
        assert_has(page(&scene, "/services"), "init of db went wrong\n");
        assert_has(page_json(&scene, "/services"), "\"error\":\"init of db went wrong\"");
        scene_close(&scene);
    }
END_TEST

START_TEST(health_history_is_of_all_or_of_one)
    {
        struct scene scene;
        scene_open(&scene, &health_on);
        assert_has(page(&scene, "/health/history"), "SERVICE  TIME  STATUS  SOURCE  TOOK  NOTE\n");
        const char *body = page_json(&scene, "/health/history?service=db");
        assert_has(body, "\"name\":\"db\"");
        assert_has_not(body, "web");
        (void)page(&scene, "/health/history?service=nobody");
        ck_assert_uint_eq(scene.asking.exchange.status, 404);
        scene_close(&scene);
    }
END_TEST

START_TEST(health_history_says_that_health_is_off)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        assert_has(page(&scene, "/health/history"), "Health is off");
        assert_has(page_json(&scene, "/health/history"), "\"health_enabled\":false");
        scene_close(&scene);
    }
END_TEST

START_TEST(settings_say_where_they_come_from)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        ck_assert_str_eq(page(&scene, "/config"),
                         "SETTING      VALUE               DEFAULT  FROM         VARIABLE\n"
                         "log.level    debug               info     environment  SRUN_LOG_LEVEL\n"
                         "db.password  ***                 ***      file         -\n"
                         "db.url       postgres://***@h/x  -        file         -\n");
        assert_has(page_json(&scene, "/config"),
                   "{\"group\":\"db\",\"key\":\"password\",\"variable\":null,\"value\":\"***\"");
        scene_close(&scene);
    }
END_TEST

START_TEST(flags_say_whether_they_were_given)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        ck_assert_str_eq(page(&scene, "/flags"), "FLAG            VALUE          GIVEN\n"
                                                 "--http.address  127.0.0.1:0    yes\n"
                                                 "--db.dsn        ***            yes\n"
                                                 "--api.key       -              no\n"
                                                 "--options       a=1 token=***  yes\n"
                                                 "--label         <b>\"'&?\?       yes\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(the_timeline_leaves_the_admin_port_out)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        const char *body = page(&scene, "/timeline");
        assert_has(body, "INITIATING  INITIATED\n");
        assert_has_not(body, ADMIN_SERVICE);
        assert_has(page_json(&scene, "/timeline"),
                   "{\"time_ms\":4102444800250,\"service\":\"db\",\"from\":\"INITIATING\","
                   "\"to\":\"INITIATED\"}");
        scene_close(&scene);
    }
END_TEST

START_TEST(build_and_generations_name_this_process)
    {
        struct scene scene;
        char pid[32], id[BUILDID_TEXT_MAX];
        scene_open(&scene, NULL);
        scene_start(&scene);
        assert_has(page(&scene, "/build"), "version   1.4\n");
        ck_assert_uint_ge(strlen(buildid_own(id)), 16);
        assert_has(page_json(&scene, "/build"), id);
        (void)snprintf(pid, sizeof pid, "\"pid\":%d,\"state\":\"serving\"", getpid());
        assert_has(page_json(&scene, "/generations"), pid);
        assert_has(page(&scene, "/generations"), "upgrade: idle; 0 tried");
        scene_close(&scene);
    }
END_TEST

START_TEST(threads_have_names_and_states)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        scene_start(&scene);
        assert_has(page(&scene, "/threads"), "srun:db");
        assert_has(page_json(&scene, "/threads"), "\"state\":\"R\"");
        scene_close(&scene);
    }
END_TEST

/* What the older of two processes says of the newer one, when the upgrade is in this state. */
static void assert_newer_is(const char *upgrade, const char *state)
{
    struct survey survey = {
        .run = {.pid = getpid(), .generation = 1, .state = "running", .ready = 1},
        .upgrade = {.peer_pid = getppid()}};
    char wanted[64];
    struct buf out = {0};
    struct json json = {.out = &out};
    (void)snprintf(survey.upgrade.state, sizeof survey.upgrade.state, "%s", upgrade);
    (void)snprintf(wanted, sizeof wanted, "\"state\":\"%s\"", state);
    json_open(&json, NULL, '{');
    generations_json(&json, &survey);
    json_close(&json);
    const char *newer = strstr(out.data, "\"generation\":2");
    ck_assert_ptr_nonnull(newer);
    assert_has(newer, wanted);
    buf_free(&out);
}

START_TEST(a_new_process_serves_from_its_commit_on)
    {
        assert_newer_is("hello", "starting");
        assert_newer_is("barrier", "starting");
        assert_newer_is("commit", "serving");
        assert_newer_is("probation", "serving");
        assert_newer_is("reap", "failed");
    }
END_TEST

/* --- everything at once ---------------------------------------------------------------------- */

START_TEST(status_has_all_parts)
    {
        static const char *const parts[] = {
            "\"name\":\"shop\\\"<x>\",\"version\":\"1.4\"",
            "\"right\":\"write\",\"profiling\":false,\"log_level\":\"info\",",
            "\"log_level_reverts_in_ms\":-1",
            "\"services\":[{\"name\":\"db\"",
            "\"depends\":[\"db\"]",
            "\"history\":[]",
            "\"timeline\":[{\"time_ms\":4102444800000",
            "\"series\":[{\"name\":\"cpu\",\"unit\":\"%\",\"times_ms\":[],\"values\":[]}",
            "{\"name\":\"fds\",\"unit\":\"\",\"times_ms\":[1",
            "\"upgrade\":{\"state\":\"idle\"",
            "\"generations\":[{\"generation\":1",
            "\"config\":[{\"group\":\"log\"",
            "\"flags\":[{\"name\":\"http.address\"",
            "\"threads\":[{\"tid\":",
            "\"metrics\":[{\"name\":\"process_cpu_seconds_total\",\"value\":",
            "{\"name\":\"srun_service_state{service=\\\"db\\\",state=\\\"RUNNING\\\"}\",",
        };
        struct scene scene;
        scene_open(&scene, NULL);
        scene_start(&scene);
        const char *body = page_json(&scene, "/status.json");
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            assert_has(body, parts[i]);
        scene_close(&scene);
    }
END_TEST

START_TEST(status_says_what_the_asker_may_do)
    {
        struct scene scene;
        scene_open(&scene, NULL);
        scene.asking.right = ADMIN_READ;
        assert_has(page_json(&scene, "/status.json"), "\"right\":\"read\"");
        scene_close(&scene);
    }
END_TEST

/* --- metrics --------------------------------------------------------------------------------- */

START_TEST(metrics_are_prometheus_text)
    {
        static const char *const lines[] = {
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
            "\nprocess_resident_memory_bytes ",
            "\nprocess_virtual_memory_bytes ",
            "\nprocess_open_fds ",
            "\nprocess_max_fds ",
            "\nprocess_start_time_seconds ",
            "\nprocess_threads ",
            "\nsrun_info{libsrun=\"" SRUN_VERSION_TEXT
            "\",name=\"shop\\\"<x>\",version=\"1.4\"} 1\n",
            "\nsrun_ready 1\n",
            "\nsrun_generation 1\n",
            "\nsrun_feature_flags 0\n",
            "\nsrun_service_state{service=\"db\",state=\"RUNNING\"} 1\n",
            "\nsrun_service_state{service=\"db\",state=\"STOPPED\"} 0\n",
            "\nsrun_service_restarts_total{service=\"web \\\"<script>\\\" \\\\\"} 0\n",
        };
        struct scene scene;
        scene_open(&scene, NULL);
        scene_start(&scene);
        const char *body = ask(&scene.asking, probe_routes, "/metrics");
        ck_assert_str_eq(scene.asking.exchange.type, "text/plain; version=0.0.4; charset=utf-8");
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            assert_has(body, lines[i]);
        ck_assert_int_eq(body[strlen(body) - 1], '\n');
        scene_close(&scene);
    }
END_TEST

struct crowd {
    srun_runner *runner;
    struct telemetry_reader *reader; /* NULL: that of /metrics */
    sem_t entered, go;
};

static void hang(void *user, srun_observer *observer)
{
    struct crowd *crowd = user;
    (void)sem_post(&crowd->entered);
    while (sem_wait(&crowd->go) < 0)
        ;
    srun_observe(observer, 1, NULL);
}

static void *keep_the_turn(void *arg)
{
    struct crowd *crowd = arg;
    const struct telemetry_metric *metrics;
    char type[METRICS_TYPE_MAX];
    auto_buf struct buf out = {0};
    if (crowd->reader != NULL)
        (void)telemetry_collect(crowd->reader, INT64_MAX, &metrics);
    else
        (void)instruments_expose_until(crowd->runner, NULL, INT64_MAX, &out, type, sizeof type);
    return NULL;
}

static int without_patience(srun_runner *runner, const char *accept, struct buf *out, char *type,
                            size_t size)
{
    return instruments_expose_until(runner, accept, clock_real_now(), out, type, size);
}

/* Asks while somebody else collects and a callback keeps him there. */
static void assert_busy(struct crowd *crowd)
{
    srun_err err = {0};
    pthread_t thread;
    struct asking asking;
    asking_open_with(&asking,
                     &(struct admin_host){.runner = crowd->runner, .metrics = without_patience});
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_the_turn, crowd), 0);
    while (sem_wait(&crowd->entered) < 0)
        ;
    asking_begin(&asking, "/metrics");
    ck_assert_int_eq(
        asking_find(probe_routes, "/metrics", &asking.exchange.rest)->view(&asking.exchange, &err),
        -EBUSY);
    ck_assert_uint_eq(asking.exchange.out.size, 0);
    assert_has(err.text, "metrics: ");
    (void)sem_post(&crowd->go);
    (void)pthread_join(thread, NULL);
    asking_close(&asking);
}

START_TEST(a_scrape_that_does_not_get_its_turn_is_an_error)
    {
        struct crowd crowd = {0};
        struct scene scene;
        scene_open(&scene, &health_on);
        crowd.runner = scene.stage.runner;
        (void)sem_init(&crowd.entered, 0, 0);
        (void)sem_init(&crowd.go, 0, 0);
        srun_observable *gauge =
            srun_observable_gauge(srun_runner_meter(crowd.runner), "slow", NULL, hang, &crowd);
        scene_start(&scene);
        assert_busy(&crowd);
        ck_assert_int_eq(telemetry_reader_new(&crowd.reader, crowd.runner->meters, NULL), 0);
        assert_busy(&crowd);
        (void)telemetry_reader_free(crowd.reader);
        srun_unregister(gauge);
        assert_has(ask(&scene.asking, probe_routes, "/metrics"), "srun_ready 1\n");
        scene_close(&scene);
    }
END_TEST

START_TEST(metrics_are_read_back)
    {
        struct metrics_line line;
        const char *at = "# HELP x\nx{a=\"b c\"} 1.5\n\ny 2\nz NaN";
        comma_locale();
        ck_assert(metrics_next(&at, &line));
        ck_assert_uint_eq(line.name_size, strlen("x{a=\"b c\"}"));
        ck_assert_double_eq(line.value, 1.5);
        ck_assert(metrics_next(&at, &line));
        ck_assert_double_eq(line.value, 2);
        ck_assert(metrics_next(&at, &line));
        ck_assert_double_nan(line.value);
        ck_assert(!metrics_next(&at, &line));
    }
END_TEST

/* --- probes of a program at work ------------------------------------------------------------- */

static unsigned probe(struct scene *scene, const char *url)
{
    (void)ask(&scene->asking, probe_routes, url);
    return scene->asking.exchange.status;
}

START_TEST(probes_follow_the_life_of_the_program)
    {
        struct scene scene;
        struct gate gate = GATE_CLOSED;
        scene_open(&scene, NULL);
        scene.web.gate = &gate;
        scene.web.init = AT_THE_GATE;
        stage_start(&scene.stage);
        stage_wait(&scene.stage, scene.web.name, SRUN_INITIATING);
        ck_assert_uint_eq(probe(&scene, "/ready"), 503);
        ck_assert_uint_eq(probe(&scene, "/health"), 200);
        ck_assert_uint_eq(probe(&scene, "/livez"), 200);
        gate_open(&gate);
        stage_wait(&scene.stage, scene.web.name, SRUN_RUNNING);
        srun_test_advance_ms(scene.stage.test, 0);
        ck_assert_uint_eq(probe(&scene, "/ready"), 200);
        ck_assert_str_eq(ask(&scene.asking, probe_routes, "/readyz"), "OK");
        ck_assert_str_eq(ask(&scene.asking, probe_routes, "/readyz/db"), "OK");
        ck_assert_uint_eq(probe(&scene, "/healthz/nobody"), 404);
        assert_has(ask(&scene.asking, probe_routes, "/readyz?verbose"), "readyz check passed\n");
        (void)ask_json(&scene.asking, probe_routes, "/health");
        ck_assert_int_eq(srun_runner_withdraw(scene.stage.runner, 1, NULL), 0);
        srun_test_advance_ms(scene.stage.test, 0);
        ck_assert_uint_eq(probe(&scene, "/ready"), 503);
        ck_assert_uint_eq(probe(&scene, "/health"), 200);
        scene_close(&scene);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_tables", every_table_is_text_and_json_and_needs_the_right_to_read,
                   no_page_shows_a_secret, services_are_told_in_start_order,
                   a_service_that_failed_shows_its_error, health_history_is_of_all_or_of_one,
                   health_history_says_that_health_is_off, settings_say_where_they_come_from,
                   flags_say_whether_they_were_given, the_timeline_leaves_the_admin_port_out,
                   build_and_generations_name_this_process, a_new_process_serves_from_its_commit_on,
                   threads_have_names_and_states, status_has_all_parts,
                   status_says_what_the_asker_may_do, metrics_are_prometheus_text,
                   a_scrape_that_does_not_get_its_turn_is_an_error, metrics_are_read_back,
                   probes_follow_the_life_of_the_program);
}
