/* SPDX-License-Identifier: MIT
 *
 * What those who watch hear when many change at once, in real time and on threads of their own: of
 * each service in the order of its changes, the last of them without fail, then that it has
 * stopped, then that nothing more will come. Some wait, some poll, some are slow; who is woken too
 * seldom hangs here. For the thread sanitizer too. Every order of single steps:
 * tests/model/mailbox.c.
 */
#include "clinic.h"

#include <semaphore.h>
#include <srun/runner.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHANGES = 2000 };
#else
enum { CHANGES = 20000 };
#endif
enum { WRITERS = 4, READERS = 6, KINDS = 3 };

struct ward;

struct writer {
    struct ward *ward;
    char name[8];
    srun_context *_Atomic ctx;
    pthread_t thread;
};

struct reader {
    struct ward *ward;
    unsigned number;
    pthread_t thread;
    unsigned long last[WRITERS];
    unsigned well; /* how many have come to their last push */
    bool stopped[WRITERS];
};

/* The owner of all watches begins first and stops last; between waits until all have read. */
struct ward {
    srun_runner *runner;
    pthread_t control;
    int exit_code;
    srun_context *_Atomic owner;
    struct writer writers[WRITERS];
    struct reader readers[READERS];
    sem_t subscribed, caught_up, readers_done;
};

static int keep_context(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    atomic_store((srun_context * _Atomic *)self, ctx);
    return 0;
}

static int owner_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static int writer_init(void *self, srun_context *ctx, srun_err *err)
{
    return keep_context(&((struct writer *)self)->ctx, ctx, err);
}

static void wait_times(sem_t *semaphore, int times, int64_t limit_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    for (int i = 0; i < times; i++)
        if (sem_clockwait(semaphore, CLOCK_MONOTONIC, &until) != 0)
            ck_abort_msg("waits for ever: %d of %d", i, times);
}

static int between_stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    wait_times(&((struct ward *)self)->readers_done, READERS, REAL_LIMIT_MS);
    return 0;
}

/* Each push is a change: bad and less bad by turns, with a number; and well at last. */
static void *write_all(void *arg)
{
    struct writer *writer = arg;
    char note[16];
    wait_times(&writer->ward->subscribed, READERS, REAL_LIMIT_MS);
    srun_context *ctx = atomic_load(&writer->ctx);
    for (unsigned i = 1; i <= CHANGES; i++) {
        (void)snprintf(note, sizeof note, "%u", i);
        srun_health_status status = i == CHANGES ? SRUN_HEALTH_HEALTHY
                                    : i % 2 == 0 ? SRUN_HEALTH_DEGRADED
                                                 : SRUN_HEALTH_UNHEALTHY;
        if (srun_health_push(ctx, status, note) != 0)
            ck_abort_msg("a push was refused");
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void hear(struct reader *reader, const struct srun_health *health)
{
    unsigned writer = (unsigned)(health->service[1] - '0');
    if (health->service[0] != 'w' || writer >= WRITERS)
        ck_abort_msg("%s is not watched", health->service);
    if (reader->stopped[writer])
        ck_abort_msg("%s has stopped, and is heard of", health->service);
    if (health->status == SRUN_HEALTH_STOPPED) {
        reader->stopped[writer] = true;
        return;
    }
    unsigned long number = strtoul(health->note, NULL, 10);
    if (number < reader->last[writer])
        ck_abort_msg("%s: %lu after %lu", health->service, number, reader->last[writer]);
    if ((number == CHANGES) != (health->status == SRUN_HEALTH_HEALTHY))
        ck_abort_msg("%s is %s at %lu", health->service, srun_health_status_name(health->status),
                     number);
    if (number == CHANGES && reader->last[writer] < CHANGES && ++reader->well == WRITERS)
        (void)sem_post(&reader->ward->caught_up);
    reader->last[writer] = number;
}

/* Waits for the next in one of three ways; what srun_health_next answers. */
static int next(const struct reader *reader, srun_health_watch *watch, struct srun_health *health)
{
    struct pollfd look = {.fd = srun_health_watch_fd(watch), .events = POLLIN};
    unsigned kind = reader->number % KINDS;
    if (kind == 0)
        return srun_health_next(watch, health, REAL_LIMIT_MS);
    if (kind == 2)
        for (int i = 0; i < 20; i++) /* it is slow */
            (void)sched_yield();
    if (poll(&look, 1, REAL_LIMIT_MS) != 1)
        ck_abort_msg("is never readable");
    int rc = srun_health_next(watch, health, 0);
    return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    struct ward *ward = reader->ward;
    const char *const names[] = {"w0", "w1", "w2", "w3", NULL};
    srun_health_watch *watch = NULL;
    struct srun_health health;
    if (srun_health_subscribe(atomic_load(&ward->owner), names, &watch, NULL) != 0)
        ck_abort_msg("no subscription");
    for (unsigned i = 0; i < WRITERS; i++)
        (void)sem_post(&ward->subscribed);
    int rc;
    while ((rc = next(reader, watch, &health)) == 0 || rc == -EAGAIN)
        if (rc == 0)
            hear(reader, &health);
    if (rc != SRUN_ECLOSED)
        ck_abort_msg("ends with %d", rc);
    (void)srun_health_watch_free(watch);
    (void)sem_post(&ward->readers_done);
    return NULL;
}

static void *control(void *arg)
{
    struct ward *ward = arg;
    ward->exit_code = srun_runner_run(ward->runner);
    return NULL;
}

static void ward_open(struct ward *ward, int log)
{
    static const struct srun_service_ops owner = {.size = sizeof owner,
                                                  .init = keep_context,
                                                  .run = owner_run},
                                         between = {.size = sizeof between, .stop = between_stop},
                                         writer = {.size = sizeof writer, .init = writer_init};
    srun_err err = {0};
    int rc = srun_runner_new(
        &ward->runner,
        SRUN_CONFIG(.name = "ward", .timeouts = {.graceful_ms = 3 * REAL_LIMIT_MS},
                    .log = {.fd_plus_one = log + 1, .level = SRUN_LEVEL_ERROR},
                    .signals = {.disabled = 1}, .health = {.enabled = 1, .interval_ms = 60000}),
        &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_int_eq(srun_runner_add(ward->runner, "owner", &owner, &ward->owner, NULL, NULL), 0);
    ck_assert_int_eq(srun_runner_add(ward->runner, "between", &between, ward,
                                     SRUN_OPTIONS(.stop_ms = 2 * REAL_LIMIT_MS), NULL),
                     0);
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *it = &ward->writers[i];
        it->ward = ward;
        (void)snprintf(it->name, sizeof it->name, "w%u", i);
        ck_assert_int_eq(srun_runner_add(ward->runner, it->name, &writer, it, NULL, NULL), 0);
    }
    (void)sem_init(&ward->subscribed, 0, 0);
    (void)sem_init(&ward->caught_up, 0, 0);
    (void)sem_init(&ward->readers_done, 0, 0);
    ck_assert_int_eq(pthread_create(&ward->control, NULL, control, ward), 0);
    WAIT_FOR(srun_runner_is_ready(ward->runner));
}

START_TEST(each_who_watches_hears_each_service_in_order_to_the_last_and_then_the_end)
    {
        static struct ward ward;
        int log = memory_file();
        ward_open(&ward, log);
        for (unsigned i = 0; i < READERS; i++) {
            ward.readers[i].ward = &ward;
            ward.readers[i].number = i;
            ck_assert_int_eq(
                pthread_create(&ward.readers[i].thread, NULL, read_all, &ward.readers[i]), 0);
        }
        for (unsigned i = 0; i < WRITERS; i++)
            ck_assert_int_eq(
                pthread_create(&ward.writers[i].thread, NULL, write_all, &ward.writers[i]), 0);
        /* Nobody has lost the last change of any. They are many: a second's work, or more. */
        wait_times(&ward.caught_up, READERS, 10 * REAL_LIMIT_MS);
        for (unsigned i = 0; i < WRITERS; i++)
            ck_assert_int_eq(pthread_join(ward.writers[i].thread, NULL), 0);
        ck_assert_int_eq(srun_runner_shutdown(ward.runner, 0, "enough"), 0);
        for (unsigned i = 0; i < READERS; i++) {
            const struct reader *reader = &ward.readers[i];
            ck_assert_int_eq(pthread_join(reader->thread, NULL), 0);
            for (unsigned k = 0; k < WRITERS; k++)
                ck_assert(reader->stopped[k]);
        }
        ck_assert_int_eq(pthread_join(ward.control, NULL), 0);
        ck_assert_int_eq(ward.exit_code, 0);
        (void)srun_runner_free(ward.runner);
        (void)close(log);
    }
END_TEST

int main(void)
{
    harness_limit_ms(180000);
    return HARNESS("health_order",
                   each_who_watches_hears_each_service_in_order_to_the_last_and_then_the_end);
}
