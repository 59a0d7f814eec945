/* SPDX-License-Identifier: MIT
 *
 * Health beside the life cycle: checks that are in flight when a service has to stop, restarts, and
 * dependencies that come and go. On the virtual clock.
 */
#include "clinic.h"

#define CHAIN(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- stops ----------------------------------------------------------------------------------- */

START_TEST(waits_for_a_check_in_flight_before_it_stops)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db", .gate = &gate};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        atomic_store(&db.blocked, true);
        srun_test_advance_ms(stage.test, 1200);
        ck_assert_int_eq(atomic_load(&db.checks), 2);
        stage_terminate(&stage);
        stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
        ck_assert_int_eq(srun_test_finish(stage.test, 50), -ETIMEDOUT);
        ck_assert_int_eq(atomic_load(&db.stops), 0);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(atomic_load(&db.stops), 1);
        ck_assert_int_eq(atomic_load(&db.checks), 2);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(waits_for_a_check_in_flight_even_without_a_stop)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db", .gate = &gate, .without_stop = true};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        atomic_store(&db.blocked, true);
        srun_test_advance_ms(stage.test, 1200);
        stage_terminate(&stage);
        stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
        ck_assert_int_eq(srun_test_finish(stage.test, 50), -ETIMEDOUT);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(atomic_load(&db.checks_done), 2);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(cancels_a_check_that_sleeps_when_the_service_stops)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        atomic_store(&db.takes_ms, 1000000);
        srun_test_advance_ms(stage.test, 1200);
        ck_assert_int_eq(atomic_load(&db.checks), 2);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

static void hang_in_a_check(void)
{
    struct stage stage;
    struct patient db = {.name = "db"}, web = {.name = "web"};
    stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
    patient_add(&stage, &db, NULL);
    patient_add(&stage, &web, NULL);
    clinic_start(&stage, "web");
    atomic_store(&db.hung, true);
    srun_test_advance_ms(stage.test, 1200);
    ck_assert_int_eq(atomic_load(&db.checks), 2);
    stage_terminate(&stage);
    stage_wait(&stage, "db", SRUN_SHUTTING_DOWN);
    ck_assert_int_eq(atomic_load(&web.stops), 1);
    srun_test_advance_ms(stage.test, 29000);
    ck_assert_int_eq(srun_test_finish(stage.test, 0), -ETIMEDOUT);
    srun_test_advance_ms(stage.test, 2000);
    ck_assert_int_eq(stage_finish(&stage), 4);
    ck_assert_int_eq(atomic_load(&db.stops), 0); /* never beside a check */
    ck_assert_int_eq(srun_runner_stuck(stage.runner), 1);
    ck_assert_int_eq(stage_info(&stage, "db").stuck, 1);
    assert_logged(&stage, "logger_scope=db");
    assert_logged(&stage, "poll"); /* the stack of the check, not of the stop that waits */
    leave_the_scene();
}

START_TEST(gives_up_a_service_whose_check_never_returns)
    {
        in_a_process_of_its_own(hang_in_a_check);
    }
END_TEST

START_TEST(is_asked_no_more_once_it_has_to_stop)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient db = {.name = "db"};
        struct actor last = {.name = "last", .stop = AT_THE_GATE, .gate = &gate};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 100}));
        stage_add(&stage, &last);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        stage_terminate(&stage);
        stage_wait(&stage, "db", SRUN_STOPPED);
        int checks = atomic_load(&db.checks);
        srun_test_advance_ms(stage.test, 5000);
        ck_assert_int_eq(atomic_load(&db.checks), checks);
        clinic_settle(&stage);
        assert_health(&stage, "db", SRUN_HEALTH_STOPPED, SRUN_HEALTH_LIFECYCLE);
        ck_assert_int_eq(clinic_look(&stage, "db").next_ms, -1);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(is_asked_while_the_program_drains)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 100},
                                       .timeouts = {.drain_ms = 1000}));
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        stage_terminate(&stage);
        srun_test_advance_ms(stage.test, 900);
        ck_assert_int_ge(atomic_load(&db.checks), 8);
        srun_test_advance_ms(stage.test, 100);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

/* --- restarts -------------------------------------------------------------------------------- */

static const struct srun_service_options restarting = {
    .size = sizeof restarting, .restart = {.when = SRUN_RESTART_ON_FAILURE, .backoff_min_ms = 100}};

/* Its init waits at a gate from the second life on. */
struct reborn {
    struct patient patient;
    struct gate *gate;
    atomic_int inits;
};

static int reborn_init(void *self, srun_context *ctx, srun_err *err)
{
    struct reborn *reborn = self;
    if (atomic_fetch_add(&reborn->inits, 1) > 0)
        gate_pass(reborn->gate);
    return patient_init(self, ctx, err);
}

START_TEST(is_not_asked_before_init_when_a_check_of_its_last_life_had_to_queue)
    {
        enum { CROWD = 90 }; /* more than there can be threads */
        /* All that are due at once are waited for at once: so the crowd's first checks take long,
         * and the clock stops each 100 ms only while somebody is in the queue. */
        static struct patient crowd[CROWD];
        static char names[CROWD][8];
        static struct reborn db;
        struct gate init_gate = GATE_CLOSED;
        struct stage stage;
        const struct srun_service_ops ops = {.size = sizeof ops,
                                             .init = reborn_init,
                                             .run = patient_run,
                                             .stop = patient_stop,
                                             .health = patient_health};
        clinic_open(&stage);
        db = (struct reborn){.patient = {.name = "db", .stage = &stage}, .gate = &init_gate};
        db.patient.kick = eventfd(0, EFD_CLOEXEC);
        struct srun_service_options options = restarting;
        options.health.interval_ms = 1000;
        options.init_ms = 600000;
        ck_assert_int_eq(srun_runner_add(stage.runner, "db", &ops, &db, &options, NULL), 0);
        for (int i = 0; i < CROWD; i++) {
            (void)snprintf(names[i], sizeof names[i], "c%d", i);
            crowd[i] = (struct patient){.name = names[i], .takes_ms = 2000};
            patient_add(&stage, &crowd[i],
                        SRUN_OPTIONS(.health = {.optional = 1,
                                                .interval_ms = 60000,
                                                .timeout_ms = 600000}));
        }
        clinic_start(&stage, names[CROWD - 1]);
        srun_test_advance_ms(stage.test, 1101);
        ck_assert_int_eq(atomic_load(&db.patient.checks), 1); /* the second one is in the queue */
        patient_fail(&db.patient);
        stage_wait(&stage, "db", SRUN_STOPPED);
        srun_test_advance_ms(stage.test, 200);
        stage_wait(&stage, "db", SRUN_INITIATING);
        WAIT_FOR(atomic_load(&db.inits) == 2);
        for (int i = 0; i < CROWD; i++)
            atomic_store(&crowd[i].takes_ms, 0);
        srun_test_advance_ms(stage.test, 2000);
        for (int i = 0; i < CROWD; i++)
            WAIT_FOR(atomic_load(&crowd[i].checks_done) >= 1);
        clinic_settle(&stage);
        ck_assert_int_eq(atomic_load(&db.patient.checks), 1);
        gate_open(&init_gate);
        WAIT_FOR(atomic_load(&db.patient.lives) == 2);
        srun_test_advance_ms(stage.test, 100);
        stage_wait(&stage, "db", SRUN_RUNNING);
        ck_assert_int_eq(atomic_load(&db.patient.checks), 2);
        stage_close(&stage);
        patient_done(&db.patient);
        for (int i = 0; i < CROWD; i++)
            patient_done(&crowd[i]);
    }
END_TEST

START_TEST(makes_its_dependants_unhealthy_while_it_is_restarted)
    {
        struct stage stage;
        struct patient db = {.name = "db"}, ledger = {.name = "ledger"},
                       wallet = {.name = "wallet"};
        clinic_open(&stage);
        patient_add(&stage, &db, &restarting);
        patient_add(&stage, &ledger, SRUN_OPTIONS(.depends = CHAIN("db")));
        patient_add(&stage, &wallet, SRUN_OPTIONS(.depends = CHAIN("ledger")));
        clinic_start(&stage, "wallet");
        clinic_settle(&stage);
        ck_assert_int_eq((int)clinic_look(&stage, "wallet").status, SRUN_HEALTH_HEALTHY);
        patient_fail(&db);
        stage_wait(&stage, "db", SRUN_STOPPED);
        clinic_settle(&stage);
        struct srun_health health = clinic_look(&stage, "wallet");
        ck_assert_int_eq((int)health.status, SRUN_HEALTH_UNHEALTHY);
        ck_assert_int_eq((int)health.own, SRUN_HEALTH_HEALTHY);
        ck_assert_str_eq(health.path, "ledger -> db");
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_UNHEALTHY);
        ck_assert_int_eq(srun_health_get(atomic_load(&wallet.ctx), "wallet"),
                         SRUN_HEALTH_UNHEALTHY);
        ck_assert_int_eq(srun_runner_state(stage.runner, "wallet"), SRUN_RUNNING); /* it lives on */
        srun_test_advance_ms(stage.test, 200);
        stage_wait(&stage, "db", SRUN_RUNNING);
        clinic_settle(&stage);
        health = clinic_look(&stage, "wallet");
        ck_assert_int_eq((int)health.status, SRUN_HEALTH_HEALTHY);
        ck_assert_str_eq(health.path, "");
        stage_close(&stage);
        patient_done(&db);
        patient_done(&ledger);
        patient_done(&wallet);
    }
END_TEST

/* --- the end --------------------------------------------------------------------------------- */

static int subscribe_in_init(void *self, srun_context *ctx, srun_err *err)
{
    return srun_health_subscribe(ctx, NULL, self, err);
}

static void give_back(void *self)
{
    srun_health_watch **watch = self;
    *watch = srun_health_watch_free(*watch);
}

START_TEST(may_give_back_a_subscription_when_it_is_destroyed)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        srun_health_watch *watch = NULL;
        const struct srun_service_ops ops = {
            .size = sizeof ops, .init = subscribe_in_init, .destroy = give_back};
        clinic_open(&stage);
        ck_assert_int_eq(srun_runner_add(stage.runner, "early", &ops, &watch, NULL, NULL), 0);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_ptr_nonnull(watch);
        stage_close(&stage);
        ck_assert_ptr_null(watch);
        patient_done(&db);
    }
END_TEST

START_TEST(leaves_nothing_behind_when_the_program_was_never_started)
    {
        struct stage stage;
        struct patient db = {.name = "db", .hears = true};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

int main(void)
{
    return HARNESS("health_life", waits_for_a_check_in_flight_before_it_stops,
                   waits_for_a_check_in_flight_even_without_a_stop,
                   cancels_a_check_that_sleeps_when_the_service_stops,
                   gives_up_a_service_whose_check_never_returns,
                   is_asked_no_more_once_it_has_to_stop, is_asked_while_the_program_drains,
                   is_not_asked_before_init_when_a_check_of_its_last_life_had_to_queue,
                   makes_its_dependants_unhealthy_while_it_is_restarted,
                   may_give_back_a_subscription_when_it_is_destroyed,
                   leaves_nothing_behind_when_the_program_was_never_started);
}
