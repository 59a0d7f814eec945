/* SPDX-License-Identifier: MIT
 *
 * The usual way to drive a runner: the calling thread becomes the control thread until the end.
 */
#include "base/fd.h"
#include "capture.h"
#include "pushing.h"
#include "runner.h"
#include "upgrade/anchor.h"

#include <srun/log.h>
#include <stdlib.h>
#include <unistd.h>

static int exit_code_of(int code)
{
    return code == SRUN_EUSAGE ? 2 : 1;
}

/* Leaves without atexit and destructors: a stuck thread may hold any lock, and uses its memory. */
static void leave_if_stuck(srun_runner *runner)
{
    unsigned stuck = srun_runner_stuck(runner);
    if (stuck == 0)
        return;
    int code = srun_runner_exit_code(runner);
    (void)capture_end(runner); /* what it is taking gets into its file */
    (void)pushing_close(runner);
    tracing_finish(runner);
    pushing_finish(runner);
    SRUN_ERROR(runner->log, "leaving with stuck threads", SRUN_UINT("stuck", stuck),
               SRUN_INT("exit_code", code));
    shipping_finish(runner);
    _exit(code);
}

int srun_runner_run(srun_runner *runner)
{
    srun_err err = {0};
    int rc = srun_runner_start(runner, &err);
    if (rc < 0) {
        (void)srun_report(&err);
        return exit_code_of(rc);
    }
    if (rc == SRUN_DONE)
        return 0;
    while (control_turn(runner, -1) > 0)
        ;
    leave_if_stuck(runner);
    return srun_runner_exit_code(runner);
}

static int run_with(srun_runner *runner, srun_setup *setup, void *user)
{
    srun_err err = {0};
    int rc = setup != NULL ? setup(runner, user, &err) : 0;
    if (rc == SRUN_DONE)
        return 0;
    if (rc < 0) {
        if (err.text[0] == '\0')
            (void)srun_fail(&err, rc, "setup: %s", srun_strerror(rc));
        (void)srun_report(&err);
        return exit_code_of(rc);
    }
    return srun_runner_run(runner);
}

/* Default, code and environment: the file is read when it is too late, by a runner. What is wrong
 * with them the runner says. */
static bool wants_anchor(const struct srun_config *code)
{
    struct config config;
    if (config_init(&config, code, NULL) < 0)
        return false;
    bool wanted =
        config_load(&config, NULL, secure_getenv, NULL) == 0 && config.value.upgrade.anchor != 0;
    config_free(&config);
    return wanted;
}

static int become_anchor(void)
{
    srun_err err = {0};
    int code = anchor_run(&err);
    if (code >= 0)
        return code;
    (void)srun_report(&err);
    return exit_code_of(code);
}

int srun_main(int argc, char **argv, const struct srun_config *config, srun_setup *setup,
              void *user)
{
    srun_err err = {0};
    srun_runner *runner = NULL;
    fd_hold_standard();
    if (wants_anchor(config) && anchor_is_due())
        return become_anchor();
    int rc = srun_runner_new(&runner, config, &err);
    if (rc < 0) {
        (void)srun_report(&err);
        return exit_code_of(rc);
    }
    runner->argc = argc;
    runner->argv = argv;
    if (user != NULL)
        runner->home.user = runner->config.value.user = user;
    int code = run_with(runner, setup, user);
    runner->signals.last = true;
    (void)srun_runner_free(runner);
    return code;
}
