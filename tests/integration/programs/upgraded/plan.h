/* SPDX-License-Identifier: MIT
 *
 * What this generation is to do: a file named by PLAN, read at the start of each process, one thing
 * per line. Command line and environment are the same in all generations; this is what differs.
 *
 *   version V / name N     what the program says it is
 *   listen NAME ADDRESS    and mode, backlog, v6only after it: listen NAME ADDRESS 600 0 1
 *   many N                 as many listeners, on free ports, named many-0 and so on
 *   nofile N               lower the limit of descriptors first
 *   early                  ask for an upgrade before the start
 *   exit N                 leave before any service starts
 *   fail TEXT              init fails
 *   wait FILE              init ends when there is such a file
 *   extend MS              init asks for so much time
 *   chdir FOLDER           the process goes there first
 *   keep                   hand over a counter and a pipe
 *   finish                 run ends when a newer generation serves
 *   services N             so many more, which do nothing
 *   queue FOLDER           work off the items there: files whose name is a number
 */
#ifndef PLAN_H
#define PLAN_H

#include <stddef.h>

enum { PLAN_LISTENERS = 1024, PLAN_WORD = 128 };

struct plan {
    char version[PLAN_WORD], name[PLAN_WORD], fail[PLAN_WORD], wait[PLAN_WORD], queue[PLAN_WORD];
    char folder[PLAN_WORD];
    struct plan_listener {
        char name[PLAN_WORD], address[PLAN_WORD];
        unsigned mode;
        int backlog, v6only;
    } listeners[PLAN_LISTENERS];
    unsigned count;
    int nofile, early, leave, keep, finish, services;
    long long extend_ms;
};

/* Without a file: one listener "web" on a free port. */
void plan_read(struct plan *plan, const char *path);

#endif
