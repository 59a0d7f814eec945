/* SPDX-License-Identifier: MIT
 *
 * Health under load, in real time: many threads push, subscribers come and go, checks run, and a
 * consumer sleeps. For the sanitizers above all; limits of time are generous there.
 */
#include "base/ensure.h"
#include "base/libc.h"
#include "clinic.h"

#include <srun/admin.h>
#include <srun/metrics.h>
#include <srun/runner.h>
#include <srun/trace.h>
#include <srun/upgrade.h>
#include <sys/resource.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- a runner in real time ------------------------------------------------------------------- */

struct world {
    srun_runner *runner;
    pthread_t control;
    int log, exit_code;
};

static void world_open(struct world *world, int64_t interval_ms)
{
    srun_err err = {0};
    world->log = memory_file();
    int rc = srun_runner_new(
        &world->runner,
        SRUN_CONFIG(.name = "world",
                    .log = {.fd_plus_one = world->log + 1, .level = SRUN_LEVEL_ERROR},
                    .signals = {.disabled = 1},
                    .health = {.enabled = 1, .interval_ms = interval_ms}),
        &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static void *control(void *arg)
{
    struct world *world = arg;
    world->exit_code = srun_runner_run(world->runner);
    return NULL;
}

static void world_start(struct world *world)
{
    ck_assert_int_eq(pthread_create(&world->control, NULL, control, world), 0);
    WAIT_FOR(srun_runner_is_ready(world->runner));
}

static void world_close(struct world *world)
{
    ck_assert_int_eq(srun_runner_shutdown(world->runner, 0, "enough"), 0);
    ck_assert_int_eq(pthread_join(world->control, NULL), 0);
    ck_assert_int_eq(world->exit_code, 0);
    (void)srun_runner_free(world->runner);
    (void)close(world->log);
}

struct member {
    char name[8];
    srun_context *_Atomic ctx;
    atomic_int checks, heard, hears_now, mistakes;
};

static int member_run(void *self, srun_context *ctx, srun_err *err)
{
    struct member *member = self;
    (void)err;
    atomic_store(&member->ctx, ctx);
    (void)srun_ready(ctx);
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static int member_health(void *self, srun_context *ctx, srun_err *err)
{
    struct member *member = self;
    (void)ctx;
    int n = atomic_fetch_add(&member->checks, 1);
    return n % 7 == 6 ? srun_fail(err, -EIO, "the seventh") : 0;
}

static int member_hear(void *self, srun_context *ctx, const struct srun_health *health,
                       srun_err *err)
{
    struct member *member = self;
    (void)ctx, (void)health, (void)err;
    if (atomic_fetch_add(&member->hears_now, 1) > 0)
        atomic_fetch_add(&member->mistakes, 1);
    atomic_fetch_add(&member->heard, 1);
    atomic_fetch_sub(&member->hears_now, 1);
    return 0;
}

static void member_add(struct world *world, struct member *member, unsigned number, bool checked,
                       bool hears, const char *const *depends)
{
    const struct srun_service_ops ops = {.size = sizeof ops,
                                         .run = member_run,
                                         .health = checked ? member_health : NULL,
                                         .on_health = hears ? member_hear : NULL};
    *member = (struct member){0};
    (void)snprintf(member->name, sizeof member->name, "m%u", number);
    ck_assert_int_eq(srun_runner_add(world->runner, member->name, &ops, member,
                                     SRUN_OPTIONS(.depends = depends), NULL),
                     0);
}

/* --- everybody at once ----------------------------------------------------------------------- */

enum { MEMBERS = 12, PUSHERS = 4, WATCHERS = 3 };

struct crowd {
    struct world world;
    struct member members[MEMBERS];
    atomic_bool over;
    atomic_llong pushes, changes, subscriptions;
};

struct worker {
    struct crowd *crowd;
    unsigned number;
    pthread_t thread;
    int64_t longest_ns;
};

static void *push_all_the_time(void *arg)
{
    struct worker *worker = arg;
    struct crowd *crowd = worker->crowd;
    for (unsigned i = 0; !atomic_load(&crowd->over); i++) {
        srun_context *ctx = atomic_load(&crowd->members[(i + worker->number) % MEMBERS].ctx);
        int64_t began = clock_real_now();
        int rc = srun_health_push(ctx, (srun_health_status)(SRUN_HEALTH_UNHEALTHY + i % 3), "x");
        int64_t took = clock_real_now() - began;
        worker->longest_ns = took > worker->longest_ns ? took : worker->longest_ns;
        if (rc != 0)
            ck_abort_msg("a push was refused: %d", rc);
        if (srun_health_get(ctx, "m3") < 0)
            ck_abort_msg("m3 is not known");
        atomic_fetch_add(&crowd->pushes, 1);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void *come_and_go(void *arg)
{
    struct worker *worker = arg;
    struct crowd *crowd = worker->crowd;
    while (!atomic_load(&crowd->over)) {
        srun_context *ctx = atomic_load(&crowd->members[worker->number].ctx);
        srun_health_watch *watch = NULL;
        struct srun_health health;
        const char *const *names = worker->number % 2 == 0 ? NULL : NAMES("m1", "m2");
        if (srun_health_subscribe(ctx, names, &watch, NULL) != 0)
            ck_abort_msg("no subscription");
        for (int i = 0; i < 50 && !atomic_load(&crowd->over); i++)
            if (srun_health_next(watch, &health, 1) == 0)
                atomic_fetch_add(&crowd->changes, 1);
        struct srun_health_result list[SRUN_HEALTH_HISTORY];
        (void)srun_runner_health(crowd->world.runner, "m5", &health);
        (void)srun_runner_health_history(crowd->world.runner, "m5", list, SRUN_HEALTH_HISTORY);
        (void)srun_health_watch_missed(watch);
        (void)srun_health_watch_free(watch);
        atomic_fetch_add(&crowd->subscriptions, 1);
    }
    return NULL;
}

START_TEST(bears_pushers_subscribers_and_checks_all_at_once)
    {
        static struct crowd crowd;
        static struct worker workers[PUSHERS + WATCHERS];
        static char names[MEMBERS][8];
        static const char *chain[MEMBERS][2];
        world_open(&crowd.world, 5);
        for (unsigned i = 0; i < MEMBERS; i++) {
            (void)snprintf(names[i], sizeof names[i], "m%u", i);
            chain[i][0] = i > 0 ? names[i - 1] : NULL;
            member_add(&crowd.world, &crowd.members[i], i, i % 2 == 0, i % 3 == 0, chain[i]);
        }
        world_start(&crowd.world);
        for (unsigned i = 0; i < PUSHERS + WATCHERS; i++) {
            workers[i] = (struct worker){.crowd = &crowd, .number = i};
            ck_assert_int_eq(pthread_create(&workers[i].thread, NULL,
                                            i < PUSHERS ? push_all_the_time : come_and_go,
                                            &workers[i]),
                             0);
        }
        WAIT_FOR(atomic_load(&crowd.pushes) > 20000 && atomic_load(&crowd.subscriptions) > 20 &&
                 atomic_load(&crowd.changes) > 100 && atomic_load(&crowd.members[0].checks) > 20);
        atomic_store(&crowd.over, true);
        for (unsigned i = 0; i < PUSHERS + WATCHERS; i++)
            ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
        world_close(&crowd.world);
        for (unsigned i = 0; i < MEMBERS; i++)
            ck_assert_int_eq(atomic_load(&crowd.members[i].mistakes), 0);
        ck_assert_int_gt(atomic_load(&crowd.members[3].heard), 10);
    }
END_TEST

/* --- somebody asks early --------------------------------------------------------------------- */

struct curious {
    srun_runner *runner;
    pthread_t thread;
    atomic_bool over;
    atomic_int rounds;
};

/* What any thread may ask of a runner, at any time. */
static void *ask_all_the_time(void *arg)
{
    struct curious *curious = arg;
    const srun_runner *runner = curious->runner;
    while (!atomic_load(&curious->over)) {
        struct srun_health health;
        struct srun_health_result results[SRUN_HEALTH_HISTORY];
        struct srun_service_info services[8];
        struct srun_run_info info;
        struct srun_upgrade_info upgrade;
        struct srun_trace_stats stats;
        srun_cause cause;
        char text[128];
        int rc = srun_runner_health(runner, "m0", &health);
        if (rc != 0 || strcmp(health.service, "m0") != 0)
            ck_abort_msg("m0 is not known: %d", rc);
        rc = srun_runner_health(runner, "late", &health);
        if (rc != 0 && rc != -ENOENT)
            ck_abort_msg("late: %d", rc);
        (void)srun_runner_health_history(runner, "m1", results, SRUN_HEALTH_HISTORY);
        (void)srun_runner_health_history(runner, "late", results, SRUN_HEALTH_HISTORY);
        (void)srun_health_overall(runner);
        (void)srun_runner_services(runner, services, COUNT_OF(services));
        (void)srun_runner_state(runner, "m1");
        (void)srun_runner_is_ready(runner);
        (void)srun_runner_exit_code(runner);
        (void)srun_runner_stuck(runner);
        srun_runner_cause(runner, &cause);
        srun_runner_info(runner, &info);
        srun_upgrade_info(runner, &upgrade);
        (void)srun_runner_tracer(runner);
        (void)srun_runner_meter(runner);
        srun_runner_trace_stats(runner, &stats);
        (void)srun_admin_address(runner, text, sizeof text);
        (void)srun_admin_socket(runner, text, sizeof text);
        atomic_fetch_add(&curious->rounds, 1);
    }
    return NULL;
}

static void curious_begin(struct curious *curious, srun_runner *runner)
{
    *curious = (struct curious){.runner = runner};
    ck_assert_int_eq(pthread_create(&curious->thread, NULL, ask_all_the_time, curious), 0);
    WAIT_FOR(atomic_load(&curious->rounds) > 0);
}

static void curious_end(struct curious *curious)
{
    int before = atomic_load(&curious->rounds);
    WAIT_FOR(atomic_load(&curious->rounds) > before + 1);
    atomic_store(&curious->over, true);
    ck_assert_int_eq(pthread_join(curious->thread, NULL), 0);
}

START_TEST(tells_whoever_asks_while_the_runner_starts)
    {
        static struct member members[2];
        for (int i = 0; i < 20; i++) {
            struct world world;
            struct curious curious;
            world_open(&world, 5);
            member_add(&world, &members[0], 0, true, false, NULL);
            member_add(&world, &members[1], 1, false, true, NAMES("m0"));
            curious_begin(&curious, world.runner);
            world_start(&world);
            curious_end(&curious);
            world_close(&world);
        }
    }
END_TEST

/* A start that fails leaves nobody with what it had made; and what is added then is not in it. */
START_TEST(tells_whoever_asks_while_a_start_fails)
    {
        static struct member members[3];
        struct world world;
        struct curious curious;
        srun_err err = {0};
        ck_assert_int_eq(setenv("SRUN_OTEL_TRACE_EXPORTER", "http", 1), 0);
        ck_assert_int_eq(setenv("SRUN_OTEL_TRACE_EXPORTER_ENDPOINT", "http://a:99999", 1), 0);
        world_open(&world, 5);
        member_add(&world, &members[0], 0, true, false, NULL);
        member_add(&world, &members[1], 1, false, true, NAMES("m0"));
        curious_begin(&curious, world.runner);
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(srun_runner_start(world.runner, &err), SRUN_EUSAGE);
            ck_assert_msg(strstr(err.text, "trace_endpoint") != NULL, "%s", err.text);
            if (i == 10)
                member_add(&world, &members[2], 2, true, false, NULL);
            if (i == 15)
                ck_assert_int_eq(
                    srun_runner_add(world.runner, "late",
                                    &(const struct srun_service_ops){
                                        .size = sizeof(struct srun_service_ops), .run = member_run},
                                    &members[2], NULL, NULL),
                    0);
        }
        curious_end(&curious);
        (void)srun_runner_free(world.runner);
        (void)close(world.log);
    }
END_TEST

/* --- somebody sleeps ------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SOURCES = 200, PUSHES = 20000, COUNTS = 0 };
#else
enum { SOURCES = 1000, PUSHES = 200000, COUNTS = 1 };
#endif

static int source_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    atomic_store(&((struct member *)self)->ctx, ctx);
    return 0;
}

static void source_add(struct world *world, struct member *member, unsigned number)
{
    const struct srun_service_ops ops = {.size = sizeof ops, .init = source_init};
    *member = (struct member){0};
    (void)snprintf(member->name, sizeof member->name, "s%u", number);
    ck_assert_int_eq(srun_runner_add(world->runner, member->name, &ops, member, NULL, NULL), 0);
}

static size_t allocated(void)
{
    struct libc_heap heap = {0};
    (void)libc_heap(&heap);
    return heap.used;
}

/* How often this thread gave the processor away; that it was taken away does not count. */
static long waits(void)
{
    struct rusage used;
    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &used), 0);
    return used.ru_nvcsw;
}

START_TEST(lets_a_consumer_sleep_without_waiting_or_growing)
    {
        static struct world world;
        static struct member sources[SOURCES], sleeper;
        srun_health_watch *watch = NULL;
        struct srun_health health;
        unsigned heard = 0;
        world_open(&world, 60000);
        member_add(&world, &sleeper, 9999, false, false, NULL);
        for (unsigned i = 0; i < SOURCES; i++)
            source_add(&world, &sources[i], i);
        world_start(&world);
        size_t before = allocated();
        ck_assert_int_eq(srun_health_subscribe(atomic_load(&sleeper.ctx), NULL, &watch, NULL), 0);
        long waited = waits();
        for (unsigned i = 0; i < PUSHES; i++) {
            int rc = srun_health_push(atomic_load(&sources[i % SOURCES].ctx),
                                      i / SOURCES % 2 == 0 ? SRUN_HEALTH_DEGRADED
                                                           : SRUN_HEALTH_UNHEALTHY,
                                      "over and over");
            if (rc != 0)
                ck_abort_msg("a push was refused: %d", rc);
        }
        /* The control thread has the lock now and then, under the thread sanitizer nearly always; a
         * consumer would be in the way each time. */
        if (COUNTS)
            ck_assert_int_lt(waits() - waited, PUSHES / 4);
        for (unsigned i = 0; i < SOURCES; i++)
            ck_assert_int_eq(
                srun_health_push(atomic_load(&sources[i].ctx), SRUN_HEALTH_HEALTHY, "at last"), 0);
        size_t after = allocated();
        if (COUNTS)
            ck_assert_msg(after < before + 65536, "%zu bytes more", after - before);
        WAIT_FOR(srun_health_get(atomic_load(&sleeper.ctx), sources[SOURCES - 1].name) ==
                 SRUN_HEALTH_HEALTHY);
        while (srun_health_next(watch, &health, 0) == 0) { /* it wakes */
            heard++;
            if (health.status != SRUN_HEALTH_HEALTHY || strcmp(health.note, "at last") != 0)
                ck_abort_msg("%s is %s", health.service, srun_health_status_name(health.status));
        }
        ck_assert_uint_eq(heard, SOURCES);
        ck_assert_uint_gt(srun_health_watch_missed(watch), 0);
        (void)srun_health_watch_free(watch);
        world_close(&world);
    }
END_TEST

/* --- the chain ------------------------------------------------------------------------------- */

/* Takes over what it hears. */
static int relay_hear(void *self, srun_context *ctx, const struct srun_health *health,
                      srun_err *err)
{
    (void)self, (void)err;
    return health->status < SRUN_HEALTH_UNHEALTHY ? 0 : srun_health_push(ctx, health->status, NULL);
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

START_TEST(carries_a_change_from_postgres_by_ledger_to_wallet_within_10_ms)
    {
        enum { ROUNDS = 51 };
        static struct world world;
        static struct member postgres, ledger, wallet;
        int64_t took[ROUNDS];
        const struct srun_service_ops relay = {
            .size = sizeof relay, .run = member_run, .on_health = relay_hear};
        world_open(&world, 60000);
        member_add(&world, &postgres, 0, false, false, NULL);
        ck_assert_int_eq(srun_runner_add(world.runner, "ledger", &relay, &ledger,
                                         SRUN_OPTIONS(.health.watch = NAMES("m0")), NULL),
                         0);
        ck_assert_int_eq(srun_runner_add(world.runner, "wallet", &relay, &wallet,
                                         SRUN_OPTIONS(.health.watch = NAMES("ledger")), NULL),
                         0);
        world_start(&world);
        for (int i = 0; i < ROUNDS; i++) {
            srun_context *ctx = atomic_load(&postgres.ctx);
            srun_health_status turn = i % 2 == 0 ? SRUN_HEALTH_UNHEALTHY : SRUN_HEALTH_HEALTHY;
            int64_t began = clock_real_now();
            ck_assert_int_eq(srun_health_push(ctx, turn, NULL), 0);
            WAIT_FOR(srun_health_get(ctx, "wallet") == (int)turn);
            took[i] = clock_real_now() - began;
        }
        qsort(took, ROUNDS, sizeof took[0], by_size);
        ck_assert_int_lt(took[ROUNDS / 2], 10 * NS_PER_MS * harness_slowness());
        world_close(&world);
    }
END_TEST

int main(void)
{
    return HARNESS("health_stress", bears_pushers_subscribers_and_checks_all_at_once,
                   tells_whoever_asks_while_the_runner_starts,
                   tells_whoever_asks_while_a_start_fails,
                   lets_a_consumer_sleep_without_waiting_or_growing,
                   carries_a_change_from_postgres_by_ledger_to_wallet_within_10_ms);
}
