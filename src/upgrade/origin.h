/* SPDX-License-Identifier: MIT
 *
 * How this program was started, so that the next generation is started the same way: command line,
 * environment, folder, signals, limits. Taken once, before any other thread exists.
 */
#ifndef UPGRADE_ORIGIN_H
#define UPGRADE_ORIGIN_H

#include "upgrade/handover.h"

#include <signal.h>
#include <srun/error.h>
#include <stdbool.h>
#include <stdint.h>

struct origin {
    char **argv;    /* as the kernel gave it (/proc/self/cmdline), owned */
    char **environ; /* without what is meant for one process only: LISTEN_PID, LISTEN_FDS,
                       LISTEN_FDNAMES, LISTEN_PIDFDID, WATCHDOG_PID, SRUN_HANDOVER; owned */
    char *folder;   /* the working directory then, absolute; NULL: it had been removed already */
    int folder_fd;  /* O_PATH | O_CLOEXEC, for when the path has gone */
    char *binary;   /* argv[0] made absolute: by PATH when it has no slash, else by folder. Never
                       resolved further, so that a symbolic link may be switched. NULL: not found;
                       by PATH a namesake of the running file does not count, unless that file has
                       been removed meanwhile */
    uint64_t exe_device, exe_inode; /* of the running file, by /proc/self/exe */
    int64_t exe_mtime_ns;
    struct handover_boot boot;
};

/* mask: what was blocked at the start (before the runner blocked its own).
 * 0 or a negative errno with a text; free accepts what is half made. */
int origin_take(struct origin *origin, const sigset_t *mask, srun_err *err);
void origin_free(struct origin *origin);

/* In a new process: what the old one was given at its start (ignored signals where they have their
 * default, limits where they differ, umask). Failing to is no error. origin->boot becomes *boot, so
 * that the next generation gets the same. What is blocked is left to whoever took the mask. */
void origin_restore(struct origin *origin, const struct handover_boot *boot);

/* May this file (NULL: none was found) be run in our place? 0; or a negative errno and the reason:
 * not found, not a regular file, not executable, owned neither by root nor by us, with a set-id bit
 * that would make it somebody else; and unless allow_writable: writable by the group or by all, or
 * a folder on its way (of the name, and of the file that a symbolic link leads to) is owned or
 * writable in the same way (in a sticky folder others may write).
 * *changed_in_place: it is the very file that runs, with a newer time. */
int origin_check_binary(const struct origin *origin, const char *path, bool allow_writable,
                        bool *changed_in_place, srun_err *err);

#endif
