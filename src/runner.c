/* SPDX-License-Identifier: MIT
 *
 * A runner as an object: making, configuring, starting and freeing it, and asking it to stop.
 * Nothing here decides; freeing waits a little for threads that are on their way out.
 */
#include "runner.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/fd.h"
#include "base/stack.h"
#include "base/thread.h"
#include "capture.h"
#include "crash.h"
#include "exporting.h"
#include "fork.h"
#include "instruments.h"
#include "knobs.h"
#include "log/journal.h"
#include "log/log.h"
#include "port.h"
#include "pushing.h"
#include "telemetry/metricenv.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_WIDTH 2
#define TEST_LIMIT_MS 300000      /* for the function of --test */
#define MISSPELT_MAX 8            /* warnings; who has more has another use for the prefix */
#define LAST_WORDS (2 * NS_PER_S) /* for listeners and the like, when all has ended */

const char *srun_version(void)
{
    return SRUN_VERSION_TEXT;
}

/* --- making ---------------------------------------------------------------------------------- */

static int open_loop(srun_runner *runner, srun_err *err)
{
    int rc = inbox_init(&runner->inbox);
    rc = rc < 0 ? rc : (runner->poller = fd_poller_new());
    rc = rc < 0 ? rc : (runner->timer = fd_timer_new());
    rc = rc < 0 ? rc : fd_poller_add(runner->poller, runner->inbox.event, RUNNER_TAG_INBOX, true);
    rc = rc < 0 ? rc : fd_poller_add(runner->poller, runner->timer, RUNNER_TAG_TIMER, true);
    rc = rc < 0 ? rc : pool_new(&runner->pool, POOL_WIDTH);
    return rc < 0 ? srun_fail(err, rc, "runner: %s", srun_strerror(rc)) : 0;
}

static int open_signals(srun_runner *runner, srun_err *err)
{
    int rc = signals_hold(&runner->signals, !runner->config.value.signals.keep_sigpipe, err);
    if (rc < 0)
        return rc;
    rc = fd_poller_add(runner->poller, runner->signals.fd, RUNNER_TAG_SIGNALS, false);
    return rc < 0 ? srun_fail(err, rc, "runner: %s", srun_strerror(rc)) : 0;
}

/* Two generations may write to one place: the records of a later one say which it is. */
static int name_generation(srun_runner *runner, srun_err *err)
{
    if (runner->succession.generation == 1)
        return 0;
    srun_logger *named = NULL;
    int rc = srun_logger_with(
        &named, runner->log, SRUN_KVS(SRUN_UINT("generation", runner->succession.generation)), err);
    if (rc < 0)
        return rc;
    runner->root_log = runner->log;
    runner->log = named;
    return 0;
}

static int open_meters(srun_runner *runner, srun_err *err)
{
    const struct otelenv_source source = exporting_variables(runner);
    if (telemetry_meters_new(&runner->meters, runner->log) < 0)
        return srun_fail(err, -ENOMEM, "meters: out of memory");
    telemetry_exemplars(runner->meters, metricenv_exemplars(&source));
    return 0;
}

static int open_parts(srun_runner *runner, const struct srun_config *config, srun_err *err)
{
    int rc = config_init(&runner->config, config, err);
    if (rc < 0)
        return rc;
    const struct srun_config *value = &runner->config.value;
    if (value->debug.leaks)
        leaks_begin(&runner->leaks);
    rc = log_new(&runner->log, value->log.fd_plus_one - 1, value->log.format, value->log.level,
                 value->log.source, err);
    tracing_join_logs();
    rc = rc < 0 ? rc : flags_new(&runner->flags, err);
    rc = rc < 0 ? rc : open_loop(runner, err);
    if (rc == 0 && !value->signals.disabled && !runner->testing)
        rc = open_signals(runner, err);
    rc = rc < 0 ? rc : succession_begin(runner, err);
    rc = rc < 0 ? rc : name_generation(runner, err);
    return rc < 0 ? rc : open_meters(runner, err);
}

int runner_new(srun_runner **out, const struct srun_config *config, bool testing, srun_err *err)
{
    srun_runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL)
        return srun_fail(err, -ENOMEM, "runner: out of memory");
    runner->testing = testing;
    runner->clock.is_virtual = testing;
    runner->birth = fork_stamp();
    runner->born_wall_ms = clock_wall_ms();
    runner->poller = runner->timer = runner->inbox.event = runner->notify.fd = -1;
    runner->armed_at = runner->watch_at = runner->retry_at = SEQUENCE_NEVER;
    runner->hook.deadline = SEQUENCE_NEVER;
    (void)pthread_mutex_init(&runner->lock, NULL);
    (void)pthread_mutex_init(&runner->checkup.lock, NULL);
    (void)thread_cond_init(&runner->changed);
    int rc = open_parts(runner, config, err);
    if (rc < 0) {
        (void)srun_runner_free(runner);
        return rc;
    }
    runner->request.item.kind = ITEM_REQUEST;
    runner->withdrawal.item.kind = ITEM_WITHDRAW;
    runner->hook.item.kind = ITEM_HOOK;
    listeners_init(&runner->listeners, runner->pool);
    runner->home = (struct service_home){.runner = runner,
                                         .user = runner->config.value.user,
                                         .clock = &runner->clock,
                                         .inbox = &runner->inbox,
                                         .pool = runner->pool,
                                         .birth = runner->birth,
                                         .drain_kind = ITEM_DRAIN,
                                         .check_kind = ITEM_CHECK,
                                         .hear_kind = ITEM_HEAR};
    *out = runner;
    return 0;
}

int srun_runner_new(srun_runner **out, const struct srun_config *config, srun_err *err)
{
    return runner_new(out, config, false, err);
}

static void leave_tree(void *service)
{
    (void)service; /* the array owns it */
}

static void destroy_services(srun_runner *runner)
{
    for (unsigned i = runner->count; i > 0; i--) {
        struct service *service = runner->services[i - 1];
        if (service->ops.destroy != NULL)
            service->ops.destroy(service->self);
    }
}

static void free_services(srun_runner *runner)
{
    tdestroy(runner->by_name, leave_tree);
    for (unsigned i = runner->count; i > 0; i--)
        (void)service_free(runner->services[i - 1]);
    free(runner->services);
}

/* Logs last: what went wrong with the others is in them. False: an exporter has not returned, and
 * uses what is here. */
static bool finish_exports(srun_runner *runner)
{
    tracing_finish(runner);
    pushing_finish(runner);
    shipping_finish(runner);
    return runner->periodic == NULL;
}

/* As it is, on purpose: some thread may still use it. */
static srun_runner *leave(srun_runner *runner)
{
    (void)finish_exports(runner);
    return NULL;
}

srun_runner *srun_runner_free(srun_runner *runner)
{
    if (runner == NULL || forked_since(runner->birth))
        return NULL;
    int phase = atomic_load(&runner->phase);
    ENSURE(phase == RUNNER_ASSEMBLING || phase == RUNNER_FINISHED);
    bool asks = !pushing_close(runner); /* before those are gone whom callbacks ask */
    if (!capture_end(runner) || runner->stuck > 0)
        return leave(runner);
    runner->pool = pool_free(runner->pool, LAST_WORDS);
    runner->checkup.pool = pool_free(runner->checkup.pool, LAST_WORDS);
    if (runner->pool != NULL || runner->checkup.pool != NULL || asks ||
        !telemetry_meters_settle(runner->meters))
        return leave(runner);

    if (runner->listeners.lost > 0)
        SRUN_WARN(runner->log, "a listener was too slow",
                  SRUN_UINT("not_told_of", runner->listeners.lost));
    destroy_services(runner); /* where one may give back what it has subscribed to */
    checkup_destroy(runner);
    free_services(runner);
    port_free(runner);
    capture_free(runner);
    runner->instruments = instruments_free(runner->instruments);
    if (!finish_exports(runner))
        return NULL;
    tracing_free(runner);
    shipping_free(runner);
    if (runner->holds_stack)
        stack_release();
    if (runner->holds_crash) {
        crash_thread_leave();
        crash_release();
    }
    listeners_destroy(&runner->listeners);
    succession_destroy(runner);
    (void)sequence_free(runner->seq);
    notify_close(&runner->notify);
    signals_release(&runner->signals);
    if (runner->timer >= 0)
        (void)close(runner->timer);
    if (runner->poller >= 0)
        (void)close(runner->poller);
    inbox_destroy(&runner->inbox);
    runner->meters = telemetry_meters_free(runner->meters);
    (void)leaks_report(&runner->leaks, runner->log);
    leaks_end(&runner->leaks);
    (void)flags_free(runner->flags);
    (void)srun_logger_free(runner->log);
    (void)srun_logger_free(runner->root_log);
    config_free(&runner->config);
    (void)pthread_mutex_destroy(&runner->checkup.lock);
    (void)pthread_cond_destroy(&runner->changed);
    (void)pthread_mutex_destroy(&runner->lock);
    free(runner);
    return NULL;
}

/* --- command line, file, environment --------------------------------------------------------- */

struct flags *runner_flags(const srun_runner *runner)
{
    return runner->flags;
}

/* Before that, what little there is to say goes to the descriptor. */
static void join_journal(srun_runner *runner)
{
    const struct srun_config *value = &runner->config.value;
    const char *path = value->log.journal;
    srun_err why = {0};
    if (path == NULL &&
        journal_is_behind(value->log.fd_plus_one - 1, secure_getenv("JOURNAL_STREAM")))
        path = JOURNAL_SOCKET;
    if (path == NULL || strcmp(path, "none") == 0)
        return;
    int fd = log_join_journal(runner->log, path, value->name, &why);
    if (fd >= 0)
        leaks_allow(&runner->leaks, fd);
    else
        SRUN_WARN(runner->log, "the journal gets lines, not entries", SRUN_STR("why", why.text));
}

/* Other tools may use the prefix, so that this is no error. */
static void tell_misspelt(const srun_runner *runner)
{
    char name[CONFIG_VARIABLE_MAX];
    const struct knob *meant;
    size_t at = 0;
    for (int left = MISSPELT_MAX; left > 0 && (meant = config_misspelt(environ, &at, name)) != NULL;
         left--)
        if (secure_getenv(name) != NULL) /* else none of them counts */
            SRUN_WARN(runner->log, "no such variable", SRUN_STR("name", name),
                      SRUN_STR("did_you_mean", meant->variable));
}

static int parse(srun_runner *runner, int argc, char **argv, srun_err *err)
{
    const struct srun_config *value = &runner->config.value;
    const struct flags_program program = {
        .name = value->name, .version = value->version, .has_test = value->hooks.test != NULL};
    int rc = flags_parse(runner->flags, argc, argv, &program, err);
    if (rc != 0)
        return rc;
    rc = config_load(&runner->config, flags_config_path(runner->flags), secure_getenv, err);
    if (rc < 0)
        return rc;
    log_configure(runner->log, value->log.format, value->log.level);
    join_journal(runner);
    tell_misspelt(runner);
    if (value->upgrade.anchor != 0 && runner->succession.anchor.pid == 0)
        SRUN_WARN(runner->log, "there is no anchor",
                  SRUN_STR("hint", "srun_main makes it, told by the program or by SRUN_ANCHOR"));
    if (value->debug.leaks && !runner->leaks.wanted)
        leaks_begin(&runner->leaks);
    return 0;
}

int srun_runner_parse(srun_runner *runner, int argc, char **argv, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "parse: %s", srun_strerror(SRUN_EFORK));
    if (!flags_parsed(runner->flags)) {
        if (argc == 0) {
            argc = runner->argc;
            argv = runner->argv;
        }
        runner->parse_result = parse(runner, argc, argv, &runner->parse_err);
    }
    if (runner->parse_result < 0 && err != NULL)
        *err = runner->parse_err;
    return runner->parse_result;
}

/* --- starting -------------------------------------------------------------------------------- */

static int64_t ms_or(int64_t ms, int64_t fallback_ms)
{
    int64_t chosen = ms > 0 ? ms : fallback_ms;
    return chosen > INT64_MAX / NS_PER_MS ? INT64_MAX / 2 : chosen * NS_PER_MS;
}

static struct sequence_service describe(const srun_runner *runner, const struct service *service)
{
    const struct srun_service_options *options = &service->options;
    const struct srun_config *config = &runner->config.value;
    return (struct sequence_service){
        .has_init = service->ops.init != NULL,
        .has_run = service->ops.run != NULL,
        .has_ready = service->ops.ready != NULL,
        .has_stop = service_has_stop(service),
        .has_gate = runner->checkup.board != NULL && service->ops.health != NULL &&
                    options->health.optional == 0,
        .ready_on_entry = service->ready_on_entry,
        .auxiliary = options->auxiliary != 0,
        .unit = service->unit,
        .init_ns = ms_or(options->init_ms, config->timeouts.init_ms),
        .ready_ns = ms_or(options->ready_ms, config->timeouts.ready_ms),
        .stop_ns = ms_or(options->stop_ms, config->timeouts.stop_ms),
        .restart = {.when = options->restart.when,
                    .backoff_min_ns = ms_or(options->restart.backoff_min_ms, 100),
                    .backoff_max_ns = ms_or(options->restart.backoff_max_ms, 30000),
                    .window_ns = ms_or(options->restart.window_ms, 60000),
                    .limit = options->restart.limit > 0 ? options->restart.limit : 5},
    };
}

/* How many calls may be in flight on the pool together, so that a slow one keeps nobody waiting: a
 * whole group stops at once, while its ready may not have returned; services that restart do so
 * beside it; on_drain, which has no limit, may be with all services when the first is to stop;
 * listeners take a thread. */
static unsigned calls_at_once(const srun_runner *runner, const struct sequence_service *list)
{
    unsigned together = 0, widest = POOL_WIDTH, beside = 0;
    for (unsigned i = 0; i < runner->active_count; i++) {
        unsigned calls = (unsigned)list[i].has_ready + (unsigned)list[i].has_stop;
        together = i > 0 && list[i].unit == list[i - 1].unit ? together + calls : calls;
        widest = together > widest ? together : widest;
        beside += list[i].restart.when != SRUN_RESTART_NEVER ? calls : 0;
        beside += runner->active[i]->ops.on_drain != NULL;
    }
    return widest + beside + (runner->listeners.count > 0) +
           2 /* upgrades: their hooks, and the new process; the service manager */;
}

static int make_sequence(srun_runner *runner)
{
    const struct srun_config *config = &runner->config.value;
    auto_free struct sequence_service *list = calloc(runner->active_count + 1, sizeof list[0]);
    if (list == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < runner->active_count; i++)
        list[i] = describe(runner, runner->active[i]);
    pool_widen(runner->pool, calls_at_once(runner, list));
    const struct sequence_limits limits = {
        .graceful_ns = ms_or(config->timeouts.graceful_ms, 300000),
        .deadline_ns = ms_or(config->timeouts.deadline_ms, 0),
        .drain_ns = ms_or(config->timeouts.drain_ms, 0),
        .stuck_grace_ns = ms_or(config->timeouts.stuck_grace_ms, 1000),
        .seed = (uint64_t)clock_real_now(),
    };
    (void)sequence_free(runner->seq); /* of a start that failed later on */
    runner->seq = sequence_new(list, runner->active_count, &limits);
    return runner->seq == NULL ? -ENOMEM : 0;
}

/* --test: the test function takes the place of the services. It is the run of a service that is
 * ready when it has returned 0. */
static int use_test_function(srun_runner *runner, srun_err *err)
{
    const struct srun_service_ops ops = {.size = sizeof ops,
                                         .run = runner->config.value.hooks.test};
    const struct srun_service_options options = {.size = sizeof options, .ready_ms = TEST_LIMIT_MS};
    const struct service *made = runner_find(runner, "(test)"); /* by a start that failed? */
    int rc =
        made != NULL && made->ops.run == ops.run
            ? 0
            : runner_add(runner, "(test)", &ops, runner->config.value.user, &options, false, err);
    if (rc < 0)
        return rc;
    runner->active = &runner->services[runner->count - 1];
    runner->active_count = 1;
    runner->active[0]->id = 0;
    return 0;
}

static int prepare(srun_runner *runner, srun_err *err)
{
    int rc = flags_test(runner->flags) ? 0 : port_prepare(runner, err);
    runner->active = runner->services;
    runner->active_count = runner->count;
    if (rc == 0 && flags_test(runner->flags))
        rc = use_test_function(runner, err);
    if (rc < 0)
        return rc;
    rc = checkup_prepare(runner, err);
    if (rc < 0)
        return rc;
    rc = runner->instruments != NULL ? 0 : instruments_new(&runner->instruments, runner);
    if (rc < 0)
        return srun_fail(err, rc, "metrics: %s", srun_strerror(rc));
    rc = make_sequence(runner);
    rc = rc < 0 ? rc : listeners_prepare(&runner->listeners, runner->active_count);
    return rc < 0 ? srun_fail(err, rc, "start: %s", srun_strerror(rc)) : 0;
}

/* What holds for the whole process: counted, given back by srun_runner_free. */
static void acquire_process(srun_runner *runner)
{
    const struct srun_config *config = &runner->config.value;
    stack_acquire();
    runner->holds_stack = true;
    if (!config->crash.disabled) {
        crash_acquire(config->name, config->crash.file);
        crash_thread_enter();
        runner->holds_crash = true;
    }
    int rc = runner->testing ? 0 : notify_open(&runner->notify, secure_getenv);
    if (rc < 0)
        SRUN_WARN(
            runner->log, "the service manager is not told",
            SRUN_STR("why", rc == -EINVAL ? "NOTIFY_SOCKET is no address" : srun_strerror(rc)));
    if (runner->count == runner->organs)
        SRUN_WARN(runner->log, "no service was added");
}

int srun_runner_start(srun_runner *runner, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "start: %s", srun_strerror(SRUN_EFORK));
    if (atomic_load(&runner->phase) != RUNNER_ASSEMBLING)
        return srun_fail(err, SRUN_ESTATE, "start: the runner was started before");
    int rc = srun_runner_parse(runner, 0, NULL, err);
    if (rc != 0)
        return rc;
    rc = prepare(runner, err);
    rc = rc < 0 ? rc : tracing_start(runner, err);
    rc = rc < 0 ? rc : shipping_start(runner, err);
    rc = rc < 0 ? rc : pushing_start(runner, err);
    if (rc < 0)
        return rc;
    capture_start(runner);
    acquire_process(runner);
    succession_start(runner);
    control_start(runner);
    return 0;
}

int srun_runner_fd(const srun_runner *runner)
{
    return forked_since(runner->birth) ? SRUN_EFORK : runner->poller;
}

int srun_runner_dispatch(srun_runner *runner)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    int phase = atomic_load(&runner->phase);
    if (phase == RUNNER_ASSEMBLING)
        return SRUN_ESTATE;
    return phase == RUNNER_FINISHED ? 0 : control_turn(runner, 0);
}

int srun_runner_shutdown(srun_runner *runner, int code, const char *why)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    if (atomic_load(&runner->phase) == RUNNER_FINISHED)
        return SRUN_ESTATE;
    pthread_mutex_lock(&runner->lock);
    bool first = !runner->request.posted;
    if (first || code < runner->request.code) { /* of several at once, the worst is told */
        runner->request.code = code;
        (void)snprintf(runner->request.why, sizeof runner->request.why, "%s",
                       why != NULL ? why : "asked to stop");
    }
    runner->request.posted = true;
    pthread_mutex_unlock(&runner->lock);
    if (first)
        inbox_post(&runner->inbox, &runner->request.item);
    return 0;
}

int srun_runner_withdraw(srun_runner *runner, int on, const char *why)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    if (atomic_load(&runner->phase) == RUNNER_FINISHED)
        return SRUN_ESTATE;
    pthread_mutex_lock(&runner->lock);
    bool first = !runner->withdrawal.posted;
    runner->withdrawal.posted = true;
    runner->withdrawn = on != 0; /* of several at once, the last one counts */
    (void)snprintf(runner->withdrawal.why, sizeof runner->withdrawal.why, "%s",
                   why != NULL ? why : "asked for");
    pthread_mutex_unlock(&runner->lock);
    if (first)
        inbox_post(&runner->inbox, &runner->withdrawal.item);
    return 0;
}
