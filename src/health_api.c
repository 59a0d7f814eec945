/* SPDX-License-Identifier: MIT
 *
 * What anybody may say and ask of health: a push, the present status of a service, what is known of
 * it. Threads: any.
 */
#include "runner.h"

#include "base/duration.h"
#include "base/text.h"
#include "fork.h"

#include <errno.h>
#include <srun/health.h>
#include <stdio.h>

const char *srun_health_status_name(srun_health_status status)
{
    static const char *const names[] = {
        [SRUN_HEALTH_UNKNOWN] = "unknown",     [SRUN_HEALTH_STOPPED] = "stopped",
        [SRUN_HEALTH_UNHEALTHY] = "unhealthy", [SRUN_HEALTH_DEGRADED] = "degraded",
        [SRUN_HEALTH_HEALTHY] = "healthy",
    };
    return (unsigned)status < sizeof names / sizeof names[0] ? names[status] : "unknown";
}

const char *srun_health_source_name(srun_health_source source)
{
    static const char *const names[] = {
        [SRUN_HEALTH_LIFECYCLE] = "lifecycle", [SRUN_HEALTH_CHECKED] = "checked",
        [SRUN_HEALTH_PUSHED] = "pushed",       [SRUN_HEALTH_HUNG] = "hung",
        [SRUN_HEALTH_STALE] = "stale",
    };
    return (unsigned)source < sizeof names / sizeof names[0] ? names[source] : "unknown";
}

/* --- saying ---------------------------------------------------------------------------------- */

int srun_health_push(srun_context *ctx, srun_health_status status, const char *note)
{
    struct service *service = ctx->service;
    srun_runner *runner = service->home->runner;
    struct checkup *checkup = &runner->checkup;
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    if (status < SRUN_HEALTH_UNHEALTHY || status > SRUN_HEALTH_HEALTHY)
        return -EINVAL;
    struct service_view view;
    service_view(service, &view);
    if (view.state != SRUN_STARTING && view.state != SRUN_RUNNING)
        return SRUN_ESTATE;
    if (checkup->board == NULL)
        return 0;
    struct checkup_entry *entry = &checkup->entries[service->id];
    pthread_mutex_lock(&checkup->lock);
    bool first = !entry->push.posted;
    entry->push.posted = true;
    entry->push.status = status;
    text_copy(entry->push.note, sizeof entry->push.note, note != NULL ? note : "");
    pthread_mutex_unlock(&checkup->lock);
    if (first)
        inbox_post(&runner->inbox, &entry->push.item);
    return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

int srun_health_get(const srun_context *ctx, const char *service)
{
    const srun_runner *runner = ctx->service->home->runner;
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    const struct service *found = runner_find(runner, service);
    if (found == NULL)
        return -ENOENT;
    if (runner->checkup.board == NULL)
        return SRUN_HEALTH_UNKNOWN;
    return atomic_load_explicit(&runner->checkup.entries[found->id].status, memory_order_acquire);
}

srun_health_status srun_health_overall(const srun_runner *runner)
{
    return forked_since(runner->birth) ? SRUN_HEALTH_UNKNOWN
                                       : (srun_health_status)atomic_load(&runner->checkup.overall);
}

void checkup_describe_locked(const srun_runner *runner, unsigned id, struct srun_health *out)
{
    const struct board *board = runner->checkup.board;
    const struct board_view *view = board_view(board, id);
    int64_t now = clock_now(&runner->clock);
    bool known = view->at != BOARD_NEVER, awaits = view->next_at != BOARD_NEVER;
    *out = (struct srun_health){
        .service = runner->checkup.entries[id].service->name,
        .status = view->status,
        .own = view->own,
        .source = view->source,
        .age_ms = known ? (now - view->at) / NS_PER_MS : -1,
        .took_ms = view->took_ms,
        .next_ms = !awaits               ? -1
                   : view->next_at > now ? (view->next_at - now) / NS_PER_MS
                                         : 0,
    };
    out->time_ms = known ? clock_wall_ms() - out->age_ms : 0;
    (void)snprintf(out->note, sizeof out->note, "%s", view->note);
    board_path(board, id, out->path, sizeof out->path);
}

static void unlock(const srun_runner *runner)
{
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&runner->checkup.lock);
}

/* True, with the lock held: something is known of the service. It is not before the start, nor of
 * one that was added when a start had failed. */
static bool lock_known(const srun_runner *runner, const struct service *service)
{
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&runner->checkup.lock);
    if (runner->checkup.board != NULL && service->id < runner->checkup.count)
        return true;
    unlock(runner);
    return false;
}

int srun_runner_health(const srun_runner *runner, const char *service, struct srun_health *out)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    const struct service *found = runner_find(runner, service);
    if (found == NULL)
        return -ENOENT;
    *out = (struct srun_health){.service = found->name, .age_ms = -1, .took_ms = -1, .next_ms = -1};
    if (lock_known(runner, found)) {
        checkup_describe_locked(runner, found->id, out);
        unlock(runner);
    }
    return 0;
}

size_t srun_runner_health_history(const srun_runner *runner, const char *service,
                                  struct srun_health_result *out, size_t capacity)
{
    const struct service *found = forked_since(runner->birth) ? NULL : runner_find(runner, service);
    if (found == NULL || !lock_known(runner, found))
        return 0;
    int64_t offset = clock_wall_ms() - clock_now(&runner->clock) / NS_PER_MS;
    size_t count = board_history(runner->checkup.board, found->id, offset, out, capacity);
    unlock(runner);
    return count;
}
