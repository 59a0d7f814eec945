/* SPDX-License-Identifier: MIT */
#include "context.h"

#include "base/duration.h"
#include "base/fd.h"
#include "base/thread.h"
#include "fork.h"
#include "service.h"

#include <errno.h>
#include <unistd.h>

int context_init(struct srun_context *ctx, struct service *service, const struct clock *clock)
{
    ctx->service = service;
    ctx->clock = clock;
    ctx->cancel_fd = -1;
    atomic_init(&ctx->cancelled, false);
    atomic_init(&ctx->deadline, INT64_MAX);
    (void)pthread_mutex_init(&ctx->lock, NULL);
    return thread_cond_init(&ctx->changed);
}

void context_destroy(struct srun_context *ctx)
{
    if (ctx->service == NULL)
        return;
    if (ctx->cancel_fd >= 0)
        (void)close(ctx->cancel_fd);
    (void)pthread_cond_destroy(&ctx->changed);
    (void)pthread_mutex_destroy(&ctx->lock);
    ctx->service = NULL;
}

void context_cancel(struct srun_context *ctx, const srun_cause *cause)
{
    pthread_mutex_lock(&ctx->lock);
    if (!atomic_load(&ctx->cancelled)) {
        ctx->cause = *cause;
        atomic_store(&ctx->cancelled, true);
        if (ctx->cancel_fd >= 0)
            fd_event_raise(ctx->cancel_fd);
    }
    pthread_mutex_unlock(&ctx->lock);
    pthread_cond_broadcast(&ctx->changed); /* without the lock, which the sleeper wants first */
}

void context_reset(struct srun_context *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    if (ctx->cancel_fd >= 0) /* kept open: its number may stand in somebody's poll set */
        fd_event_lower(ctx->cancel_fd);
    atomic_store(&ctx->cancelled, false);
    pthread_mutex_unlock(&ctx->lock);
}

void context_set_deadline(struct srun_context *ctx, int64_t deadline)
{
    atomic_store(&ctx->deadline, deadline);
}

void context_wake(struct srun_context *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    pthread_cond_broadcast(&ctx->changed);
    pthread_mutex_unlock(&ctx->lock);
}

static int64_t sleeps_until_locked(const struct srun_context *ctx)
{
    int64_t until = INT64_MAX;
    for (const struct context_sleeper *sleeper = ctx->sleepers; sleeper != NULL;
         sleeper = sleeper->next)
        until = sleeper->until < until ? sleeper->until : until;
    return until;
}

bool context_has_sleeper(struct srun_context *ctx, int tid)
{
    pthread_mutex_lock(&ctx->lock);
    const struct context_sleeper *sleeper = ctx->sleepers;
    while (sleeper != NULL && sleeper->tid != tid)
        sleeper = sleeper->next;
    pthread_mutex_unlock(&ctx->lock);
    return sleeper != NULL;
}

int64_t context_sleeps_until(struct srun_context *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    int64_t until = sleeps_until_locked(ctx);
    pthread_mutex_unlock(&ctx->lock);
    return until;
}

void context_settle(struct srun_context *ctx, int64_t limit)
{
    pthread_mutex_lock(&ctx->lock);
    while (sleeps_until_locked(ctx) <= clock_now(ctx->clock) &&
           thread_cond_wait_until(&ctx->changed, &ctx->lock, limit))
        ;
    pthread_mutex_unlock(&ctx->lock);
}

const char *srun_context_name(const srun_context *ctx)
{
    return ctx->service->name;
}

srun_runner *srun_context_runner(const srun_context *ctx)
{
    return ctx->service->home->runner;
}

srun_logger *srun_context_log(const srun_context *ctx)
{
    return ctx->service->log;
}

void *srun_context_user(const srun_context *ctx)
{
    return ctx->service->home->user;
}

int srun_cancelled(const srun_context *ctx)
{
    return atomic_load_explicit(&ctx->cancelled, memory_order_acquire);
}

int srun_cancel_fd(srun_context *ctx)
{
    if (forked_since(ctx->service->home->birth))
        return SRUN_EFORK;
    pthread_mutex_lock(&ctx->lock);
    if (ctx->cancel_fd < 0) {
        ctx->cancel_fd = fd_event_new();
        if (ctx->cancel_fd >= 0 && atomic_load(&ctx->cancelled))
            fd_event_raise(ctx->cancel_fd);
    }
    int fd = ctx->cancel_fd;
    pthread_mutex_unlock(&ctx->lock);
    return fd;
}

static bool sleeps_on(const srun_context *ctx, int64_t until)
{
    return !atomic_load(&ctx->cancelled) && clock_now(ctx->clock) < until;
}

/* Who moves the virtual clock sees the sleeper in the list, and sees it leave. */
static void sleep_virtually_locked(srun_context *ctx, int64_t until)
{
    struct context_sleeper self = {until, gettid(), ctx->sleepers}, **place = &ctx->sleepers;
    // cppcheck-suppress autoVariables ; it is taken out before the function returns
    ctx->sleepers = &self;
    while (sleeps_on(ctx, until))
        (void)pthread_cond_wait(&ctx->changed, &ctx->lock);
    while (*place != &self)
        place = &(*place)->next;
    *place = self.next;
    pthread_cond_broadcast(&ctx->changed);
}

/* Sleeps until the time has come on the context's clock, or it is cancelled. */
static void sleep_locked(srun_context *ctx, int64_t until)
{
    if (ctx->clock->is_virtual)
        sleep_virtually_locked(ctx, until);
    while (sleeps_on(ctx, until))
        (void)thread_cond_wait_until(&ctx->changed, &ctx->lock, until);
}

int srun_sleep_ms(srun_context *ctx, int64_t ms)
{
    if (forked_since(ctx->service->home->birth))
        return SRUN_EFORK;
    int64_t until = ms < 0 ? INT64_MAX : clock_after_ms(clock_now(ctx->clock), ms);
    pthread_mutex_lock(&ctx->lock);
    sleep_locked(ctx, until);
    pthread_mutex_unlock(&ctx->lock);
    return atomic_load(&ctx->cancelled) ? -ECANCELED : 0;
}

int64_t srun_context_time_left_ms(const srun_context *ctx)
{
    int64_t deadline = atomic_load(&ctx->deadline);
    if (deadline == INT64_MAX)
        return -1;
    int64_t left = deadline - clock_now(ctx->clock);
    return left > 0 ? (left + NS_PER_MS - 1) / NS_PER_MS : 0;
}

const srun_cause *srun_context_cause(const srun_context *ctx)
{
    const srun_context *life = &ctx->service->life; /* stop wants to know why there is a stop */
    if (srun_cancelled(ctx))
        return &ctx->cause;
    return srun_cancelled(life) ? &life->cause : NULL;
}

int srun_ready(srun_context *ctx)
{
    return service_push_ready(ctx->service);
}

int srun_extend_ms(srun_context *ctx, int64_t ms)
{
    if (forked_since(ctx->service->home->birth))
        return SRUN_EFORK;
    if (ms <= 0 || ms > INT64_MAX / NS_PER_MS)
        return -EINVAL;
    if (atomic_load(&ctx->deadline) == INT64_MAX)
        return SRUN_ESTATE;
    service_push_extend(ctx->service, ms * NS_PER_MS);
    return 0;
}

void srun_heartbeat(srun_context *ctx)
{
    atomic_store_explicit(&ctx->service->heartbeat, clock_now(ctx->clock), memory_order_relaxed);
}
