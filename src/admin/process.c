/* SPDX-License-Identifier: MIT */
#include "admin/process.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The file's text, cut to fit; its length, or -1. */
static ssize_t read_text(const char *path, char *out, size_t size)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, out, size - 1) : -1;
    out[length > 0 ? length : 0] = '\0';
    return length;
}

/* A field of /proc/.../stat, numbered as proc(5) does. The name, field 2, may hold anything, so one
 * counts from the last bracket. NULL: it is not there. */
static const char *stat_field(const char *stat, int number)
{
    const char *at = strrchr(stat, ')');
    for (int field = 2; at != NULL && field < number; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    return at;
}

static int64_t stat_number(const char *stat, int number)
{
    const char *field = stat_field(stat, number);
    return field != NULL ? strtoll(field, NULL, 10) : -1;
}

static int64_t now_of(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? now.tv_sec * NS_PER_S + now.tv_nsec : -1;
}

/* From ticks since the system was started. */
static int64_t start_ms(int64_t ticks)
{
    long hertz = sysconf(_SC_CLK_TCK);
    int64_t up = now_of(CLOCK_BOOTTIME);
    if (ticks < 0 || hertz <= 0 || up < 0)
        return -1;
    return clock_wall_ms() - (up / NS_PER_MS - ticks * 1000 / hertz);
}

static void read_statm(struct process *out)
{
    char text[128];
    int64_t pages, resident, page = sysconf(_SC_PAGESIZE);
    if (read_text("/proc/self/statm", text, sizeof text) <= 0)
        return;
    char *end;
    pages = strtoll(text, &end, 10);
    resident = strtoll(end, NULL, 10);
    out->vsize = pages * page;
    out->rss = resident * page;
}

void process_read(struct process *out)
{
    char stat[1024];
    struct rusage usage;
    struct rlimit limit;
    *out = (struct process){-1, -1, -1, -1, -1, -1, -1, -1};
    out->cpu_ns = now_of(CLOCK_PROCESS_CPUTIME_ID);
    read_statm(out);
    out->fds = proc_descriptor_count();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        out->max_fds = (int64_t)limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->switches = usage.ru_nvcsw + usage.ru_nivcsw;
    if (read_text("/proc/self/stat", stat, sizeof stat) > 0) {
        out->threads = stat_number(stat, 20);
        out->start_ms = start_ms(stat_number(stat, 22));
    }
}

static bool read_thread(int tid, long hertz, struct process_thread *out)
{
    char path[64], stat[1024];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    if (read_text(path, stat, sizeof stat) <= 0)
        return false; /* it has ended meanwhile */
    const char *begin = strchr(stat, '('), *end = strrchr(stat, ')'), *state = stat_field(stat, 3);
    if (begin == NULL || end == NULL || begin > end || state == NULL)
        return false;
    *out = (struct process_thread){.tid = tid, .state = *state};
    (void)snprintf(out->name, sizeof out->name, "%.*s", (int)(end - begin - 1), begin + 1);
    out->cpu_ms = (stat_number(stat, 14) + stat_number(stat, 15)) * 1000 / hertz;
    return true;
}

int process_threads(struct process_thread **out, size_t *count)
{
    struct proc_list list;
    *out = NULL;
    *count = 0;
    int rc = proc_threads(&list);
    if (rc < 0 || list.count == 0)
        return rc;
    if (list.count > PROCESS_THREADS_MAX)
        list.count = PROCESS_THREADS_MAX;
    long hertz = sysconf(_SC_CLK_TCK);
    *out = calloc(list.count, sizeof **out);
    for (size_t i = 0; *out != NULL && hertz > 0 && i < list.count; i++)
        *count += read_thread(list.numbers[i], hertz, &(*out)[*count]);
    proc_list_free(&list);
    return *out != NULL ? 0 : -ENOMEM;
}

int64_t process_start_ms(int pid)
{
    char path[64], stat[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return read_text(path, stat, sizeof stat) > 0 ? start_ms(stat_number(stat, 22)) : -1;
}
