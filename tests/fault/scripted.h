/* SPDX-License-Identifier: MIT
 *
 * A program that answers requests by a script, in a process of its own. Threads: one at a time.
 */
#ifndef TESTS_FAULT_SCRIPTED_H
#define TESTS_FAULT_SCRIPTED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scripted_page {
    const char *request; /* how it begins, such as "GET /readyz" */
    int status;
    const char *body;
    unsigned phase; /* is there from this phase on: the last one counts */
    enum {
        STAYS,
        TURNS,
        ENDS
    } then; /* with the answer the next phase begins, or the program ends */
};

/* What stands for the pid of the program in a body. */
#define SCRIPTED_PID "<PID>"

/* Listens on a unix socket at the path, or on 127.0.0.1, and sets the port; its process, which ends
 * with this one at the latest. The pages end with one that has no request, and outlive the call. */
pid_t scripted_start(const char *path, const struct scripted_page *pages);
pid_t scripted_start_tcp(uint16_t *port, const struct scripted_page *pages);

/* Nobody listens any more, and the path is gone; NULL: there was none. */
void scripted_end(pid_t program, const char *path);

#endif
