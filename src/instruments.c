/* SPDX-License-Identifier: MIT */
#include "instruments.h"

#include "admin/admin.h"
#include "admin/process.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "runner.h"
#include "telemetry/meter.h"
#include "telemetry/negotiate.h"
#include "telemetry/prometheus.h"

#include <errno.h>
#include <srun/flags.h>
#include <srun/health.h>
#include <srun/metrics.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRAPE_LIMIT (5 * NS_PER_S)

enum metric {
    CPU,
    RESIDENT,
    VIRTUAL,
    OPEN_FDS,
    MAX_FDS,
    START_TIME,
    THREADS,
    INFO,
    READY,
    GENERATION,
    FEATURES,
    HEALTH,
    SERVICE_STATE,
    SERVICE_RESTARTS,
    SERVICE_START,
    SERVICE_HEALTH,
    UPGRADES,
    UPGRADES_DONE,
    UPGRADES_FAILED,
    UPGRADES_UNDONE,
    UPGRADE_TIME,
    LOG_LOST,
    LOGS_CREATED,
    LOGS_PROCESSED,
    LOGS_EXPORTED,
    LOGS_WAITING,
    LOGS_CAPACITY,
    CONNECTIONS,
    REQUESTS,
    REFUSED,
    AUTH_FAILURES,
    EVICTED,
    TIMEOUTS,
    OPEN_CONNECTIONS,
    DROPPED,
    OVERFLOWING,
    LATE,
    METRICS
};

/* Those of the process are called as Prometheus' own clients call them. */
static const struct {
    const char *name, *unit, *help;
    int kind;
    bool real;
} table[METRICS] = {
    [CPU] = {"process_cpu_seconds", "s", "CPU time, user and system, in seconds.",
             TELEMETRY_COUNTER, true},
    [RESIDENT] = {"process_resident_memory_bytes", "By", "Resident memory in bytes.",
                  TELEMETRY_GAUGE_KIND, false},
    [VIRTUAL] = {"process_virtual_memory_bytes", "By", "Virtual memory in bytes.",
                 TELEMETRY_GAUGE_KIND, false},
    [OPEN_FDS] = {"process_open_fds", "", "Open file descriptors.", TELEMETRY_GAUGE_KIND, false},
    [MAX_FDS] = {"process_max_fds", "", "The limit of open file descriptors.", TELEMETRY_GAUGE_KIND,
                 false},
    [START_TIME] = {"process_start_time_seconds", "s", "Unix time at which the process started.",
                    TELEMETRY_GAUGE_KIND, true},
    [THREADS] = {"process_threads", "", "Threads.", TELEMETRY_GAUGE_KIND, false},
    [INFO] = {"srun.info", "", "The program and its library; always 1.", TELEMETRY_GAUGE_KIND,
              false},
    [READY] = {"srun.ready", "", "1 while every service is RUNNING and nothing drains.",
               TELEMETRY_GAUGE_KIND, false},
    [GENERATION] = {"srun.generation", "", "1, and one more after each upgrade.",
                    TELEMETRY_GAUGE_KIND, false},
    [FEATURES] = {"srun-feature-flags", "", "Features that are enabled.", TELEMETRY_GAUGE_KIND,
                  false},
    [HEALTH] = {"srun.health.overall", "",
                "0 unknown, 1 stopped, 2 unhealthy, 3 degraded, 4 healthy.", TELEMETRY_GAUGE_KIND,
                false},
    [SERVICE_STATE] = {"srun.service.state", "", "1 for the state that a service is in.",
                       TELEMETRY_GAUGE_KIND, false},
    [SERVICE_RESTARTS] = {"srun.service.restarts", "", "Restarts of a service.", TELEMETRY_COUNTER,
                          false},
    [SERVICE_START] = {"srun.service.start", "s",
                       "What a phase of the present life's start took, in seconds.",
                       TELEMETRY_GAUGE_KIND, true},
    [SERVICE_HEALTH] = {"srun.health.status", "",
                        "0 unknown, 1 stopped, 2 unhealthy, 3 degraded, 4 healthy.",
                        TELEMETRY_GAUGE_KIND, false},
    [UPGRADES] = {"srun.upgrade.attempts", "", "Upgrades that were tried.", TELEMETRY_COUNTER,
                  false},
    [UPGRADES_DONE] = {"srun.upgrade.succeeded", "",
                       "Of these, those after which a newer process serves.", TELEMETRY_COUNTER,
                       false},
    [UPGRADES_FAILED] = {"srun.upgrade.failed", "", "Of these, those that failed.",
                         TELEMETRY_COUNTER, false},
    [UPGRADES_UNDONE] = {"srun.upgrade.rolled_back", "",
                         "Upgrades after which this process serves again.", TELEMETRY_COUNTER,
                         false},
    [UPGRADE_TIME] = {"srun.upgrade.last.duration", "s", "What the last one took, in seconds.",
                      TELEMETRY_GAUGE_KIND, true},
    [LOG_LOST] = {"srun.log.records.lost", "", "Log records that the sink did not take.",
                  TELEMETRY_COUNTER, false},
    [LOGS_CREATED] = {"otel.sdk.log.created", "{log_record}", "Log records that were to be sent.",
                      TELEMETRY_COUNTER, false},
    [LOGS_PROCESSED] = {"otel.sdk.processor.log.processed", "{log_record}",
                        "Log records that have left the queue, or found it full.",
                        TELEMETRY_COUNTER, false},
    [LOGS_EXPORTED] = {"otel.sdk.exporter.log.exported", "{log_record}",
                       "Log records that were sent, or lost on the way.", TELEMETRY_COUNTER, false},
    [LOGS_WAITING] = {"otel.sdk.processor.log.queue.size", "{log_record}",
                      "Log records that wait to be sent.", TELEMETRY_GAUGE_KIND, false},
    [LOGS_CAPACITY] = {"otel.sdk.processor.log.queue.capacity", "{log_record}",
                       "Log records that may wait.", TELEMETRY_GAUGE_KIND, false},
    [CONNECTIONS] = {"srun.admin.connections", "", "Connections to the admin port.",
                     TELEMETRY_COUNTER, false},
    [REQUESTS] = {"srun.admin.requests", "", "Requests that it has answered.", TELEMETRY_COUNTER,
                  false},
    [REFUSED] = {"srun.admin.refused", "", "Requests that it has refused.", TELEMETRY_COUNTER,
                 false},
    [AUTH_FAILURES] = {"srun.admin.auth.failures", "", "Of these, for lack of a right.",
                       TELEMETRY_COUNTER, false},
    [EVICTED] = {"srun.admin.evicted", "", "Connections that had to make room.", TELEMETRY_COUNTER,
                 false},
    [TIMEOUTS] = {"srun.admin.timeouts", "", "Connections that were too slow.", TELEMETRY_COUNTER,
                  false},
    [OPEN_CONNECTIONS] = {"srun.admin.open.connections", "", "Connections to it now.",
                          TELEMETRY_GAUGE_KIND, false},
    [DROPPED] = {"srun.metrics.dropped", "",
                 "Measurements that were negative, not a number, or of the wrong type.",
                 TELEMETRY_COUNTER, false},
    [OVERFLOWING] = {"srun.metrics.overflowing", "",
                     "Metrics with more sets of attributes than they may have.",
                     TELEMETRY_GAUGE_KIND, false},
    [LATE] = {"srun.metrics.callbacks.late", "", "Callbacks that did not answer in time.",
              TELEMETRY_COUNTER, false},
};

struct instruments {
    srun_runner *runner;
    srun_instrument *made[METRICS];
    struct telemetry_reader *reader; /* of the client that has the turn */
    bool told_left_out;              /* by it, too */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool taken; /* a client has the turn */
};

/* --- what there is --------------------------------------------------------------------------- */

struct telling {
    const struct instruments *own;
    srun_observer *observer;
};

static void tell_with(const struct telling *t, enum metric metric, double value,
                      const struct srun_kv *kvs)
{
    telemetry_observe(t->observer, t->own->made[metric], value, kvs);
}

static void tell(const struct telling *t, enum metric metric, double value)
{
    tell_with(t, metric, value, NULL);
}

/* By division, whose result has a short text. What is not known is -1, and left out. */
static void tell_known(const struct telling *t, enum metric metric, int64_t value, double parts)
{
    if (value >= 0)
        tell(t, metric, (double)value / parts);
}

static void tell_process(const struct telling *t)
{
    struct process process;
    process_read(&process);
    tell_known(t, CPU, process.cpu_ns, 1e9);
    tell_known(t, RESIDENT, process.rss, 1);
    tell_known(t, VIRTUAL, process.vsize, 1);
    tell_known(t, OPEN_FDS, process.fds, 1);
    tell_known(t, MAX_FDS, process.max_fds, 1);
    tell_known(t, START_TIME, process.start_ms, 1e3);
    tell_known(t, THREADS, process.threads, 1);
}

static void tell_program(const struct telling *t)
{
    const srun_runner *runner = t->own->runner;
    struct srun_run_info run;
    srun_runner_info(runner, &run);
    tell_with(t, INFO, 1,
              SRUN_KVS(SRUN_STR("name", run.name), SRUN_STR("version", run.version),
                       SRUN_STR("libsrun", srun_version())));
    tell(t, READY, run.ready);
    tell(t, GENERATION, run.generation);
    tell(t, FEATURES, (double)srun_feature_count(runner));
    tell(t, LOG_LOST, (double)srun_logger_lost(runner->log));
}

static void tell_failed(const struct telling *t, enum metric metric, uint64_t count,
                        const char *why)
{
    tell_with(t, metric, (double)count, SRUN_KVS(SRUN_STR("error.type", why)));
}

static void tell_logs(const struct telling *t)
{
    struct logs *logs = t->own->runner->shipping.logs;
    struct logs_stats stats;
    if (logs == NULL)
        return;
    logs_stats(logs, &stats);
    tell(t, LOGS_CREATED, (double)(stats.taken + stats.dropped + stats.late));
    tell(t, LOGS_PROCESSED, (double)(stats.taken - stats.waiting));
    tell_failed(t, LOGS_PROCESSED, stats.dropped, "queue_full");
    tell(t, LOGS_EXPORTED, (double)stats.exported);
    tell_failed(t, LOGS_EXPORTED, stats.rejected, "rejected");
    tell_failed(t, LOGS_EXPORTED, stats.lost_in_export, "lost");
    tell(t, LOGS_WAITING, (double)stats.waiting);
    tell(t, LOGS_CAPACITY, (double)stats.capacity);
}

static void tell_upgrades(const struct telling *t)
{
    struct srun_upgrade_info upgrade;
    srun_upgrade_info(t->own->runner, &upgrade);
    tell(t, UPGRADES, upgrade.attempts);
    tell(t, UPGRADES_DONE, upgrade.succeeded);
    tell(t, UPGRADES_FAILED, upgrade.failed);
    tell(t, UPGRADES_UNDONE, upgrade.rolled_back);
    if (upgrade.attempts > 0)
        tell_known(t, UPGRADE_TIME, upgrade.last_took_ms, 1e3);
}

static void tell_phase(const struct telling *t, const char *service, const char *phase, int64_t ms)
{
    if (ms >= 0)
        tell_with(t, SERVICE_START, (double)ms / 1e3,
                  SRUN_KVS(SRUN_STR("service", service), SRUN_STR("phase", phase)));
}

static void tell_service(const struct telling *t, const struct srun_service_info *info)
{
    for (int state = SRUN_STOPPED; state <= SRUN_SHUTTING_DOWN; state++)
        tell_with(t, SERVICE_STATE, info->state == (srun_state)state,
                  SRUN_KVS(SRUN_STR("service", info->name),
                           SRUN_STR("state", srun_state_name((srun_state)state))));
    tell_with(t, SERVICE_RESTARTS, info->restarts, SRUN_KVS(SRUN_STR("service", info->name)));
    tell_phase(t, info->name, "init", info->init_took_ms);
    tell_phase(t, info->name, "ready", info->ready_took_ms);
}

static void tell_health(const struct telling *t, const struct srun_service_info *info)
{
    struct srun_health health;
    if (srun_runner_health(t->own->runner, info->name, &health) == 0)
        tell_with(t, SERVICE_HEALTH, health.status, SRUN_KVS(SRUN_STR("service", info->name)));
}

/* All but our own. Without memory for the list: none. */
static void tell_services(const struct telling *t)
{
    const srun_runner *runner = t->own->runner;
    bool health = runner->config.value.health.enabled != 0;
    size_t count = srun_runner_services(runner, NULL, 0);
    struct srun_service_info *list = calloc(count + 1, sizeof list[0]);
    if (list == NULL)
        return;
    count = srun_runner_services(runner, list, count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, ADMIN_SERVICE) == 0)
            continue;
        tell_service(t, &list[i]);
        if (health)
            tell_health(t, &list[i]);
    }
    free(list);
    if (health)
        tell(t, HEALTH, srun_health_overall(runner));
}

static void tell_port(const struct telling *t)
{
    struct admin_traffic traffic;
    if (t->own->runner->admin == NULL)
        return;
    admin_traffic(t->own->runner->admin, &traffic);
    tell(t, CONNECTIONS, (double)traffic.connections);
    tell(t, REQUESTS, (double)traffic.requests);
    tell(t, REFUSED, (double)traffic.refused);
    tell(t, AUTH_FAILURES, (double)traffic.failed_auth);
    tell(t, EVICTED, (double)traffic.evicted);
    tell(t, TIMEOUTS, (double)traffic.timed_out);
    tell(t, OPEN_CONNECTIONS, traffic.open);
}

static void tell_meters(const struct telling *t)
{
    struct telemetry_meter_stats stats;
    telemetry_meter_stats(t->own->runner->meters, &stats);
    tell(t, DROPPED, (double)stats.dropped);
    tell(t, OVERFLOWING, (double)stats.overflow);
    tell(t, LATE, (double)stats.late);
}

static void observe(void *user, srun_observer *observer)
{
    const struct telling telling = {user, observer};
    tell_process(&telling);
    tell_program(&telling);
    tell_logs(&telling);
    tell_services(&telling);
    tell_upgrades(&telling);
    tell_port(&telling);
    tell_meters(&telling);
}

/* --- making ---------------------------------------------------------------------------------- */

int instruments_new(struct instruments **out, srun_runner *runner)
{
    srun_meter *meter = telemetry_meter(runner->meters, "", "");
    struct instruments *made = calloc(1, sizeof *made);
    if (made == NULL || meter == NULL) {
        free(made);
        return -ENOMEM;
    }
    made->runner = runner;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)thread_cond_init(&made->changed);
    for (size_t i = 0; i < METRICS; i++)
        made->made[i] =
            telemetry_observed(meter, table[i].kind, table[i].name,
                               SRUN_INSTRUMENT(.unit = table[i].unit, .help = table[i].help,
                                               .real = table[i].real, .limit = 100000));
    int rc = telemetry_reader_new(&made->reader, runner->meters,
                                  &(struct telemetry_reader_options){.text_only = true});
    if (rc == 0) /* last: it borrows what is made */
        rc = telemetry_on_collect(runner->meters, observe, made);
    if (rc < 0) {
        (void)instruments_free(made);
        return rc;
    }
    *out = made;
    return 0;
}

struct instruments *instruments_free(struct instruments *instruments)
{
    if (instruments == NULL)
        return NULL;
    (void)telemetry_reader_free(instruments->reader);
    (void)pthread_cond_destroy(&instruments->changed);
    (void)pthread_mutex_destroy(&instruments->lock);
    free(instruments);
    return NULL;
}

/* --- /metrics -------------------------------------------------------------------------------- */

static bool take_turn(struct instruments *own, int64_t deadline_ns)
{
    pthread_mutex_lock(&own->lock);
    while (own->taken && thread_cond_wait_until(&own->changed, &own->lock, deadline_ns))
        ;
    bool able = !own->taken;
    own->taken = true; /* by us, or as before */
    pthread_mutex_unlock(&own->lock);
    return able;
}

static void give_turn(struct instruments *own)
{
    pthread_mutex_lock(&own->lock);
    own->taken = false;
    pthread_cond_signal(&own->changed);
    pthread_mutex_unlock(&own->lock);
}

static void tell_left_out(struct instruments *own, size_t left_out)
{
    if (left_out == 0 || own->told_left_out)
        return;
    own->told_left_out = true;
    SRUN_WARN(own->runner->log, "/metrics cannot show all metrics", SRUN_UINT("count", left_out),
              SRUN_STR("why", "another one has the same name for Prometheus"));
}

/* By who has the turn, until all is written: the metrics are the reader's. */
static int write_all(struct instruments *own, bool openmetrics, int64_t deadline_ns,
                     struct buf *out)
{
    const struct telemetry_resource *resource = &own->runner->tracing.resource.shown;
    const struct telemetry_metric *metrics = NULL;
    size_t count = telemetry_collect(own->reader, deadline_ns, &metrics);
    if (metrics == NULL) /* somebody else has collected all the time */
        return -EBUSY;
    tell_left_out(own,
                  prometheus_write(out, metrics, count,
                                   resource->attributes != NULL ? resource : NULL, openmetrics));
    return out->failed ? -ENOMEM : 0;
}

int instruments_expose_until(srun_runner *runner, const char *accept, int64_t deadline_ns,
                             struct buf *out, char *type, size_t size)
{
    struct instruments *own = runner->instruments;
    struct negotiated format;
    negotiate(accept, &format);
    (void)snprintf(type, size, "%s", format.type);
    if (own == NULL)
        return 0;
    if (!take_turn(own, deadline_ns))
        return -EBUSY;
    int rc = write_all(own, format.openmetrics, deadline_ns, out);
    give_turn(own);
    return rc;
}

int instruments_expose(srun_runner *runner, const char *accept, struct buf *out, char *type,
                       size_t size)
{
    return instruments_expose_until(runner, accept, clock_real_now() + SCRAPE_LIMIT, out, type,
                                    size);
}
