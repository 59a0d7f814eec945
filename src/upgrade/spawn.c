/* SPDX-License-Identifier: MIT
 *
 * Starts the new process and tells how it ended. posix_spawn does the work between fork and exec,
 * so no code of ours runs there.
 */
#include "upgrade/spawn.h"

#include "base/auto.h"
#include "base/libc.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define VARIABLE_MAX 160

/* What differs between the starts. */
struct plan {
    const struct origin *origin;
    const char *binary;
    char **variables;
    int channel;          /* -1: none, and every descriptor stays */
    uint64_t blocked_too; /* beside those of the boot */
};

/* --- what the child is told ------------------------------------------------------------------ */

static bool is_hex(const char *text, size_t digits)
{
    return text != NULL && strspn(text, "0123456789abcdef") == digits && text[digits] == '\0';
}

/* All zero stands for "no trace", here as in a traceparent header. */
static const char *hex_or_zero(const char *text, size_t digits)
{
    return is_hex(text, digits) ? text : "00000000000000000000000000000000";
}

/* The boot environment and the variable, which points to `own`. Freed as one block. */
static char **environment(const struct spawn_request *request, char own[VARIABLE_MAX])
{
    size_t count = 0;
    while (request->origin->environ[count] != NULL)
        count++;
    char **list = calloc(count + 2, sizeof *list);
    if (list == NULL)
        return NULL;
    static const char name[] = SPAWN_VARIABLE "=";
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(request->origin->environ[i], name, sizeof name - 1) != 0)
            list[kept++] = request->origin->environ[i];
    (void)snprintf(own, VARIABLE_MAX, "%sfd=%d pid=%d generation=%u trace=%.*s-%.*s", name,
                   SPAWN_CHANNEL_FD, request->parent_pid, request->generation, TRACE_DIGITS,
                   hex_or_zero(request->trace_id, TRACE_DIGITS), SPAN_DIGITS,
                   hex_or_zero(request->span_id, SPAN_DIGITS));
    list[kept] = own;
    return list;
}

static void fill_mask(sigset_t *set, uint64_t blocked)
{
    (void)sigemptyset(set);
    for (int signo = 1; signo <= 64; signo++)
        if ((blocked >> (signo - 1) & 1) != 0)
            (void)sigaddset(set, signo); /* refused for the C library's own */
}

static void fill_defaults(sigset_t *set, uint64_t ignored)
{
    (void)sigfillset(set);
    for (int signo = 1; signo <= 64; signo++)
        if ((ignored >> (signo - 1) & 1) != 0)
            (void)sigdelset(set, signo);
}

static int set_attributes(posix_spawnattr_t *attributes, const struct plan *plan)
{
    sigset_t set;
    const struct handover_boot *boot = &plan->origin->boot;
    fill_mask(&set, boot->blocked | plan->blocked_too);
    int rc = posix_spawnattr_setsigmask(attributes, &set);
    fill_defaults(&set, boot->ignored);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &set);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return -rc;
}

/* --- where it stands ------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Nothing to do where we still are, which also needs no permission that was given up since. By
 * path rather than by descriptor, which would pin a file system that was mounted anew. */
static int add_folder(posix_spawn_file_actions_t *actions, const struct origin *origin)
{
    struct stat boot, other;
    if (fstat(origin->folder_fd, &boot) < 0)
        return -errno;
    if (fstatat(AT_FDCWD, "", &other, AT_EMPTY_PATH) == 0 && is_same(&boot, &other))
        return 0;
    bool by_path =
        origin->folder != NULL && stat(origin->folder, &other) == 0 && is_same(&boot, &other);
    return by_path ? -posix_spawn_file_actions_addchdir_np(actions, origin->folder)
                   : -posix_spawn_file_actions_addfchdir_np(actions, origin->folder_fd);
}

/* The folder goes first: its descriptor may be number 3. Of the channel dup2 makes number 3 also
 * when it is that already, and then clears its close-on-exec flag (glibc since 2.29). */
static int set_actions(posix_spawn_file_actions_t *actions, const struct plan *plan)
{
    int rc = add_folder(actions, plan->origin);
    if (rc < 0 || plan->channel < 0)
        return rc;
    rc = -posix_spawn_file_actions_adddup2(actions, plan->channel, SPAWN_CHANNEL_FD);
    if (rc == 0)
        rc = -posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_CHANNEL_FD + 1);
    return rc;
}

/* --- the start ------------------------------------------------------------------------------- */

static int start_with(const struct plan *plan, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes, int *pid)
{
    int rc = set_actions(actions, plan);
    if (rc == 0)
        rc = set_attributes(attributes, plan);
    if (rc < 0)
        return rc;
    return -posix_spawn(pid, plan->binary, actions, attributes, plan->origin->argv,
                        plan->variables);
}

static int start(const struct plan *plan, int *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = -posix_spawn_file_actions_init(&actions);
    if (rc < 0)
        return rc;
    rc = -posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = start_with(plan, &actions, &attributes, pid);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* What exec means by an errno that says something else to people. */
static const char *exec_reason(const char *binary, int rc)
{
    struct stat info;
    bool is_there = stat(binary, &info) == 0;
    if (rc == -ENOENT && is_there)
        return "its loader, or the interpreter of a script, is missing";
    if (rc == -ENOEXEC)
        return "not a program for this machine";
    if (rc == -ETXTBSY)
        return "it is still being written";
    return srun_strerror(rc);
}

void spawn_end(int pid)
{
    int status;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

static int start_or_say_why(const struct plan *plan, int *pid, srun_err *err)
{
    int rc = start(plan, pid);
    return rc < 0 ? srun_fail(err, rc, "cannot start %s: %s", plan->binary,
                              exec_reason(plan->binary, rc))
                  : 0;
}

int spawn_first(const struct origin *origin, const char *binary, char **variables, int *pid,
                srun_err *err)
{
    const struct plan plan = {
        .origin = origin, .binary = binary, .variables = variables, .channel = -1};
    return start_or_say_why(&plan, pid, err);
}

int spawn_process(const struct spawn_request *request, int *pid, int *pidfd, srun_err *err)
{
    char own[VARIABLE_MAX];
    int child = -1;
    if (request->binary == NULL)
        return srun_fail(err, -ENOENT, "cannot start the new process: its file is not known");
    auto_free char **variables = environment(request, own);
    if (variables == NULL)
        return srun_fail(err, -ENOMEM, "cannot start %s: out of memory", request->binary);
    /* Until the child can take SIGHUP, one that comes waits instead of killing it. */
    const struct plan plan = {.origin = request->origin,
                              .binary = request->binary,
                              .variables = variables,
                              .channel = request->channel,
                              .blocked_too = UINT64_C(1) << (SIGHUP - 1)};
    int rc = start_or_say_why(&plan, &child, err);
    if (rc < 0)
        return rc;
    int fd = spawn_pidfd(child);
    if (fd < 0) {
        if (fd != -ESRCH) /* which says: ended, and reaped by somebody else */
            spawn_end(child);
        return srun_fail(err, fd, "cannot watch the new process: %s", srun_strerror(fd));
    }
    *pid = child;
    *pidfd = fd;
    return 0;
}

/* --- in the child ---------------------------------------------------------------------------- */

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

/* Decimal, without a sign or a zero in front. */
static bool take_number(const char **at, unsigned most, unsigned *out)
{
    unsigned value = 0;
    const char *start = *at;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (unsigned)(**at - '0'), &value))
            return false;
    *out = value;
    return *at > start && (*start != '0' || *at == start + 1) && value <= most;
}

static bool take_hex(const char **at, char *out, size_t digits)
{
    if (strspn(*at, "0123456789abcdef") != digits)
        return false;
    memcpy(out, *at, digits);
    out[digits] = '\0';
    *at += digits;
    return true;
}

static int parse(const char *text, struct spawn_inherited *out)
{
    struct spawn_inherited found = {0};
    unsigned fd = 0, pid = 0;
    bool good = take_word(&text, "fd=") && take_number(&text, INT_MAX, &fd) &&
                take_word(&text, " pid=") && take_number(&text, INT_MAX, &pid) &&
                take_word(&text, " generation=") &&
                take_number(&text, UINT_MAX, &found.generation) && take_word(&text, " trace=") &&
                take_hex(&text, found.trace_id, TRACE_DIGITS) && take_word(&text, "-") &&
                take_hex(&text, found.span_id, SPAN_DIGITS) && *text == '\0';
    if (!good || fd < SPAWN_CHANNEL_FD || pid == 0)
        return -EINVAL;
    found.fd = (int)fd;
    found.pid = (int)pid;
    *out = found;
    return 0;
}

int spawn_inherited(struct spawn_inherited *out)
{
    /* Who runs with more rights than its starter believes nothing that it was told. */
    const char *text = secure_getenv(SPAWN_VARIABLE);
    int rc = text == NULL ? -ENOENT : parse(text, out);
    (void)unsetenv(SPAWN_VARIABLE); /* every one of that name; fails for bad names only */
    return rc;
}

/* --- by pidfd -------------------------------------------------------------------------------- */

int spawn_pidfd(int pid)
{
    int fd = pidfd_open(pid, 0);
    return fd < 0 ? -errno : fd;
}

int spawn_signal(int pidfd, int signo)
{
    return pidfd_send_signal(pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static void word_end(int pidfd, int options, char *out, size_t size)
{
    siginfo_t info = {0};
    int rc;
    do
        rc = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | options);
    while (rc < 0 && errno == EINTR);
    const char *name = rc == 0 ? sigabbrev_np(info.si_status) : NULL;
    if (rc < 0)
        (void)snprintf(out, size, "has gone");
    else if (info.si_code == CLD_EXITED)
        (void)snprintf(out, size, "exited with %d", info.si_status);
    else if (name != NULL)
        (void)snprintf(out, size, "killed by SIG%s", name);
    else
        (void)snprintf(out, size, "killed by signal %d", info.si_status);
}

void spawn_reap(int pidfd, char *out, size_t size)
{
    word_end(pidfd, 0, out, size);
}

void spawn_look(int pidfd, char *out, size_t size)
{
    word_end(pidfd, WNOWAIT, out, size);
}
