/* SPDX-License-Identifier: MIT
 *
 * Health as a service sees it: when it is asked, what it may say, and what can be known of it.
 * On the virtual clock. The gate: health_gate_test.c; consuming: health_watch_test.c; restarts and
 * stops: health_life_test.c.
 */
#include "clinic.h"

/* --- asking ---------------------------------------------------------------------------------- */

static void assert_cadence(const struct patient *patient, int64_t interval_ms, int64_t slack_ms)
{
    int count = atomic_load(&patient->checks);
    for (int i = 1; i < count && i < CHECKS_KEPT; i++) {
        int64_t gap = patient->checked_at[i] - patient->checked_at[i - 1];
        ck_assert_msg(gap >= interval_ms * 9 / 10 - slack_ms &&
                          gap <= interval_ms * 11 / 10 + slack_ms,
                      "%s: %lld ms between two checks", patient->name, (long long)gap);
    }
}

START_TEST(is_asked_every_30_s_give_or_take_a_tenth)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_int_eq(atomic_load(&db.checks), 1); /* the gate */
        srun_test_advance_ms(stage.test, 1000000);
        ck_assert_int_ge(atomic_load(&db.checks), 30);
        ck_assert_int_le(atomic_load(&db.checks), 38);
        assert_cadence(&db, 30000, 2);
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(is_asked_as_often_as_the_environment_says)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        (void)setenv("SRUN_HEALTH_INTERVAL", "5s", 1);
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 60000}));
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        srun_test_advance_ms(stage.test, 100000);
        ck_assert_int_ge(atomic_load(&db.checks), 18);
        assert_cadence(&db, 5000, 2);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(can_be_turned_on_by_the_environment_alone)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        (void)setenv("SRUN_HEALTH", "true", 1);
        stage_open(&stage, NULL);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(is_asked_as_often_as_its_own_options_say)
    {
        struct stage stage;
        struct patient often = {.name = "often"}, seldom = {.name = "seldom"};
        clinic_open(&stage);
        patient_add(&stage, &often, SRUN_OPTIONS(.health = {.interval_ms = 1000}));
        patient_add(&stage, &seldom, SRUN_OPTIONS(.health = {.interval_ms = 600000}));
        clinic_start(&stage, "seldom");
        srun_test_advance_ms(stage.test, 60000);
        assert_cadence(&often, 1000, 2);
        ck_assert_int_ge(atomic_load(&often.checks), 54);
        ck_assert_int_eq(atomic_load(&seldom.checks), 1);
        stage_close(&stage);
        patient_done(&often);
        patient_done(&seldom);
    }
END_TEST

START_TEST(can_have_a_check_and_nothing_else)
    {
        struct stage stage;
        struct patient db = {.name = "db"},
                       probe = {.name = "probe", .alone = true, .note = "dusty"};
        atomic_init(&probe.answer, SRUN_HEALTH_DEGRADED);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &probe, NULL);
        clinic_start(&stage, "probe");
        assert_health(&stage, "probe", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_CHECKED);
        ck_assert_str_eq(clinic_look(&stage, "probe").note, "dusty");
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&db);
        patient_done(&probe);
    }
END_TEST

START_TEST(answers_in_words_that_everybody_sees)
    {
        static const struct {
            int code;
            srun_health_status status;
        } cases[] = {{0, SRUN_HEALTH_HEALTHY},
                     {SRUN_HEALTH_HEALTHY, SRUN_HEALTH_HEALTHY},
                     {SRUN_HEALTH_DEGRADED, SRUN_HEALTH_DEGRADED},
                     {SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_UNHEALTHY},
                     {-ECONNREFUSED, SRUN_HEALTH_UNHEALTHY},
                     {99, SRUN_HEALTH_UNHEALTHY}};
        struct stage stage;
        struct patient db = {.name = "db"};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            atomic_store(&db.answer, cases[i].code);
            srun_test_advance_ms(stage.test, 33001);
            assert_health(&stage, "db", cases[i].status, SRUN_HEALTH_CHECKED);
            const char *note = clinic_look(&stage, "db").note;
            if (cases[i].code < 0) /* it said nothing: then what the code means */
                ck_assert_str_eq(note, srun_strerror(cases[i].code));
        }
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(tells_all_that_is_known_of_a_check)
    {
        struct stage stage;
        struct patient db = {.name = "db", .note = "2 of 3 replicas"};
        atomic_init(&db.answer, SRUN_HEALTH_DEGRADED);
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        atomic_store(&db.takes_ms, 250);
        srun_test_advance_ms(stage.test, 34000);
        struct srun_health health = clinic_look(&stage, "db");
        int64_t at = db.checked_at[1] + 250;
        ck_assert_int_eq((int)health.own, SRUN_HEALTH_DEGRADED);
        ck_assert_str_eq(health.note, "2 of 3 replicas");
        ck_assert_str_eq(health.path, "");
        ck_assert_int_eq(health.took_ms, 250);
        ck_assert_int_le(llabs(health.age_ms - (34000 - at)), 1);
        ck_assert_int_ge(health.next_ms, 27000 - 34000 + db.checked_at[1]);
        ck_assert_int_le(health.next_ms, 33000 - 34000 + db.checked_at[1] + 1);
        ck_assert_int_le(llabs(health.time_ms - (clock_wall_ms() - health.age_ms)), REAL_LIMIT_MS);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

/* --- checks that take too long --------------------------------------------------------------- */

START_TEST(is_unhealthy_when_its_check_has_not_answered_within_the_timeout)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        clinic_open(&stage);
        patient_add(&stage, &db, SRUN_OPTIONS(.health = {.interval_ms = 10000}));
        clinic_start(&stage, "db");
        atomic_store(&db.takes_ms, 7000);
        srun_test_advance_ms(stage.test, 11000);
        ck_assert_int_eq(atomic_load(&db.checks), 2);
        srun_test_advance_ms(stage.test, db.checked_at[1] + 4999 - srun_test_now_ms(stage.test));
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        srun_test_advance_ms(stage.test, 2);
        assert_health(&stage, "db", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        assert_logged(&stage, "hangs");
        srun_test_advance_ms(stage.test, 2000); /* it answers after all */
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_CHECKED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(delays_no_other_check_when_one_hangs)
    {
        enum { OTHERS = 20 };
        static struct patient others[OTHERS];
        static char names[OTHERS][8];
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient bad = {.name = "bad", .gate = &gate};
        unsigned most = 0, before = 0;
        stage_open(&stage,
                   SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 100, .timeout_ms = 200}));
        patient_add(&stage, &bad, NULL);
        for (int i = 0; i < OTHERS; i++) {
            (void)snprintf(names[i], sizeof names[i], "s%d", i);
            others[i] = (struct patient){.name = names[i]};
            patient_add(&stage, &others[i], NULL);
        }
        clinic_start(&stage, "s19");
        srun_test_advance_ms(stage.test, 1000);
        before = count_threads(); /* with up to two that ask */
        atomic_store(&bad.blocked, true);
        for (int i = 0; i < 300; i++) {
            srun_test_advance_ms(stage.test, 10);
            unsigned now = count_threads();
            most = now > most ? now : most;
        }
        assert_health(&stage, "bad", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        int asked = atomic_load(&bad.checks);
        ck_assert_int_eq(asked, atomic_load(&bad.checks_done) + 1);
        ck_assert_uint_le(most, before + 2 /* who ask */ + 1 /* who hangs */);
        for (int i = 0; i < OTHERS; i++) {
            ck_assert_int_ge(atomic_load(&others[i].checks), 34);
            assert_cadence(&others[i], 100, 2);
        }
        gate_open(&gate);
        stage_close(&stage);
        patient_done(&bad);
        for (int i = 0; i < OTHERS; i++)
            patient_done(&others[i]);
    }
END_TEST

START_TEST(turns_on_whoever_hangs_within_320_ms)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient bad = {.name = "bad", .gate = &gate};
        stage_open(&stage,
                   SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 100, .timeout_ms = 200}));
        patient_add(&stage, &bad, NULL);
        clinic_start(&stage, "bad");
        atomic_store(&bad.blocked, true);
        srun_test_advance_ms(stage.test, 320);
        assert_health(&stage, "bad", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_HUNG);
        gate_open(&gate);
        stage_close(&stage);
        patient_done(&bad);
    }
END_TEST

/* --- what counts ----------------------------------------------------------------------------- */

START_TEST(is_stale_when_a_push_has_expired)
    {
        struct stage stage;
        struct patient db = {.name = "db", .without_check = true};
        clinic_open(&stage);
        patient_add(&stage, &db, SRUN_OPTIONS(.health = {.push_ttl_ms = 200}));
        clinic_start(&stage, "db");
        assert_health(&stage, "db", SRUN_HEALTH_UNKNOWN, SRUN_HEALTH_LIFECYCLE);
        clinic_push(&db, SRUN_HEALTH_HEALTHY, "all is well");
        srun_test_advance_ms(stage.test, 199);
        assert_health(&stage, "db", SRUN_HEALTH_HEALTHY, SRUN_HEALTH_PUSHED);
        srun_test_advance_ms(stage.test, 1);
        assert_health(&stage, "db", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_STALE);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(does_not_flap)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        clinic_open(&stage);
        patient_add(&stage, &db,
                    SRUN_OPTIONS(.health = {.interval_ms = 1000, .fall = 3, .rise = 2}));
        clinic_start(&stage, "db");
        for (int i = 0; i < 20; i++) {
            int before = atomic_load(&db.checks);
            atomic_store(&db.answer, i % 2 == 0 ? -EIO : 0);
            while (atomic_load(&db.checks) == before)
                srun_test_advance_ms(stage.test, 50);
            ck_assert_int_eq((int)clinic_look(&stage, "db").status, SRUN_HEALTH_HEALTHY);
        }
        atomic_store(&db.answer, -EIO);
        srun_test_advance_ms(stage.test, 3400);
        assert_health(&stage, "db", SRUN_HEALTH_UNHEALTHY, SRUN_HEALTH_CHECKED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(remembers_sixteen_results)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        struct srun_health_result list[SRUN_HEALTH_HISTORY];
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_uint_eq(srun_runner_health_history(stage.runner, "db", list, 16), 1);
        ck_assert_uint_eq(srun_runner_health_history(stage.runner, "dp", list, 16), 0);
        for (int i = 0; i < 20; i++) {
            char note[8];
            (void)snprintf(note, sizeof note, "%d", i);
            srun_test_advance_ms(stage.test, 10);
            clinic_push(&db, SRUN_HEALTH_DEGRADED, note);
        }
        ck_assert_uint_eq(srun_runner_health_history(stage.runner, "db", list, 16), 16);
        for (int i = 0; i < 16; i++) {
            ck_assert_int_eq(atoi(list[i].note), i + 4);
            ck_assert_int_eq((int)list[i].source, SRUN_HEALTH_PUSHED);
            ck_assert_int_eq(list[i].took_ms, -1);
            if (i > 0)
                ck_assert_int_eq(list[i].time_ms - list[i - 1].time_ms, 10);
        }
        ck_assert_uint_eq(srun_runner_health_history(stage.runner, "db", list, 1), 16);
        ck_assert_str_eq(list[0].note, "19");
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

/* --- saying ---------------------------------------------------------------------------------- */

static int push_in_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    *(int *)self = srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL);
    return 0;
}

START_TEST(may_say_how_it_is_only_from_its_start_to_its_stop)
    {
        struct stage stage;
        struct patient db = {.name = "db", .without_check = true};
        int in_init = 1;
        const struct srun_service_ops ops = {.size = sizeof ops, .init = push_in_init};
        clinic_open(&stage);
        ck_assert_int_eq(srun_runner_add(stage.runner, "early", &ops, &in_init, NULL, NULL), 0);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_int_eq(in_init, SRUN_ESTATE);
        srun_context *ctx = atomic_load(&db.ctx);
        ck_assert_int_eq(srun_health_push(ctx, SRUN_HEALTH_UNKNOWN, NULL), -EINVAL);
        ck_assert_int_eq(srun_health_push(ctx, SRUN_HEALTH_STOPPED, NULL), -EINVAL);
        ck_assert_int_eq(srun_health_push(ctx, (srun_health_status)5, NULL), -EINVAL);
        ck_assert_int_eq(srun_health_push(ctx, (srun_health_status)-1, NULL), -EINVAL);
        ck_assert_int_eq(srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL), 0);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(srun_health_push(ctx, SRUN_HEALTH_HEALTHY, NULL), SRUN_ESTATE);
        ck_assert_int_eq(srun_health_get(ctx, "db"), SRUN_HEALTH_STOPPED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(may_say_how_it_is_before_it_is_ready)
    {
        struct stage stage;
        struct patient db = {.name = "db", .without_check = true, .mute = true};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_STARTING);
        WAIT_FOR(atomic_load(&db.lives) == 1);
        clinic_push(&db, SRUN_HEALTH_DEGRADED, "cold caches");
        assert_health(&stage, "db", SRUN_HEALTH_STOPPED, SRUN_HEALTH_PUSHED);
        ck_assert_int_eq(srun_ready(atomic_load(&db.ctx)), 0);
        stage_wait(&stage, "db", SRUN_RUNNING);
        clinic_settle(&stage);
        assert_health(&stage, "db", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        ck_assert_str_eq(clinic_look(&stage, "db").note, "cold caches");
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(is_shown_as_it_said_last)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        clinic_open(&stage);
        patient_add(&stage, &db, SRUN_OPTIONS(.health = {.rise = 9, .fall = 9}));
        clinic_start(&stage, "db");
        srun_context *ctx = atomic_load(&db.ctx);
        for (int i = 0; i < 1000; i++)
            ck_assert_int_eq(
                srun_health_push(ctx, (srun_health_status)(SRUN_HEALTH_UNHEALTHY + i % 3), "no"),
                0);
        clinic_push(&db, SRUN_HEALTH_DEGRADED, "yes");
        assert_health(&stage, "db", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        ck_assert_str_eq(clinic_look(&stage, "db").note, "yes");
        ck_assert_int_eq(srun_health_get(ctx, "db"), SRUN_HEALTH_DEGRADED);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

/* --- asking for it --------------------------------------------------------------------------- */

START_TEST(shows_the_worst_of_all_that_are_critical)
    {
        struct stage stage;
        struct patient db = {.name = "db"}, mail = {.name = "mail"};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &mail, SRUN_OPTIONS(.health = {.optional = 1}));
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_UNKNOWN);
        clinic_start(&stage, "mail");
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_HEALTHY);
        clinic_push(&mail, SRUN_HEALTH_UNHEALTHY, NULL);
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_DEGRADED);
        clinic_push(&db, SRUN_HEALTH_UNHEALTHY, NULL);
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_UNHEALTHY);
        clinic_push(&db, SRUN_HEALTH_HEALTHY, NULL);
        clinic_push(&mail, SRUN_HEALTH_HEALTHY, NULL);
        ck_assert_int_eq((int)srun_health_overall(stage.runner), SRUN_HEALTH_HEALTHY);
        stage_close(&stage);
        patient_done(&db);
        patient_done(&mail);
    }
END_TEST

START_TEST(knows_no_service_that_was_not_added)
    {
        struct stage stage;
        struct patient db = {.name = "db"};
        struct srun_health health;
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        ck_assert_int_eq(srun_health_get(atomic_load(&db.ctx), "dp"), -ENOENT);
        ck_assert_int_eq(srun_runner_health(stage.runner, "dp", &health), -ENOENT);
        stage_close(&stage);
        patient_done(&db);
    }
END_TEST

START_TEST(has_one_spelling_for_each_status_and_source)
    {
        ck_assert_str_eq(srun_health_status_name(SRUN_HEALTH_UNKNOWN), "unknown");
        ck_assert_str_eq(srun_health_status_name(SRUN_HEALTH_STOPPED), "stopped");
        ck_assert_str_eq(srun_health_status_name(SRUN_HEALTH_UNHEALTHY), "unhealthy");
        ck_assert_str_eq(srun_health_status_name(SRUN_HEALTH_DEGRADED), "degraded");
        ck_assert_str_eq(srun_health_status_name(SRUN_HEALTH_HEALTHY), "healthy");
        ck_assert_str_eq(srun_health_source_name(SRUN_HEALTH_LIFECYCLE), "lifecycle");
        ck_assert_str_eq(srun_health_source_name(SRUN_HEALTH_CHECKED), "checked");
        ck_assert_str_eq(srun_health_source_name(SRUN_HEALTH_PUSHED), "pushed");
        ck_assert_str_eq(srun_health_source_name(SRUN_HEALTH_HUNG), "hung");
        ck_assert_str_eq(srun_health_source_name(SRUN_HEALTH_STALE), "stale");
        ck_assert_ptr_nonnull(srun_health_status_name((srun_health_status)77));
        ck_assert_ptr_nonnull(srun_health_source_name((srun_health_source)-7));
    }
END_TEST

int main(void)
{
    return HARNESS(
        "health", is_asked_every_30_s_give_or_take_a_tenth,
        is_asked_as_often_as_the_environment_says, can_be_turned_on_by_the_environment_alone,
        is_asked_as_often_as_its_own_options_say, can_have_a_check_and_nothing_else,
        answers_in_words_that_everybody_sees, tells_all_that_is_known_of_a_check,
        is_unhealthy_when_its_check_has_not_answered_within_the_timeout,
        delays_no_other_check_when_one_hangs, turns_on_whoever_hangs_within_320_ms,
        is_stale_when_a_push_has_expired, does_not_flap, remembers_sixteen_results,
        may_say_how_it_is_only_from_its_start_to_its_stop, may_say_how_it_is_before_it_is_ready,
        is_shown_as_it_said_last, shows_the_worst_of_all_that_are_critical,
        knows_no_service_that_was_not_added, has_one_spelling_for_each_status_and_source);
}
