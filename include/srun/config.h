/* SPDX-License-Identifier: MIT
 *
 * The configuration in code. Zero means the default in brackets; where zero would be a real choice
 * the field names the exception (`disabled`). Above it stand the `srun:` section of the file given
 * by --config, and above that the SRUN_* variables: docs/configuration.md lists all three. The path
 * of a file may be relative: it counts from the working directory of now, and is kept as an absolute
 * one; that of a socket has to be absolute.
 */
#ifndef SRUN_CONFIG_H
#define SRUN_CONFIG_H

#include <srun/context.h>

#ifdef __cplusplus
extern "C" {
#endif

struct srun_upgrade_event; /* srun/upgrade.h */

typedef enum srun_log_format { SRUN_LOG_DEFAULT, SRUN_LOG_TEXT, SRUN_LOG_JSON } srun_log_format;
typedef enum srun_exporter {
    SRUN_EXPORTER_DEFAULT,
    SRUN_EXPORTER_NONE,
    SRUN_EXPORTER_HTTP, /* OTLP, protobuf */
    SRUN_EXPORTER_GRPC, /* OTLP */
    SRUN_EXPORTER_PROMETHEUS /* of metrics: /metrics alone */
} srun_exporter;
typedef enum srun_sampler {
    SRUN_SAMPLER_DEFAULT, /* OTEL_TRACES_SAMPLER, else SRUN_SAMPLER_PARENT_ON */
    SRUN_SAMPLER_ON,
    SRUN_SAMPLER_OFF,
    SRUN_SAMPLER_RATIO,
    SRUN_SAMPLER_PARENT_ON, /* these three do what the parent did, and with a root as above */
    SRUN_SAMPLER_PARENT_OFF,
    SRUN_SAMPLER_PARENT_RATIO
} srun_sampler;
typedef enum srun_orphan {
    SRUN_ORPHAN_DEFAULT,
    SRUN_ORPHAN_TAKEOVER,
    SRUN_ORPHAN_EXIT
} srun_orphan;

struct srun_config {
    size_t size;         /* sizeof(struct srun_config); a longer one with a non-zero tail: -E2BIG */
    const char *name;    /* the program, for logs and --version [the base name of argv[0]] */
    const char *version; /* printed by --version as v<version> ["0.0.0"] */
    void *user;          /* srun_context_user, and the last argument of the hooks */

    struct {
        int64_t init_ms;        /* each init [60000] SRUN_INIT_TIMEOUT */
        int64_t ready_ms;       /* each service, from run to ready [60000] SRUN_READY_TIMEOUT */
        int64_t stop_ms;        /* each service [30000] SRUN_STOP_TIMEOUT */
        int64_t graceful_ms;    /* the whole stop [300000] SRUN_GRACEFUL_TIMEOUT */
        int64_t deadline_ms;    /* the whole run, then a clean stop [none] SRUN_DEADLINE_TIMEOUT */
        int64_t drain_ms;       /* from the signal to the first stop [0] SRUN_DRAIN_TIMEOUT */
        int64_t stuck_grace_ms; /* from overrun to given up [1000] SRUN_STUCK_GRACE */
        int64_t reserved[5];
    } timeouts;

    struct {
        srun_log_format format; /* [text] SRUN_LOG_FORMAT */
        int level;              /* an srun_level [SRUN_LEVEL_INFO, which is 0] SRUN_LOG_LEVEL */
        int fd_plus_one;        /* where to write: 1 + descriptor, borrowed [3: stderr] */
        int source;             /* 1: records carry file, line and function SRUN_LOG_SOURCE */
        const char *journal;    /* "none", or the socket of a journal that gets the records
                                   [systemd's, when the descriptor is its stream]
                                   SRUN_LOG_JOURNAL */
        int reserved[2];
    } log;

    struct {
        int disabled; /* 1: no signal is touched; the program calls srun_runner_shutdown */
        int keep_sigpipe; /* 1: SIGPIPE is left as it is [ignored while the runner lives] */
        int reserved[4];
    } signals;

    struct {
        int disabled;         /* 1: SIGHUP is ignored with one warning SRUN_UPGRADE */
        int supervised;       /* 1: somebody counts on this very process: an upgrade is refused
                                 SRUN_SUPERVISED */
        srun_orphan orphan;   /* when the old process dies before its successor serves [takeover]
                                 SRUN_UPGRADE_ORPHAN */
        int any_binary;       /* 1: also a file that others may write to SRUN_UPGRADE_ANY_BINARY */
        int no_probation;     /* 1: probation_ms is 0 */
        int anchor;           /* 1: srun_main leaves a small first process in place, for who watches
                                 one pid [0] SRUN_ANCHOR */
        int64_t start_ms;     /* from the start of the new process to all its services RUNNING; each
                                 srun_extend_ms there counts, up to tenfold [60000]
                                 SRUN_UPGRADE_START */
        int64_t handshake_ms; /* each step of the hand-over, and from SIGTERM to SIGKILL [5000]
                                 SRUN_UPGRADE_HANDSHAKE */
        int64_t probation_ms; /* the old process could serve again for so long [10000]
                                 SRUN_UPGRADE_PROBATION */
        const char *pid_file; /* written by the generation that serves [none] SRUN_PID_FILE */
        void *more[4];
    } upgrade;

    struct {
        int enabled;          /* 1: services are asked for their health [0] SRUN_HEALTH */
        int reserved;
        int64_t interval_ms;  /* between two checks of a service [30000] SRUN_HEALTH_INTERVAL */
        int64_t timeout_ms;   /* of each check [5000] SRUN_HEALTH_TIMEOUT */
        int64_t more[4];
    } health;

    struct {
        int disabled;              /* 1: no admin port, no unix socket SRUN_ADMIN */
        int reserved[3];
        const char *address;       /* "none", or where to listen; port 0: a free one
                                      ["127.0.0.1:8778"; in use: left out] SRUN_ADMIN_ADDRESS */
        const char *socket;        /* "none", or the path of the unix socket
                                      [docs/admin.md] SRUN_ADMIN_SOCKET */
        const char *token_file;    /* holds what gives the right to write over TCP [nobody has it]
                                      SRUN_ADMIN_TOKEN_FILE */
        const char *allowed_hosts; /* names for the Host header, with commas between
                                      [IP addresses and localhost only] SRUN_ADMIN_HOSTS */
        void *more[4];
    } admin;

    struct {
        srun_exporter trace_exporter; /* where spans go; none: tracing is off
                                         [OTEL_TRACES_EXPORTER, else none]
                                         SRUN_OTEL_TRACE_EXPORTER */
        int trace_insecure;           /* 1: host:port is spoken to without TLS
                                         [OTEL_EXPORTER_OTLP_*, else 0]
                                         SRUN_OTEL_TRACE_EXPORTER_ENDPOINT_INSECURE */
        srun_sampler sampler;         /* which spans are recorded */
        int reserved;
        double sample_ratio;          /* of SRUN_SAMPLER_RATIO, SRUN_SAMPLER_PARENT_RATIO [1] */
        const char *trace_endpoint;   /* a URL, or host:port [OTEL_EXPORTER_OTLP_*, else
                                         localhost] SRUN_OTEL_TRACE_EXPORTER_ENDPOINT */
        srun_exporter metric_exporter; /* where metrics are sent, beside /metrics; prometheus:
                                          nowhere [OTEL_METRICS_EXPORTER, else prometheus]
                                          SRUN_OTEL_METRIC_EXPORTER */
        int metric_insecure;           /* as above SRUN_OTEL_METRIC_EXPORTER_ENDPOINT_INSECURE */
        const char *metric_endpoint;   /* as above SRUN_OTEL_METRIC_EXPORTER_ENDPOINT */
        srun_exporter log_exporter;    /* where log records are sent, beside being written; none:
                                          nowhere [OTEL_LOGS_EXPORTER, else none]
                                          SRUN_OTEL_LOG_EXPORTER */
        int log_insecure;              /* as above SRUN_OTEL_LOG_EXPORTER_ENDPOINT_INSECURE */
        const char *log_endpoint;      /* as above SRUN_OTEL_LOG_EXPORTER_ENDPOINT */
        void *more[4];
    } telemetry;

    struct {
        int disabled;     /* 1: no report on SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT */
        int reserved;
        const char *file; /* the report is appended here as well [stderr only] SRUN_CRASH_FILE */
        void *more;
    } crash;

    struct {
        int leaks;        /* 1: tell at the end what descriptors and threads are left SRUN_LEAKS */
        int reserved[5];
    } debug;

    struct {
        /* Instead of the services, for --test; 0 = passed. No function: --test is refused. */
        int (*test)(void *user, srun_context *ctx, srun_err *err);
        /* Once, when all has stopped (or was given up), before srun_runner_run returns. */
        void (*exited)(void *user, const srun_cause *cause, int exit_code);
        /* The steps of an upgrade, see srun/upgrade.h; a negative answer counts at _BEFORE. */
        int (*upgrade)(void *user, const struct srun_upgrade_event *event, srun_err *err);
        void *reserved[3];
    } hooks;

    struct {
        int capture;              /* 1: profiles are kept when the program is busy or hangs, see
                                     docs/profiling.md [0] SRUN_CAPTURE */
        int capture_cpu;          /* busy: percent of one processor that the process takes, up to
                                     100000 [90] SRUN_CAPTURE_CPU */
        int reserved[2];
        int64_t capture_after_ms; /* for so long, until a profile is taken [10000]
                                     SRUN_CAPTURE_AFTER */
        int64_t capture_for_ms;   /* how long that profile is [5000] SRUN_CAPTURE_FOR */
        const char *capture_directory; /* a folder for them as files, which outlive the process
                                          [in memory only] SRUN_CAPTURE_DIRECTORY */
        void *more[3];
    } profile;
};

#define SRUN_CONFIG(...) SRUN_STRUCT_(srun_config, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
