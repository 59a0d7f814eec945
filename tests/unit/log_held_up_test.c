/* SPDX-License-Identifier: MIT
 *
 * A thread that writes a record and is held up, as by a machine that has too much to do: a signal
 * comes while it has the descriptor, and its handler takes its time.
 */
#include "base/duration.h"
#include "harness.h"
#include "log/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 30
#define HELD_UP_MS 120 /* more than a record waits for room */
#define LIMIT_MS 10000 /* for six records, on a machine that is very busy */

static atomic_bool enough, may_go;
static atomic_uint struck, written; /* how often the signal has come; records of the writer */
static srun_logger *logger;
static pthread_t writer;
static char large[9000]; /* a record that takes its turn on any file */
static int fd;

static void hold_up(int signo)
{
    (void)signo;
    const struct timespec moment = {.tv_nsec = HELD_UP_MS * NS_PER_MS};
    atomic_fetch_add(&struck, 1);
    do
        (void)nanosleep(&moment, NULL);
    while (!atomic_load(&may_go));
}

static void *write_on(void *unused)
{
    while (!atomic_load(&enough)) {
        SRUN_INFO(logger, "m", SRUN_STR("s", large));
        atomic_fetch_add(&written, 1);
    }
    return unused;
}

static bool has_struck(void *before)
{
    return atomic_load(&struck) > *(unsigned *)before;
}

static bool has_written(void *before)
{
    return atomic_load(&written) > *(unsigned *)before;
}

static void begin(void)
{
    srun_err err = {0};
    struct sigaction action = {.sa_handler = hold_up, .sa_flags = SA_RESTART};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    memset(large, 'x', sizeof large - 1);
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(log_new(&logger, fd, SRUN_LOG_JSON, SRUN_LEVEL_INFO, 0, &err), 0);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_on, NULL), 0);
}

static void hold_the_writer_up(void)
{
    unsigned before = atomic_load(&struck);
    ck_assert_int_eq(pthread_kill(writer, SIGUSR1), 0);
    ck_assert(harness_wait(has_struck, &before, 10000));
}

/* Until it has given the sink back. */
static void let_the_writer_go(void)
{
    unsigned before = atomic_load(&written);
    atomic_store(&may_go, true);
    ck_assert(harness_wait(has_written, &before, 10000));
}

static void end(void)
{
    atomic_store(&enough, true);
    ck_assert_int_eq(pthread_join(writer, NULL), 0);
    srun_logger_free(logger);
    (void)close(fd);
}

START_TEST(waits_for_one_who_is_held_up_while_it_writes)
    {
        atomic_store(&may_go, true);
        begin();
        for (int i = 0; i < ROUNDS; i++) {
            hold_the_writer_up();
            SRUN_INFO(logger, "not lost", SRUN_STR("s", large));
            let_the_writer_go();
        }
        ck_assert_uint_eq(srun_logger_lost(logger), 0);
        end();
    }
END_TEST

/* Whether the signal finds it while it has the descriptor is a matter of chance. */
START_TEST(does_not_wait_again_and_again_for_one_who_never_gives_it_back)
    {
        uint64_t lost = 0;
        begin();
        for (int i = 0; i < 10 * ROUNDS && lost == 0; i++) {
            atomic_store(&may_go, false);
            hold_the_writer_up();
            int64_t before = harness_now_ms();
            SRUN_INFO(logger, "lost after a while", SRUN_STR("s", large));
            lost = srun_logger_lost(logger);
            for (int more = 0; more < 5 && lost > 0; more++)
                SRUN_INFO(logger, "lost soon", SRUN_STR("s", large));
            ck_assert_int_lt(harness_now_ms() - before, LIMIT_MS);
            ck_assert_uint_eq(srun_logger_lost(logger), lost > 0 ? 6 : 0);
            let_the_writer_go();
        }
        ck_assert_uint_eq(lost, 1);
        SRUN_INFO(logger, "not lost", SRUN_STR("s", large));
        ck_assert_uint_eq(srun_logger_lost(logger), 6);
        end();
    }
END_TEST

int main(void)
{
    return HARNESS("log_held_up", waits_for_one_who_is_held_up_while_it_writes,
                   does_not_wait_again_and_again_for_one_who_never_gives_it_back);
}
