/* SPDX-License-Identifier: MIT */
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>

#define BURIAL_MS 1000 /* on a busy machine it takes a while */

void leaks_begin(struct leaks *leaks)
{
    leaks->wanted = true;
    (void)proc_descriptors(&leaks->descriptors); /* without /proc everything seems new */
    (void)proc_threads(&leaks->threads);
}

void leaks_allow(struct leaks *leaks, int fd)
{
    struct proc_list *known = &leaks->descriptors;
    if (!leaks->wanted || proc_list_has(known, fd))
        return;
    int *numbers = realloc(known->numbers, (known->count + 1) * sizeof numbers[0]);
    if (numbers == NULL)
        return;
    size_t at = known->count++;
    for (; at > 0 && numbers[at - 1] > fd; at--)
        numbers[at] = numbers[at - 1];
    numbers[at] = fd;
    known->numbers = numbers;
}

static const char *owner_of(const struct leaks *leaks, int fd)
{
    for (size_t i = leaks->owner_count; i > 0; i--)
        if (leaks->owners[i - 1].fd == fd)
            return leaks->owners[i - 1].service;
    return NULL;
}

void leaks_attribute(struct leaks *leaks, const char *service)
{
    if (!leaks->wanted)
        return;
    struct proc_list now;
    (void)proc_descriptors(&now);
    for (size_t i = 0; i < now.count; i++) {
        int fd = now.numbers[i];
        if (proc_list_has(&leaks->descriptors, fd) || owner_of(leaks, fd) != NULL)
            continue;
        struct leak_owner *owners =
            realloc(leaks->owners, (leaks->owner_count + 1) * sizeof owners[0]);
        if (owners == NULL)
            break; /* the report will say less */
        leaks->owners = owners;
        struct leak_owner *owner = &owners[leaks->owner_count++];
        owner->fd = fd;
        (void)snprintf(owner->service, sizeof owner->service, "%s", service);
    }
    proc_list_free(&now);
}

static size_t report_descriptors(const struct leaks *leaks, srun_logger *log)
{
    struct proc_list now;
    size_t found = 0;
    (void)proc_descriptors(&now);
    for (size_t i = 0; i < now.count; i++) {
        int fd = now.numbers[i];
        if (proc_list_has(&leaks->descriptors, fd))
            continue;
        char what[256];
        const char *owner = owner_of(leaks, fd);
        proc_descriptor_name(fd, what, sizeof what);
        SRUN_WARN(log, "leaked descriptor", SRUN_INT("fd", fd), SRUN_STR("what", what),
                  SRUN_STR("opened_in", owner != NULL ? owner : "(after init)"));
        found++;
    }
    proc_list_free(&now);
    return found;
}

static bool all_are_known(const struct proc_list *now, const struct proc_list *known)
{
    for (size_t i = 0; i < now->count; i++)
        if (!proc_list_has(known, now->numbers[i]))
            return false;
    return true;
}

/* A thread that was joined may stand in the list for a moment, until the kernel has buried it. When
 * the threads of the beginning are not known there is nothing to wait for. */
static void list_threads(const struct leaks *leaks, struct proc_list *now)
{
    (void)proc_threads(now);
    int moments = leaks->threads.count > 0 ? BURIAL_MS : 0;
    for (int i = 0; i < moments && !all_are_known(now, &leaks->threads); i++) {
        proc_list_free(now);
        proc_wait_a_moment();
        (void)proc_threads(now);
    }
}

static size_t report_threads(const struct leaks *leaks, srun_logger *log)
{
    struct proc_list now;
    size_t found = 0;
    list_threads(leaks, &now);
    for (size_t i = 0; i < now.count; i++) {
        if (proc_list_has(&leaks->threads, now.numbers[i]))
            continue;
        char name[32];
        proc_thread_name(now.numbers[i], name, sizeof name);
        SRUN_WARN(log, "leaked thread", SRUN_INT("tid", now.numbers[i]), SRUN_STR("name", name));
        found++;
    }
    proc_list_free(&now);
    return found;
}

size_t leaks_report(struct leaks *leaks, srun_logger *log)
{
    if (!leaks->wanted)
        return 0;
    size_t found = report_descriptors(leaks, log) + report_threads(leaks, log);
    if (found == 0)
        SRUN_INFO(log, "nothing leaked");
    return found;
}

void leaks_end(struct leaks *leaks)
{
    proc_list_free(&leaks->descriptors);
    proc_list_free(&leaks->threads);
    free(leaks->owners);
    *leaks = (struct leaks){0};
}
