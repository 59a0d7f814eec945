/* SPDX-License-Identifier: MIT */
#include "upgrade/anchored.h"

#include "base/proc.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the variable says, or 0. Who runs with more rights than its starter believes nothing. */
static int claimed_pid(void)
{
    const char *text = secure_getenv(ANCHORED_VARIABLE);
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0')
        return 0;
    long pid = strtol(text, NULL, 10);
    return pid <= INT_MAX ? (int)pid : 0;
}

/* The first generation is its child, which needs no /proc to be seen. */
static bool is_above(int pid)
{
    return pid > 0 && (getppid() == pid || proc_is_below(getpid(), pid));
}

bool anchored_here(void)
{
    return is_above(claimed_pid());
}

int anchored_begin(struct anchored *anchored, srun_err *err)
{
    int pid = claimed_pid();
    (void)unsetenv(ANCHORED_VARIABLE); /* fails for bad names only */
    *anchored = (struct anchored){.pidfd = -1};
    if (pid == 0)
        return 0;
    int fd = spawn_pidfd(pid); /* first, so that what is looked at is what is watched */
    if (!is_above(pid)) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    if (fd < 0)
        return srun_fail(err, fd, "cannot watch the anchor: %s", srun_strerror(fd));
    *anchored = (struct anchored){.pid = pid, .pidfd = fd};
    (void)spawn_signal(fd, ANCHORED_JOINS); /* it may have ended; anchored_hears is asked later */
    return 0;
}

void anchored_end(struct anchored *anchored)
{
    if (anchored->pid != 0)
        (void)close(anchored->pidfd);
    *anchored = (struct anchored){.pidfd = -1};
}

int anchored_serves(const struct anchored *anchored)
{
    int rc = anchored->pid == 0 ? 0 : spawn_signal(anchored->pidfd, ANCHORED_SERVES);
    return rc == -ESRCH ? 0 : rc;
}

bool anchored_hears(const struct anchored *anchored)
{
    return anchored->pid == 0 || spawn_signal(anchored->pidfd, 0) != -EPERM;
}
