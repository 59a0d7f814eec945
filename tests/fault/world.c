/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { NOTES_MAX = 256 };

static const char *const names[WORLD_SERVICES] = {"db", "cache", "queue", "http"};
static const unsigned units[WORLD_SERVICES] = {0, 1, 1, 2};
static unsigned numbers[WORLD_SERVICES] = {0, 1, 2, 3}; /* what self points to */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct {
    unsigned service;
    char verb; /* Initiated, Stopped, Destroyed */
} notes[NOTES_MAX];
static unsigned note_count, asked[WORLD_SERVICES], exits, transitions;
static int exit_code;

static void note(void *self, char verb)
{
    pthread_mutex_lock(&lock);
    if (note_count < NOTES_MAX) {
        notes[note_count].service = *(unsigned *)self;
        notes[note_count++].verb = verb;
    }
    pthread_mutex_unlock(&lock);
}

void world_begin(void)
{
    pthread_mutex_lock(&lock);
    note_count = exits = transitions = 0;
    exit_code = -1;
    memset(asked, 0, sizeof asked);
    pthread_mutex_unlock(&lock);
}

/* --- the services ---------------------------------------------------------------------------- */

static int init(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    note(self, 'I');
    return 0;
}

static int stop(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx, (void)err;
    note(self, 'S');
    return 0;
}

static void destroy(void *self)
{
    note(self, 'D');
}

/* Not at once, so that it is asked again. */
static int ready(void *self, srun_context *ctx, srun_err *err)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    unsigned times = ++asked[*(unsigned *)self];
    pthread_mutex_unlock(&lock);
    return times < 3 ? srun_fail(err, -EAGAIN, "not yet") : 0;
}

static int sleep_until_cancelled(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    while (srun_sleep_ms(ctx, 100000) == 0)
        srun_heartbeat(ctx);
    return 0;
}

static int poll_until_cancelled(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    int fd = srun_cancel_fd(ctx);
    if (fd < 0)
        return srun_fail(err, fd, "cancel: %s", srun_strerror(fd));
    (void)srun_ready(ctx);
    struct pollfd cancelled = {.fd = fd, .events = POLLIN};
    while (!srun_cancelled(ctx))
        (void)poll(&cancelled, 1, -1);
    return 0;
}

static int run_elsewhere(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    return SRUN_RUN_BACKGROUND;
}

static int serve_with_a_logger(void *self, srun_context *ctx, srun_err *err)
{
    srun_logger *log = NULL;
    int rc = srun_logger_with(&log, srun_context_log(ctx), SRUN_KVS(SRUN_INT("port", 80)), err);
    if (rc < 0)
        return rc;
    (void)srun_extend_ms(ctx, 1000);
    (void)srun_ready(ctx);
    SRUN_INFO(log, "serving");
    rc = sleep_until_cancelled(self, ctx, err);
    (void)srun_logger_free(log);
    return rc;
}

static const struct srun_service_ops ops[WORLD_SERVICES] = {
    {.run = sleep_until_cancelled, .ready = ready},
    {.run = poll_until_cancelled},
    {.run = run_elsewhere},
    {.run = serve_with_a_logger},
};

static const char *const needs[] = {"db", "cache", NULL};

const char *world_name(unsigned i)
{
    return names[i];
}

int world_add(srun_runner *runner, unsigned i, srun_err *err)
{
    struct srun_service_ops own = ops[i];
    own.size = sizeof own;
    own.init = init;
    own.stop = stop;
    own.destroy = destroy;
    const struct srun_service_options options = {
        .size = sizeof options,
        .group = units[i] == 1 ? "middle" : NULL,
        .depends = i == 3 ? needs : NULL,
        .stack_bytes = i == 3 ? 256 * 1024 : 0,
        .heartbeat_ms = i == 0 ? 1000000 : 0,
    };
    return srun_runner_add(runner, names[i], &own, &numbers[i], &options, err);
}

/* --- the runner ------------------------------------------------------------------------------ */

static void exited(void *user, const srun_cause *cause, int code)
{
    (void)user, (void)cause;
    pthread_mutex_lock(&lock);
    exits++;
    exit_code = code;
    pthread_mutex_unlock(&lock);
}

static void on_state(void *user, const struct srun_transition *what)
{
    (void)user, (void)what;
    pthread_mutex_lock(&lock);
    transitions++;
    pthread_mutex_unlock(&lock);
}

struct srun_config world_config(int log_fd)
{
    return (struct srun_config){
        .size = sizeof(struct srun_config),
        .name = "world",
        .version = "1.2.3",
        .timeouts = {.init_ms = 60000,
                     .ready_ms = 60000,
                     .stop_ms = 60000,
                     .stuck_grace_ms = 10000},
        .log = {.fd_plus_one = log_fd + 1, .level = SRUN_LEVEL_DEBUG, .source = 1},
        .signals.disabled = 1,
        .debug.leaks = 1,
        .hooks.exited = exited,
    };
}

int world_setup(srun_runner *runner, void *user, srun_err *err)
{
    static int64_t number;
    (void)user;
    int rc = srun_flag_int(runner, &number, "number", 1, "a number", err);
    rc = rc < 0 ? rc : srun_runner_listen(runner, on_state, NULL, err);
    for (unsigned i = 0; rc == 0 && i < WORLD_SERVICES; i++)
        rc = world_add(runner, i, err);
    return rc;
}

unsigned world_exits(int *code)
{
    pthread_mutex_lock(&lock);
    unsigned count = exits;
    *code = exit_code;
    pthread_mutex_unlock(&lock);
    return count;
}

unsigned world_transitions(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = transitions;
    pthread_mutex_unlock(&lock);
    return count;
}

/* --- what happened --------------------------------------------------------------------------- */

/* How often, and where last (1 + its place; 0: never). */
static unsigned times_locked(unsigned service, char verb, unsigned *place)
{
    unsigned times = 0;
    *place = 0;
    for (unsigned i = 0; i < note_count; i++)
        if (notes[i].service == service && notes[i].verb == verb) {
            times++;
            *place = i + 1;
        }
    return times;
}

unsigned world_initiated(void)
{
    unsigned place, initiated = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < WORLD_SERVICES; i++)
        initiated += times_locked(i, 'I', &place) > 0;
    pthread_mutex_unlock(&lock);
    return initiated;
}

static const char *wrong_order_locked(bool all_stopped)
{
    unsigned before = 0, lowest = 0;
    for (unsigned i = WORLD_SERVICES; i > 0; i--) {
        unsigned service = i - 1, place;
        unsigned initiated = times_locked(service, 'I', &place);
        unsigned stopped = times_locked(service, 'S', &place);
        if (initiated > 1 || stopped > initiated)
            return "called twice, or stopped without init";
        if (all_stopped && stopped < initiated)
            return "initiated, but not stopped";
        if (service + 1 < WORLD_SERVICES && units[service] != units[service + 1])
            lowest = before; /* the last stop of all later units */
        if (stopped > 0 && place < lowest)
            return "stopped before a later one";
        before = stopped > 0 && place > before ? place : before;
    }
    return NULL;
}

static const char *wrong_destroy_locked(unsigned added)
{
    unsigned before = 0;
    for (unsigned i = WORLD_SERVICES; i > 0; i--) {
        unsigned place, times = times_locked(i - 1, 'D', &place);
        if (times != (i <= added ? 1 : 0))
            return "not destroyed exactly once";
        if (times > 0 && place < before)
            return "destroyed before a later one";
        before = times > 0 ? place : before;
    }
    return NULL;
}

static bool tell_locked(const char *wrong, char *text, size_t size)
{
    int used = snprintf(text, size, "%s:", wrong != NULL ? wrong : "fine");
    for (unsigned i = 0; i < note_count && used > 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, " %c-%s", notes[i].verb,
                         names[notes[i].service]);
    return wrong == NULL;
}

bool world_is_rolled_back(unsigned added, char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    const char *wrong = wrong_order_locked(true);
    if (wrong == NULL)
        wrong = wrong_destroy_locked(added);
    bool good = tell_locked(wrong, text, size);
    pthread_mutex_unlock(&lock);
    return good;
}

bool world_is_in_order(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    bool good = tell_locked(wrong_order_locked(false), text, size);
    pthread_mutex_unlock(&lock);
    return good;
}
