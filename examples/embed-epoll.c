/* SPDX-License-Identifier: MIT
 *
 * srun inside an event loop of your own: the runner is one descriptor in your epoll set. Here the
 * loop also has a timer, and feeds its ticks through a pipe to a service that waits in poll() for
 * the pipe and for its own cancellation.
 */
#define _GNU_SOURCE /* pipe2 */
#include <srun/srun.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct app {
    int64_t tick_ms;
    int epoll, timer, pipe[2];
};

/* The service: counts what comes through the pipe until its turn to stop comes. */
static int counter_run(void *self, srun_context *ctx, srun_err *err)
{
    const struct app *app = self;
    unsigned count = 0;
    int cancel = srun_cancel_fd(ctx);
    if (cancel < 0)
        return srun_fail(err, cancel, "cancel descriptor: %s", srun_strerror(cancel));

    srun_ready(ctx);
    while (!srun_cancelled(ctx)) {
        struct pollfd fds[] = {
            {.fd = cancel, .events = POLLIN},
            {.fd = app->pipe[0], .events = POLLIN},
        };
        char byte;
        if (poll(fds, 2, -1) > 0 && (fds[1].revents & POLLIN) != 0 &&
            read(app->pipe[0], &byte, 1) == 1)
            SRUN_INFO(srun_context_log(ctx), "tick", SRUN_UINT("count", ++count));
    }
    SRUN_INFO(srun_context_log(ctx), "counted", SRUN_UINT("count", count));
    return 0;
}

static const struct srun_service_ops counter_ops = {
    .size = sizeof counter_ops,
    .run = counter_run,
};

static int watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int loop_open(struct app *app, srun_runner *runner, srun_err *err)
{
    struct timespec tick = {app->tick_ms / 1000, app->tick_ms % 1000 * 1000000};
    app->epoll = epoll_create1(EPOLL_CLOEXEC);
    app->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (app->epoll < 0 || app->timer < 0 || pipe2(app->pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
        timerfd_settime(app->timer, 0, &(struct itimerspec){tick, tick}, NULL) < 0 ||
        watch(app->epoll, app->timer) < 0 || watch(app->epoll, srun_runner_fd(runner)) < 0)
        return srun_fail(err, -errno, "event loop: %m");
    return 0;
}

static void loop_close(struct app *app)
{
    int fds[] = {app->epoll, app->timer, app->pipe[0], app->pipe[1]};
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Our own business in the loop. A full pipe loses the tick; that is fine. */
static void on_timer(const struct app *app)
{
    uint64_t expired;
    if (read(app->timer, &expired, sizeof expired) == sizeof expired &&
        write(app->pipe[1], ".", 1) < 0)
        return;
}

/* Runs until the runner has ended; whatever else happens, it has the last word. */
static void loop_run(const struct app *app, srun_runner *runner)
{
    int alive = 1;
    while (alive > 0) {
        struct epoll_event event;
        if (epoll_wait(app->epoll, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == app->timer)
            on_timer(app);
        else
            alive = srun_runner_dispatch(runner);
    }
}

static int run(struct app *app, srun_runner *runner, int argc, char **argv, srun_err *err)
{
    int rc = srun_flag_duration_ms(runner, &app->tick_ms, "tick", 1000, "time between ticks", err);
    if (rc == 0)
        rc = srun_runner_add(runner, "counter", &counter_ops, app, NULL, err);
    if (rc == 0)
        rc = srun_runner_parse(runner, argc, argv, err);
    if (rc != 0) /* SRUN_DONE: --help or --version have been answered */
        return rc == SRUN_DONE ? 0 : srun_report(err);

    rc = loop_open(app, runner, err);
    if (rc == 0)
        rc = srun_runner_start(runner, err);
    if (rc < 0)
        return srun_report(err);
    loop_run(app, runner);
    return srun_runner_exit_code(runner);
}

int main(int argc, char **argv)
{
    struct app app = {.epoll = -1, .timer = -1, .pipe = {-1, -1}};
    srun_err err = {0};
    srun_runner *runner = NULL;
    if (srun_runner_new(&runner, SRUN_CONFIG(.name = "embed-epoll", .version = "1.0.0"), &err) < 0)
        return srun_report(&err);

    int code = run(&app, runner, argc, argv, &err);
    if (srun_runner_stuck(runner) > 0)
        _exit(code); /* a thread still uses what we would free */
    srun_runner_free(runner);
    loop_close(&app);
    return code;
}
