/* SPDX-License-Identifier: MIT
 *
 * The runner owns main(): it takes services, starts them in the order of registration, each after
 * the one before is ready, waits for a reason to stop, stops them in exact reverse order, and
 * answers an exit code. It never calls exit(); _exit only when forced or when a thread is stuck.
 *
 * Exit codes: 0 signal, all finished, deadline, upgrade, request - 1 a service failed - 2 usage -
 * 3 init or ready timeout - 4 a stop or the graceful period overran - 5 unhealthy at the first
 * check - 128+n forced by a repeated signal n. The first cause decides; a later, worse one raises.
 */
#ifndef SRUN_RUNNER_H
#define SRUN_RUNNER_H

#include <srun/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers flags and services. 0, or a negative code: nothing is started, exit code 1 (2 for
 * SRUN_EUSAGE). SRUN_DONE, as answered by srun_runner_parse, ends the program with exit code 0. */
typedef int srun_setup(srun_runner *runner, void *user, srun_err *err);

#define SRUN_DONE 1

/* Everything in one call: new, setup, parse, run, free. Returns the exit code for main, which is to
 * end the process: signals stay blocked, so that a repeated one does not kill it on its way out.
 * Descriptors 0, 1 and 2 that are closed lead to /dev/null from then on.
 * With upgrade.anchor it first starts the program once more and stays, see docs/anchor.md: then call
 * it before any thread exists. Threads: main. */
SRUN_API int srun_main(int argc, char **argv, const struct srun_config *config, srun_setup *setup,
                       void *user);

/* A runner. From here on its signals are held: one that arrives during registration counts.
 * -E2BIG: config is newer than the library. -EINVAL: a value in it is out of range. -EBUSY:
 * another runner owns the signals (set signals.disabled). -ENOMEM, -EMFILE, ... from the system.
 * Owned by the caller; free it with srun_runner_free. Threads: any. */
SRUN_API int srun_runner_new(srun_runner **out, const struct srun_config *config, srun_err *err);

/* Destroys the services and the runner; takes NULL, returns NULL. Call it once, when the runner was
 * never started or has finished, else it aborts; a runner with a stuck thread, or with a callback
 * (of a listener, of a metric) that does not return within 2 s, is left as it is, on purpose.
 * Threads: the one that ran it. */
SRUN_API srun_runner *srun_runner_free(srun_runner *runner);

/* Adds a service; it starts after all that were added before. Name, options and ops are copied,
 * self is borrowed. options may be NULL. -EINVAL: empty name, over 255 bytes, not printable; nothing
 * to start (srun/service.h); an unknown name in depends; a group that others have ended; a negative
 * time, or another value out of range. -EEXIST: the name is taken. -E2BIG: as for config.
 * SRUN_ESTATE: already started. -ENOMEM. Threads: before run. */
SRUN_API int srun_runner_add(srun_runner *runner, const char *name,
                             const struct srun_service_ops *ops, void *self,
                             const struct srun_service_options *options, srun_err *err);

/* The long-running task in one line: a service whose run is ready as soon as it is entered.
 * Errors and threads as srun_runner_add. */
SRUN_API int srun_serve(srun_runner *runner, const char *name,
                        int (*run)(void *self, srun_context *ctx, srun_err *err), void *self,
                        srun_err *err);

/* Reads the command line, the file and the environment. srun_main does it after setup; setup calls
 * it itself when it needs the values before it adds services. 0; SRUN_DONE after --help or
 * --version; SRUN_EUSAGE. Once: later calls answer what the first did. Without arguments to read,
 * pass 0 and NULL: srun_main remembers its own. Threads: before run. */
SRUN_API int srun_runner_parse(srun_runner *runner, int argc, char **argv, srun_err *err);

/* Start, wait, stop; returns the exit code. The calling thread becomes the control thread. Parses
 * first if nobody has. With a stuck thread it does not return but leaves by _exit. */
SRUN_API int srun_runner_run(srun_runner *runner);

/* Or drive it from a loop of your own: start once, then call dispatch whenever the descriptor is
 * readable (epoll, libuv's uv_poll, GLib, ...: it is one epoll descriptor and can be nested).
 * start parses first if nobody has: 0; SRUN_DONE after --help or --version, and nothing was started;
 * SRUN_ESTATE, SRUN_EUSAGE, or from the system. dispatch never blocks: 1 while it lives,
 * 0 when all has ended, negative on misuse. The descriptor is there from srun_runner_new on and
 * belongs to the runner; SRUN_EFORK in a child. Threads: all from the same one. */
SRUN_API int srun_runner_start(srun_runner *runner, srun_err *err);
SRUN_API int srun_runner_fd(const srun_runner *runner);
SRUN_API int srun_runner_dispatch(srun_runner *runner);

/* Asks for a graceful stop; why is for the log. code < 0 counts as a failure (exit code 1).
 * 0, SRUN_ESTATE when it has ended, SRUN_EFORK. Threads: any. */
SRUN_API int srun_runner_shutdown(srun_runner *runner, int code, const char *why);

/* on 1: the runner looks not ready (srun_runner_is_ready) while its services serve on; on 0: no
 * longer; either at once. Before the start: from the start on. An upgrade ends it: the new process
 * is not withdrawn. why is for the log, may be NULL. 0, SRUN_ESTATE when it has ended, SRUN_EFORK. Threads: any. */
SRUN_API int srun_runner_withdraw(srun_runner *runner, int on, const char *why);

/* After the end: the exit code, the first cause, and how many threads are stuck. With one stuck,
 * leave by _exit(code). Threads: any. */
SRUN_API int srun_runner_exit_code(const srun_runner *runner);
SRUN_API void srun_runner_cause(const srun_runner *runner, srun_cause *out);
SRUN_API unsigned srun_runner_stuck(const srun_runner *runner);

/* What is known of a service; a consistent copy. */
struct srun_service_info {
    char name[256];
    srun_state state;
    int ready, failed, stuck, background; /* flags beside the state, of the present life */
    int heartbeat_missed;
    unsigned restarts;
    int critical;        /* its health counts for the whole program's */
    int64_t in_state_ms; /* since the last change of state, or since it was added */
    int64_t left_ms;     /* until the limit of the present phase; -1: there is none */
    int64_t init_took_ms, ready_took_ms, stop_took_ms; /* -1 = has not happened in this life */
    const char *const *depends;           /* borrowed from the runner, NULL-ended, never NULL */
    char error[252];                      /* the last one, or "" */
};

/* Copies up to capacity entries, in start order; returns how many services there are. Once it has
 * started, the admin port is among them, as the first: "srun.admin". Threads: any. */
SRUN_API size_t srun_runner_services(const srun_runner *runner, struct srun_service_info *out,
                                     size_t capacity);

/* The state of one service, or -ENOENT. Threads: any. */
SRUN_API int srun_runner_state(const srun_runner *runner, const char *name);

/* 1 while every service is RUNNING, nothing drains or stops, and it was not withdrawn.
 * Threads: any. */
SRUN_API int srun_runner_is_ready(const srun_runner *runner);

struct srun_transition {
    const char *service; /* borrowed from the runner */
    srun_state from, to;
    int64_t time_ms;     /* Unix time */
};

/* Listens to the life cycle; a socket is listened on by srun_listen (srun/upgrade.h). on_state is
 * told of every transition of every service, in order, on a thread that is not the control thread;
 * a slow listener delays nobody, and one that is behind by more than two lives of every service
 * misses the oldest. SRUN_ESTATE after start. Threads: before run. */
SRUN_API int srun_runner_listen(srun_runner *runner,
                                void (*on_state)(void *user, const struct srun_transition *what),
                                void *user, srun_err *err);

struct srun_run_info {
    const char *name, *version; /* borrowed from the runner */
    int pid;
    unsigned generation;        /* 1, and one more after each upgrade */
    int64_t started_ms;         /* Unix time at which the runner was made */
    const char *state;          /* static: "starting"; "running"; "withdrawn"; "yielded": a newer
                                   generation serves; "draining", "stopping", "stopped" */
    int ready;                  /* as srun_runner_is_ready */
    int stuck;                  /* some thread is */
};
/* A consistent copy. Threads: any. */
SRUN_API void srun_runner_info(const srun_runner *runner, struct srun_run_info *out);

/* The program's logger (no scope), or NULL for a NULL runner. Borrowed. Threads: any. */
SRUN_API srun_logger *srun_runner_log(const srun_runner *runner);

/* Waits until all that was logged before has been sent to the receiver of log records, if one is
 * configured: 0, -EIO when some of it was lost, -ETIMEDOUT, SRUN_EFORK. NULL runner: 0. At the end of
 * the program this is done anyway. Threads: any. */
SRUN_API int srun_runner_flush_logs(srun_runner *runner, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
