/* SPDX-License-Identifier: MIT
 *
 * srun inside libuv: a uv_poll_t on the runner's descriptor. The loop's own timer lives beside it;
 * when the runner has ended, both handles are closed and uv_run returns.
 */
#include <srun/srun.h>

#include <unistd.h>
#include <uv.h>

struct app {
    srun_runner *runner;
    uv_loop_t loop;
    uv_poll_t poll;
    uv_timer_t timer;
    int64_t tick_ms;
};

static int guest_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    srun_sleep_ms(ctx, -1); /* until its turn to stop comes */
    SRUN_INFO(srun_context_log(ctx), "good-bye");
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct app *app = timer->data;
    SRUN_INFO(srun_runner_log(app->runner), "tick of the loop");
}

static void on_runner(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct app *app = poll->data;
    if (srun_runner_dispatch(app->runner) > 0)
        return;
    uv_close((uv_handle_t *)&app->poll, NULL);
    uv_close((uv_handle_t *)&app->timer, NULL);
}

static int loop_open(struct app *app, srun_err *err)
{
    uint64_t tick = (uint64_t)app->tick_ms;
    int rc = uv_timer_init(&app->loop, &app->timer);
    if (rc == 0)
        rc = uv_timer_start(&app->timer, on_timer, tick, tick);
    if (rc == 0)
        rc = uv_poll_init(&app->loop, &app->poll, srun_runner_fd(app->runner));
    if (rc == 0)
        rc = uv_poll_start(&app->poll, UV_READABLE, on_runner);
    app->poll.data = app->timer.data = app;
    return rc == 0 ? 0 : srun_fail(err, rc, "libuv: %s", uv_strerror(rc));
}

static int run(struct app *app, int argc, char **argv, srun_err *err)
{
    int rc =
        srun_flag_duration_ms(app->runner, &app->tick_ms, "tick", 1000, "time between ticks", err);
    if (rc == 0)
        rc = srun_serve(app->runner, "guest", guest_run, NULL, err);
    if (rc == 0)
        rc = srun_runner_parse(app->runner, argc, argv, err);
    if (rc != 0) /* SRUN_DONE: --help or --version have been answered */
        return rc == SRUN_DONE ? 0 : srun_report(err);

    rc = loop_open(app, err);
    if (rc == 0)
        rc = srun_runner_start(app->runner, err);
    if (rc < 0)
        return srun_report(err);
    uv_run(&app->loop, UV_RUN_DEFAULT);
    return srun_runner_exit_code(app->runner);
}

int main(int argc, char **argv)
{
    struct app app = {0};
    srun_err err = {0};
    if (srun_runner_new(&app.runner, SRUN_CONFIG(.name = "embed-uv", .version = "1.0.0"), &err) < 0)
        return srun_report(&err);
    uv_loop_init(&app.loop);

    int code = run(&app, argc, argv, &err);
    if (srun_runner_stuck(app.runner) > 0)
        _exit(code); /* a thread still uses what we would free */
    uv_loop_close(&app.loop);
    srun_runner_free(app.runner);
    return code;
}
