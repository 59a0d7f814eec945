/* SPDX-License-Identifier: MIT
 *
 * Reads /proc/self. Allocates nothing that outlives a call; what exceeds LEFTOVERS_MAX is not seen.
 */
#include "leftovers.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GONE_LIMIT_MS 5000 /* of real time, in any build */

static void read_line(const char *path, char *out, size_t size)
{
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) != NULL)
        out[strcspn(out, "\n")] = '\0';
    (void)fclose(file); /* only read from */
}

/* Check talks to itself through an unlinked file, and without forks opens it anew at will. */
static bool is_of_check(const char *target)
{
    return strstr(target, "/check_") != NULL && strstr(target, " (deleted)") != NULL;
}

static void look_at_descriptors(struct leftovers *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(folder))
            continue;
        if (out->descriptor_count == LEFTOVERS_MAX)
            break;
        struct leftovers_descriptor *found = &out->descriptors[out->descriptor_count];
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        ssize_t length = readlink(path, found->target, sizeof found->target - 1);
        found->target[length < 0 ? 0 : length] = '\0';
        found->number = number;
        out->descriptor_count += !is_of_check(found->target);
    }
    (void)closedir(folder);
}

static void look_at_threads(struct leftovers *out)
{
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        if (out->thread_count == LEFTOVERS_MAX)
            break;
        struct leftovers_thread *found = &out->threads[out->thread_count++];
        char path[64];
        found->id = atoi(entry->d_name);
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/comm", found->id);
        read_line(path, found->name, sizeof found->name);
    }
    (void)closedir(folder);
}

/* The threads first: whoever of them is not there has closed what he closes. */
void leftovers_look(struct leftovers *out)
{
    memset(out, 0, sizeof *out);
    look_at_threads(out);
    look_at_descriptors(out);
}

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t size, const char *format,
                                                      ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    if (used > 0 && used + 2 < size) {
        memcpy(text + used, "; ", 3);
        used += 2;
    }
    (void)vsnprintf(text + used, size - used, format, args); /* cut to fit */
    va_end(args);
}

static bool has_descriptor(const struct leftovers *in, const struct leftovers_descriptor *wanted)
{
    for (unsigned i = 0; i < in->descriptor_count; i++)
        if (in->descriptors[i].number == wanted->number &&
            strcmp(in->descriptors[i].target, wanted->target) == 0)
            return true;
    return false;
}

static bool has_thread(const struct leftovers *in, int id)
{
    for (unsigned i = 0; i < in->thread_count; i++)
        if (in->threads[i].id == id)
            return true;
    return false;
}

struct thread_wait {
    const struct leftovers *before;
    struct leftovers now;
};

static bool no_new_thread(void *arg)
{
    struct thread_wait *wait = arg;
    leftovers_look(&wait->now);
    for (unsigned i = 0; i < wait->now.thread_count; i++)
        if (!has_thread(wait->before, wait->now.threads[i].id))
            return false;
    return true;
}

static void tell_children(char *text, size_t size)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
        return;
    char path[64], children[128], name[20] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    read_line(path, children, sizeof children);
    int pid = info.si_pid != 0 ? info.si_pid : atoi(children);
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    read_line(path, name, sizeof name);
    say(text, size, "child %d (%s)%s", pid, name,
        info.si_pid != 0 ? ", ended, not waited for" : "");
}

bool leftovers_none(const struct leftovers *before, char *text, size_t size)
{
    struct thread_wait wait = {.before = before};
    text[0] = '\0';
    (void)harness_wait(no_new_thread, &wait, GONE_LIMIT_MS / harness_slowness());

    for (unsigned i = 0; i < wait.now.thread_count; i++)
        if (!has_thread(before, wait.now.threads[i].id))
            say(text, size, "thread %s", wait.now.threads[i].name);
    for (unsigned i = 0; i < wait.now.descriptor_count; i++)
        if (!has_descriptor(before, &wait.now.descriptors[i]))
            say(text, size, "descriptor %d -> %s", wait.now.descriptors[i].number,
                wait.now.descriptors[i].target);
    for (unsigned i = 0; i < before->descriptor_count; i++)
        if (!has_descriptor(&wait.now, &before->descriptors[i]))
            say(text, size, "closed a descriptor of others: %d -> %s",
                before->descriptors[i].number, before->descriptors[i].target);
    tell_children(text, size);
    return text[0] == '\0';
}
