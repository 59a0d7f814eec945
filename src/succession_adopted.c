/* SPDX-License-Identifier: MIT */
#include "succession_adopted.h"

#include "base/duration.h"
#include "base/fd.h"
#include "log/log.h"
#include "succession_peer.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

static struct succession_adoption *of(srun_runner *runner)
{
    return &runner->succession.adoption;
}

static void run(struct pool_job *job)
{
    struct succession_adoption *adoption =
        (struct succession_adoption *)((char *)job - offsetof(struct succession_adoption, job));
    adoption->err = (srun_err){0};
    adoption->rc = standin_renew(&adoption->request, &adoption->err);
}

static void done(struct pool_job *job)
{
    srun_runner *runner =
        (srun_runner *)((char *)job - offsetof(srun_runner, succession.adoption.job));
    inbox_post(&runner->inbox, &of(runner)->item);
}

static void warn(srun_runner *runner, const char *why)
{
    SRUN_WARN(runner->log, "the service manager may not wait for the end of this process",
              SRUN_STR("why", why));
}

/* Below the anchor the parent is that, for good. */
static bool is_adopted(const struct succession *succession)
{
    return succession->anchor.pid == 0 && getppid() != succession->peer_pid;
}

void adopted_tell(srun_runner *runner)
{
    struct succession *succession = &runner->succession;
    struct succession_adoption *adoption = &succession->adoption;
    const struct notify *notify = &runner->notify;
    if (notify->fd < 0 || notify->mute || succession->machine.ending || adoption->busy ||
        !is_adopted(succession))
        return;
    int stop = fd_event_new();
    if (stop < 0) {
        warn(runner, srun_strerror(stop));
        return;
    }
    adoption->request = (struct standin_request){.manager = notify->address,
                                                 .size = notify->address_size,
                                                 .patience_ns = BARRIER_LIMIT,
                                                 .stop = stop};
    adoption->job = (struct pool_job){.run = run, .done = done};
    int rc = pool_submit(runner->pool, &adoption->job);
    adoption->busy = rc == 0;
    if (rc == 0)
        return;
    adopted_destroy(runner);
    warn(runner, srun_strerror(rc));
}

void adopted_take(srun_runner *runner)
{
    struct succession_adoption *adoption = of(runner);
    adoption->busy = false;
    adopted_destroy(runner);
    if (adoption->rc == 0)
        SRUN_INFO(runner->log, "the service manager has looked at this process anew");
    else if (adoption->rc != -ECANCELED)
        warn(runner, adoption->err.text);
    peer_start_launch(runner);
}

bool adopted_is_telling(const srun_runner *runner)
{
    return runner->succession.adoption.busy;
}

void adopted_end(srun_runner *runner)
{
    if (of(runner)->busy)
        fd_event_raise(of(runner)->request.stop);
}

void adopted_destroy(srun_runner *runner)
{
    struct standin_request *request = &of(runner)->request;
    if (request->stop >= 0)
        (void)close(request->stop);
    request->stop = -1;
}
