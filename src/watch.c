/* SPDX-License-Identifier: MIT
 *
 * Heartbeats and the service manager's watchdog. WATCHDOG=1 is sent only while every RUNNING
 * service that promised a heartbeat keeps it, so a hung service is seen from outside. Without a
 * promise and without a watchdog this never wakes anybody. Control thread.
 */
#include "runner.h"

#include "base/clock.h"
#include "capture.h"
#include "outcome.h"

#include <srun/log.h>

#define PINGS_PER_LIMIT 3

static void publish_missed(struct service *service, bool missed)
{
    pthread_mutex_lock(&service->lock);
    service->view.heartbeat_missed = missed;
    pthread_mutex_unlock(&service->lock);
}

/* When the next heartbeat of the service is due; SEQUENCE_NEVER without a promise. One that has
 * finished has nothing left that could beat. */
static int64_t heartbeat_due(const srun_runner *runner, struct service *service)
{
    struct service_view view;
    if (service->options.heartbeat_ms <= 0 ||
        sequence_state(runner->seq, service->id) != SRUN_RUNNING ||
        sequence_run_is_over(runner->seq, service->id))
        return SEQUENCE_NEVER;
    service_view(service, &view);
    int64_t last = atomic_load_explicit(&service->heartbeat, memory_order_relaxed);
    if (last < view.since)
        last = view.since; /* the promise holds from RUNNING on */
    return clock_after_ms(last, service->options.heartbeat_ms);
}

/* True while the promise is kept; tells of a change once. That a service with a missed heartbeat
 * has stopped is not the heartbeat's return. */
static bool check_heartbeat(srun_runner *runner, struct service *service, int64_t due, int64_t now)
{
    struct service_view view;
    service_view(service, &view);
    bool missed = due != SEQUENCE_NEVER && now >= due;
    if (missed == view.heartbeat_missed)
        return !missed;
    publish_missed(service, missed);
    if (missed) {
        SRUN_WARN(service->log, "heartbeat missed",
                  SRUN_MS("promised_every", service->options.heartbeat_ms));
        notify_status(&runner->notify, "the heartbeat of %s is missed", service->name);
        capture_hang(runner, service, "its heartbeat is missed", now);
    } else if (due != SEQUENCE_NEVER) {
        SRUN_INFO(service->log, "heartbeat back");
        outcome_look_ready(runner);
    }
    return !missed;
}

void watch_check(srun_runner *runner, int64_t now)
{
    bool kept = true;
    int64_t next = SEQUENCE_NEVER;
    for (unsigned i = 0; i < runner->active_count; i++) {
        struct service *service = runner->active[i];
        if (service->options.heartbeat_ms <= 0)
            continue;
        int64_t due = heartbeat_due(runner, service);
        bool keeps = check_heartbeat(runner, service, due, now);
        int64_t look = keeps || due == SEQUENCE_NEVER
                           ? due
                           : clock_after_ms(now, service->options.heartbeat_ms);
        kept &= keeps;
        next = look < next ? look : next;
    }
    if (runner->notify.watchdog_ns > 0) {
        if (kept && now >= runner->ping_at) {
            notify_send(&runner->notify, "WATCHDOG=1");
            runner->ping_at = now + runner->notify.watchdog_ns / PINGS_PER_LIMIT;
        }
        int64_t ping = kept ? runner->ping_at : now + runner->notify.watchdog_ns / PINGS_PER_LIMIT;
        next = ping < next ? ping : next;
    }
    runner->watch_at = next;
}
