/* SPDX-License-Identifier: MIT
 *
 * Upgrades that lose nothing: on SIGHUP, or when asked here, the program's file is started anew,
 * gets every listener and descriptor that has a name, and takes over when all its services are
 * RUNNING. Until then, and if it fails, the old process serves. docs/upgrade.md is the whole story.
 *
 * What a program has to do: listen by srun_listen, accept by srun_accept (or poll srun_gate_fd),
 * and let its clients go when srun_draining says so.
 */
#ifndef SRUN_UPGRADE_H
#define SRUN_UPGRADE_H

#include <srun/context.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- listening ------------------------------------------------------------------------------- */

struct srun_listen_options {
    size_t size;      /* sizeof(struct srun_listen_options) */
    int backlog;      /* [SOMAXCONN] */
    int v6only;       /* 1: an IPv6 address takes no IPv4 clients [0: it does, whatever the system
                         says] */
    unsigned mode;    /* permissions of a unix socket's path [0666 less the umask] */
    int reserved[5];  /* zero */
};

#define SRUN_LISTEN_OPTIONS(...) SRUN_STRUCT_(srun_listen_options, __VA_ARGS__)

/* Listens on an address; who wants to hear of the states of services takes srun_runner_listen
 * (srun/runner.h). A socket that listens, known by a name, which is how the next generation finds
 * it: handed over by the old process; or by the service manager at the first start (LISTEN_FDS, by
 * LISTEN_FDNAMES or address), in whichever generation asks for it first; or made here. *fd is
 * non-blocking and close-on-exec, and belongs to the runner: never close it, never shutdown it,
 * never change O_NONBLOCK, which all generations share.
 *
 *     tcp://127.0.0.1:8080  tcp://[::]:80  tcp://0.0.0.0:0     port 0: a free one, kept for ever
 *     udp://127.0.0.1:514
 *     unix:///run/x.sock  unix://@abstract  unix-seqpacket://...  unix-dgram://...
 *
 * A unix path left by a dead process is replaced, one in use is not. -EINVAL: name (1 to 63
 * printable bytes) or address, with what is accepted. -EEXIST: the name is in use by another
 * address. -EBUSY: an upgrade is going on, and what was opened now the new generation would not
 * get; after it has failed (hooks.upgrade) it can be opened, else by the new generation.
 * -EADDRINUSE, -EACCES, -EMFILE, ... from the system. Again with the same name and address: the
 * same descriptor. Threads: any, from init on. */
SRUN_API int srun_listen(srun_context *ctx, const char *name, const char *address, int *fd,
                         srun_err *err);

/* Is it an address? 0 or -EINVAL with what is accepted: for flags. Threads: any. */
SRUN_API int srun_listen_check(const char *address, srun_err *err);

/* With options, which may be NULL; and up to 1024 sockets on one IP address (SO_REUSEPORT), one for
 * each worker: fds has room for count. A smaller count than the old generation's resets what waits
 * in the sockets that nobody takes. Of a socket that was handed over, backlog and mode change when
 * this generation takes over, and back when it is rolled back; v6only never, which is logged.
 * -EINVAL: count or an option, too; -E2BIG as for srun_config. */
SRUN_API int srun_listen_with(srun_context *ctx, const char *name, const char *address,
                              const struct srun_listen_options *options, int *fds, unsigned count,
                              srun_err *err);

/* No more: closes the sockets of this name. The path of a unix socket is removed by the generation
 * that serves, unless the socket came from outside; during an upgrade only when that is decided,
 * since the new generation may use it. Done at the end for those that are left. 0 or -ENOENT.
 * Threads: any that does not use them at the same time. */
SRUN_API int srun_listen_close(srun_context *ctx, const char *name);

/* The address it is bound to, in the form above ("tcp://127.0.0.1:40123"). 0, -ENOENT: no socket of
 * srun_listen, -ENOSPC. Threads: any. */
SRUN_API int srun_listen_address(srun_context *ctx, int fd, char *out, size_t size);

/* --- the gate -------------------------------------------------------------------------------- */

/* While two generations live only one of them may accept. The gate is open in the one that serves:
 * in a first generation from the start on, in a later one from the moment it takes over; until its
 * successor has. A socket of datagrams is for the answers to what was received, from then on until
 * it is closed. Shut in a forked child. Two atomic reads. Threads: any. */
SRUN_API int srun_gate_open(const srun_context *ctx);

/* A descriptor that is readable while the gate is open and something waits on fd, a socket of
 * srun_listen: for poll, epoll, libuv in place of fd itself. Level-triggered; owned by the runner;
 * never read it. -ENOENT; negative errno when it cannot be made. Threads: any. */
SRUN_API int srun_gate_fd(srun_context *ctx, int fd);

/* Waits for a connection, behind the gate. The connection is close-on-exec and non-blocking, and
 * belongs to the caller. peer and length as for accept(2), may be NULL. -ECANCELED: ctx was
 * cancelled. -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: the connection waits; try again later. -ENOENT:
 * no socket of srun_listen. Threads: any number. */
SRUN_API int srun_accept(srun_context *ctx, int fd, struct sockaddr *peer, socklen_t *length);

/* The same without waiting: -EAGAIN when there is none, or the gate is closed. */
SRUN_API int srun_accept_now(srun_context *ctx, int fd, struct sockaddr *peer, socklen_t *length);

/* --- letting go ------------------------------------------------------------------------------ */

/* 1 while a newer generation serves and this one still lives: let clients go (an HTTP/1 server says
 * `Connection: close` with each response). It may become 0 again: the new generation has died in
 * the probation, and this one serves on. A run that returns now gives that up: when all have, this
 * process ends, and the new generation goes on. Who takes work from a queue or a timer asks
 * srun_gate_open instead: it is 0 as well in a new generation that does not serve yet.
 * 0 in a forked child. Two atomic reads. Threads: any. */
SRUN_API int srun_draining(const srun_context *ctx);

/* Readable while srun_draining is 1. Owned by the runner; never read it. Threads: any. */
SRUN_API int srun_drain_fd(srun_context *ctx);

/* --- handing over ---------------------------------------------------------------------------- */

/* From now on every new generation gets a copy of fd (which stays the caller's), or of size bytes
 * in a sealed memfd, under a name of its own. A second one of the same name replaces the first.
 * Best from hooks.upgrade at SRUN_UPGRADE_BEFORE. What the runner has of it is closed when the new
 * generation serves for good; then an fcntl lock that this process has on the same file goes, as
 * with every close. forget: 0 or -ENOENT, also when it was closed for that reason. -EINVAL: the
 * name, or a descriptor that is none; -ENOMEM, -EMFILE. Threads: any. */
SRUN_API int srun_upgrade_keep(srun_runner *runner, const char *name, int fd, srun_err *err);
SRUN_API int srun_upgrade_keep_state(srun_runner *runner, const char *name, const void *data,
                                     size_t size, srun_err *err);
SRUN_API int srun_upgrade_forget(srun_runner *runner, const char *name);

/* What the old generation kept under this name; once, and not kept again for the next one unless
 * you do. *fd and *data (by malloc) are the caller's. -ENOENT: nothing, as in a first start. What
 * is still there when the old generation has ended is closed.
 * take_state: -EINVAL: it is no sealed state. Threads: any, also before start. */
SRUN_API int srun_upgrade_take(srun_runner *runner, const char *name, int *fd, srun_err *err);
SRUN_API int srun_upgrade_take_state(srun_runner *runner, const char *name, void **data,
                                     size_t *size, srun_err *err);

/* --- asking ---------------------------------------------------------------------------------- */

/* As SIGHUP does; why is for the log, may be NULL. While an upgrade is going on one more is
 * remembered. wait_ms 0: asks only. Else waits for the result, without a limit when it is negative.
 * 0: the new generation serves.
 * SRUN_EUPGRADE: it failed, or was refused, and why is in err. -ETIMEDOUT: not decided yet.
 * -EINPROGRESS: this process has handed over already; the newer one was told, and will do it.
 * SRUN_ESTATE: the runner does not run. SRUN_EFORK. Threads: any but the control thread. */
SRUN_API int srun_upgrade_request(srun_runner *runner, const char *why, int64_t wait_ms,
                                  srun_err *err);

struct srun_upgrade_info {
    char state[12];        /* "idle", "spawn", "hello", "handover", "init", "barrier", "commit",
                              "probation", "drain", "reap"; in a new process "join", "offer",
                              "heir": it serves, the old one still lives */
    unsigned generation;   /* of this process, from 1 */
    int peer_pid;          /* the other generation's process while there is one, or 0 */
    int serving;           /* as srun_gate_open */
    int draining;          /* as srun_draining */
    int queued;            /* another upgrade is remembered */
    unsigned attempts, succeeded, failed, rolled_back; /* by this process; a refusal is a failure */
    int64_t last_ms;       /* Unix time of the last result, 0: there is none */
    int64_t last_took_ms;  /* from the request to the result */
    int last_code;         /* 0, or SRUN_EUPGRADE */
    char last_phase[12];   /* the state in which it failed, or "" */
    char last_text[252];   /* why it failed, or what has taken over */
    char trace_id[33], span_id[17]; /* of the upgrade that is going on, or that made this process;
                                       lower-case hex as in W3C trace context, or "" */
};

/* A consistent copy. Threads: any. */
SRUN_API void srun_upgrade_info(const srun_runner *runner, struct srun_upgrade_info *out);

typedef enum srun_upgrade_step {
    SRUN_UPGRADE_BEFORE,      /* before the new process is started; a negative answer refuses */
    SRUN_UPGRADE_FAILED,      /* the old one serves on */
    SRUN_UPGRADE_COMMITTED,   /* the new one serves; told in the old process */
    SRUN_UPGRADE_ROLLED_BACK, /* it died in the probation; the old one serves again */
    SRUN_UPGRADE_DRAINED      /* in the new process: the old one has ended */
} srun_upgrade_step;

/* Given to hooks.upgrade of the configuration, on a thread that is not the control thread, one at a
 * time, in order. */
struct srun_upgrade_event {
    srun_upgrade_step step;
    int peer_pid;      /* or 0 */
    const char *text;  /* why it failed, or "" */
};

#ifdef __cplusplus
}
#endif
#endif
