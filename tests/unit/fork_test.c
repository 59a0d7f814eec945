/* SPDX-License-Identifier: MIT
 *
 * After a fork in the program, the child has none of the runner's threads: calls there say so and
 * do nothing, and the parent's runner does not notice.
 */
#include "cast.h"
#include "fork.h"
#include "runner.h"

#include <signal.h>

static struct stage stage;
static struct actor db = {.name = "db"};

static void open_running(void)
{
    db = (struct actor){.name = "db"};
    stage_open(&stage, NULL);
    stage_add(&stage, &db);
    stage_start(&stage);
    stage_wait(&stage, "db", SRUN_RUNNING);
}

static void assert_refused(int line, int rc)
{
    if (rc != SRUN_EFORK)
        _exit(line % 256);
}

#define REFUSED(call) assert_refused(__LINE__, (call))

static void call_upgrades(srun_context *ctx)
{
    int fd;
    void *data;
    size_t size;
    char text[64];
    struct srun_upgrade_info info;
    REFUSED(srun_listen(ctx, "http", "tcp://127.0.0.1:0", &fd, NULL));
    REFUSED(srun_listen_close(ctx, "http"));
    REFUSED(srun_listen_address(ctx, 0, text, sizeof text));
    REFUSED(srun_gate_fd(ctx, 0));
    REFUSED(srun_accept(ctx, 0, NULL, NULL));
    REFUSED(srun_accept_now(ctx, 0, NULL, NULL));
    REFUSED(srun_drain_fd(ctx));
    REFUSED(srun_upgrade_keep(stage.runner, "kept", 0, NULL));
    REFUSED(srun_upgrade_keep_state(stage.runner, "kept", "", 0, NULL));
    REFUSED(srun_upgrade_forget(stage.runner, "kept"));
    REFUSED(srun_upgrade_take(stage.runner, "kept", &fd, NULL));
    REFUSED(srun_upgrade_take_state(stage.runner, "kept", &data, &size, NULL));
    REFUSED(srun_upgrade_request(stage.runner, NULL, -1, NULL));
    srun_upgrade_info(stage.runner, &info);
    if (srun_gate_open(ctx) || srun_draining(ctx) || info.generation != 0)
        _exit(254);
}

static void call_everything(void)
{
    srun_context *ctx = atomic_load(&db.ctx);
    REFUSED(srun_ready(ctx));
    REFUSED(srun_extend_ms(ctx, 1000));
    REFUSED(srun_sleep_ms(ctx, -1));
    REFUSED(srun_cancel_fd(ctx));
    REFUSED(srun_runner_shutdown(stage.runner, 0, "from a child"));
    REFUSED(srun_runner_dispatch(stage.runner));
    REFUSED(srun_runner_fd(stage.runner));
    REFUSED(srun_runner_start(stage.runner, NULL));
    REFUSED(srun_runner_state(stage.runner, "db"));
    REFUSED(srun_serve(stage.runner, "late", actor_run, NULL, NULL));
    const struct srun_service_ops ops = actor_ops(&db);
    REFUSED(srun_runner_add(stage.runner, "late", &ops, NULL, NULL, NULL));
    REFUSED(srun_runner_parse(stage.runner, 0, NULL, NULL));
    REFUSED(srun_runner_listen(stage.runner, on_transition, NULL, NULL));
    REFUSED(srun_runner_withdraw(stage.runner, 1, NULL));
    REFUSED(srun_runner_exit_code(stage.runner));
    call_upgrades(ctx);
    srun_cause cause;
    srun_runner_cause(stage.runner, &cause);
    srun_heartbeat(ctx);
    if (srun_runner_services(stage.runner, NULL, 0) != 0 || srun_runner_is_ready(stage.runner) ||
        srun_runner_stuck(stage.runner) != 0 || cause.kind != SRUN_CAUSE_NONE ||
        srun_runner_free(stage.runner) != NULL)
        _exit(255);
}

START_TEST(refuses_every_call_in_a_child_and_leaves_the_parent_alone)
    {
        open_running();
        in_a_process_of_its_own(call_everything);
        ck_assert_int_eq(srun_runner_state(stage.runner, "db"), SRUN_RUNNING);
        ck_assert(!srun_cancelled(atomic_load(&db.ctx)));
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

static void run_another(void)
{
    struct stage own;
    struct actor job = {.name = "job", .run = FINISHES};
    stage_open(&own, NULL);
    stage_add(&own, &job);
    stage_start(&own);
    ck_assert_int_eq(stage_finish(&own), 0);
    stage_close(&own);
}

static void ask_with_the_locks_held(void)
{
    srun_cause cause;
    (void)srun_runner_exit_code(stage.runner);
    (void)srun_runner_stuck(stage.runner);
    srun_runner_cause(stage.runner, &cause);
}

/* The thread that held the lock when the process forked is not there to give it back. */
START_TEST(waits_for_no_lock_in_a_child)
    {
        open_running();
        pthread_mutex_lock(&stage.runner->lock);
        in_a_process_of_its_own(ask_with_the_locks_held);
        pthread_mutex_unlock(&stage.runner->lock);
        stage_terminate(&stage);
        ck_assert_int_eq(stage_finish(&stage), 0);
        stage_close(&stage);
    }
END_TEST

START_TEST(lets_a_child_make_a_runner_of_its_own)
    {
        open_running();
#ifndef __SANITIZE_THREAD__ /* it lets no forked child start threads */
        in_a_process_of_its_own(run_another);
#else
        (void)run_another;
#endif
        stage_close(&stage);
    }
END_TEST

static unsigned stamp_of_the_parent;

static void compare_stamps(void)
{
    if (!forked_since(stamp_of_the_parent) || forked_since(fork_stamp()))
        _exit(1);
    unsigned own = fork_stamp();
    pid_t grandchild = fork();
    if (grandchild == 0)
        _exit(forked_since(own) && forked_since(stamp_of_the_parent) ? 0 : 1);
    int status = 1;
    if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
        _exit(2);
}

START_TEST(tells_a_child_and_a_grandchild_from_their_ancestors)
    {
        stamp_of_the_parent = fork_stamp();
        ck_assert(!forked_since(stamp_of_the_parent));
        in_a_process_of_its_own(compare_stamps);
        ck_assert(!forked_since(stamp_of_the_parent));
    }
END_TEST

int main(void)
{
    return HARNESS("fork", refuses_every_call_in_a_child_and_leaves_the_parent_alone,
                   waits_for_no_lock_in_a_child, lets_a_child_make_a_runner_of_its_own,
                   tells_a_child_and_a_grandchild_from_their_ancestors);
}
