/* SPDX-License-Identifier: MIT
 *
 * Services that hear of each other: the verb on_health, and the chain postgres -> ledger -> wallet,
 * each of which sees what happened to the one before, and says how it is itself.
 */
#include "clinic.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_heard(struct patient *patient, int n, const char *service,
                         srun_health_status status)
{
    WAIT_FOR(atomic_load(&patient->heard_count) > n);
    ck_assert_str_eq(patient->heard[n].service, service);
    ck_assert_str_eq(srun_health_status_name(patient->heard[n].status),
                     srun_health_status_name(status));
}

/* db, web, and who hears, in this order. */
struct ward {
    struct stage stage;
    struct patient db, web, ear;
};

static void ward_open(struct ward *ward, const struct srun_service_options *options)
{
    ward->db = (struct patient){.name = "db", .without_check = true};
    ward->web = (struct patient){.name = "web", .without_check = true};
    ward->ear.name = "ear";
    ward->ear.hears = ward->ear.without_check = true;
    clinic_open(&ward->stage);
    patient_add(&ward->stage, &ward->db, NULL);
    patient_add(&ward->stage, &ward->web, NULL);
    patient_add(&ward->stage, &ward->ear, options);
    clinic_start(&ward->stage, "ear");
}

static void ward_close(struct ward *ward)
{
    stage_close(&ward->stage);
    patient_done(&ward->db);
    patient_done(&ward->web);
    patient_done(&ward->ear);
}

/* The answer is on its way when all that is heard has been heard. */
static void await_refusal(const struct ward *ward)
{
    WAIT_FOR(strstr(memory_text(ward->stage.log), "ear will not hear it") != NULL);
}

/* --- on_health ------------------------------------------------------------------------------- */

START_TEST(hears_how_all_others_are_then_what_changes)
    {
        struct ward ward = {0};
        ward_open(&ward, NULL);
        assert_heard(&ward.ear, 0, "db", SRUN_HEALTH_UNKNOWN);
        assert_heard(&ward.ear, 1, "web", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.ear, SRUN_HEALTH_DEGRADED, "of its own");
        clinic_push(&ward.web, SRUN_HEALTH_UNHEALTHY, "500");
        assert_heard(&ward.ear, 2, "web", SRUN_HEALTH_UNHEALTHY);
        ck_assert_str_eq(ward.ear.heard[2].note, "500");
        clinic_push(&ward.db, SRUN_HEALTH_HEALTHY, NULL);
        assert_heard(&ward.ear, 3, "db", SRUN_HEALTH_HEALTHY);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 4);
        ward_close(&ward);
    }
END_TEST

START_TEST(hears_only_of_those_it_asked_for)
    {
        struct ward ward = {0};
        ward_open(&ward, SRUN_OPTIONS(.health = {.watch = NAMES("web")}));
        assert_heard(&ward.ear, 0, "web", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.db, SRUN_HEALTH_UNHEALTHY, NULL);
        clinic_push(&ward.web, SRUN_HEALTH_HEALTHY, NULL);
        assert_heard(&ward.ear, 1, "web", SRUN_HEALTH_HEALTHY);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 2);
        ward_close(&ward);
    }
END_TEST

START_TEST(refuses_to_start_when_it_asked_for_nobody_that_is_there)
    {
        struct stage stage;
        srun_err err = {0};
        struct patient db = {.name = "db"}, ear = {.name = "ear", .hears = true};
        clinic_open(&stage);
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &ear, SRUN_OPTIONS(.health = {.watch = NAMES("dp")}));
        ck_assert_int_lt(srun_test_start(stage.test, &err), 0);
        ck_assert_ptr_nonnull(strstr(err.text, "dp"));
        ck_assert_ptr_nonnull(strstr(err.text, "did you mean db?"));
        stage_close(&stage);
        patient_done(&db);
        patient_done(&ear);
    }
END_TEST

START_TEST(hears_the_newest_when_it_is_slow_and_keeps_nobody_waiting)
    {
        struct gate gate = GATE_CLOSED;
        struct ward ward = {.ear = {.ear_gate = &gate}};
        ward_open(&ward, NULL);
        WAIT_FOR(atomic_load(&ward.ear.heard_count) == 1); /* and now it is at the gate */
        for (int i = 0; i < 100; i++) {
            clinic_push(&ward.db, i % 2 == 0 ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED, NULL);
            ck_assert_int_eq(srun_health_get(atomic_load(&ward.web.ctx), "db"),
                             i % 2 == 0 ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED);
        }
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 1);
        gate_open(&gate);
        assert_heard(&ward.ear, 1, "web", SRUN_HEALTH_UNKNOWN);
        assert_heard(&ward.ear, 2, "db", SRUN_HEALTH_DEGRADED);
        clinic_settle(&ward.stage);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 3);
        ward_close(&ward);
    }
END_TEST

START_TEST(does_not_delay_checks_or_the_ears_of_others)
    {
        struct gate gate = GATE_CLOSED;
        struct stage stage;
        struct patient slow[3] = {{.name = "slow0"}, {.name = "slow1"}, {.name = "slow2"}};
        struct patient db = {.name = "db"}, ear = {.name = "ear", .hears = true};
        stage_open(&stage, SRUN_CONFIG(.health = {.enabled = 1, .interval_ms = 1000}));
        for (int i = 0; i < 3; i++) {
            slow[i].hears = slow[i].without_check = true;
            slow[i].ear_gate = &gate;
            patient_add(&stage, &slow[i], NULL);
        }
        patient_add(&stage, &db, NULL);
        patient_add(&stage, &ear, SRUN_OPTIONS(.health = {.watch = NAMES("db")}));
        clinic_start(&stage, "ear");
        for (int i = 0; i < 3; i++)
            WAIT_FOR(atomic_load(&slow[i].heard_count) == 1);
        assert_heard(&ear, 0, "db", SRUN_HEALTH_HEALTHY);
        clinic_push(&db, SRUN_HEALTH_DEGRADED, NULL);
        assert_heard(&ear, 1, "db", SRUN_HEALTH_DEGRADED);
        srun_test_advance_ms(stage.test, 20000);
        ck_assert_int_ge(atomic_load(&db.checks), 18);
        ck_assert_int_ge(atomic_load(&ear.checks), 18);
        gate_open(&gate);
        stage_close(&stage);
        for (int i = 0; i < 3; i++)
            patient_done(&slow[i]);
        patient_done(&db);
        patient_done(&ear);
    }
END_TEST

START_TEST(hears_no_more_after_a_negative_answer)
    {
        struct ward ward = {0};
        atomic_init(&ward.ear.hear_answer, -EPROTO);
        ward_open(&ward, NULL);
        assert_heard(&ward.ear, 0, "db", SRUN_HEALTH_UNKNOWN);
        await_refusal(&ward);
        for (int i = 0; i < 10; i++)
            clinic_push(&ward.db, i % 2 == 0 ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED, NULL);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 1);
        ck_assert_int_eq(srun_runner_state(ward.stage.runner, "ear"), SRUN_RUNNING);
        ward_close(&ward);
    }
END_TEST

START_TEST(hears_everything_anew_in_a_new_life)
    {
        struct ward ward = {0};
        atomic_init(&ward.ear.hear_answer, -EPROTO);
        ward_open(&ward, SRUN_OPTIONS(.restart = {.when = SRUN_RESTART_ON_FAILURE,
                                                  .backoff_min_ms = 100}));
        assert_heard(&ward.ear, 0, "db", SRUN_HEALTH_UNKNOWN);
        await_refusal(&ward);
        atomic_store(&ward.ear.hear_answer, 0);
        patient_fail(&ward.ear);
        stage_wait(&ward.stage, "ear", SRUN_STOPPED);
        clinic_push(&ward.db, SRUN_HEALTH_HEALTHY, NULL); /* heard by nobody: it is not RUNNING */
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 1);
        srun_test_advance_ms(ward.stage.test, 200);
        stage_wait(&ward.stage, "ear", SRUN_RUNNING);
        WAIT_FOR(atomic_load(&ward.ear.heard_count) == 3);
        clinic_settle(&ward.stage);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 3);
        ward_close(&ward);
    }
END_TEST

START_TEST(is_waited_for_before_its_service_stops)
    {
        struct gate gate = GATE_CLOSED;
        struct ward ward = {.ear = {.ear_gate = &gate}};
        ward_open(&ward, NULL);
        WAIT_FOR(atomic_load(&ward.ear.heard_count) == 1);
        stage_terminate(&ward.stage);
        stage_wait(&ward.stage, "ear", SRUN_SHUTTING_DOWN);
        ck_assert_int_eq(srun_test_finish(ward.stage.test, 50), -ETIMEDOUT);
        ck_assert_int_eq(atomic_load(&ward.ear.stops), 0);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&ward.stage), 0);
        ck_assert_int_eq(atomic_load(&ward.ear.stops), 1);
        ck_assert_int_eq(atomic_load(&ward.ear.heard_count), 1);
        ward_close(&ward);
    }
END_TEST

START_TEST(does_not_call_it_a_failure_when_it_is_cancelled)
    {
        struct gate gate = GATE_CLOSED;
        struct ward ward = {.ear = {.ear_gate = &gate}};
        ward_open(&ward, NULL);
        WAIT_FOR(atomic_load(&ward.ear.heard_count) == 1);
        atomic_store(&ward.ear.hear_answer, -ECANCELED);
        stage_terminate(&ward.stage);
        stage_wait(&ward.stage, "ear", SRUN_SHUTTING_DOWN);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&ward.stage), 0);
        ck_assert_ptr_null(strstr(memory_text(ward.stage.log), "on_health failed"));
        ward_close(&ward);
    }
END_TEST

START_TEST(may_push_what_it_makes_of_what_it_hears)
    {
        struct ward ward = {0};
        ward_open(&ward, NULL);
        assert_heard(&ward.ear, 1, "web", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.ear, SRUN_HEALTH_DEGRADED, "web is gone");
        assert_health(&ward.stage, "ear", SRUN_HEALTH_DEGRADED, SRUN_HEALTH_PUSHED);
        ward_close(&ward);
    }
END_TEST

/* --- the chain ------------------------------------------------------------------------------- */

/* Each link takes over what it hears of the one before it. */
struct link {
    const char *name, *before;
    struct stage *stage;
    srun_context *_Atomic ctx;
    atomic_int heard;
    _Atomic srun_health_status status;
    char path[SRUN_HEALTH_NOTE_MAX];
};

static int link_run(void *self, srun_context *ctx, srun_err *err)
{
    struct link *link = self;
    (void)err;
    atomic_store(&link->ctx, ctx);
    (void)srun_ready(ctx);
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static int link_hear(void *self, srun_context *ctx, const struct srun_health *health, srun_err *err)
{
    struct link *link = self;
    char note[64];
    (void)err;
    (void)snprintf(link->path, sizeof link->path, "%s", health->path);
    link->status = health->status;
    atomic_fetch_add(&link->heard, 1);
    (void)snprintf(note, sizeof note, "%s is %s", health->service,
                   srun_health_status_name(health->status));
    if (health->status < SRUN_HEALTH_UNHEALTHY)
        return 0;
    return srun_health_push(ctx, health->status, note);
}

static void link_add(struct stage *stage, struct link *link,
                     const struct srun_service_options *options)
{
    const struct srun_service_ops ops = {
        .size = sizeof ops, .run = link_run, .on_health = link->before ? link_hear : NULL};
    link->stage = stage;
    ck_assert_int_eq(srun_runner_add(stage->runner, link->name, &ops, link, options, NULL), 0);
}

static bool shows(const struct stage *stage, const char *name, srun_health_status status)
{
    return clinic_look(stage, name).status == status;
}

START_TEST(goes_from_postgres_by_ledger_to_wallet)
    {
        struct stage stage;
        struct link postgres = {.name = "postgres"};
        struct link ledger = {.name = "ledger", .before = "postgres"};
        struct link wallet = {.name = "wallet", .before = "ledger"};
        clinic_open(&stage);
        link_add(&stage, &postgres, NULL);
        link_add(&stage, &ledger, SRUN_OPTIONS(.health = {.watch = NAMES("postgres")}));
        link_add(&stage, &wallet, SRUN_OPTIONS(.health = {.watch = NAMES("ledger")}));
        clinic_start(&stage, "wallet");
        static const srun_health_status turns[] = {SRUN_HEALTH_HEALTHY, SRUN_HEALTH_UNHEALTHY,
                                                   SRUN_HEALTH_DEGRADED, SRUN_HEALTH_HEALTHY};
        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(srun_health_push(atomic_load(&postgres.ctx), turns[i], NULL), 0);
            WAIT_FOR(shows(&stage, "wallet", turns[i]));
            struct srun_health health = clinic_look(&stage, "wallet");
            ck_assert_int_eq((int)health.own, (int)turns[i]);
            ck_assert_int_eq((int)health.source, SRUN_HEALTH_PUSHED);
            ck_assert_int_eq(strncmp(health.note, "ledger is ", 10), 0);
            ck_assert_str_eq(health.path, "");
        }
        stage_close(&stage);
    }
END_TEST

START_TEST(needs_no_code_in_between_when_dependencies_are_declared)
    {
        struct stage stage;
        struct patient postgres = {.name = "postgres", .without_check = true};
        struct patient ledger = {.name = "ledger", .without_check = true};
        struct link wallet = {.name = "wallet", .before = "ledger"};
        clinic_open(&stage);
        patient_add(&stage, &postgres, NULL);
        patient_add(&stage, &ledger, SRUN_OPTIONS(.depends = NAMES("postgres")));
        link_add(&stage, &wallet,
                 SRUN_OPTIONS(.depends = NAMES("ledger"), .health = {.watch = NAMES("ledger")}));
        clinic_start(&stage, "wallet");
        clinic_push(&postgres, SRUN_HEALTH_HEALTHY, NULL);
        clinic_push(&ledger, SRUN_HEALTH_HEALTHY, NULL);
        clinic_push(&postgres, SRUN_HEALTH_UNHEALTHY, "connection refused");
        WAIT_FOR(wallet.status == SRUN_HEALTH_UNHEALTHY);
        ck_assert_str_eq(wallet.path, "postgres"); /* what wallet hears of ledger */
        struct srun_health health = clinic_look(&stage, "wallet");
        ck_assert_int_eq((int)health.status, SRUN_HEALTH_UNHEALTHY);
        srun_test_advance_ms(stage.test, 1000); /* at most one record a second of each */
        assert_logged(&stage, "ledger -> postgres");
        clinic_push(&postgres, SRUN_HEALTH_HEALTHY, NULL);
        WAIT_FOR(shows(&stage, "wallet", SRUN_HEALTH_HEALTHY));
        stage_close(&stage);
        patient_done(&postgres);
        patient_done(&ledger);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "health_chain", hears_how_all_others_are_then_what_changes,
        hears_only_of_those_it_asked_for, refuses_to_start_when_it_asked_for_nobody_that_is_there,
        hears_the_newest_when_it_is_slow_and_keeps_nobody_waiting,
        does_not_delay_checks_or_the_ears_of_others, hears_no_more_after_a_negative_answer,
        hears_everything_anew_in_a_new_life, is_waited_for_before_its_service_stops,
        does_not_call_it_a_failure_when_it_is_cancelled, may_push_what_it_makes_of_what_it_hears,
        goes_from_postgres_by_ledger_to_wallet,
        needs_no_code_in_between_when_dependencies_are_declared);
}
