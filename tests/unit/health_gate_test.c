/* SPDX-License-Identifier: MIT
 *
 * The first check of a service stands between it and RUNNING. On the virtual clock.
 */
#include "clinic.h"

START_TEST(stops_a_service_again_whose_first_check_fails)
    {
        struct stage stage;
        struct patient db = {.name = "db"}, web = {.name = "web", .note = "no templates"};
        struct patient last = {.name = "last"};
        atomic_init(&web.answer, SRUN_HEALTH_UNHEALTHY);
        clinic_open(&stage);
        ck_assert_int_eq(srun_runner_listen(stage.runner, on_transition, &stage.trace, NULL), 0);
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &web, NULL);
        patient_add(&stage, &last, NULL);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 5);
        srun_cause cause = stage_cause(&stage);
        ck_assert_int_eq((int)cause.kind, SRUN_CAUSE_UNHEALTHY);
        ck_assert_str_eq(cause.service, "web");
        ck_assert_ptr_nonnull(strstr(cause.text, "web"));
        ck_assert_ptr_nonnull(strstr(cause.text, "no templates"));
        ck_assert_int_eq(atomic_load(&web.stops), 1);
        ck_assert_int_eq(atomic_load(&db.stops), 1);
        ck_assert_int_eq(atomic_load(&last.lives), 0);
        ck_assert_int_eq(atomic_load(&web.checks), 1);
        ck_assert_str_eq(stage_info(&stage, "web").error, "no templates");
        ck_assert_int_eq(stage_info(&stage, "web").failed, 1);
        stage_clear(&stage);
        ck_assert(!trace_has(&stage.trace, "web.RUNNING"));
        ck_assert(trace_has(&stage.trace, "db.RUNNING"));
        stage_close(&stage);
        patient_done(&db);
        patient_done(&web);
        patient_done(&last);
    }
END_TEST

START_TEST(stops_a_service_again_whose_first_check_answers_an_error)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        atomic_init(&db.answer, -ECONNREFUSED);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        ck_assert_int_eq(stage_finish(&stage), 5);
        srun_cause cause = stage_cause(&stage);
        ck_assert_int_eq(cause.code, -ECONNREFUSED);
        ck_assert_ptr_nonnull(strstr(cause.text, srun_strerror(-ECONNREFUSED)));
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(does_not_start_the_next_service_before_the_first_check_has_passed)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db", .gate = &gate}, web = {.name = "web"};
        atomic_init(&db.blocked, true);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &web, NULL);
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.checks) == 1);
        clinic_settle(&stage);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_STARTING);
        ck_assert_int_eq(atomic_load(&web.lives), 0);
        gate_open(&gate);
        stage_wait(&stage, "web", SRUN_RUNNING);
        stage_close(&stage);
        patient_done(&db);
        patient_done(&web);
    }
END_TEST

START_TEST(asks_no_sooner_than_a_service_is_ready)
    {
        struct stage stage;
        struct patient db = {.name = "db", .mute = true};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.lives) == 1);
        srun_test_advance_ms(stage.test, 30000);
        ck_assert_int_eq(atomic_load(&db.checks), 0);
        ck_assert_int_eq(srun_ready(atomic_load(&db.ctx)), 0);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(atomic_load(&db.checks), 1);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(lets_a_degraded_service_pass)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        atomic_init(&db.answer, SRUN_HEALTH_DEGRADED);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        assert_health(&stage, "db", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_CHECKED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(does_not_stand_before_an_optional_service)
    {
        struct stage stage;
        struct patient mail = {.name = "mail", .note = "no relay"};
        atomic_init(&mail.answer, SRUN_HEALTH_UNHEALTHY);
        clinic_open(&stage);
        patient_add(&stage, &mail, SRUN_OPTIONS(.health = {.optional = 1}));
        clinic_start(&stage, "mail");
        WAIT_FOR(atomic_load(&mail.checks) == 1);
        clinic_settle(&stage);
        assert_health(&stage, "mail", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_CHECKED);
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_DEGRADED);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&mail);
    }
END_TEST

START_TEST(does_not_stand_there_while_health_is_off)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        atomic_init(&db.answer, SRUN_HEALTH_UNHEALTHY);
        stage_open(&stage, NULL);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_int_eq(atomic_load(&db.checks), 0);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(takes_a_first_check_that_hangs_for_unhealthy)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        atomic_init(&db.takes_ms, 600000); /* or until it is cancelled */
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.checks) == 1);
        srun_test_advance_ms(stage.test, 4999);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_STARTING);
        srun_test_advance_ms(stage.test, 1);
        ck_assert_int_eq(stage_finish(&stage), 5);
        srun_cause cause = stage_cause(&stage);
        ck_assert_int_eq((int)cause.kind, SRUN_CAUSE_UNHEALTHY);
        ck_assert_str_eq(cause.service, "db");
        ck_assert_ptr_nonnull(strstr(cause.text, "has not answered"));
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

static void hang_for_good(void)
{
    static struct gate never = GATE_CLOSED;
    struct stage stage;
    struct patient db = {.name = "db", .gate = &never};
    atomic_init(&db.blocked, true);
    clinic_open(&stage);
    patient_add(&stage, &db, NULL);
    stage_start(&stage);
    WAIT_FOR(atomic_load(&db.checks) == 1);
    srun_test_advance_ms(stage.test, 5000);
    stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
    srun_test_advance_ms(stage.test, 31000);
    ck_assert_int_eq(stage_finish(&stage), 5); /* the worse of 4 and 5 */
    ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_UNHEALTHY);
    assert_logged(&stage, "stuck");
    leave_the_scene();
}

START_TEST(comes_to_an_end_when_the_first_check_never_returns)
    {
        in_a_process_of_its_own(hang_for_good);
    }
END_TEST

START_TEST(stands_before_all_members_of_a_group_at_once)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient a = {.name = "a", .gate = &gate}, b = {.name = "b", .gate = &gate};
        atomic_init(&a.blocked, true);
        atomic_init(&b.blocked, true);
        clinic_open(&stage);
        patient_add(&stage, &a, SRUN_OPTIONS(.group = "g"));
        patient_add(&stage, &b, SRUN_OPTIONS(.group = "g"));
        stage_start(&stage);
        WAIT_FOR(atomic_load(&a.checks) == 1 && atomic_load(&b.checks) == 1);
        gate_open(&gate);
        stage_wait(&stage, "a", SRUN_RUNNING);
        stage_wait(&stage, "b", SRUN_RUNNING);
        stage_close(&stage);
        patient_done(&a);
        patient_done(&b);
    }
END_TEST

START_TEST(gives_way_to_a_signal)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db", .gate = &gate};
        atomic_init(&db.blocked, true);
        atomic_init(&db.answer, -ECANCELED);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.checks) == 1);
        stage_terminate(&stage);
        stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
        ck_assert_int_eq(srun_test_finish(stage.test, 20), -ETIMEDOUT);
        ck_assert_int_eq(atomic_load(&db.stops), 0); /* the check is waited for */
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_SIGNAL);
        ck_assert_int_eq(atomic_load(&db.stops), 1);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(gives_way_to_a_run_that_fails)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db", .gate = &gate};
        atomic_init(&db.blocked, true);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.checks) == 1);
        patient_fail(&db);
        stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
        atomic_store(&db.inited, true);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 1);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_SERVICE_ERROR);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(counts_towards_the_limit_of_getting_ready)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        atomic_init(&db.takes_ms, 3000);
        clinic_open(&stage);
        patient_add(&stage, &db, SRUN_OPTIONS(.ready_ms = 1000));
        stage_start(&stage);
        WAIT_FOR(atomic_load(&db.checks) == 1);
        srun_test_advance_ms(stage.test, 1000);
        ck_assert_int_eq(stage_finish(&stage), 3);
        ck_assert_int_eq((int)stage_cause(&stage).kind, SRUN_CAUSE_READY_TIMEOUT);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

/* --- later lives ----------------------------------------------------------------------------- */

static struct srun_service_options restarting(unsigned limit)
{
    return (struct srun_service_options){
        .size = sizeof(struct srun_service_options),
        .restart = {.when = SRUN_RESTART_ON_FAILURE, .backoff_min_ms = 10, .limit = limit}};
}

static bool is_over(void *arg)
{
    return srun_test_finish(arg, 0) >= 0;
}

START_TEST(stands_before_each_life)
    {
        struct stage stage;
        struct patient db = {.name = "db", .note = "still broken"};
        const struct srun_service_options options = restarting(3);
        clinic_open(&stage);
        patient_add(&stage, &db, &options);
        clinic_start(&stage, "db");
        atomic_store(&db.answer, -EIO);
        patient_fail(&db);
        stage_wait(&stage, "db", SRUN_STOPPED);
        stage_pass_time(&stage, is_over, stage.test);
        ck_assert_int_eq(stage_finish(&stage), 5);
        ck_assert_ptr_nonnull(strstr(stage_cause(&stage).text, "still broken"));
        ck_assert_int_eq(atomic_load(&db.lives), 4);
        ck_assert_int_eq(atomic_load(&db.checks), 4);
        ck_assert_int_eq(atomic_load(&db.stops), 4);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(lets_a_later_life_serve_when_its_first_check_passes)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        const struct srun_service_options options = restarting(5);
        clinic_open(&stage);
        patient_add(&stage, &db, &options);
        clinic_start(&stage, "db");
        clinic_push(&db, SRUN_HEALTH_UNHEALTHY, "of the first life");
        patient_fail(&db);
        stage_wait(&stage, "db", SRUN_STOPPED);
        clinic_settle(&stage);
        assert_health(&stage, "db", SRUN_HEALTH_STOPPED, SRUN_HEALTH_LIFECYCLE);
        srun_test_advance_ms(stage.test, 100);
        stage_wait(&stage, "db", SRUN_RUNNING);
        clinic_settle(&stage);
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        ck_assert_int_eq(atomic_load(&db.checks), 2);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

int main(void)
{
    return HARNESS("health_gate", stops_a_service_again_whose_first_check_fails,
                   stops_a_service_again_whose_first_check_answers_an_error,
                   does_not_start_the_next_service_before_the_first_check_has_passed,
                   asks_no_sooner_than_a_service_is_ready, lets_a_degraded_service_pass,
                   does_not_stand_before_an_optional_service,
                   does_not_stand_there_while_health_is_off,
                   takes_a_first_check_that_hangs_for_unhealthy,
                   comes_to_an_end_when_the_first_check_never_returns,
                   stands_before_all_members_of_a_group_at_once, gives_way_to_a_signal,
                   gives_way_to_a_run_that_fails, counts_towards_the_limit_of_getting_ready,
                   stands_before_each_life, lets_a_later_life_serve_when_its_first_check_passes);
}
