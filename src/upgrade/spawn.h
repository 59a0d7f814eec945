/* SPDX-License-Identifier: MIT
 *
 * Starts the new process: posix_spawn, never fork, so that a big parent does not stall. One
 * descriptor crosses exec: the channel, as number 3; standard streams stay. May block as long as
 * the file system does. Threads: any.
 */
#ifndef UPGRADE_SPAWN_H
#define UPGRADE_SPAWN_H

#include "upgrade/origin.h"

#include <stddef.h>

#define SPAWN_CHANNEL_FD 3
#define SPAWN_VARIABLE "SRUN_HANDOVER"

struct spawn_request {
    const struct origin *origin;
    const char *binary; /* what to run, as origin->argv[0] */
    int channel;        /* the child's end; stays the caller's */
    int parent_pid;
    unsigned generation;            /* the child's */
    const char *trace_id, *span_id; /* lower-case hex; anything else, or NULL, is sent as zeros */
};

/* In the child: default signal actions but for those ignored at boot, the boot mask plus SIGHUP
 * blocked, the boot folder (by path, or by descriptor when the path leads elsewhere), the boot
 * environment and
 *     SRUN_HANDOVER=fd=3 pid=<parent> generation=<n> trace=<32 hex>-<16 hex>
 * *pid and *pidfd (close-on-exec) of the child. 0 or a negative errno (ENOENT, ENOEXEC, EACCES,
 * EAGAIN, ENOMEM, EMFILE, ...) with a text; then no child is left. */
int spawn_process(const struct spawn_request *request, int *pid, int *pidfd, srun_err *err);

/* The same start for a first process: its environment is given, every descriptor goes with it, and
 * only what was blocked at boot is blocked. */
int spawn_first(const struct origin *origin, const char *binary, char **variables, int *pid,
                srun_err *err);

/* What SRUN_HANDOVER says. 0, -ENOENT: not there, or not to be believed, because exec gave this
 * process more rights than its starter has (AT_SECURE: set-id bits, file capabilities); -EINVAL.
 * Removes it from the environment in any case, so that no process of ours sees it. Before any other
 * thread exists. */
struct spawn_inherited {
    int fd, pid;
    unsigned generation;
    char trace_id[33], span_id[17];
};
int spawn_inherited(struct spawn_inherited *out);

/* By pidfd. 0 or a negative errno. */
int spawn_signal(int pidfd, int signo);

/* After the pidfd became readable (else it waits): takes the child's status and words it: "exited
 * with 1", "killed by SIGSEGV", "has gone" (somebody else took its status). */
void spawn_reap(int pidfd, char *out, size_t size);

/* The same, but leaves the status to be taken: by whoever inherits our children. */
void spawn_look(int pidfd, char *out, size_t size);

/* Kills a child that nobody watches, and takes its status. */
void spawn_end(int pid);

/* A pidfd of any process, or a negative errno. Close-on-exec. */
int spawn_pidfd(int pid);

#endif
