/* SPDX-License-Identifier: MIT
 *
 * srun inside a libevent program, whose event_base stays the owner: the runner is one event in it.
 * The service greets who connects, from an event_base on its own thread. SIGHUP upgrades: the gate
 * shuts here and opens there, and nobody is refused. The main loop tells when there is much to do.
 */
#include <srun/srun.h>

#include <event2/event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct app {
    srun_runner *runner;
    struct event_base *loop, *there; /* the program's, the service's */
    const char *address;
    int64_t busy;
    srun_context *_Atomic ctx; /* of the service, once it is initiated */
    int listener;              /* the runner's */
    atomic_int greeted;        /* since the last tick */
    srun_health_status told;
};

/* --- the service, on its thread -------------------------------------------------------------- */

static void on_client(evutil_socket_t gate, short what, void *data)
{
    (void)gate, (void)what;
    struct app *app = data;
    int client = srun_accept_now(app->ctx, app->listener, NULL, NULL);
    if (client < 0)
        return; /* it has gone again */
    struct srun_run_info info;
    srun_runner_info(app->runner, &info);
    char line[64];
    int size = snprintf(line, sizeof line, "welcome to generation %u\n", info.generation);
    if (send(client, line, (size_t)size, MSG_NOSIGNAL) == size)
        atomic_fetch_add(&app->greeted, 1);
    close(client);
}

static void on_cancelled(evutil_socket_t fd, short what, void *base)
{
    (void)fd, (void)what;
    event_base_loopbreak(base);
}

static int greeter_init(void *self, srun_context *ctx, srun_err *err)
{
    struct app *app = self;
    char url[128];
    snprintf(url, sizeof url, "tcp://%s", app->address);
    app->ctx = ctx;
    return srun_listen(ctx, "greeter", url, &app->listener, err);
}

static int greeter_run(void *self, srun_context *ctx, srun_err *err)
{
    struct app *app = self;
    int gate = srun_gate_fd(ctx, app->listener), cancel = srun_cancel_fd(ctx);
    if (gate < 0 || cancel < 0)
        return srun_fail(err, gate < 0 ? gate : cancel, "cannot make a descriptor to wait for");
    struct event *client = event_new(app->there, gate, EV_READ | EV_PERSIST, on_client, app);
    struct event *stop = event_new(app->there, cancel, EV_READ, on_cancelled, app->there);
    event_add(client, NULL);
    event_add(stop, NULL);
    srun_ready(ctx);
    event_base_dispatch(app->there);
    event_free(client);
    event_free(stop);
    return 0;
}

static const struct srun_service_ops greeter_ops = {
    .size = sizeof greeter_ops,
    .init = greeter_init,
    .run = greeter_run,
};

/* --- the program's own loop ------------------------------------------------------------------ */

static void on_tick(evutil_socket_t fd, short what, void *data)
{
    (void)fd, (void)what;
    struct app *app = data;
    srun_context *ctx = app->ctx;
    bool busy = atomic_exchange(&app->greeted, 0) >= app->busy;
    srun_health_status now = busy ? SRUN_HEALTH_DEGRADED : SRUN_HEALTH_HEALTHY;
    if (ctx != NULL && now != app->told &&
        srun_health_push(ctx, now, busy ? "too many at once" : NULL) == 0)
        app->told = now; /* or, while it does not run yet, at the next tick */
}

static void on_runner(evutil_socket_t fd, short what, void *data)
{
    (void)fd, (void)what;
    struct app *app = data;
    if (srun_runner_dispatch(app->runner) <= 0)
        event_base_loopbreak(app->loop);
}

static int run(struct app *app, int argc, char **argv, srun_err *err)
{
    srun_runner *runner = app->runner;
    int rc = srun_flag_string(runner, &app->address, "address", "127.0.0.1:7007", "IP:PORT", err);
    if (rc == 0)
        rc = srun_flag_int(runner, &app->busy, "busy", 1000, "so many in 100 ms: degraded", err);
    if (rc == 0)
        rc = srun_runner_add(runner, "greeter", &greeter_ops, app, NULL, err);
    if (rc == 0)
        rc = srun_runner_parse(runner, argc, argv, err);
    if (rc == 0)
        rc = srun_runner_start(runner, err);
    if (rc != 0) /* SRUN_DONE: --help or --version have been answered */
        return rc == SRUN_DONE ? 0 : srun_report(err);

    const struct timeval tenth = {.tv_usec = 100000};
    struct event *turn =
        event_new(app->loop, srun_runner_fd(runner), EV_READ | EV_PERSIST, on_runner, app);
    struct event *tick = event_new(app->loop, -1, EV_PERSIST, on_tick, app);
    event_add(turn, NULL);
    event_add(tick, &tenth);
    event_base_dispatch(app->loop);
    event_free(turn);
    event_free(tick);
    return srun_runner_exit_code(runner);
}

int main(int argc, char **argv)
{
    struct app app = {.loop = event_base_new(), .there = event_base_new()};
    srun_err err = {0};
    if (srun_runner_new(
            &app.runner,
            SRUN_CONFIG(.name = "embed-libevent", .version = "1.0.0", .health.enabled = 1),
            &err) < 0)
        return srun_report(&err);

    int code = run(&app, argc, argv, &err);
    if (srun_runner_stuck(app.runner) > 0)
        _exit(code); /* a thread still uses what we would free */
    event_base_free(app.there);
    event_base_free(app.loop);
    srun_runner_free(app.runner);
    return code;
}
