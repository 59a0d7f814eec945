/* SPDX-License-Identifier: MIT
 *
 * The signals of the runner, SIGTERM, SIGINT, SIGQUIT and SIGHUP: blocked from the runner's birth
 * on and read from a descriptor, so there is no handler and no race. One runner of a process owns
 * them. Threads: the one that makes, reads and frees them; threads that were started before keep
 * the signals unblocked, so the runner comes first in main.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <srun/error.h>
#include <stdbool.h>

struct signals {
    bool owned;
    int fd;
    sigset_t mask_before;
    bool pipe_ignored;
    struct sigaction pipe_before;
    bool had_terminal;
    pid_t leader, parent;   /* the shell, as a rule */
    bool outlives_terminal; /* SIGHUP was ignored at first, as nohup does */
    bool last; /* the process ends now: they stay blocked, so that none kills it on its way out */
};

/* -EBUSY: another runner owns them. */
int signals_hold(struct signals *signals, bool ignore_pipe, srun_err *err);

/* Gives everything back as it was, unless `last`. Signals that are pending are dropped: they were
 * heard. */
void signals_release(struct signals *signals);

/* The next signal, or 0. *sender is the pid it came from, 0 for the kernel. A SIGHUP that came
 * because the terminal has gone, from the kernel or the shell, is told as lost_terminal, unless the
 * process is to outlive it. One that anybody else sends later is what it always is. */
int signals_next(struct signals *signals, int *sender, bool *lost_terminal);

/* "SIGTERM", ...: for logs. */
const char *signals_name(int signo);

#endif
