/* SPDX-License-Identifier: MIT
 *
 * Taking services in: what is refused when one is added, and in which group it stands. Before run.
 */
#include "runner.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/sized.h"
#include "base/text.h"
#include "fork.h"

#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 255

/* While services are still added, what they stand in moves; then it stays. */
static bool lock_while_assembling(const srun_runner *runner)
{
    bool assembling = atomic_load(&runner->phase) == RUNNER_ASSEMBLING;
    if (assembling)
        pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&runner->lock); /* only it changes */
    return assembling;
}

static void unlock_if(const srun_runner *runner, bool locked)
{
    if (locked)
        pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&runner->lock);
}

static int by_name(const void *a, const void *b)
{
    const struct service *left = a, *right = b;
    return strcmp(left->name, right->name);
}

struct service *runner_find(const srun_runner *runner, const char *name)
{
    struct service wanted = {.name = (char *)(uintptr_t)name}; /* only read */
    if (name == NULL)
        return NULL;
    bool locked = lock_while_assembling(runner);
    void *const *found = tfind(&wanted, &runner->by_name, by_name);
    struct service *service = found != NULL ? *found : NULL;
    unlock_if(runner, locked);
    return service;
}

size_t runner_service_at(const srun_runner *runner, size_t index, struct service **out)
{
    bool locked = lock_while_assembling(runner);
    size_t count = runner->count;
    *out = index < count ? runner->services[index] : NULL;
    unlock_if(runner, locked);
    return count;
}

static int check_name(const srun_runner *runner, const char *name, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    if (name == NULL || !text_printable(name, NAME_BYTES))
        return srun_fail(err, -EINVAL,
                         "service %s: accepted names are 1 to %d bytes of printable text",
                         name != NULL ? text_quote(quoted, name) : "NULL", NAME_BYTES);
    const struct service *other = runner_find(runner, name);
    if (other != NULL)
        return srun_fail(err, -EEXIST, "service %s: the name is taken by service number %u",
                         text_quote(quoted, name), other->id + 1);
    return 0;
}

static int check_depends(const srun_runner *runner, const char *name, const char *const *depends,
                         srun_err *err)
{
    for (; depends != NULL && *depends != NULL; depends++) {
        if (runner_find(runner, *depends) != NULL)
            continue;
        char quoted[TEXT_QUOTE_MAX];
        struct text_nearest nearest = {.word = *depends};
        for (unsigned i = 0; i < runner->count; i++)
            text_nearest_offer(&nearest, runner->services[i]->name);
        return srun_fail(
            err, -EINVAL, "service %s: depends on %s, which was not added before%s%s%s", name,
            text_quote(quoted, *depends), nearest.best != NULL ? "; did you mean " : "",
            nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    }
    return 0;
}

static int check_ops(struct srun_service_ops *to, const struct srun_service_ops *from,
                     const char *name, srun_err *err)
{
    if (from == NULL)
        return srun_fail(err, -EINVAL, "service %s: ops is NULL", name);
    int rc = sized_copy(to, sizeof *to, offsetof(struct srun_service_ops, run), from);
    if (rc < 0)
        return srun_fail(err, rc, "service %s: ops.size is %zu: accepted is up to %zu%s", name,
                         from->size, sizeof *to,
                         rc == -E2BIG ? ", or what follows must be zero" : "");
    if (!is_zero(to->reserved, sizeof to->reserved))
        return srun_fail(err, -EINVAL, "service %s: ops.reserved is not zero", name);
    if (to->init == NULL && to->run == NULL && to->ready == NULL && to->stop == NULL &&
        to->health == NULL)
        return srun_fail(err, -EINVAL, "service %s: has none of init, run, ready, stop, health",
                         name);
    return 0;
}

static int check_options(struct srun_service_options *to, const struct srun_service_options *from,
                         const char *name, srun_err *err)
{
    *to = (struct srun_service_options){.size = sizeof *to};
    int rc = from == NULL ? 0 : sized_copy(to, sizeof *to, sizeof to->size, from);
    if (rc < 0)
        return srun_fail(err, rc, "service %s: options.size is %zu: accepted is up to %zu%s", name,
                         from->size, sizeof *to,
                         rc == -E2BIG ? ", or what follows must be zero" : "");
    if (!is_zero(to->reserved, sizeof to->reserved) || to->health.reserved != 0)
        return srun_fail(err, -EINVAL, "service %s: options.%sreserved is not zero", name,
                         to->health.reserved != 0 ? "health." : "");
    const struct {
        const char *field;
        int64_t value;
    } times[] = {{"init_ms", to->init_ms},
                 {"ready_ms", to->ready_ms},
                 {"stop_ms", to->stop_ms},
                 {"heartbeat_ms", to->heartbeat_ms},
                 {"restart.backoff_min_ms", to->restart.backoff_min_ms},
                 {"restart.backoff_max_ms", to->restart.backoff_max_ms},
                 {"restart.window_ms", to->restart.window_ms},
                 {"health.interval_ms", to->health.interval_ms},
                 {"health.timeout_ms", to->health.timeout_ms},
                 {"health.push_ttl_ms", to->health.push_ttl_ms}};
    for (size_t i = 0; i < COUNT_OF(times); i++)
        if (times[i].value < 0 || times[i].value > INT64_MAX / NS_PER_MS)
            return srun_fail(err, -EINVAL, "service %s: options.%s is %lld: accepted is 0 to %lld",
                             name, times[i].field, (long long)times[i].value,
                             (long long)(INT64_MAX / NS_PER_MS));
    if (to->restart.limit > SEQUENCE_RESTARTS_MAX)
        return srun_fail(err, -EINVAL,
                         "service %s: options.restart.limit is %u: accepted is 0 to %d", name,
                         to->restart.limit, SEQUENCE_RESTARTS_MAX);
    if ((unsigned)to->restart.when > SRUN_RESTART_ALWAYS)
        return srun_fail(err, -EINVAL, "service %s: options.restart.when is %d: accepted is 0 to 2",
                         name, (int)to->restart.when);
    return 0;
}

/* The unit of a service: its group's, if the group is the one before it; else a new one. */
static int find_unit(srun_runner *runner, const char *name, const char *group, unsigned *unit,
                     char **owned_group, srun_err *err)
{
    const struct service *last = runner->count > 0 ? runner->services[runner->count - 1] : NULL;
    *unit = last == NULL ? 0 : last->unit + 1;
    if (group == NULL)
        return 0;
    if (last != NULL && last->group != NULL && strcmp(last->group, group) == 0)
        *unit = last->unit;
    for (unsigned i = 0; last != NULL && i < runner->count; i++) {
        const struct service *other = runner->services[i];
        if (other->unit != *unit && other->group != NULL && strcmp(other->group, group) == 0)
            return srun_fail(err, -EINVAL,
                             "service %s: group %s was closed by service %s; members of a group"
                             " are added one after another",
                             name, group, last->name);
    }
    *owned_group = strdup(group);
    return *owned_group == NULL ? srun_fail(err, -ENOMEM, "service %s: out of memory", name) : 0;
}

/* The names of what it depends on, borrowed from those services; and of what it wants to hear. */
static int keep_names(const srun_runner *runner, struct service *service)
{
    const char *const *depends = service->options.depends, *const *watch =
                                                               service->options.health.watch;
    size_t count = 0;
    while (depends != NULL && depends[count] != NULL)
        count++;
    service->depends = calloc(count + 1, sizeof *service->depends);
    if (service->depends == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        service->depends[i] = runner_find(runner, depends[i])->name;
    int rc = 0;
    for (; watch != NULL && *watch != NULL && rc == 0; watch++)
        rc = text_list_add(&service->watch, *watch);
    service->options.depends = NULL;
    service->options.health.watch = NULL;
    return rc;
}

static int append_service_locked(srun_runner *runner, struct service *service)
{
    if (runner->count == runner->capacity) {
        unsigned capacity = runner->capacity == 0 ? 16 : runner->capacity * 2;
        void *grown = realloc(runner->services, capacity * sizeof(struct service *));
        if (grown == NULL)
            return -ENOMEM;
        runner->services = grown;
        runner->capacity = capacity;
    }
    if (tsearch(service, &runner->by_name, by_name) == NULL)
        return -ENOMEM;
    service->id = runner->count;
    runner->services[runner->count++] = service;
    return 0;
}

static int append_service(srun_runner *runner, struct service *service)
{
    pthread_mutex_lock(&runner->lock);
    int rc = append_service_locked(runner, service);
    pthread_mutex_unlock(&runner->lock);
    return rc;
}

/* First in, last out. */
static void move_last_to_front(srun_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    struct service *organ = runner->services[runner->count - 1];
    for (unsigned i = runner->count - 1; i > 0; i--) {
        runner->services[i] = runner->services[i - 1];
        runner->services[i]->id++;
        runner->services[i]->unit++;
    }
    organ->id = organ->unit = 0;
    runner->services[0] = organ;
    pthread_mutex_unlock(&runner->lock);
}

int runner_add(srun_runner *runner, const char *name, const struct srun_service_ops *ops,
               void *self, const struct srun_service_options *options, bool ready_on_entry,
               srun_err *err)
{
    struct srun_service_ops own_ops;
    struct srun_service_options own_options;
    auto_free char *group = NULL;
    unsigned unit = 0;
    if (atomic_load(&runner->phase) != RUNNER_ASSEMBLING)
        return srun_fail(err, SRUN_ESTATE, "service %s: added after the start",
                         name != NULL ? name : "NULL");
    int rc = check_name(runner, name, err);
    rc = rc < 0 ? rc : check_ops(&own_ops, ops, name, err);
    rc = rc < 0 ? rc : check_options(&own_options, options, name, err);
    rc = rc < 0 ? rc : check_depends(runner, name, own_options.depends, err);
    rc = rc < 0 ? rc : find_unit(runner, name, own_options.group, &unit, &group, err);
    if (rc < 0)
        return rc;

    struct service *service = service_new(name, &own_ops, self, &own_options, &runner->home);
    if (service == NULL)
        return srun_fail(err, -ENOMEM, "service %s: out of memory", name);
    service->ready_on_entry = ready_on_entry;
    service->unit = unit;
    rc =
        srun_logger_with(&service->log, runner->log, SRUN_KVS(SRUN_STR("logger_scope", name)), err);
    rc = rc < 0 ? rc : keep_names(runner, service);
    rc = rc < 0 ? rc : append_service(runner, service);
    if (rc < 0) {
        (void)service_free(service);
        return srun_fail(err, rc, "service %s: %s", name, srun_strerror(rc));
    }
    service->group = take_ptr(group);
    return 0;
}

int runner_add_organ(srun_runner *runner, const char *name, const struct srun_service_ops *ops,
                     void *self, srun_err *err)
{
    const struct srun_service_options options = {.size = sizeof options, .auxiliary = 1};
    int rc = runner_add(runner, name, ops, self, &options, false, err);
    if (rc < 0)
        return rc;
    runner->services[runner->count - 1]->organ = true;
    runner->organs++;
    move_last_to_front(runner);
    return 0;
}

int srun_runner_add(srun_runner *runner, const char *name, const struct srun_service_ops *ops,
                    void *self, const struct srun_service_options *options, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "service %s: %s", name, srun_strerror(SRUN_EFORK));
    return runner_add(runner, name, ops, self, options, false, err);
}

int srun_serve(srun_runner *runner, const char *name,
               int (*run)(void *self, srun_context *ctx, srun_err *err), void *self, srun_err *err)
{
    const struct srun_service_ops ops = {.size = sizeof ops, .run = run};
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "service %s: %s", name, srun_strerror(SRUN_EFORK));
    return runner_add(runner, name, &ops, self, NULL, true, err);
}
