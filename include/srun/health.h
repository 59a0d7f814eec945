/* SPDX-License-Identifier: MIT
 *
 * Health: how well a service does its work. It is asked (the health verb, every 30 s), or says so
 * itself (srun_health_push, at once); who depends on it hears of each change. Off until the
 * configuration says health.enabled, and costs nothing then. docs/health.md is the whole story.
 */
#ifndef SRUN_HEALTH_H
#define SRUN_HEALTH_H

#include <srun/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From worst to best, but that UNKNOWN (nothing is known yet, or nobody will ever tell) counts
 * neither way. STOPPED: the service is not RUNNING. */
typedef enum srun_health_status {
    SRUN_HEALTH_UNKNOWN,
    SRUN_HEALTH_STOPPED,
    SRUN_HEALTH_UNHEALTHY,
    SRUN_HEALTH_DEGRADED,
    SRUN_HEALTH_HEALTHY
} srun_health_status;

typedef enum srun_health_source {
    SRUN_HEALTH_LIFECYCLE, /* the service started or stopped */
    SRUN_HEALTH_CHECKED,   /* the health verb answered */
    SRUN_HEALTH_PUSHED,    /* srun_health_push */
    SRUN_HEALTH_HUNG,      /* the health verb has not answered within its timeout */
    SRUN_HEALTH_STALE      /* the last result has expired */
} srun_health_source;

/* "healthy", "unhealthy", ...; "checked", "pushed", ...: the one spelling everywhere. */
SRUN_API const char *srun_health_status_name(srun_health_status status);
SRUN_API const char *srun_health_source_name(srun_health_source source);

#define SRUN_HEALTH_NOTE_MAX 128
#define SRUN_HEALTH_HISTORY 16

struct srun_health {
    const char *service;       /* borrowed from the runner */
    srun_health_status status; /* the worst of its own and of what it depends on */
    srun_health_status own;    /* what was found out about itself */
    srun_health_source source; /* of own */
    int64_t time_ms;           /* Unix time of the last result */
    int64_t age_ms;            /* since then; -1: there is none */
    int64_t took_ms;           /* the check; -1: it was no check */
    int64_t next_ms;           /* until the next check; -1: none will come */
    char note[SRUN_HEALTH_NOTE_MAX]; /* what it said, cut to fit */
    char path[SRUN_HEALTH_NOTE_MAX]; /* "ledger -> postgres" when that is why; else "" */
};

/* Says how the calling service is, from now on until the next result, or until push_ttl_ms have
 * passed. Counts at once, whatever rise and fall say. Never waits; of several that come faster than
 * they can be told the last one counts. note may be NULL. 0, also while health is off; -EINVAL:
 * status is not unhealthy, degraded or healthy; SRUN_ESTATE: the service is not STARTING or
 * RUNNING; SRUN_EFORK. Threads: any. */
SRUN_API int srun_health_push(srun_context *ctx, srun_health_status status, const char *note);

/* The present status of a service: one look-up and one atomic read, for the hot path of a circuit
 * breaker. SRUN_HEALTH_UNKNOWN while health is off. -ENOENT, SRUN_EFORK. Threads: any. */
SRUN_API int srun_health_get(const srun_context *ctx, const char *service);

/* The worst of the critical services, capped at degraded by those that are not; unknown when no
 * service has told anything. One atomic read. Threads: any. */
SRUN_API srun_health_status srun_health_overall(const srun_runner *runner);

/* All that is known of one; a consistent copy. 0, -ENOENT, SRUN_EFORK. Threads: any. */
SRUN_API int srun_runner_health(const srun_runner *runner, const char *service,
                                struct srun_health *out);

/* One result of the last 16, the newest last. */
struct srun_health_result {
    srun_health_status status;
    srun_health_source source;
    int64_t time_ms, took_ms;
    char note[SRUN_HEALTH_NOTE_MAX];
};

/* Copies up to capacity, returns how many there are, at most SRUN_HEALTH_HISTORY; 0 as well when
 * there is no such service. Threads: any. */
SRUN_API size_t srun_runner_health_history(const srun_runner *runner, const char *service,
                                           struct srun_health_result *out, size_t capacity);

/* --- consuming ------------------------------------------------------------------------------- */

/* One of three ways: the on_health verb; srun_health_consume, which loops; or a subscription with
 * a descriptor. All tell the present state of each service first, then each change of its status
 * (or of the path to the cause), the newest only: who is slow delays nobody and misses what was
 * overtaken. */
typedef struct srun_health_watch srun_health_watch;

/* names: NULL-ended; NULL or empty: all services but the caller's own. -ENOENT names the unknown
 * one, SRUN_ESTATE: health is off, -ENOMEM, -EMFILE. Owned by the caller; free it before the
 * runner. Threads: any, from init on. */
SRUN_API int srun_health_subscribe(srun_context *ctx, const char *const *names,
                                   srun_health_watch **out, srun_err *err);
SRUN_API srun_health_watch *srun_health_watch_free(srun_health_watch *watch);

/* Readable while srun_health_next has something to say, and for ever when it is closed. Never read
 * it. Threads: any. */
SRUN_API int srun_health_watch_fd(const srun_health_watch *watch);

/* The next change, waiting up to timeout_ms of real time (negative: no limit). 0; -ETIMEDOUT;
 * -ECANCELED: the service has to stop; SRUN_ECLOSED: all that it watches has stopped for good,
 * nothing will come. Threads: one at a time. */
SRUN_API int srun_health_next(srun_health_watch *watch, struct srun_health *out,
                              int64_t timeout_ms);

/* How many changes were overtaken by a newer one of the same service before they were read. */
SRUN_API uint64_t srun_health_watch_missed(const srun_health_watch *watch);

/* The loop: calls each for every change until it answers other than 0 (which is returned), or as
 * srun_health_next: -ECANCELED, SRUN_ECLOSED. Errors of srun_health_subscribe. Threads: any. */
SRUN_API int srun_health_consume(srun_context *ctx, const char *const *names,
                                 int (*each)(void *user, const struct srun_health *health),
                                 void *user, srun_err *err);

#ifdef __cplusplus
}
#endif
#endif
