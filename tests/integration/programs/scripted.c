/* SPDX-License-Identifier: MIT
 *
 * A program whose services are described on its command line, so that a test is one line:
 *
 *     scripted --service="db init=sleep:10ms run=ready,block stop=fail:disk_full" \
 *              --service="http run=block ready=if:file restart=on-failure limit=2"
 *
 * The first word is the name, then come the verbs, whose steps are in steps.c, and the options:
 * init-ms ready-ms stop-ms heartbeat (durations) group depends auxiliary=1
 * restart=on-failure|always backoff window (durations) limit. A verb that is not named is NULL.
 *
 * --register=STEP: what setup does before it adds services: `signal` waits for a signal.
 * --listen: each transition is logged by a listener. --wrong=late-add: see late_add.
 * In the environment, because it is wanted before flags are read: SCRIPT_TEST, the steps of the
 * test function; SCRIPT_UPGRADE=0, upgrade.disabled; SCRIPT_DRIVE=raise, no srun_main but the calls
 * it makes, and a SIGTERM as soon as there is a runner.
 */
#include "steps.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum verb { INIT, RUN, READY, STOP, VERBS };
static const char *const verb_names[VERBS] = {"init", "run", "ready", "stop"};

struct service {
    char *name;
    const char *steps[VERBS]; /* NULL = no such verb */
    int calls[VERBS];
    const char *depends[2];
    struct srun_service_options options;
    struct service *next;
};

static struct {
    struct service *first, **last;
    const char *at_registration, *wrong;
    int listen;
} script = {.last = &script.first};

/* --- verbs ----------------------------------------------------------------------------------- */

static int call_verb(struct service *service, enum verb verb, srun_context *ctx, srun_err *err)
{
    struct call call = {
        .ctx = ctx, .verb = verb_names[verb], .number = ++service->calls[verb], .err = err};
    srun_logger *log = srun_context_log(ctx);
    if (verb != READY)
        SRUN_DEBUG(log, "enter", SRUN_STR("phase", call.verb));
    int rc = steps_do(service->steps[verb], &call);
    if (verb != READY)
        SRUN_DEBUG(log, "leave", SRUN_STR("phase", call.verb), SRUN_INT("code", rc));
    return rc;
}

static int on_init(void *self, srun_context *ctx, srun_err *err)
{
    return call_verb(self, INIT, ctx, err);
}

static int on_run(void *self, srun_context *ctx, srun_err *err)
{
    return call_verb(self, RUN, ctx, err);
}

static int on_ready(void *self, srun_context *ctx, srun_err *err)
{
    return call_verb(self, READY, ctx, err);
}

static int on_stop(void *self, srun_context *ctx, srun_err *err)
{
    return call_verb(self, STOP, ctx, err);
}

static srun_logger *program_log;

static void on_destroy(void *self)
{
    const struct service *service = self;
    SRUN_DEBUG(program_log, "destroyed", SRUN_STR("service", service->name));
}

/* --- descriptions ---------------------------------------------------------------------------- */

static int set_restart(struct srun_service_options *options, const char *value)
{
    options->restart.when =
        strcmp(value, "always") == 0 ? SRUN_RESTART_ALWAYS : SRUN_RESTART_ON_FAILURE;
    return 0;
}

static int set_option(struct service *service, const char *key, const char *value, srun_err *err)
{
    struct srun_service_options *options = &service->options;
    const struct {
        const char *key;
        int64_t *ms;
    } times[] = {{"init-ms", &options->init_ms},
                 {"ready-ms", &options->ready_ms},
                 {"stop-ms", &options->stop_ms},
                 {"heartbeat", &options->heartbeat_ms},
                 {"backoff", &options->restart.backoff_min_ms},
                 {"window", &options->restart.window_ms}};
    for (int verb = 0; verb < VERBS; verb++)
        if (strcmp(key, verb_names[verb]) == 0) {
            service->steps[verb] = value;
            return 0;
        }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (strcmp(key, times[i].key) == 0) {
            *times[i].ms = steps_ms(value);
            return 0;
        }
    if (strcmp(key, "group") == 0)
        options->group = value;
    else if (strcmp(key, "auxiliary") == 0)
        options->auxiliary = atoi(value);
    else if (strcmp(key, "limit") == 0)
        options->restart.limit = (unsigned)atoi(value);
    else if (strcmp(key, "depends") == 0)
        service->depends[0] = value;
    else if (strcmp(key, "restart") == 0)
        return set_restart(options, value);
    else
        return srun_fail(err, -EINVAL, "no such key: %s", key);
    return 0;
}

/* --service="NAME KEY=VALUE ..." */
static int add_description(void *user, const char *text, srun_err *err)
{
    (void)user;
    struct service *service = calloc(1, sizeof *service);
    service->name = strdup(text);
    service->options.size = sizeof service->options;
    *script.last = service;
    script.last = &service->next;
    char *at = NULL, *word = strtok_r(service->name, " ", &at);
    while ((word = strtok_r(NULL, " ", &at)) != NULL) {
        char *value = strchr(word, '=');
        if (value == NULL)
            return srun_fail(err, -EINVAL, "no value: %s", word);
        *value++ = '\0';
        int rc = set_option(service, word, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void free_descriptions(void)
{
    while (script.first != NULL) {
        struct service *service = script.first;
        script.first = service->next;
        free(service->name);
        free(service);
    }
}

static int add_service(srun_runner *runner, struct service *service, srun_err *err)
{
    const struct srun_service_ops ops = {
        .size = sizeof ops,
        .init = service->steps[INIT] != NULL ? on_init : NULL,
        .run = service->steps[RUN] != NULL ? on_run : NULL,
        .ready = service->steps[READY] != NULL ? on_ready : NULL,
        .stop = service->steps[STOP] != NULL ? on_stop : NULL,
        .destroy = on_destroy,
    };
    if (service->depends[0] != NULL)
        service->options.depends = service->depends;
    return srun_runner_add(runner, service->name, &ops, service, &service->options, err);
}

/* --- the program ----------------------------------------------------------------------------- */

static void on_transition(void *user, const struct srun_transition *what)
{
    SRUN_INFO(srun_runner_log(user), "transition", SRUN_STR("service", what->service),
              SRUN_STR("from", srun_state_name(what->from)),
              SRUN_STR("to", srun_state_name(what->to)));
}

static void on_exited(void *user, const srun_cause *cause, int exit_code)
{
    (void)user;
    SRUN_INFO(program_log, "exit hook", SRUN_STR("cause", srun_cause_name(cause->kind)),
              SRUN_INT("exit_code", exit_code), SRUN_STR("text", cause->text),
              SRUN_STR("service", cause->service), SRUN_STR("phase", cause->phase));
}

static int on_test(void *user, srun_context *ctx, srun_err *err)
{
    (void)user;
    struct call call = {.ctx = ctx, .verb = "test", .number = 1, .err = err};
    SRUN_INFO(srun_context_log(ctx), "enter", SRUN_STR("phase", "test"));
    return steps_do(getenv("SCRIPT_TEST"), &call);
}

/* The runner holds them back, so they are pending. */
static void wait_for_signal(void)
{
    sigset_t pending;
    const struct timespec moment = {.tv_nsec = 5000000};
    do {
        (void)nanosleep(&moment, NULL);
        (void)sigpending(&pending);
    } while (!sigismember(&pending, SIGTERM) && !sigismember(&pending, SIGINT) &&
             !sigismember(&pending, SIGQUIT));
}

/* What may only be done before the start, done by a running service: each must be refused. */
static int late_add(void *self, srun_context *ctx, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = on_run};
    srun_runner *runner = srun_context_runner(ctx);
    int added = srun_runner_add(runner, "late", &ops, NULL, NULL, err);
    int listened = srun_runner_listen(runner, on_transition, runner, NULL);
    int started = srun_runner_start(runner, NULL);
    int flag = srun_flag_bool(runner, &script.listen, "late", 0, "", NULL);
    SRUN_INFO(srun_context_log(ctx), "too late", SRUN_INT("add", added),
              SRUN_STR("text", err->text), SRUN_INT("listen", listened), SRUN_INT("start", started),
              SRUN_INT("flag", flag));
    (void)self;
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)user;
    program_log = srun_runner_log(runner);
    int rc = srun_flag_custom(runner, "service", "TEXT", add_description, NULL,
                              "a service: its name, verbs and options", err);
    rc = rc < 0 ? rc
                : srun_flag_string(runner, &script.at_registration, "register", "",
                                   "what setup does: signal", err);
    rc = rc < 0 ? rc
                : srun_flag_string(runner, &script.wrong, "wrong", "", "a misuse: late-add", err);
    rc = rc < 0 ? rc
                : srun_flag_bool(runner, &script.listen, "listen", 0, "log what listeners are told",
                                 err);
    rc = rc < 0 ? rc : srun_runner_parse(runner, 0, NULL, err);
    if (rc != 0)
        return rc;
    SRUN_INFO(program_log, "registering");
    if (strcmp(script.at_registration, "signal") == 0)
        wait_for_signal();
    if (script.listen)
        rc = srun_runner_listen(runner, on_transition, runner, err);
    for (struct service *service = script.first; service != NULL && rc == 0;
         service = service->next)
        rc = add_service(runner, service, err);
    if (rc == 0 && strcmp(script.wrong, "late-add") == 0)
        rc = srun_serve(runner, "late-adder", late_add, NULL, err);
    return rc;
}

static const struct srun_service_ops steady = {.size = sizeof steady, .run = on_run};

/* As srun_main does, with a signal that comes before the start. */
static int drive(const struct srun_config *config)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    static char name[] = "scripted", *argv[] = {name, NULL};
    struct service *service = calloc(1, sizeof *service);
    service->steps[RUN] = "ready,block";
    int rc = srun_runner_new(&runner, config, &err);
    if (rc == 0)
        (void)kill(getpid(), SIGTERM);
    program_log = srun_runner_log(runner);
    rc = rc < 0 ? rc : srun_runner_parse(runner, 1, argv, &err);
    rc = rc < 0 ? rc : srun_runner_add(runner, "steady", &steady, service, NULL, &err);
    rc = rc < 0 ? srun_report(&err) : srun_runner_run(runner);
    (void)srun_runner_free(runner);
    free(service);
    return rc;
}

int main(int argc, char **argv)
{
    const char *upgrade = getenv("SCRIPT_UPGRADE"), *how = getenv("SCRIPT_DRIVE");
    const struct srun_config config = {
        .size = sizeof config,
        .name = "scripted",
        .version = "7.8.9",
        .upgrade.disabled = upgrade != NULL && strcmp(upgrade, "0") == 0,
        .hooks.test = getenv("SCRIPT_TEST") != NULL ? on_test : NULL,
        .hooks.exited = on_exited,
    };
    if (how != NULL && strcmp(how, "raise") == 0)
        return drive(&config);
    int code = srun_main(argc, argv, &config, setup, NULL);
    free_descriptions();
    return code;
}
