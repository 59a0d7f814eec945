/* SPDX-License-Identifier: MIT
 *
 * What health costs, on and off, and how it lives with forks and with other runners.
 */
#include "clinic.h"

/* --- what it costs --------------------------------------------------------------------------- */

static int never_called(void *user, const struct srun_health *health)
{
    (void)user, (void)health;
    ck_abort_msg("nobody has anything to tell");
    return 0;
}

START_TEST(costs_nothing_and_says_nothing_while_it_is_off)
    {
        struct stage stage;
        struct patient db = {.name = "db", .hears = true};
        srun_health_watch *watch = NULL;
        srun_err err = {0};
        stage_open(&stage, NULL);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        srun_context *ctx = atomic_load(&db.ctx);
        ck_assert_uint_eq(count_threads(), 2); /* the control thread, and db */
        srun_test_advance_ms(stage.test, 100000);
        ck_assert_int_eq(atomic_load(&db.checks), 0);
        ck_assert_int_eq(srun_health_push(ctx, SRUN_HEALTH_UNHEALTHY, "nobody hears it"), 0);
        clinic_settle(&stage);
        ck_assert_int_eq(srun_health_get(ctx, "db"), SRUN_HEALTH_UNKNOWN);
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_UNKNOWN);
        ck_assert_int_eq((int)clinic_look(&stage, "db").status, SRUN_HEALTH_UNKNOWN);
        ck_assert_int_eq(clinic_look(&stage, "db").age_ms, -1);
        ck_assert_int_eq(clinic_look(&stage, "db").next_ms, -1);
        ck_assert_uint_eq(srun_runner_health_history(stage.runner, "db", NULL, 0), 0);
        ck_assert_int_eq(srun_health_subscribe(ctx, NULL, &watch, &err), SRUN_ESTATE);
        ck_assert_ptr_nonnull(strstr(err.text, "SRUN_HEALTH"));
        ck_assert_int_eq(srun_health_consume(ctx, NULL, never_called, NULL, &err), SRUN_ESTATE);
        ck_assert_ptr_null(watch);
        ck_assert_ptr_null(srun_health_watch_free(NULL));
        ck_assert_uint_eq(count_threads(), 2);
        stage_close(&stage);
        ck_assert_int_eq(atomic_load(&db.heard_count), 0);
        patient_done(&db);
    }
END_TEST

START_TEST(costs_no_thread_while_there_is_nothing_to_ask)
    {
        struct stage stage;
        struct patient db = {.name = "db", .without_check = true};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        clinic_push(&db, SRUN_HEALTH_HEALTHY, NULL);
        srun_test_advance_ms(stage.test, 100000);
        ck_assert_uint_eq(count_threads(), 2);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(costs_two_threads_at_most)
    {
        enum { MANY = 12 };
        static struct patient all[MANY];
        static char names[MANY][8];
        struct stage stage;
        unsigned most = 0;
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 100}));
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(names[i], sizeof names[i], "s%d", i);
            all[i] = (struct patient){.name = names[i]};
            patient_add(&stage, &all[i], NULL);
        }
        clinic_start(&stage, "s11");
        for (int i = 0; i < 100; i++) {
            srun_test_advance_ms(stage.test, 10);
            unsigned now = count_threads();
            most = now > most ? now : most;
        }
        ck_assert_uint_le(most, 1 + MANY + 2);
        stage_close(&stage);
        for (int i = 0; i < MANY; i++)
            patient_done(&all[i]);
    }
END_TEST

/* --- company --------------------------------------------------------------------------------- */

START_TEST(does_nothing_in_a_forked_child)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        srun_health_watch *watch = NULL;
        int status = 0;
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        srun_context *ctx = atomic_load(&db.ctx);
        ck_assert_int_eq(srun_health_subscribe(ctx, NULL, &watch, NULL), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            struct srun_health health;
            srun_health_watch *mine = NULL;
            bool good = srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL) == SRUN_EFORK &&
                        srun_health_get(ctx, "db") == SRUN_EFORK &&
                        srun_runner_health(stage.runner, "db", &health) == SRUN_EFORK &&
                        srun_runner_health_history(stage.runner, "db", NULL, 0) == 0 &&
                        srun_health_overall(stage.runner) == SRUN_HEALTH_UNKNOWN &&
                        srun_health_subscribe(ctx, NULL, &mine, NULL) == SRUN_EFORK &&
                        srun_health_consume(ctx, NULL, never_called, NULL, NULL) == SRUN_EFORK &&
                        srun_health_next(watch, &health, 0) == SRUN_EFORK &&
                        srun_health_watch_missed(watch) == 0 &&
                        srun_health_watch_free(watch) == NULL;
            _exit(good ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        (void)srun_health_watch_free(watch);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(lives_beside_another_runner)
    {
        struct stage left, right;
        struct patient here = {.name = "db"}, there = {.name = "db"};
        clinic_open(&left);
        clinic_open(&right);
        patient_add(&left, &here, NULL);
        patient_add(&right, &there, NULL);
        clinic_start(&left, "db");
        clinic_start(&right, "db");
        clinic_push(&here, SRUN_HEALTH_UNHEALTHY, "here");
        assert_health(&left, "db", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_PUSHED);
        assert_health(&right, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        stage_close(&left);
        clinic_push(&there, SRUN_HEALTH_DEGRADED, "there");
        assert_health(&right, "db", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        stage_close(&right);
        patient_done(&here);
        patient_done(&there);
    }
END_TEST

int main(void)
{
    return HARNESS("health_cost", costs_nothing_and_says_nothing_while_it_is_off,
                   costs_no_thread_while_there_is_nothing_to_ask, costs_two_threads_at_most,
                   does_nothing_in_a_forked_child, lives_beside_another_runner);
}
