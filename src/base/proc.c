/* SPDX-License-Identifier: MIT */
#include "base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ascending(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return left < right ? -1 : left > right;
}

static int append(struct proc_list *list, int number)
{
    if ((list->count & (list->count - 1)) == 0) { /* grow at powers of two */
        size_t room = list->count == 0 ? 1 : list->count * 2;
        int *numbers = realloc(list->numbers, room * sizeof numbers[0]);
        if (numbers == NULL)
            return -ENOMEM;
        list->numbers = numbers;
    }
    list->numbers[list->count++] = number;
    return 0;
}

static int read_numbers(const char *folder, struct proc_list *out)
{
    *out = (struct proc_list){0};
    DIR *stream = opendir(folder);
    if (stream == NULL)
        return -errno;
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && number != dirfd(stream))
            rc = append(out, (int)number);
    }
    if (rc == 0)
        rc = -errno; /* of readdir, or of nothing */
    (void)closedir(stream);
    if (rc < 0)
        proc_list_free(out);
    else if (out->count > 0) /* of nothing, qsort would be given NULL */
        qsort(out->numbers, out->count, sizeof out->numbers[0], ascending);
    return rc;
}

int proc_descriptors(struct proc_list *out)
{
    return read_numbers("/proc/self/fd", out);
}

/* Since Linux 6.2 the folder knows how many there are: that takes no longer with many. */
int64_t proc_descriptor_count(void)
{
    struct stat folder;
    struct proc_list list;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
        return folder.st_size;
    int rc = proc_descriptors(&list);
    int64_t count = (int64_t)list.count;
    proc_list_free(&list);
    return rc < 0 ? rc : count;
}

int proc_threads(struct proc_list *out)
{
    return read_numbers("/proc/self/task", out);
}

void proc_list_free(struct proc_list *list)
{
    free(list->numbers);
    *list = (struct proc_list){0};
}

void proc_wait_a_moment(void)
{
    (void)poll(NULL, 0, 1);
}

int proc_list_has(const struct proc_list *list, int number)
{
    return list->count > 0 &&
           bsearch(&number, list->numbers, list->count, sizeof number, ascending) != NULL;
}

/* The name in /proc/PID/stat may hold anything, so what counts stands behind the last bracket:
 * "12 (na) me) S 11 ...". 0: it has ended, or has no parent that is seen from here. */
static int parent_of(int pid)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && strlen(name_end) > 4 ? (int)strtol(name_end + 4, NULL, 10) : 0;
}

bool proc_is_below(int pid, int ancestor)
{
    enum { DEPTH_MAX = 64, TRIES = 8 };
    /* One that ends on the way leaves its children to another: then again from the start. */
    for (int try = 0; try < TRIES; try++) {
        int at = parent_of(pid);
        for (int depth = 0; at > 1 && at != ancestor && depth < DEPTH_MAX; depth++)
            at = parent_of(at);
        if (at == ancestor && ancestor > 0)
            return true;
        if (at == 1)
            return false;
    }
    return false;
}

bool proc_works(const char *names)
{
    struct proc_list threads;
    char text[64]; /* "12 (name) R ...": as long as needed */
    bool works = false;
    if (proc_threads(&threads) < 0)
        return false;
    for (size_t i = 0; i < threads.count && !works; i++) {
        if (threads.numbers[i] == gettid())
            continue;
        proc_thread_file(threads.numbers[i], "stat", text, sizeof text);
        const char *name = strchr(text, '('), *end = strrchr(text, ')');
        works = name != NULL && end != NULL && strncmp(name + 1, names, strlen(names)) == 0 &&
                (strncmp(end, ") R", 3) == 0 || strncmp(end, ") D", 3) == 0);
    }
    proc_list_free(&threads);
    return works;
}

void proc_descriptor_name(int fd, char *out, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, out, size - 1);
    (void)snprintf(out + (length > 0 ? length : 0), length > 0 ? 1 : size, "%s",
                   length > 0 ? "" : "?");
}

void proc_thread_name(int tid, char *out, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (length <= 0) {
        (void)snprintf(out, size, "?");
        return;
    }
    out[length] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static int open_of(int tid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void proc_thread_file(int tid, const char *name, char *out, size_t size)
{
    int fd = open_of(tid, name);
    ssize_t length = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    out[length > 0 ? length : 0] = '\0';
}

void proc_thread_status(int tid, char out[PROC_STATUS_MAX])
{
    static const char list[] = "\nGroups:";
    const size_t name = sizeof list - 1;
    char piece[4096];
    size_t used = 0;
    ssize_t got;
    bool within = false; /* the list */
    int fd = open_of(tid, "status");
    while (fd >= 0 && (got = read(fd, piece, sizeof piece)) > 0)
        for (ssize_t i = 0; i < got && used < PROC_STATUS_MAX - 1; i++) {
            within = within && piece[i] != '\n';
            if (within)
                continue;
            out[used++] = piece[i];
            within = used >= name && memcmp(out + used - name, list, name) == 0;
        }
    if (fd >= 0)
        (void)close(fd);
    out[used] = '\0';
}
