/* SPDX-License-Identifier: MIT
 *
 * The program that is upgraded again and again by the suites upgrade_*: it answers HTTP requests,
 * and what else it does its flags say.
 */
#include "answer.h"
#include "ballast.h"
#include "busy.h"
#include "leaky.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct app {
    int argc;
    char **argv;
    unsigned long long mask; /* at the start of main */
    unsigned generation;
    bool leaky;
    int64_t leaks;
    struct answer answer;
    struct busy busy;
    struct ballast ballast;
    srun_runner *runner;
};

static int set_text(char *out, size_t size, const char *value, srun_err *err)
{
    if (strlen(value) >= size)
        return srun_fail(err, -EINVAL, "too long");
    snprintf(out, size, "%s", value);
    return 0;
}

static int set_address(void *user, const char *value, srun_err *err)
{
    struct app *app = user;
    return set_text(app->answer.address, sizeof app->answer.address, value, err);
}

static int set_child(void *user, const char *value, srun_err *err)
{
    struct app *app = user;
    return set_text(app->busy.child, sizeof app->busy.child, value, err);
}

static int add_flags(srun_runner *runner, struct app *app, srun_err *err)
{
    snprintf(app->answer.address, sizeof app->answer.address, "tcp://127.0.0.1:0");
    int rc = srun_flag_custom(runner, "address", "ADDRESS", set_address, app, "to listen", err);
    rc = rc < 0 ? rc : srun_flag_int(runner, &app->answer.sockets, "sockets", 1, "of it", err);
    rc = rc < 0 ? rc
                : srun_flag_int(runner, &app->answer.accept_from, "accept-from", 1,
                                "the first generation that accepts", err);
    rc = rc < 0 ? rc
                : srun_flag_int(runner, &app->answer.init_ms, "init-ms", 0,
                                "the start of later generations takes", err);
    rc = rc < 0 ? rc : srun_flag_int(runner, &app->leaks, "leaky", 0, "1: be careless", err);
    rc = rc < 0 ? rc : srun_flag_int(runner, &app->busy.threads, "busy", 0, "threads", err);
    rc = rc < 0 ? rc : srun_flag_custom(runner, "child", "PATH", set_child, app, "of busy", err);
    return rc < 0 ? rc
                  : srun_flag_int(runner, &app->ballast.mib, "ballast", 0, "MiB of memory", err);
}

/* Flags have their values when services start, so all are added and those not wanted do nothing. */
static int init_unless_idle(void *self, srun_context *ctx, srun_err *err);

struct optional {
    struct app *app;
    const int64_t *wanted;
    const struct srun_service_ops *ops;
    void *self;
};

static int init_unless_idle(void *self, srun_context *ctx, srun_err *err)
{
    const struct optional *optional = self;
    if (*optional->wanted == 0 || optional->ops->init == NULL)
        return 0;
    return optional->ops->init(optional->self, ctx, err);
}

static int run_unless_idle(void *self, srun_context *ctx, srun_err *err)
{
    const struct optional *optional = self;
    if (*optional->wanted != 0)
        return optional->ops->run(optional->self, ctx, err);
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, 3600000) == 0) {
    }
    return 0;
}

static const struct srun_service_ops optional_ops = {
    .size = sizeof optional_ops, .init = init_unless_idle, .run = run_unless_idle};

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static struct optional leaky, busy, ballast;
    struct app *app = user;
    struct srun_run_info info;
    char name[32];
    app->runner = runner;
    srun_runner_info(runner, &info);
    app->generation = info.generation;
    snprintf(name, sizeof name, "start.%u", info.generation);
    if (getenv("TEST_TELL") != NULL)
        leaky_tell_start(name, app->argc, app->argv);
    leaky = (struct optional){app, &app->leaks, &leaky_ops, NULL};
    busy = (struct optional){app, &app->busy.threads, &busy_ops, &app->busy};
    ballast = (struct optional){app, &app->ballast.mib, &ballast_ops, &app->ballast};
    int rc = add_flags(runner, app, err);
    rc = rc < 0 ? rc : srun_runner_add(runner, "ballast", &optional_ops, &ballast, NULL, err);
    rc = rc < 0 ? rc : srun_runner_add(runner, "busy", &optional_ops, &busy, NULL, err);
    rc = rc < 0 ? rc : srun_runner_add(runner, "leaky", &optional_ops, &leaky, NULL, err);
    return rc < 0 ? rc : srun_runner_add(runner, "answer", &answer_ops, &app->answer, NULL, err);
}

static int on_upgrade(void *user, const struct srun_upgrade_event *event, srun_err *err)
{
    struct app *app = user;
    (void)err;
    if (app->ballast.mib == 0 || app->generation != 1)
        return 0;
    int64_t longest = ballast_longest(&app->ballast);
    if (event->step == SRUN_UPGRADE_COMMITTED)
        SRUN_INFO(srun_runner_log(app->runner), "stall", SRUN_INT("ns", longest));
    return 0;
}

int main(int argc, char **argv)
{
    static struct app app;
    app.argc = argc;
    app.argv = argv;
    app.mask = leaky_mask();
    int code = srun_main(argc, argv,
                         SRUN_CONFIG(.name = "endure", .version = "1.0.0", .user = &app,
                                     .hooks.upgrade = on_upgrade),
                         setup, &app);
    if (getenv("TEST_TELL") != NULL)
        fprintf(stderr, "masks generation=%u before=%llx after=%llx\n", app.generation, app.mask,
                leaky_mask());
    return code;
}
