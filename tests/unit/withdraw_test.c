/* SPDX-License-Identifier: MIT
 *
 * A runner that is withdrawn looks not ready, so that load balancers look away, and serves on.
 */
#include "cast.h"

START_TEST(looks_not_ready_while_withdrawn_and_serves_on)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 1);
        ck_assert_int_eq(srun_runner_withdraw(stage.runner, 1, "for the night"), 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0); /* at once */
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_RUNNING);
        ck_assert_int_eq(srun_runner_withdraw(stage.runner, 0, NULL), 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 1);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 1);
        ck_assert_int_eq(srun_runner_shutdown(stage.runner, 0, NULL), 0);
        ck_assert_int_eq(stage_finish(&stage), 0);
        ck_assert_int_eq(srun_runner_withdraw(stage.runner, 1, NULL), SRUN_ESTATE);
        stage_close(&stage);
    }
END_TEST

START_TEST(honours_a_withdrawal_that_comes_before_the_start)
    {
        struct stage stage;
        struct actor db = {.name = "db"};
        stage_open(&stage, NULL);
        stage_add(&stage, &db);
        ck_assert_int_eq(srun_runner_withdraw(stage.runner, 1, NULL), 0);
        stage_start(&stage);
        stage_wait(&stage, "db", SRUN_RUNNING);
        srun_test_advance_ms(stage.test, 0);
        ck_assert_int_eq(srun_runner_is_ready(stage.runner), 0);
        stage_close(&stage);
    }
END_TEST

int main(void)
{
    return HARNESS("withdraw", looks_not_ready_while_withdrawn_and_serves_on,
                   honours_a_withdrawal_that_comes_before_the_start);
}
