/* SPDX-License-Identifier: MIT
 *
 * srun inside a GLib program, whose main loop stays the owner: the runner is one more source in it,
 * out of which come signals, upgrades (SIGHUP), and the order of services. The one service has a
 * main loop on its own thread, which ends when its turn comes; the program's tells how healthy it
 * is.
 */
#include <glib-unix.h>
#include <srun/srun.h>
#include <unistd.h>

struct app {
    srun_runner *runner;
    GMainLoop *loop;
    GMainContext *there; /* the service's loop takes its work from here */
    srun_context *ctx;   /* the service's, once it is initiated: by g_atomic_pointer */
    int64_t tick_ms;
    const char *need;
    srun_health_status told;
    unsigned count; /* the service's */
};

/* --- the service, on its thread -------------------------------------------------------------- */

static gboolean on_work(gpointer data)
{
    struct app *app = data;
    SRUN_INFO(srun_context_log(app->ctx), "tick", SRUN_UINT("count", ++app->count));
    return G_SOURCE_REMOVE;
}

static gboolean on_cancelled(gint fd, GIOCondition condition, gpointer loop)
{
    (void)fd, (void)condition;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static int counter_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    struct app *app = self;
    g_atomic_pointer_set(&app->ctx, ctx);
    return 0;
}

static int counter_run(void *self, srun_context *ctx, srun_err *err)
{
    const struct app *app = self;
    int fd = srun_cancel_fd(ctx);
    if (fd < 0)
        return srun_fail(err, fd, "cancel descriptor: %s", srun_strerror(fd));

    GMainLoop *loop = g_main_loop_new(app->there, FALSE);
    GSource *cancel = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(cancel, G_SOURCE_FUNC(on_cancelled), loop, NULL);
    g_source_attach(cancel, app->there);
    srun_ready(ctx);
    g_main_loop_run(loop);
    g_source_destroy(cancel);
    g_source_unref(cancel);
    g_main_loop_unref(loop);
    SRUN_INFO(srun_context_log(ctx), "counted", SRUN_UINT("count", app->count));
    return 0;
}

static const struct srun_service_ops counter_ops = {
    .size = sizeof counter_ops,
    .init = counter_init,
    .run = counter_run,
};

/* --- the program's own loop ------------------------------------------------------------------ */

static void tell_health(struct app *app, srun_context *ctx)
{
    gboolean there = *app->need == '\0' || g_file_test(app->need, G_FILE_TEST_EXISTS);
    srun_health_status now = there ? SRUN_HEALTH_HEALTHY : SRUN_HEALTH_DEGRADED;
    if (now != app->told &&
        srun_health_push(ctx, now, there ? NULL : "what it needs is not there") == 0)
        app->told = now; /* or, while it does not run yet, at the next tick */
}

/* While another generation serves, the work is not ours. */
static gboolean on_tick(gpointer data)
{
    struct app *app = data;
    srun_context *ctx = g_atomic_pointer_get(&app->ctx);
    if (ctx != NULL)
        tell_health(app, ctx);
    if (ctx == NULL || !srun_gate_open(ctx))
        return G_SOURCE_CONTINUE;
    GSource *work = g_idle_source_new();
    g_source_set_callback(work, on_work, app, NULL);
    g_source_attach(work, app->there); /* also wakes the service's loop */
    g_source_unref(work);
    return G_SOURCE_CONTINUE;
}

static gboolean on_runner(gint fd, GIOCondition condition, gpointer data)
{
    (void)fd, (void)condition;
    struct app *app = data;
    if (srun_runner_dispatch(app->runner) > 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(app->loop);
    return G_SOURCE_REMOVE;
}

static int run(struct app *app, int argc, char **argv, srun_err *err)
{
    srun_runner *runner = app->runner;
    int rc = srun_flag_duration_ms(runner, &app->tick_ms, "tick", 1000, "time between ticks", err);
    if (rc == 0)
        rc = srun_flag_string(runner, &app->need, "need", "", "a file; without it: degraded", err);
    if (rc == 0)
        rc = srun_runner_add(runner, "counter", &counter_ops, app, NULL, err);
    if (rc == 0)
        rc = srun_runner_parse(runner, argc, argv, err);
    if (rc == 0)
        rc = srun_runner_start(runner, err);
    if (rc != 0) /* SRUN_DONE: --help or --version have been answered */
        return rc == SRUN_DONE ? 0 : srun_report(err);

    g_unix_fd_add(srun_runner_fd(runner), G_IO_IN, on_runner, app);
    g_timeout_add((guint)app->tick_ms, on_tick, app);
    g_main_loop_run(app->loop);
    return srun_runner_exit_code(runner);
}

int main(int argc, char **argv)
{
    struct app app = {0};
    srun_err err = {0};
    if (srun_runner_new(&app.runner,
                        SRUN_CONFIG(.name = "embed-glib", .version = "1.0.0", .health.enabled = 1),
                        &err) < 0)
        return srun_report(&err);
    app.loop = g_main_loop_new(NULL, FALSE);
    app.there = g_main_context_new();

    int code = run(&app, argc, argv, &err);
    if (srun_runner_stuck(app.runner) > 0)
        _exit(code); /* a thread still uses what we would free */
    g_main_context_unref(app.there);
    g_main_loop_unref(app.loop);
    srun_runner_free(app.runner);
    return code;
}
