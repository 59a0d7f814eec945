/* SPDX-License-Identifier: MIT
 *
 * Who hears of the health of others: subscriptions of the program, and services with on_health. A
 * watch has a mailbox; what is in it was marked by the control thread, and is taken by whoever
 * reads. Threads: any.
 */
#include "checkup_watch.h"

#include "base/fd.h"
#include "base/text.h"
#include "base/thread.h"
#include "fork.h"
#include "runner.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* --- making ---------------------------------------------------------------------------------- */

static int unknown(const srun_runner *runner, const char *name, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    struct text_nearest nearest = {.word = name};
    for (unsigned i = 0; i < runner->count; i++)
        text_nearest_offer(&nearest, runner->services[i]->name);
    return srun_fail(err, -ENOENT, "health: no service is named %s%s%s%s", text_quote(quoted, name),
                     nearest.best != NULL ? "; did you mean " : "",
                     nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
}

static int choose(struct srun_health_watch *watch, const char *const *names, srun_err *err)
{
    const srun_runner *runner = watch->runner;
    if (names == NULL || names[0] == NULL) {
        for (unsigned i = 0; i < runner->count; i++)
            if (runner->services[i] != watch->owner && !runner->services[i]->organ)
                mailbox_watch(&watch->box, i);
        return 0;
    }
    for (; *names != NULL; names++) {
        const struct service *service = runner_find(runner, *names);
        if (service == NULL)
            return unknown(runner, *names, err);
        mailbox_watch(&watch->box, service->id);
    }
    return 0;
}

/* All that it watches has stopped for good already, so that nobody would close it. */
static bool is_over(const struct srun_health_watch *watch)
{
    const srun_runner *runner = watch->runner;
    if (atomic_load(&runner->stage) < RUNNER_DRAINS)
        return false;
    for (unsigned i = 0; i < runner->count; i++) {
        struct service_view view;
        service_view(runner->services[i], &view);
        if (mailbox_watches(&watch->box, i) && view.state != SRUN_STOPPED && !view.stuck)
            return false;
    }
    return true;
}

static void enlist(struct srun_health_watch *watch)
{
    struct checkup *checkup = &watch->runner->checkup;
    pthread_mutex_lock(&checkup->lock);
    if (!watch->is_verb)
        mailbox_mark_all(&watch->box);
    watch->next = checkup->watches;
    checkup->watches = watch;
    pthread_mutex_unlock(&checkup->lock);
    bool over = is_over(watch);
    pthread_mutex_lock(&checkup->lock);
    watch->closed |= over;
    pthread_mutex_unlock(&checkup->lock);
    if (watch->event >= 0)
        fd_event_raise(watch->event); /* the first one who looks finds the snapshot */
}

/* One that is not, or no longer, in the list. */
static struct srun_health_watch *discard(struct srun_health_watch *watch)
{
    if (watch->event >= 0)
        (void)close(watch->event);
    mailbox_free(&watch->box);
    (void)pthread_cond_destroy(&watch->changed);
    free(watch);
    return NULL;
}

int watch_new(struct srun_health_watch **out, srun_runner *runner, struct service *owner,
              const char *const *names, bool is_verb, srun_err *err)
{
    struct srun_health_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return srun_fail(err, -ENOMEM, "health: out of memory");
    *watch = (struct srun_health_watch){
        .runner = runner, .owner = owner, .is_verb = is_verb, .event = -1};
    (void)thread_cond_init(&watch->changed);
    int rc = mailbox_init(&watch->box, runner->count);
    if (rc == 0 && !is_verb)
        rc = watch->event = fd_event_new();
    if (rc < 0)
        (void)srun_fail(err, rc, "health: %s", srun_strerror(rc));
    else
        rc = choose(watch, names, err);
    if (rc < 0) {
        (void)discard(watch);
        return rc;
    }
    enlist(watch);
    *out = watch;
    return 0;
}

int srun_health_subscribe(srun_context *ctx, const char *const *names, srun_health_watch **out,
                          srun_err *err)
{
    const struct service_home *home = ctx->service->home;
    if (forked_since(home->birth))
        return srun_fail(err, SRUN_EFORK, "health: %s", srun_strerror(SRUN_EFORK));
    if (home->runner->checkup.board == NULL)
        return srun_fail(err, SRUN_ESTATE,
                         "health: it is off; health.enabled or SRUN_HEALTH=true turns it on");
    return watch_new(out, home->runner, ctx->service, names, false, err);
}

srun_health_watch *srun_health_watch_free(srun_health_watch *watch)
{
    if (watch == NULL || forked_since(watch->runner->birth))
        return NULL;
    struct checkup *checkup = &watch->runner->checkup;
    pthread_mutex_lock(&checkup->lock);
    struct srun_health_watch **place = &checkup->watches;
    while (*place != watch)
        place = &(*place)->next;
    *place = watch->next;
    pthread_mutex_unlock(&checkup->lock);
    return discard(watch);
}

/* --- reading --------------------------------------------------------------------------------- */

int srun_health_watch_fd(const srun_health_watch *watch)
{
    return watch->event;
}

static bool take_locked(struct srun_health_watch *watch, struct srun_health *out)
{
    unsigned id;
    if (!mailbox_take(&watch->box, &id))
        return false;
    checkup_describe_locked(watch->runner, id, out);
    mailbox_saw(&watch->box, id, board_view(watch->runner->checkup.board, id)->changes);
    return true;
}

/* 0, or why there is nothing: -EAGAIN, -ECANCELED, SRUN_ECLOSED. */
static int next_locked(struct srun_health_watch *watch, struct srun_health *out)
{
    if (srun_cancelled(&watch->owner->life) != 0)
        return -ECANCELED;
    if (take_locked(watch, out))
        return 0;
    return watch->closed ? SRUN_ECLOSED : -EAGAIN;
}

int srun_health_next(srun_health_watch *watch, struct srun_health *out, int64_t timeout_ms)
{
    if (forked_since(watch->runner->birth))
        return SRUN_EFORK;
    struct checkup *checkup = &watch->runner->checkup;
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_after_ms(clock_real_now(), timeout_ms);
    bool in_time = timeout_ms != 0;
    pthread_mutex_lock(&checkup->lock);
    int rc = next_locked(watch, out);
    while (rc == -EAGAIN && in_time) {
        in_time = thread_cond_wait_until(&watch->changed, &checkup->lock, until);
        rc = next_locked(watch, out);
    }
    if (rc == -EAGAIN || (rc == 0 && watch->box.waiting == 0 && !watch->closed &&
                          !srun_cancelled(&watch->owner->life)))
        fd_event_lower(watch->event);
    pthread_mutex_unlock(&checkup->lock);
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

uint64_t srun_health_watch_missed(const srun_health_watch *watch)
{
    if (forked_since(watch->runner->birth))
        return 0; /* the lock may be held by a thread that is not here */
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&watch->runner->checkup.lock;
    pthread_mutex_lock(lock);
    uint64_t missed = watch->box.missed;
    pthread_mutex_unlock(lock);
    return missed;
}

bool watch_next_for_verb(struct service *service, struct srun_health *out)
{
    struct checkup *checkup = &service->home->runner->checkup;
    pthread_mutex_lock(&checkup->lock);
    bool any = take_locked(checkup->entries[service->id].verb, out);
    pthread_mutex_unlock(&checkup->lock);
    return any;
}

int srun_health_consume(srun_context *ctx, const char *const *names,
                        int (*each)(void *user, const struct srun_health *health), void *user,
                        srun_err *err)
{
    srun_health_watch *watch = NULL;
    int rc = srun_health_subscribe(ctx, names, &watch, err);
    if (watch == NULL)
        return rc;
    struct srun_health health;
    while (rc == 0) {
        rc = srun_health_next(watch, &health, -1);
        if (rc == 0)
            rc = each(user, &health);
    }
    (void)srun_health_watch_free(watch);
    return rc;
}
