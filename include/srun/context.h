/* SPDX-License-Identifier: MIT
 *
 * What a verb of a service is given: who it is, its logger, and when it has to stop. A context is
 * borrowed and lives as long as the runner. All calls: any thread, unless said otherwise.
 */
#ifndef SRUN_CONTEXT_H
#define SRUN_CONTEXT_H

#include <srun/log.h>
#include <srun/service.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_runner srun_runner;

/* Why the program (or one service) stops. */
typedef enum srun_cause_kind {
    SRUN_CAUSE_NONE,
    SRUN_CAUSE_SIGNAL,        /* SIGTERM, SIGINT, SIGQUIT, or a lost terminal */
    SRUN_CAUSE_REQUEST,       /* srun_runner_shutdown */
    SRUN_CAUSE_ALL_EXITED,    /* every service finished its run */
    SRUN_CAUSE_DEADLINE,      /* timeouts.deadline_ms have passed */
    SRUN_CAUSE_UPGRADE,       /* a newer process has taken over */
    SRUN_CAUSE_RESTART,       /* this service is being restarted */
    SRUN_CAUSE_SERVICE_ERROR, /* a verb of a service failed */
    SRUN_CAUSE_INIT_TIMEOUT,
    SRUN_CAUSE_READY_TIMEOUT,
    SRUN_CAUSE_STOP_TIMEOUT,  /* a stop, or the whole graceful period, overran */
    SRUN_CAUSE_UNHEALTHY      /* the first health check failed */
} srun_cause_kind;

typedef struct srun_cause {
    srun_cause_kind kind;
    int code;         /* what the verb returned, or 0 */
    int signo;        /* the signal, or 0 */
    char service[64]; /* the service concerned, cut to fit, or "" */
    char phase[12];   /* "init", "run", "ready", "stop", or "" */
    char text[252];   /* for people: "service db: init: connection refused" */
} srun_cause;

/* "signal", "service_error", ...: for logs and metrics. */
SRUN_API const char *srun_cause_name(srun_cause_kind kind);

/* Who am I? Borrowed, never NULL. */
SRUN_API const char *srun_context_name(const srun_context *ctx);
SRUN_API srun_runner *srun_context_runner(const srun_context *ctx);

/* The service's logger: every record carries logger_scope=<service>. Borrowed. */
SRUN_API srun_logger *srun_context_log(const srun_context *ctx);

/* The user pointer given with srun_main or in the configuration. */
SRUN_API void *srun_context_user(const srun_context *ctx);

/* The service can do its work now: it becomes RUNNING and the next one starts. More than once is
 * the same as once. 0, SRUN_ESTATE when it is not starting, SRUN_EFORK. */
SRUN_API int srun_ready(srun_context *ctx);

/* 1 from the moment on at which this service has to stop (its turn, not the signal's arrival). One
 * atomic read. In stop's own context: when stop_ms are over. */
SRUN_API int srun_cancelled(const srun_context *ctx);

/* A descriptor that becomes and stays readable when the context is cancelled: for poll, epoll,
 * libuv, libevent, GLib. Made on first use, owned by the context: never read or close it. A
 * negative errno when it cannot be made. */
SRUN_API int srun_cancel_fd(srun_context *ctx);

/* Sleeps ms milliseconds; 0 when they have passed, -ECANCELED at once when cancelled. Negative ms
 * sleep until cancelled. */
SRUN_API int srun_sleep_ms(srun_context *ctx, int64_t ms);

/* Milliseconds until the limit of the present phase (init_ms, ready_ms, stop_ms); 0 when over,
 * -1 when there is no limit (RUNNING). */
SRUN_API int64_t srun_context_time_left_ms(const srun_context *ctx);

/* Why the service has to stop; NULL while it has not. In stop: why it was called, and when stop_ms
 * are over SRUN_CAUSE_STOP_TIMEOUT. Borrowed; a restart makes it as new. */
SRUN_API const srun_cause *srun_context_cause(const srun_context *ctx);

/* For an honest slow start or stop: the present phase may take until ms from now. Told to systemd
 * as well. Never shortens. 0, -EINVAL for ms <= 0 or over 290 years, SRUN_ESTATE in no limited
 * phase, SRUN_EFORK. */
SRUN_API int srun_extend_ms(srun_context *ctx, int64_t ms);

/* Keeps the promise of heartbeat_ms: one atomic store, callable in the hottest loop. */
SRUN_API void srun_heartbeat(srun_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
