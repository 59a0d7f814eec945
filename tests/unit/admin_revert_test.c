/* SPDX-License-Identifier: MIT
 *
 * A log level for a while comes back by itself.
 */
#include "admin/revert.h"
#include "base/clock.h"
#include "cast.h"

#include <poll.h>

struct fixture {
    struct stage stage;
    struct revert *revert;
    srun_logger *log;
};

static void open_fixture(struct fixture *fixture)
{
    stage_open(&fixture->stage, NULL);
    fixture->log = srun_runner_log(fixture->stage.runner);
    fixture->revert = revert_new();
    ck_assert_ptr_nonnull(fixture->revert);
}

static void close_fixture(struct fixture *fixture)
{
    ck_assert_ptr_null(revert_free(fixture->revert));
    stage_close(&fixture->stage);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}

START_TEST(comes_back_when_its_time_is_over)
    {
        struct fixture it;
        open_fixture(&it);
        ck_assert_int_eq(revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, 100 * NS_PER_MS), 0);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_DEBUG);
        ck_assert_int_eq(revert_left_ms(it.revert, 40 * NS_PER_MS), 60);
        ck_assert_int_eq(revert_run(it.revert, it.log, 99 * NS_PER_MS), 100 * NS_PER_MS);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_DEBUG);
        ck_assert_int_eq(revert_run(it.revert, it.log, 100 * NS_PER_MS), REVERT_NEVER);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_INFO);
        ck_assert_int_eq(revert_left_ms(it.revert, 100 * NS_PER_MS), -1);
        assert_logged(&it.stage, "the log level is back");
        close_fixture(&it);
    }
END_TEST

START_TEST(of_two_changes_the_level_before_both_comes_back)
    {
        struct fixture it;
        open_fixture(&it);
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, 100);
        ck_assert_int_eq(revert_set(it.revert, it.log, SRUN_LEVEL_WARN, 200), SRUN_LEVEL_INFO);
        ck_assert_int_eq(revert_run(it.revert, it.log, 100), 200);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_WARN);
        (void)revert_run(it.revert, it.log, 200);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_INFO);
        close_fixture(&it);
    }
END_TEST

START_TEST(one_that_stays_stays_and_ends_what_was_to_come_back)
    {
        struct fixture it;
        open_fixture(&it);
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, 100);
        ck_assert_int_eq(revert_set(it.revert, it.log, SRUN_LEVEL_WARN, REVERT_NEVER),
                         SRUN_LEVEL_WARN);
        ck_assert_int_eq(revert_run(it.revert, it.log, 1000), REVERT_NEVER);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_WARN);
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, 2000);
        (void)revert_run(it.revert, it.log, 2000);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_WARN);
        close_fixture(&it);
    }
END_TEST

START_TEST(leaves_alone_what_the_program_has_set_meanwhile)
    {
        struct fixture it;
        open_fixture(&it);
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, 100);
        srun_logger_set_level(it.log, SRUN_LEVEL_ERROR);
        ck_assert_int_eq(revert_run(it.revert, it.log, 100), REVERT_NEVER);
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_ERROR);
        close_fixture(&it);
    }
END_TEST

START_TEST(setting_the_level_that_is_there_arms_nothing)
    {
        struct fixture it;
        open_fixture(&it);
        ck_assert_int_eq(revert_set(it.revert, it.log, SRUN_LEVEL_INFO, 100), SRUN_LEVEL_INFO);
        ck_assert_int_eq(revert_left_ms(it.revert, 0), -1);
        close_fixture(&it);
    }
END_TEST

START_TEST(its_timer_wakes_when_it_is_due_and_never_else)
    {
        struct fixture it;
        open_fixture(&it);
        int fd = revert_fd(it.revert);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(revert_fd(it.revert), fd);
        ck_assert(!is_readable(fd, 0));
        int64_t until = clock_real_now() + 5 * NS_PER_MS;
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, until);
        ck_assert(is_readable(fd, (int)REAL_LIMIT_MS));
        ck_assert_int_eq(revert_run(it.revert, it.log, clock_real_now()), REVERT_NEVER);
        ck_assert(!is_readable(fd, 0));
        ck_assert_int_eq(srun_logger_level(it.log), SRUN_LEVEL_INFO);
        close_fixture(&it);
    }
END_TEST

START_TEST(a_timer_made_late_knows_what_waits)
    {
        struct fixture it;
        open_fixture(&it);
        (void)revert_set(it.revert, it.log, SRUN_LEVEL_DEBUG, clock_real_now());
        ck_assert(is_readable(revert_fd(it.revert), (int)REAL_LIMIT_MS));
        close_fixture(&it);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_revert", comes_back_when_its_time_is_over,
                   of_two_changes_the_level_before_both_comes_back,
                   one_that_stays_stays_and_ends_what_was_to_come_back,
                   leaves_alone_what_the_program_has_set_meanwhile,
                   setting_the_level_that_is_there_arms_nothing,
                   its_timer_wakes_when_it_is_due_and_never_else,
                   a_timer_made_late_knows_what_waits);
}
