/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static _Atomic bool taken; /* by some runner of this process */

static void our_signals(sigset_t *set)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        (void)sigaddset(set, ours[i]);
}

/* The terminal, opened: 0, or why not. */
static int try_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Only the kernel's word counts: a process out of descriptors has not lost its terminal. */
static bool terminal_has_gone(void)
{
    int rc = try_terminal();
    return rc == -ENXIO || rc == -EIO || rc == -ENODEV;
}

int signals_hold(struct signals *signals, bool ignore_pipe, srun_err *err)
{
    if (atomic_exchange(&taken, true))
        return srun_fail(err, -EBUSY,
                         "signals: another runner of this process owns them; set signals.disabled");
    sigset_t set;
    our_signals(&set);
    int fd = fd_signals_new(&set);
    if (fd < 0) {
        atomic_store(&taken, false);
        return srun_fail(err, fd, "signalfd: %s", srun_strerror(fd));
    }
    (void)pthread_sigmask(SIG_BLOCK, &set, &signals->mask_before);
    signals->fd = fd;
    signals->owned = true;
    signals->had_terminal = try_terminal() == 0;
    signals->leader = getsid(0);
    signals->parent = getppid();
    struct sigaction hangup;
    signals->outlives_terminal =
        sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN;
    signals->pipe_ignored = ignore_pipe;
    if (ignore_pipe) {
        const struct sigaction ignore = {.sa_handler = SIG_IGN};
        (void)sigaction(SIGPIPE, &ignore, &signals->pipe_before);
    }
    return 0;
}

void signals_release(struct signals *signals)
{
    if (!signals->owned)
        return;
    bool kernel;
    int sender;
    while (fd_signals_read(signals->fd, &kernel, &sender) != 0)
        ;
    (void)close(signals->fd);
    if (!signals->last) {
        if (signals->pipe_ignored)
            (void)sigaction(SIGPIPE, &signals->pipe_before, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &signals->mask_before, NULL);
    }
    signals->owned = false;
    atomic_store(&taken, false);
}

/* By a shell that sends its own on, or by an anchor, which says 0 for the kernel. */
static bool tells_of_terminal(const struct signals *signals, bool kernel, int sender)
{
    bool passed_on = sender == 0 || sender == signals->leader || sender == signals->parent;
    return kernel || (passed_on && signals->had_terminal && terminal_has_gone());
}

int signals_next(struct signals *signals, int *sender, bool *lost_terminal)
{
    bool kernel;
    int signo;
    do {
        signo = fd_signals_read(signals->fd, &kernel, sender);
        *lost_terminal = signo == SIGHUP && tells_of_terminal(signals, kernel, *sender);
    } while (*lost_terminal && signals->outlives_terminal); /* blocked, it comes in spite of that */
    return signo;
}

const char *signals_name(int signo)
{
    switch (signo) {
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "SIGINT";
    case SIGQUIT:
        return "SIGQUIT";
    case SIGHUP:
        return "SIGHUP";
    default:
        return "a signal";
    }
}
