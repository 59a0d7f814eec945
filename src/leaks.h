/* SPDX-License-Identifier: MIT
 *
 * The leak report (debug.leaks): what descriptors and threads are there at the end that were not
 * there at the beginning, and in which service's init a descriptor appeared. Threads: control.
 */
#ifndef LEAKS_H
#define LEAKS_H

#include "base/proc.h"

#include <srun/log.h>
#include <stdbool.h>

struct leaks {
    bool wanted;
    struct proc_list descriptors, threads; /* at the beginning */
    struct leak_owner {
        int fd;
        char service[64]; /* cut to fit: the service is freed before the report */
    } * owners;
    size_t owner_count;
};

void leaks_begin(struct leaks *leaks);

/* This one is no leak: it stays open until after the report. Without memory it will be told of. */
void leaks_allow(struct leaks *leaks, int fd);

/* What has appeared since the last look belongs to this service. */
void leaks_attribute(struct leaks *leaks, const char *service);

/* One warning per leak, or one line that there is none. Returns how many. */
size_t leaks_report(struct leaks *leaks, srun_logger *log);

void leaks_end(struct leaks *leaks);

#endif
