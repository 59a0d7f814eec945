/* SPDX-License-Identifier: MIT
 *
 * Threads of the program that ask at any time, and those of services that cannot be made or do not
 * end.
 */
#include "cast.h"

#include <pthread.h>

static atomic_bool asked_enough;

static void *ask_all_the_time(void *arg)
{
    static struct srun_service_info list[8];
    const srun_runner *runner = arg;
    size_t before = 0, count = 0;
    while (!atomic_load(&asked_enough)) {
        count = srun_runner_services(runner, list, 8);
        int state = srun_runner_state(runner, "s1");
        if (count < before || state > SRUN_RUNNING || (state < 0 && state != -ENOENT))
            return arg;
        before = count;
    }
    return NULL;
}

START_TEST(answers_any_thread_while_services_are_added)
    {
        enum { SERVICES = 500 };
        static struct actor cast[SERVICES];
        static char names[SERVICES][8];
        struct trace trace;
        srun_runner *runner = NULL;
        pthread_t thread;
        void *wrong = NULL;
        trace_init(&trace);
        ck_assert_int_eq(srun_runner_new(&runner, NULL, NULL), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, ask_all_the_time, runner), 0);
        for (int i = 0; i < SERVICES; i++) {
            (void)snprintf(names[i], sizeof names[i], "s%d", i);
            cast[i] = (struct actor){.name = names[i]};
            cast_add(runner, &cast[i], &trace, NULL);
        }
        atomic_store(&asked_enough, true);
        ck_assert_int_eq(pthread_join(thread, &wrong), 0);
        ck_assert_ptr_null(wrong);
        ck_assert_uint_eq(srun_runner_services(runner, NULL, 0), SERVICES);
        (void)srun_runner_free(runner);
        trace_destroy(&trace);
    }
END_TEST

START_TEST(starts_no_thread_with_a_stack_that_cannot_be)
    {
        static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct stage stage;
            struct actor db = {.name = "db"};
            stage_open(&stage, NULL);
            stage_add_with(&stage, &db, SRUN_OPTIONS(.stack_bytes = sizes[i]));
            stage_start(&stage);
            ck_assert_int_eq(stage_finish(&stage), 1);
            ck_assert_str_eq(stage_cause(&stage).service, "db");
            ck_assert(!trace_has(&stage.trace, "db.init"));
            stage_close(&stage);
        }
    }
END_TEST

/* --- a thread that does not end -------------------------------------------------------------- */

static struct {
    pthread_key_t key;
    atomic_int lives;
} lingering;

static bool lives_again(void *arg)
{
    (void)arg;
    return atomic_load(&lingering.lives) > 1;
}

/* What the thread does after its last word takes longer than it is waited for. */
static void linger(void *arg)
{
    (void)arg;
    (void)harness_wait(lives_again, NULL, 8000);
}

static int fail_once(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    if (atomic_fetch_add(&lingering.lives, 1) > 0) {
        (void)srun_sleep_ms(ctx, -1);
        return 0;
    }
    while (srun_runner_state(srun_context_runner(ctx), "db") != SRUN_RUNNING)
        (void)usleep(50); /* one that never was is not restarted */
    (void)pthread_setspecific(lingering.key, &lingering);
    return -EIO;
}

static void restart_beside_a_thread_that_lingers(void)
{
    const struct srun_service_ops ops = {.size = sizeof ops, .run = fail_once};
    struct stage own;
    ck_assert_int_eq(pthread_key_create(&lingering.key, linger), 0);
    stage_open(&own, NULL);
    ck_assert_int_eq(srun_runner_add(own.runner, "db", &ops, NULL,
                                     SRUN_OPTIONS(.restart = {.when = SRUN_RESTART_ON_FAILURE,
                                                              .backoff_min_ms = 1,
                                                              .backoff_max_ms = 1}),
                                     NULL),
                     0);
    stage_start(&own);
    stage_pass_time(&own, lives_again, NULL);
    assert_logged(&own, "its thread does not end");
    stage_terminate(&own);
    ck_assert_int_eq(stage_finish(&own), 4);
}

START_TEST(gives_each_life_a_thread_though_that_of_the_one_before_does_not_end)
    {
        in_a_process_of_its_own(restart_beside_a_thread_that_lingers);
    }
END_TEST

int main(void)
{
    return HARNESS("threads", answers_any_thread_while_services_are_added,
                   starts_no_thread_with_a_stack_that_cannot_be,
                   gives_each_life_a_thread_though_that_of_the_one_before_does_not_end);
}
