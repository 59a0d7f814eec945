/* SPDX-License-Identifier: MIT
 *
 * Hearing of the health of others by a subscription or by the loop of srun_health_consume. On the
 * virtual clock; srun_health_next waits in real time. on_health and the chain: health_chain_test.c.
 */
#include "clinic.h"

#include <sys/resource.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* db, web and a watcher in between, all on one stage. */
struct ward {
    struct stage stage;
    struct patient db, watcher, web;
    srun_health_watch *watch;
};

static void ward_open(struct ward *ward, const char *const *names)
{
    srun_err err = {0};
    ward->db = (struct patient){.name = "db", .without_check = true};
    ward->watcher = (struct patient){.name = "watcher", .without_check = true};
    ward->web = (struct patient){.name = "web", .without_check = true};
    clinic_open(&ward->stage);
    patient_add(&ward->stage, &ward->db, NULL);
    patient_add(&ward->stage, &ward->watcher, NULL);
    patient_add(&ward->stage, &ward->web, NULL);
    clinic_start(&ward->stage, "web");
    ward->watch = NULL;
    int rc = srun_health_subscribe(atomic_load(&ward->watcher.ctx), names, &ward->watch, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static void ward_close(struct ward *ward)
{
    ward->watch = srun_health_watch_free(ward->watch);
    ck_assert_ptr_null(ward->watch);
    stage_close(&ward->stage);
    patient_done(&ward->db);
    patient_done(&ward->watcher);
    patient_done(&ward->web);
}

static bool is_readable(const srun_health_watch *watch)
{
    struct pollfd look = {.fd = srun_health_watch_fd(watch), .events = POLLIN};
    ck_assert_int_ge(look.fd, 0);
    return poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
}

static void assert_next(srun_health_watch *watch, const char *service, srun_health_status status)
{
    struct srun_health health;
    ck_assert_int_eq(srun_health_next(watch, &health, REAL_LIMIT_MS), 0);
    ck_assert_str_eq(health.service, service);
    ck_assert_str_eq(srun_health_status_name(health.status), srun_health_status_name(status));
}

static void assert_silent(srun_health_watch *watch)
{
    struct srun_health health;
    ck_assert_int_eq(srun_health_next(watch, &health, 0), -ETIMEDOUT);
    ck_assert(!is_readable(watch));
}

/* --- subscriptions --------------------------------------------------------------------------- */

START_TEST(tells_how_all_others_are_then_what_changes)
    {
        static struct ward ward;
        ward_open(&ward, NULL);
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        assert_next(ward.watch, "web", SRUN_HEALTH_UNKNOWN);
        assert_silent(ward.watch);
        clinic_push(&ward.watcher, SRUN_HEALTH_DEGRADED, "of its own");
        assert_silent(ward.watch);
        clinic_push(&ward.web, SRUN_HEALTH_HEALTHY, NULL);
        clinic_push(&ward.db, SRUN_HEALTH_UNHEALTHY, "gone");
        assert_next(ward.watch, "web", SRUN_HEALTH_HEALTHY);
        assert_next(ward.watch, "db", SRUN_HEALTH_UNHEALTHY);
        assert_silent(ward.watch);
        clinic_push(&ward.db, SRUN_HEALTH_UNHEALTHY, "still gone");
        assert_silent(ward.watch); /* its status has not changed */
        ck_assert_uint_eq(srun_health_watch_missed(ward.watch), 0);
        ward_close(&ward);
    }
END_TEST

START_TEST(tells_all_that_is_known_of_a_change)
    {
        static struct ward ward;
        struct srun_health health;
        ward_open(&ward, NAMES("db"));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.db, SRUN_HEALTH_DEGRADED, "2 of 3 replicas");
        ck_assert_int_eq(srun_health_next(ward.watch, &health, REAL_LIMIT_MS), 0);
        ck_assert_int_eq((int)health.own, SRUN_HEALTH_DEGRADED);
        ck_assert_int_eq((int)health.source, SRUN_HEALTH_PUSHED);
        ck_assert_str_eq(health.note, "2 of 3 replicas");
        ck_assert_int_eq(health.took_ms, -1);
        ck_assert_int_eq(health.next_ms, -1);
        ck_assert_int_eq(health.age_ms, 0);
        ck_assert_int_le(llabs(health.time_ms - clock_wall_ms()), REAL_LIMIT_MS);
        ward_close(&ward);
    }
END_TEST

START_TEST(takes_no_names_at_all_for_all_others)
    {
        static struct ward ward;
        ward_open(&ward, (const char *const[]){NULL});
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        assert_next(ward.watch, "web", SRUN_HEALTH_UNKNOWN);
        assert_silent(ward.watch);
        ward_close(&ward);
    }
END_TEST

START_TEST(tells_only_of_those_it_was_asked_for)
    {
        static struct ward ward;
        ward_open(&ward, NAMES("web", "watcher", "web"));
        assert_next(ward.watch, "watcher", SRUN_HEALTH_UNKNOWN);
        assert_next(ward.watch, "web", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.db, SRUN_HEALTH_UNHEALTHY, NULL);
        assert_silent(ward.watch);
        clinic_push(&ward.watcher, SRUN_HEALTH_HEALTHY, NULL); /* itself, when it says so */
        assert_next(ward.watch, "watcher", SRUN_HEALTH_HEALTHY);
        ward_close(&ward);
    }
END_TEST

START_TEST(refuses_the_name_of_no_service_and_suggests_another)
    {
        static struct ward ward;
        srun_health_watch *watch = NULL;
        srun_err err = {0};
        ward_open(&ward, NULL);
        srun_context *ctx = atomic_load(&ward.watcher.ctx);
        ck_assert_int_eq(srun_health_subscribe(ctx, NAMES("db", "wep"), &watch, &err), -ENOENT);
        ck_assert_ptr_nonnull(strstr(err.text, "wep"));
        ck_assert_ptr_nonnull(strstr(err.text, "did you mean web?"));
        ck_assert_ptr_null(watch);
        ck_assert_int_eq(srun_health_subscribe(ctx, NAMES("wep"), &watch, NULL), -ENOENT);
        ck_assert_int_eq(srun_health_consume(ctx, NAMES("wep"), NULL, NULL, &err), -ENOENT);
        ward_close(&ward);
    }
END_TEST

START_TEST(says_so_when_there_is_no_descriptor_left)
    {
        static struct ward ward;
        srun_health_watch *watch = NULL;
        srun_err err = {0};
        struct rlimit before, none;
        ward_open(&ward, NULL);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        int rc = srun_health_subscribe(atomic_load(&ward.watcher.ctx), NULL, &watch, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_int_eq(rc, -EMFILE);
        ck_assert_str_ne(err.text, "");
        ck_assert_ptr_null(watch);
        ward_close(&ward);
    }
END_TEST

START_TEST(keeps_the_newest_for_who_is_slow_and_counts_the_rest)
    {
        static struct ward ward;
        ward_open(&ward, NAMES("db", "web"));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        assert_next(ward.watch, "web", SRUN_HEALTH_UNKNOWN);
        clinic_push(&ward.web, SRUN_HEALTH_DEGRADED, NULL);
        for (int i = 0; i < 101; i++)
            clinic_push(&ward.db, i % 2 == 0 ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY, NULL);
        ck_assert_uint_eq(srun_health_watch_missed(ward.watch), 100);
        assert_next(ward.watch, "web", SRUN_HEALTH_DEGRADED);
        assert_next(ward.watch, "db", SRUN_HEALTH_UNHEALTHY);
        assert_silent(ward.watch);
        ward_close(&ward);
    }
END_TEST

START_TEST(is_readable_while_there_is_something_to_say)
    {
        static struct ward ward;
        ward_open(&ward, NULL);
        ck_assert(is_readable(ward.watch));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        ck_assert(is_readable(ward.watch));
        assert_next(ward.watch, "web", SRUN_HEALTH_UNKNOWN);
        ck_assert(!is_readable(ward.watch));
        for (int i = 0; i < 5; i++) {
            clinic_push(&ward.db, i % 2 == 0 ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY, NULL);
            ck_assert(is_readable(ward.watch));
            assert_next(ward.watch, "db", i % 2 == 0 ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY);
            ck_assert(!is_readable(ward.watch));
        }
        ward_close(&ward);
    }
END_TEST

START_TEST(gives_up_waiting_after_the_time_it_was_given)
    {
        static struct ward ward;
        struct srun_health health;
        ward_open(&ward, NAMES("db"));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        int64_t before = harness_now_ms();
        ck_assert_int_eq(srun_health_next(ward.watch, &health, 30), -ETIMEDOUT);
        ck_assert_int_ge(harness_now_ms() - before, 29);
        ward_close(&ward);
    }
END_TEST

struct waiting {
    srun_health_watch *watch;
    pthread_t thread;
    int answer;
    atomic_bool over;
};

static void *wait_for_next(void *arg)
{
    struct waiting *waiting = arg;
    struct srun_health health;
    waiting->answer = srun_health_next(waiting->watch, &health, -1);
    atomic_store(&waiting->over, true);
    return NULL;
}

START_TEST(wakes_who_waits)
    {
        static struct ward ward;
        ward_open(&ward, NAMES("db"));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        struct waiting waiting = {.watch = ward.watch, .answer = 1};
        ck_assert_int_eq(pthread_create(&waiting.thread, NULL, wait_for_next, &waiting), 0);
        (void)usleep(5000);
        ck_assert(!atomic_load(&waiting.over));
        clinic_push(&ward.db, SRUN_HEALTH_HEALTHY, NULL);
        ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
        ck_assert_int_eq(waiting.answer, 0);
        ward_close(&ward);
    }
END_TEST

START_TEST(ends_when_its_own_service_has_to_stop)
    {
        static struct ward ward;
        struct srun_health health;
        ward_open(&ward, NAMES("db"));
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        struct waiting waiting = {.watch = ward.watch, .answer = 1};
        ck_assert_int_eq(pthread_create(&waiting.thread, NULL, wait_for_next, &waiting), 0);
        stage_terminate(&ward.stage);
        ck_assert_int_eq(stage_finish(&ward.stage), 0);
        ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
        ck_assert_int_eq(waiting.answer, -ECANCELED);
        ck_assert_int_eq(srun_health_next(ward.watch, &health, -1), -ECANCELED);
        ck_assert(is_readable(ward.watch));
        ward_close(&ward);
    }
END_TEST

START_TEST(closes_when_all_that_it_watches_have_stopped_for_good)
    {
        struct srun_health health;
        struct gate gate = GATE_CLOSED;
        struct actor between = {.name = "between", .stop = AT_THE_GATE, .gate = &gate};
        struct patient watcher = {.name = "watcher", .without_check = true};
        struct patient a = {.name = "a", .without_check = true};
        struct patient b = {.name = "b", .without_check = true};
        srun_health_watch *watch = NULL, *late = NULL;
        struct stage stage;
        clinic_open(&stage);
        patient_add(&stage, &watcher, NULL);
        stage_add(&stage, &between);
        patient_add(&stage, &a, NULL);
        patient_add(&stage, &b, NULL);
        clinic_start(&stage, "b");
        srun_context *ctx = atomic_load(&watcher.ctx);
        ck_assert_int_eq(srun_health_subscribe(ctx, NAMES("a", "b"), &watch, NULL), 0);
        assert_next(watch, "a", SRUN_HEALTH_UNKNOWN);
        assert_next(watch, "b", SRUN_HEALTH_UNKNOWN);
        stage_terminate(&stage);
        stage_wait(&stage, "between", SRUN_SHUTTING_DOWN); /* and the watcher runs on */
        clinic_settle(&stage);
        assert_next(watch, "b", SRUN_HEALTH_STOPPED); /* what was to be said is said first */
        assert_next(watch, "a", SRUN_HEALTH_STOPPED);
        ck_assert_int_eq(srun_health_next(watch, &health, -1), SRUN_ECLOSED);
        ck_assert_int_eq(srun_health_next(watch, &health, 0), SRUN_ECLOSED);
        ck_assert(is_readable(watch));
        ck_assert_int_eq(srun_health_subscribe(ctx, NAMES("a"), &late, NULL), 0); /* too late */
        assert_next(late, "a", SRUN_HEALTH_STOPPED);
        ck_assert_int_eq(srun_health_next(late, &health, -1), SRUN_ECLOSED);
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        (void)srun_health_watch_free(watch);
        (void)srun_health_watch_free(late);
        stage_close(&stage);
        patient_done(&watcher);
        patient_done(&a);
        patient_done(&b);
    }
END_TEST

START_TEST(does_not_close_when_what_it_watches_is_restarted)
    {
        struct stage stage;
        struct patient db = {.name = "db", .without_check = true};
        struct patient watcher = {.name = "watcher", .without_check = true};
        srun_health_watch *watch = NULL;
        clinic_open(&stage);
        patient_add(
            &stage, &db,
            SRUN_OPTIONS(.restart = {.when = SRUN_RESTART_ON_FAILURE, .backoff_min_ms = 100}));
        patient_add(&stage, &watcher, NULL);
        clinic_start(&stage, "watcher");
        ck_assert_int_eq(srun_health_subscribe(atomic_load(&watcher.ctx), NULL, &watch, NULL), 0);
        assert_next(watch, "db", SRUN_HEALTH_UNKNOWN);
        patient_fail(&db);
        stage_wait(&stage, "db", SRUN_STOPPED);
        assert_next(watch, "db", SRUN_HEALTH_STOPPED);
        assert_silent(watch);
        srun_test_advance_ms(stage.test, 200);
        stage_wait(&stage, "db", SRUN_RUNNING);
        assert_next(watch, "db", SRUN_HEALTH_UNKNOWN);
        (void)srun_health_watch_free(watch);
        stage_close(&stage);
        patient_done(&db);
        patient_done(&watcher);
    }
END_TEST

START_TEST(says_to_several_what_it_says_to_one)
    {
        static struct ward ward;
        srun_health_watch *more[3] = {0};
        ward_open(&ward, NAMES("db"));
        srun_context *ctx = atomic_load(&ward.watcher.ctx);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(srun_health_subscribe(ctx, NAMES("db"), &more[i], NULL), 0);
        assert_next(ward.watch, "db", SRUN_HEALTH_UNKNOWN);
        more[1] = srun_health_watch_free(more[1]);
        clinic_push(&ward.db, SRUN_HEALTH_HEALTHY, NULL);
        assert_next(ward.watch, "db", SRUN_HEALTH_HEALTHY);
        assert_next(more[0], "db", SRUN_HEALTH_HEALTHY); /* it never saw the first */
        assert_silent(more[0]);
        assert_next(more[2], "db", SRUN_HEALTH_HEALTHY);
        (void)srun_health_watch_free(more[0]);
        (void)srun_health_watch_free(more[2]);
        ward_close(&ward);
    }
END_TEST

/* --- the loop -------------------------------------------------------------------------------- */

struct loop {
    struct trace *trace;
    srun_context *ctx;
    const char *const *names;
    int end_after, end_with, calls, answer;
    atomic_bool over;
};

static int on_change(void *user, const struct srun_health *health)
{
    struct loop *loop = user;
    trace_add(loop->trace, health->service, srun_health_status_name(health->status));
    return ++loop->calls == loop->end_after ? loop->end_with : 0;
}

static void *consume(void *arg)
{
    struct loop *loop = arg;
    loop->answer = srun_health_consume(loop->ctx, loop->names, on_change, loop, NULL);
    atomic_store(&loop->over, true);
    return NULL;
}

START_TEST(loops_until_its_callback_has_enough)
    {
        static const int answers[] = {-EPIPE, 7};
        for (int i = 0; i < 2; i++) {
            static struct ward ward;
            pthread_t thread;
            ward_open(&ward, NULL);
            struct loop loop = {.trace = &ward.stage.trace,
                                .ctx = atomic_load(&ward.watcher.ctx),
                                .names = NAMES("db"),
                                .end_after = 3,
                                .end_with = answers[i]};
            ck_assert_int_eq(pthread_create(&thread, NULL, consume, &loop), 0);
            trace_wait(&ward.stage.trace, "db.unknown");
            clinic_push(&ward.db, SRUN_HEALTH_UNHEALTHY, NULL);
            trace_wait(&ward.stage.trace, "db.unhealthy");
            ck_assert(!atomic_load(&loop.over));
            clinic_push(&ward.db, SRUN_HEALTH_HEALTHY, NULL);
            ck_assert_int_eq(pthread_join(thread, NULL), 0);
            ck_assert_int_eq(loop.answer, answers[i]);
            ck_assert_int_eq(loop.calls, 3);
            clinic_push(&ward.db, SRUN_HEALTH_DEGRADED, NULL); /* nobody is there any more */
            ward_close(&ward);
        }
    }
END_TEST

START_TEST(loops_until_its_service_has_to_stop)
    {
        static struct ward ward;
        pthread_t thread;
        ward_open(&ward, NULL);
        struct loop loop = {.trace = &ward.stage.trace, .ctx = atomic_load(&ward.watcher.ctx)};
        ck_assert_int_eq(pthread_create(&thread, NULL, consume, &loop), 0);
        trace_wait(&ward.stage.trace, "web.unknown");
        stage_terminate(&ward.stage);
        ck_assert_int_eq(stage_finish(&ward.stage), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(loop.answer, -ECANCELED);
        ward_close(&ward);
    }
END_TEST

START_TEST(loops_until_all_that_it_watches_have_stopped)
    {
        struct stage stage;
        struct gate gate = GATE_CLOSED;
        struct patient watcher = {.name = "watcher", .without_check = true};
        struct actor between = {.name = "between", .stop = AT_THE_GATE, .gate = &gate};
        struct patient db = {.name = "db", .without_check = true};
        pthread_t thread;
        clinic_open(&stage);
        patient_add(&stage, &watcher, NULL);
        stage_add(&stage, &between);
        patient_add(&stage, &db, NULL);
        clinic_start(&stage, "db");
        struct loop loop = {
            .trace = &stage.trace, .ctx = atomic_load(&watcher.ctx), .names = NAMES("db")};
        ck_assert_int_eq(pthread_create(&thread, NULL, consume, &loop), 0);
        trace_wait(&stage.trace, "db.unknown");
        stage_terminate(&stage);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(loop.answer, SRUN_ECLOSED);
        ck_assert(trace_has(&stage.trace, "db.stopped"));
        gate_open(&gate);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
        patient_done(&watcher);
        patient_done(&db);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "health_watch", tells_how_all_others_are_then_what_changes,
        tells_all_that_is_known_of_a_change, takes_no_names_at_all_for_all_others,
        tells_only_of_those_it_was_asked_for, refuses_the_name_of_no_service_and_suggests_another,
        says_so_when_there_is_no_descriptor_left,
        keeps_the_newest_for_who_is_slow_and_counts_the_rest,
        is_readable_while_there_is_something_to_say, gives_up_waiting_after_the_time_it_was_given,
        wakes_who_waits, ends_when_its_own_service_has_to_stop,
        closes_when_all_that_it_watches_have_stopped_for_good,
        does_not_close_when_what_it_watches_is_restarted, says_to_several_what_it_says_to_one,
        loops_until_its_callback_has_enough, loops_until_its_service_has_to_stop,
        loops_until_all_that_it_watches_have_stopped);
}
