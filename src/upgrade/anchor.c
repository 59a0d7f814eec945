/* SPDX-License-Identifier: MIT
 *
 * Who serves is known from the generations' own word, a signal whose sender the kernel names; until
 * the first one has spoken, signals wait. When the one in office ends without a word of a
 * successor, the newest that is left counts.
 */
#include "upgrade/anchor.h"

#include "base/auto.h"
#include "base/ensure.h"
#include "base/libc.h"
#include "base/proc.h"
#include "upgrade/anchored.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GENERATIONS_MAX 8 /* two live at a time; each more needs its predecessor to have ended */

struct generation {
    int pid, pidfd;
    bool served;
};

struct anchor {
    struct generation list[GENERATIONS_MAX]; /* the newest last */
    unsigned count;
    int in_office;          /* pid, or 0: nobody said so */
    bool heard;             /* the first generation holds its signals now */
    sigset_t news;          /* what generations say */
    sigset_t early, always; /* what is waited for until one is heard, and then */
    siginfo_t last;         /* how the one ended that was in office last; si_pid 0: none has */
};

/* --- generations ----------------------------------------------------------------------------- */

/* Its process may have been reaped already, by its own parent. */
static bool has_ended(const struct generation *generation)
{
    struct pollfd state = {.fd = generation->pidfd, .events = POLLIN};
    return poll(&state, 1, 0) > 0;
}

static struct generation *find(struct anchor *anchor, int pid)
{
    for (unsigned i = 0; i < anchor->count; i++)
        if (anchor->list[i].pid == pid)
            return &anchor->list[i];
    return NULL;
}

static int add(struct anchor *anchor, int pid, struct generation **out)
{
    int fd = anchor->count < GENERATIONS_MAX ? spawn_pidfd(pid) : -ENOSPC;
    if (fd < 0)
        return fd;
    *out = &anchor->list[anchor->count++];
    **out = (struct generation){.pid = pid, .pidfd = fd};
    return 0;
}

static void drop(struct anchor *anchor, struct generation *generation)
{
    size_t after = (size_t)(&anchor->list[anchor->count] - generation) - 1;
    if (anchor->in_office == generation->pid)
        anchor->in_office = 0;
    (void)close(generation->pidfd);
    memmove(generation, generation + 1, after * sizeof *generation);
    anchor->count--;
}

/* Whom signals are for, or NULL. One that has ended hears nothing any more. */
static struct generation *addressee(struct anchor *anchor)
{
    struct generation *chosen = NULL;
    for (unsigned i = 0; i < anchor->count; i++) {
        struct generation *generation = &anchor->list[i];
        bool better = chosen == NULL || chosen->pid != anchor->in_office;
        if (better && !has_ended(generation))
            chosen = generation;
    }
    return chosen;
}

/* --- news ------------------------------------------------------------------------------------ */

static void learn(struct anchor *anchor, int signo, const siginfo_t *info)
{
    /* SI_USER: the kernel itself filled in the sender. */
    if (info->si_code != SI_USER || !proc_is_below(info->si_pid, getpid()))
        return;
    struct generation *generation = find(anchor, info->si_pid);
    if (generation == NULL && add(anchor, info->si_pid, &generation) < 0)
        return;
    anchor->heard = true;
    if (signo != ANCHORED_SERVES)
        return;
    generation->served = true;
    anchor->in_office = info->si_pid;
}

static void take_news(struct anchor *anchor)
{
    const struct timespec no_time = {0};
    siginfo_t info;
    int signo;
    while ((signo = sigtimedwait(&anchor->news, &info, &no_time)) > 0)
        learn(anchor, signo, &info);
}

/* --- ends ------------------------------------------------------------------------------------ */

static bool was_clean(const siginfo_t *info)
{
    return info->si_pid == 0 || (info->si_code == CLD_EXITED && info->si_status == 0);
}

/* One that never served explains the end only when nothing worse does: it may have ended because
 * its predecessor did. */
static void note_end(struct anchor *anchor, const siginfo_t *info)
{
    struct generation *generation = find(anchor, info->si_pid);
    if (generation == NULL)
        return; /* a stranger: reaped, as PID 1 must */
    bool others = anchor->in_office != 0 && anchor->in_office != generation->pid;
    if (!others && (generation->served || was_clean(&anchor->last)))
        anchor->last = *info;
    drop(anchor, generation);
}

static void reap(struct anchor *anchor)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
        note_end(anchor, &info);
        info = (siginfo_t){0};
    }
}

/* Those that their own parent, an older generation, has reaped. */
static void drop_reaped(struct anchor *anchor)
{
    for (unsigned i = anchor->count; i > 0; i--) {
        struct generation *generation = &anchor->list[i - 1];
        if (spawn_signal(generation->pidfd, 0) == -ESRCH)
            drop(anchor, generation);
    }
}

/* --- signals --------------------------------------------------------------------------------- */

static const int forwarded[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

/* What a terminal sends (Ctrl-C) goes to its whole foreground group, so the generation has it
 * already; but that the terminal has gone is told to the leader of the session alone. */
static bool has_it_already(const struct generation *generation, int signo, const siginfo_t *info)
{
    if (info->si_code != SI_KERNEL || (signo == SIGHUP && getsid(0) == getpid()))
        return false;
    return getpgid(generation->pid) == getpgrp();
}

static void forward(struct anchor *anchor, int signo, const siginfo_t *info)
{
    const struct generation *generation = addressee(anchor);
    if (generation == NULL || has_it_already(generation, signo, info))
        return;
    siginfo_t same = {.si_signo = signo, .si_code = SI_QUEUE};
    same.si_pid = info->si_pid; /* who really sent it, for the log */
    same.si_uid = info->si_uid;
    (void)pidfd_send_signal(generation->pidfd, signo, &same, 0); /* it may have ended meanwhile */
}

/* --- the whole ------------------------------------------------------------------------------- */

/* News are taken before and after the dead are: who is told of in them may be among the dead, and
 * who has joined did so before its parent could die. */
static void stay(struct anchor *anchor)
{
    for (;;) {
        siginfo_t info;
        take_news(anchor);
        reap(anchor);
        take_news(anchor);
        drop_reaped(anchor);
        if (anchor->count == 0)
            return;
        int signo = sigwaitinfo(anchor->heard ? &anchor->always : &anchor->early, &info);
        if (signo == ANCHORED_JOINS || signo == ANCHORED_SERVES)
            learn(anchor, signo, &info);
        else if (signo > 0 && signo != SIGCHLD)
            forward(anchor, signo, &info);
    }
}

/* SIGCHLD that was ignored would reap the generations before they are looked at. It is not ignored
 * in them either: no runner could tell how its successor ended. */
static void hold_signals(struct anchor *anchor, sigset_t *before)
{
    const struct sigaction told = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    (void)sigemptyset(&anchor->news);
    (void)sigaddset(&anchor->news, ANCHORED_JOINS);
    (void)sigaddset(&anchor->news, ANCHORED_SERVES);
    anchor->early = anchor->news;
    (void)sigaddset(&anchor->early, SIGCHLD);
    anchor->always = anchor->early;
    for (size_t i = 0; i < COUNT_OF(forwarded); i++)
        (void)sigaddset(&anchor->always, forwarded[i]);
    (void)sigprocmask(SIG_BLOCK, &anchor->always, before);
    (void)sigaction(SIGCHLD, &told, NULL);
}

/* The environment as it is, with our pid. A watchdog of this process is the generation's to feed.
 */
static char **environment(char own[48])
{
    char watchdog[48];
    size_t count = 0, kept = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **list = calloc(count + 2, sizeof *list);
    if (list == NULL)
        return NULL;
    (void)snprintf(own, 48, ANCHORED_VARIABLE "=%d", getpid());
    (void)snprintf(watchdog, sizeof watchdog, "WATCHDOG_PID=%d", getpid());
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], own, sizeof ANCHORED_VARIABLE) != 0 &&
            strcmp(environ[i], watchdog) != 0)
            list[kept++] = environ[i];
    list[kept] = own;
    return list;
}

/* By its name, which people see in lists of processes, if that is still the file that runs. */
static const char *program_file(const struct origin *origin)
{
    struct stat info;
    bool same = origin->binary != NULL && stat(origin->binary, &info) == 0 &&
                info.st_dev == origin->exe_device && info.st_ino == origin->exe_inode;
    return same ? origin->binary : "/proc/self/exe";
}

static int start_first(struct anchor *anchor, const sigset_t *before, srun_err *err)
{
    char own[48];
    struct generation *first;
    struct origin origin;
    int pid = 0;
    int rc = origin_take(&origin, before, err);
    if (rc < 0)
        return rc;
    auto_free char **variables = environment(own);
    rc = variables == NULL ? srun_fail(err, -ENOMEM, "anchor: out of memory")
                           : spawn_first(&origin, program_file(&origin), variables, &pid, err);
    origin_free(&origin);
    if (rc < 0)
        return rc;
    closefrom(STDERR_FILENO + 1); /* what came with exec is the generation's alone */
    rc = add(anchor, pid, &first);
    if (rc == 0)
        return 0;
    spawn_end(pid);
    return srun_fail(err, rc, "anchor: cannot watch the program: %s", srun_strerror(rc));
}

/* A second core would only tell of this process; PID 1 is not killed by its own signals. */
static int die_as(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED || info->si_pid == 0)
        return info->si_status;
    sigset_t own;
    int signo = info->si_status;
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(signo, SIG_DFL);
    (void)sigemptyset(&own);
    (void)sigaddset(&own, signo);
    (void)kill(getpid(), signo);
    (void)sigprocmask(SIG_UNBLOCK, &own, NULL);
    return 128 + signo;
}

bool anchor_is_due(void)
{
    return getenv(SPAWN_VARIABLE) == NULL && getauxval(AT_SECURE) == 0 && !anchored_here();
}

int anchor_run(srun_err *err)
{
    struct anchor anchor = {0};
    sigset_t before;
    hold_signals(&anchor, &before);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* so later generations become its children */
    int rc = start_first(&anchor, &before, err);
    if (rc < 0)
        return rc;
    stay(&anchor);
    return die_as(&anchor.last);
}
