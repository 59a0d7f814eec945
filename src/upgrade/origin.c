/* SPDX-License-Identifier: MIT
 *
 * Reads how this program was started, and gives a new process back what the old one was given. Runs
 * before any other thread exists. The binary itself: binary.c.
 */
#include "upgrade/origin.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/sized.h"
#include "base/text.h"
#include "upgrade/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNAL_MAX 64
#define PROC_FILE_MAX ((size_t)16 << 20) /* the kernel's limit for arguments is 6 MiB */

_Static_assert(RLIM_NLIMITS <= HANDOVER_LIMITS, "every resource limit has its place");

static uint64_t signal_bit(int signo)
{
    return (uint64_t)1 << (signo - 1);
}

/* --- what the kernel knows ------------------------------------------------------------------- */

/* A file of unknown size, ended by a zero byte that is not counted. Owned; NULL with errno. */
static char *read_file(const char *path, size_t *size)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    auto_free char *text = NULL;
    size_t room = 0, used = 0;
    for (ssize_t got = 1; got != 0;) {
        if (used + 1 >= room) {
            room = room == 0 ? 4096 : room * 2;
            errno = E2BIG; /* unless realloc says otherwise */
            char *grown = room <= PROC_FILE_MAX ? realloc(text, room) : NULL;
            if (grown == NULL)
                return NULL;
            text = grown;
        }
        got = read(fd, text + used, room - used - 1);
        if (got < 0 && errno != EINTR)
            return NULL;
        used += got > 0 ? (size_t)got : 0;
    }
    text[used] = '\0';
    *size = used;
    return take_ptr(text);
}

static int take_arguments(struct origin *origin)
{
    size_t size = 0;
    auto_free char *text = read_file("/proc/self/cmdline", &size);
    if (text == NULL)
        return -errno;
    struct text_list list = {0};
    int rc = 0;
    for (size_t at = 0; rc == 0 && (at < size || at == 0); at += strlen(text + at) + 1)
        rc = text_list_add(&list, text + at);
    if (rc < 0)
        text_list_free(&list);
    origin->argv = list.items;
    return rc;
}

static bool is_for_one_process(const char *entry)
{
    static const char *const names[] = {"LISTEN_PID=",     "LISTEN_FDS=",   "LISTEN_FDNAMES=",
                                        "LISTEN_PIDFDID=", "WATCHDOG_PID=", "SRUN_HANDOVER="};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static int take_environment(struct origin *origin)
{
    struct text_list list = {0};
    int rc = 0;
    for (char **entry = environ; rc == 0 && entry != NULL && *entry != NULL; entry++)
        if (!is_for_one_process(*entry))
            rc = text_list_add(&list, *entry);
    if (rc == 0 && list.items == NULL) {
        list.items = calloc(1, sizeof *list.items);
        rc = list.items != NULL ? 0 : -ENOMEM;
    }
    if (rc < 0)
        text_list_free(&list);
    origin->environ = list.items;
    return rc;
}

static int take_folder(struct origin *origin)
{
    origin->folder_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (origin->folder_fd < 0)
        return -errno;
    origin->folder = getcwd(NULL, 0);
    return origin->folder != NULL || errno == ENOENT ? 0 : -errno;
}

static int take_running_file(struct origin *origin)
{
    struct stat info;
    if (stat("/proc/self/exe", &info) < 0)
        return -errno;
    origin->exe_device = info.st_dev;
    origin->exe_inode = info.st_ino;
    origin->exe_mtime_ns = (int64_t)info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec;
    return 0;
}

static int take_binary(struct origin *origin)
{
    const char *path = NULL;
    for (char **entry = origin->environ; path == NULL && *entry != NULL; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            path = *entry + 5;
    return binary_find(origin, path);
}

/* --- what came with exec --------------------------------------------------------------------- */

static void take_signals(struct handover_boot *boot, const sigset_t *mask)
{
    for (int signo = 1; signo <= SIGNAL_MAX; signo++) {
        struct sigaction now;
        if (sigismember(mask, signo) == 1)
            boot->blocked |= signal_bit(signo);
        /* Two signals are the C library's own, and refused. */
        if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            boot->ignored |= signal_bit(signo);
    }
}

static uint64_t limit_value(rlim_t value)
{
    return value == RLIM_INFINITY ? UINT64_MAX : value;
}

static rlim_t limit_of(uint64_t value)
{
    return value >= RLIM_INFINITY ? RLIM_INFINITY : (rlim_t)value;
}

static int take_limits(struct handover_boot *boot)
{
    for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit now;
        if (getrlimit(i, &now) < 0)
            return -errno;
        boot->limits[i].soft = limit_value(now.rlim_cur);
        boot->limits[i].hard = limit_value(now.rlim_max);
    }
    return 0;
}

/* Not by umask(2), which cannot look without changing: a thread of the program may be there. */
static int take_umask(struct handover_boot *boot)
{
    static const char name[] = "\nUmask:";
    size_t size = 0;
    auto_free char *text = read_file("/proc/self/status", &size);
    if (text == NULL)
        return -errno;
    const char *line = strstr(text, name);
    if (line == NULL)
        return -ENODATA; /* a kernel before 4.7 */
    boot->umask = (uint32_t)strtol(line + sizeof name - 1, NULL, 8) & 0777;
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

int origin_take(struct origin *origin, const sigset_t *mask, srun_err *err)
{
    static const struct {
        int (*take)(struct origin *origin);
        const char *what;
    } parts[] = {
        {take_arguments, "command line"},   {take_environment, "environment"},
        {take_folder, "working directory"}, {take_running_file, "running file"},
        {take_binary, "program's file"},
    };
    *origin = (struct origin){.folder_fd = -1};
    const char *what = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < COUNT_OF(parts); i++) {
        what = parts[i].what;
        rc = parts[i].take(origin);
    }
    if (rc == 0) {
        what = "resource limits";
        rc = take_limits(&origin->boot);
    }
    if (rc == 0) {
        what = "umask";
        rc = take_umask(&origin->boot);
    }
    if (rc < 0) {
        origin_free(origin);
        return srun_fail(err, rc, "upgrade: cannot learn the %s of the start: %s", what,
                         srun_strerror(rc));
    }
    take_signals(&origin->boot, mask);
    return 0;
}

static void free_strings(char **strings)
{
    for (char **string = strings; string != NULL && *string != NULL; string++)
        free(*string);
    free(strings);
}

void origin_free(struct origin *origin)
{
    /* One that is all zero owns nothing, not even descriptor 0; the arguments are taken first. */
    if (origin->argv != NULL && origin->folder_fd >= 0)
        (void)close(origin->folder_fd); /* nothing to lose: only a place */
    free_strings(origin->argv);
    free_strings(origin->environ);
    free(origin->folder);
    free(origin->binary);
    *origin = (struct origin){.folder_fd = -1};
}

static void restore_limit(unsigned resource, const struct handover_limit *wanted)
{
    struct rlimit now;
    struct rlimit then = {.rlim_cur = limit_of(wanted->soft), .rlim_max = limit_of(wanted->hard)};
    if (getrlimit(resource, &now) < 0 ||
        (now.rlim_cur == then.rlim_cur && now.rlim_max == then.rlim_max))
        return;
    if (setrlimit(resource, &then) == 0)
        return;
    /* A hard limit is raised by the privileged only: then as near as it goes. */
    if (then.rlim_cur > now.rlim_max)
        then.rlim_cur = now.rlim_max;
    then.rlim_max = now.rlim_max;
    (void)setrlimit(resource, &then);
}

void origin_restore(struct origin *origin, const struct handover_boot *boot)
{
    struct handover_boot mine = origin->boot;
    origin->boot = *boot; /* the next generation gets the same */
    for (int signo = 1; signo <= SIGNAL_MAX; signo++) {
        struct sigaction now;
        if ((boot->ignored & signal_bit(signo)) != 0 && sigaction(signo, NULL, &now) == 0 &&
            now.sa_handler == SIG_DFL)
            (void)signal(signo, SIG_IGN); /* refused for SIGKILL and SIGSTOP */
    }
    if (is_zero(boot->limits, sizeof boot->limits))
        memcpy(origin->boot.limits, mine.limits, sizeof mine.limits); /* nothing was said */
    else
        for (unsigned i = 0; i < RLIM_NLIMITS; i++)
            restore_limit(i, &boot->limits[i]);
    (void)umask((mode_t)(boot->umask & 0777));
}
