/* SPDX-License-Identifier: MIT
 *
 * What anybody may ask a runner, from any thread: consistent copies of what the control thread has
 * published. Changes nothing.
 */
#include "runner.h"

#include "base/duration.h"
#include "fork.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t whole_ms(int64_t ns)
{
    return ns < 0 ? -1 : ns / NS_PER_MS;
}

static void describe(const srun_runner *runner, struct service *service,
                     struct srun_service_info *out)
{
    struct service_view view;
    service_view(service, &view);
    int64_t deadline = atomic_load(&service->life.deadline);
    int64_t now = clock_now(&runner->clock);
    *out = (struct srun_service_info){
        .depends = service->depends,
        .critical = service->options.health.optional == 0,
        .left_ms = deadline == INT64_MAX ? -1 : whole_ms(deadline > now ? deadline - now : 0),
        .state = view.state,
        .ready = view.state == SRUN_RUNNING,
        .failed = view.failed,
        .stuck = view.stuck,
        .background = view.background,
        .heartbeat_missed = view.heartbeat_missed,
        .restarts = view.restarts,
        .in_state_ms = whole_ms(now - view.since),
        .init_took_ms = whole_ms(view.init_ns),
        .ready_took_ms = whole_ms(view.ready_ns),
        .stop_took_ms = whole_ms(view.stop_ns),
    };
    (void)snprintf(out->name, sizeof out->name, "%s", service->name);
    memcpy(out->error, view.error, sizeof out->error);
}

size_t srun_runner_services(const srun_runner *runner, struct srun_service_info *out,
                            size_t capacity)
{
    if (forked_since(runner->birth))
        return 0;
    struct service *service;
    size_t count = runner_service_at(runner, 0, &service);
    for (size_t i = 0; service != NULL && i < capacity; i++) {
        describe(runner, service, &out[i]);
        count = runner_service_at(runner, i + 1, &service);
    }
    return count;
}

int srun_runner_state(const srun_runner *runner, const char *name)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    struct service *service = runner_find(runner, name);
    if (service == NULL)
        return -ENOENT;
    struct service_view view;
    service_view(service, &view);
    return (int)view.state;
}

int srun_runner_is_ready(const srun_runner *runner)
{
    return !forked_since(runner->birth) && atomic_load(&runner->ready) &&
           !atomic_load(&runner->withdrawn);
}

/* In a child nobody may be left to give a lock back. */
int srun_runner_exit_code(const srun_runner *runner)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&runner->lock; /* only the lock changes */
    pthread_mutex_lock(lock);
    int code = runner->exit_code;
    pthread_mutex_unlock(lock);
    return code;
}

unsigned srun_runner_stuck(const srun_runner *runner)
{
    if (forked_since(runner->birth))
        return 0;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&runner->lock;
    pthread_mutex_lock(lock);
    unsigned stuck = runner->stuck;
    pthread_mutex_unlock(lock);
    return stuck;
}

void srun_runner_cause(const srun_runner *runner, srun_cause *out)
{
    *out = (srun_cause){0};
    if (forked_since(runner->birth))
        return;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&runner->lock;
    pthread_mutex_lock(lock);
    *out = runner->cause;
    pthread_mutex_unlock(lock);
}

int srun_runner_listen(srun_runner *runner,
                       void (*on_state)(void *user, const struct srun_transition *what), void *user,
                       srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "listener: %s", srun_strerror(SRUN_EFORK));
    if (on_state == NULL)
        return srun_fail(err, -EINVAL, "listener: the function is NULL");
    if (atomic_load(&runner->phase) != RUNNER_ASSEMBLING)
        return srun_fail(err, SRUN_ESTATE, "listener: added after the start");
    int rc = listeners_add(&runner->listeners, on_state, user);
    return rc < 0 ? srun_fail(err, rc, "listener: %s", srun_strerror(rc)) : 0;
}

static const char *state_of(const srun_runner *runner)
{
    static const char *const names[] = {
        [RUNNER_STARTS] = "starting",     [RUNNER_RUNS] = "running",
        [RUNNER_DRAINS] = "draining",     [RUNNER_STOPS] = "stopping",
        [RUNNER_HAS_STOPPED] = "stopped",
    };
    int stage = atomic_load(&runner->stage);
    if (stage != RUNNER_RUNS)
        return names[stage];
    if (atomic_load(&runner->succession.draining))
        return "yielded";
    return atomic_load(&runner->withdrawn) ? "withdrawn" : "running";
}

void srun_runner_info(const srun_runner *runner, struct srun_run_info *out)
{
    *out = (struct srun_run_info){
        .name = runner->config.value.name,
        .version = runner->config.value.version,
        .pid = getpid(),
        .generation = runner->succession.generation,
        .started_ms = runner->born_wall_ms,
        .state = state_of(runner),
        .ready = srun_runner_is_ready(runner),
        .stuck = srun_runner_stuck(runner) > 0,
    };
}

srun_logger *srun_runner_log(const srun_runner *runner)
{
    return runner != NULL ? runner->log : NULL;
}

const char *srun_cause_name(srun_cause_kind kind)
{
    static const char *const names[] = {
        [SRUN_CAUSE_NONE] = "none",
        [SRUN_CAUSE_SIGNAL] = "signal",
        [SRUN_CAUSE_REQUEST] = "request",
        [SRUN_CAUSE_ALL_EXITED] = "all_exited",
        [SRUN_CAUSE_DEADLINE] = "deadline",
        [SRUN_CAUSE_UPGRADE] = "upgrade",
        [SRUN_CAUSE_RESTART] = "restart",
        [SRUN_CAUSE_SERVICE_ERROR] = "service_error",
        [SRUN_CAUSE_INIT_TIMEOUT] = "init_timeout",
        [SRUN_CAUSE_READY_TIMEOUT] = "ready_timeout",
        [SRUN_CAUSE_STOP_TIMEOUT] = "stop_timeout",
        [SRUN_CAUSE_UNHEALTHY] = "unhealthy",
    };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}
