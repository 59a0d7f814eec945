/* SPDX-License-Identifier: MIT
 *
 * The public calls of srun/upgrade.h: each finds its runner and asks the part that knows. Threads:
 * any, as the header says.
 */
#include "runner.h"

#include "base/auto.h"
#include "base/fd.h"
#include "base/thread.h"
#include "context.h"
#include "fork.h"
#include "upgrade/state.h"

#include <errno.h>
#include <stdio.h>

static srun_runner *runner_of(const srun_context *ctx)
{
    return ctx->service->home->runner;
}

static struct sockets *sockets_of(const srun_context *ctx)
{
    return &runner_of(ctx)->succession.sockets;
}

static bool is_forked(const srun_context *ctx)
{
    return forked_since(ctx->service->home->birth);
}

/* --- listening ------------------------------------------------------------------------------- */

int srun_listen_with(srun_context *ctx, const char *name, const char *address,
                     const struct srun_listen_options *options, int *fds, unsigned count,
                     srun_err *err)
{
    if (is_forked(ctx))
        return srun_fail(err, SRUN_EFORK, "listen: %s", srun_strerror(SRUN_EFORK));
    struct sockets_found found = {0};
    int rc = sockets_listen(sockets_of(ctx), name, address, options, fds, count, &found, err);
    if (rc < 0)
        return rc;
    char bound[ADDRESS_TEXT_MAX];
    srun_logger *log = srun_context_log(ctx);
    if (sockets_address(sockets_of(ctx), fds[0], bound, sizeof bound) == 0)
        SRUN_INFO(log, "listening", SRUN_STR("name", name), SRUN_STR("address", bound),
                  SRUN_STR("socket", found.origin));
    if (found.fixed != NULL)
        SRUN_WARN(log, "an option of a socket that exists cannot be changed",
                  SRUN_STR("name", name), SRUN_STR("option", found.fixed));
    return 0;
}

int srun_listen(srun_context *ctx, const char *name, const char *address, int *fd, srun_err *err)
{
    return srun_listen_with(ctx, name, address, NULL, fd, 1, err);
}

int srun_listen_check(const char *address, srun_err *err)
{
    struct address parsed;
    return address_parse(&parsed, address, err);
}

int srun_listen_close(srun_context *ctx, const char *name)
{
    return is_forked(ctx) ? SRUN_EFORK : sockets_close(sockets_of(ctx), name);
}

int srun_listen_address(srun_context *ctx, int fd, char *out, size_t size)
{
    return is_forked(ctx) ? SRUN_EFORK : sockets_address(sockets_of(ctx), fd, out, size);
}

/* --- the gate -------------------------------------------------------------------------------- */

int srun_gate_open(const srun_context *ctx)
{
    return !is_forked(ctx) && atomic_load_explicit(&sockets_of(ctx)->open, memory_order_acquire);
}

int srun_gate_fd(srun_context *ctx, int fd)
{
    return is_forked(ctx) ? SRUN_EFORK : sockets_gate_fd(sockets_of(ctx), fd);
}

int srun_accept_now(srun_context *ctx, int fd, struct sockaddr *peer, socklen_t *length)
{
    return is_forked(ctx) ? SRUN_EFORK : sockets_accept(sockets_of(ctx), fd, peer, length);
}

int srun_accept(srun_context *ctx, int fd, struct sockaddr *peer, socklen_t *length)
{
    int gate = srun_gate_fd(ctx, fd), cancel = gate < 0 ? gate : srun_cancel_fd(ctx);
    if (cancel < 0)
        return cancel;
    while (!srun_cancelled(ctx)) {
        int connection = sockets_accept(sockets_of(ctx), fd, peer, length);
        if (connection != -EAGAIN)
            return connection;
        fd_await_either(gate, cancel);
    }
    return -ECANCELED;
}

/* --- letting go ------------------------------------------------------------------------------ */

int srun_draining(const srun_context *ctx)
{
    return !is_forked(ctx) &&
           atomic_load_explicit(&runner_of(ctx)->succession.draining, memory_order_acquire);
}

int srun_drain_fd(srun_context *ctx)
{
    return is_forked(ctx) ? SRUN_EFORK : succession_drain_fd(runner_of(ctx));
}

/* --- handing over ---------------------------------------------------------------------------- */

int srun_upgrade_keep(srun_runner *runner, const char *name, int fd, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "keep: %s", srun_strerror(SRUN_EFORK));
    return sockets_keep(&runner->succession.sockets, name, fd, HANDOVER_KEPT, err);
}

int srun_upgrade_keep_state(srun_runner *runner, const char *name, const void *data, size_t size,
                            srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "keep: %s", srun_strerror(SRUN_EFORK));
    auto_close int fd = state_seal(data, size);
    return fd < 0 ? srun_fail(err, fd, "keep %s: %s", name, srun_strerror(fd))
                  : sockets_keep(&runner->succession.sockets, name, fd, HANDOVER_STATE, err);
}

int srun_upgrade_forget(srun_runner *runner, const char *name)
{
    return forked_since(runner->birth) ? SRUN_EFORK
                                       : sockets_forget(&runner->succession.sockets, name);
}

static int take(srun_runner *runner, const char *name, enum handover_kind *kind, int *fd,
                srun_err *err)
{
    int rc = forked_since(runner->birth)
                 ? SRUN_EFORK
                 : sockets_take(&runner->succession.sockets, name, kind, fd);
    return rc < 0 ? srun_fail(err, rc, "take %s: %s", name != NULL ? name : "(null)",
                              srun_strerror(rc))
                  : 0;
}

int srun_upgrade_take(srun_runner *runner, const char *name, int *fd, srun_err *err)
{
    enum handover_kind kind;
    return take(runner, name, &kind, fd, err);
}

int srun_upgrade_take_state(srun_runner *runner, const char *name, void **data, size_t *size,
                            srun_err *err)
{
    enum handover_kind kind;
    auto_close int fd = -1;
    int rc = take(runner, name, &kind, &fd, err);
    if (rc < 0)
        return rc;
    rc = state_read(fd, data, size);
    return rc < 0 ? srun_fail(err, rc, "take %s: %s", name,
                              rc == -EINVAL ? "it is no sealed state" : srun_strerror(rc))
                  : 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

static bool is_passed_on_locked(const struct succession *succession, uint64_t ticket)
{
    return ticket > succession->covers && ticket <= succession->passed_on;
}

static int wait_for_answer_locked(srun_runner *runner, uint64_t ticket, int64_t until,
                                  srun_err *err)
{
    const struct succession *succession = &runner->succession;
    const struct srun_upgrade_info *info = &succession->info;
    bool in_time = true;
    while (succession->answered < ticket && !is_passed_on_locked(succession, ticket) && in_time &&
           atomic_load(&runner->phase) != RUNNER_FINISHED)
        in_time = thread_cond_wait_until(&runner->changed, &runner->lock, until);
    if (succession->answered >= ticket)
        return info->last_code == 0 ? 0
                                    : srun_fail(err, info->last_code, "upgrade: %s: %s",
                                                info->last_phase, info->last_text);
    if (is_passed_on_locked(succession, ticket))
        return srun_fail(err, -EINPROGRESS, "upgrade: passed on to generation %u",
                         info->generation + 1);
    return in_time ? srun_fail(err, SRUN_ESTATE, "upgrade: the runner has ended")
                   : srun_fail(err, -ETIMEDOUT, "upgrade: not decided yet: %s", info->state);
}

int srun_upgrade_request(srun_runner *runner, const char *why, int64_t wait_ms, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "upgrade: %s", srun_strerror(SRUN_EFORK));
    int phase = atomic_load(&runner->phase);
    if (phase == RUNNER_ASSEMBLING || phase == RUNNER_FINISHED)
        return srun_fail(err, SRUN_ESTATE, "upgrade: the runner does not run");
    struct succession *succession = &runner->succession;
    pthread_mutex_lock(&runner->lock);
    uint64_t ticket = ++succession->asked;
    bool first = !succession->request.posted;
    succession->request.posted = true;
    (void)snprintf(succession->request.why, sizeof succession->request.why, "%s",
                   why != NULL ? why : "asked to");
    pthread_mutex_unlock(&runner->lock);
    if (first)
        inbox_post(&runner->inbox, &succession->request.item);
    if (wait_ms == 0)
        return 0;
    int64_t until = wait_ms < 0 ? INT64_MAX : clock_after_ms(clock_real_now(), wait_ms);
    pthread_mutex_lock(&runner->lock);
    int rc = wait_for_answer_locked(runner, ticket, until, err);
    pthread_mutex_unlock(&runner->lock);
    return rc;
}

void srun_upgrade_info(const srun_runner *runner, struct srun_upgrade_info *out)
{
    *out = (struct srun_upgrade_info){0};
    if (forked_since(runner->birth))
        return;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&runner->lock; /* only the lock changes */
    pthread_mutex_lock(lock);
    *out = runner->succession.info;
    pthread_mutex_unlock(lock);
}
