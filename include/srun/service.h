/* SPDX-License-Identifier: MIT
 *
 * A service is a table of verbs and a `self`. Every verb may be left out, but one of init, run,
 * ready, stop and health is there.
 *
 *   STOPPED -> INITIATING -> INITIATED -> STARTING -> RUNNING -> SHUTTING_DOWN -> STOPPED
 *
 * and, when the program stops early, from any of the middle states straight to SHUTTING_DOWN.
 * The verbs of one service never run on the control thread: init and run have a thread of the
 * service's own, ready, stop and on_drain run on a small pool, so stop and run may overlap; health
 * and on_health run on another.
 */
#ifndef SRUN_SERVICE_H
#define SRUN_SERVICE_H

#include <srun/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_context srun_context;
struct srun_health; /* srun/health.h */

typedef enum srun_state {
    SRUN_STOPPED,
    SRUN_INITIATING,
    SRUN_INITIATED,
    SRUN_STARTING,
    SRUN_RUNNING,
    SRUN_SHUTTING_DOWN
} srun_state;

/* "STOPPED", "SHUTTING_DOWN", ...: the one spelling in logs, metrics and JSON. Threads: any. */
SRUN_API const char *srun_state_name(srun_state state);

/* Returned by run: "I started what I had to start and live on until stop". */
#define SRUN_RUN_BACKGROUND 1

/* The verbs. Each answers 0 or a negative code, with the text in err (never NULL here). */
struct srun_service_ops {
    size_t size; /* sizeof(struct srun_service_ops) */

    /* Open what the service needs. All inits run first, in order of registration, before any run.
     * A failure stops the program; what was initiated before is stopped in reverse order. */
    int (*init)(void *self, srun_context *ctx, srun_err *err);

    /* Do the work: block until srun_cancelled(ctx), or start it elsewhere and answer
     * SRUN_RUN_BACKGROUND. 0 means finished; the program ends when all services have finished.
     * Same thread as init. Without a ready verb it must call srun_ready(ctx) when it can serve
     * (answering SRUN_RUN_BACKGROUND or 0 says so too). */
    int (*run)(void *self, srun_context *ctx, srun_err *err);

    /* 0 = ready. Anything negative = not yet: asked again after 1, 2, 4, ... 50 ms until
     * ready_ms have passed. Need not be given when run calls srun_ready. */
    int (*ready)(void *self, srun_context *ctx, srun_err *err);

    /* End the service's effects on the world: refuse, drain, flush, close. Called once if init
     * succeeded (or there is none), after ctx of run was cancelled, and only when every service
     * that was registered later has ended. The ctx given here is its own: it is cancelled when
     * stop_ms are over. Overlaps with run, which may still be on its way out, or in: what both use
     * needs a lock. Must not free memory that run may still use; destroy does that. */
    int (*stop)(void *self, srun_context *ctx, srun_err *err);

    /* Free memory. Called by srun_runner_free for every added service, in reverse order, whether
     * it ever started or not; never called when any thread of the runner is stuck. */
    void (*destroy)(void *self);

    /* An upgrade. draining 1: a newer generation serves now; let clients go and take no new work,
     * see srun_draining. 0: it has died in its probation; serve on. Called on the pool, only while
     * RUNNING, never beside stop. An error is logged. */
    int (*on_drain)(void *self, srun_context *ctx, int draining, srun_err *err);

    /* How are you? Asked when health is enabled: first as soon as the service is ready, which
     * becomes RUNNING only if it is not unhealthy (unless it is optional); then every
     * options.health.interval_ms. 0: healthy; SRUN_HEALTH_DEGRADED; SRUN_HEALTH_UNHEALTHY or a
     * negative code: unhealthy. Why in err, which is shown. Called on a pool, never twice at once,
     * never beside stop. A service may have this verb alone. See srun/health.h. */
    int (*health)(void *self, srun_context *ctx, srun_err *err);

    /* Another service's health has changed (at first: is so). Which: options.health.watch. On the
     * pool, one at a time, only while RUNNING. A negative answer is logged and ends it. */
    int (*on_health)(void *self, srun_context *ctx, const struct srun_health *health,
                     srun_err *err);

    void *reserved[3]; /* zero */
};

typedef enum srun_restart {
    SRUN_RESTART_NEVER,
    SRUN_RESTART_ON_FAILURE,
    SRUN_RESTART_ALWAYS
} srun_restart;

/* Everything is optional: zero means the default in brackets. Times are in milliseconds. */
struct srun_service_options {
    size_t size;         /* sizeof(struct srun_service_options) */
    int64_t init_ms;     /* limit for init [the runner's timeouts.init_ms] */
    int64_t ready_ms;    /* limit from run to ready [timeouts.ready_ms] */
    int64_t stop_ms;     /* limit for stop and for run to return [timeouts.stop_ms] */
    int64_t heartbeat_ms;/* promise: srun_heartbeat is called at least this often, from RUNNING until
                            run has finished [no promise] */
    size_t stack_bytes;  /* stack of the service's thread [the system's default] */

    /* Neighbours in the order of adding that name the same group start and stop together. */
    const char *group;

    /* NULL-ended names of services that must have been added before this one. Its health is never
     * shown better than theirs. */
    const char *const *depends;

    /* True: when all other services have finished the program ends, whatever this one does. */
    int auxiliary;

    /* What happens when a RUNNING service fails (or, with ALWAYS, finishes): stop it, wait, start
     * it again. The wait doubles from min to max, +-10 % jitter. More than `limit` restarts
     * within `window_ms` and the failure stops the program. A service that never was RUNNING in
     * this process is not restarted: a start that fails is a start that fails. */
    struct {
        srun_restart when;
        int64_t backoff_min_ms; /* [100] */
        int64_t backoff_max_ms; /* [30000] */
        int64_t window_ms;      /* [60000] */
        unsigned limit;         /* [5], at most 32 */
    } restart;

    struct {
        int64_t interval_ms;      /* between two checks, +-10 % [the runner's health.interval_ms] */
        int64_t timeout_ms;       /* a check that takes longer: unhealthy [health.timeout_ms] */
        int64_t push_ttl_ms;      /* a push counts for so long [until the next result] */
        unsigned rise;            /* passes in a row that make it better again [1] */
        unsigned fall;            /* failures in a row that make it worse [1] */
        int optional;             /* 1: not critical: it does not gate the start, and cannot make
                                     the program worse than degraded */
        int reserved;
        const char *const *watch; /* what on_health is told of; NULL-ended [all others] */
    } health;

    void *reserved[6]; /* zero */
};

#define SRUN_OPTIONS(...) SRUN_STRUCT_(srun_service_options, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
