/* SPDX-License-Identifier: MIT
 *
 * Where the time of a start or a stop went. Units go one after another, so the critical path is the
 * slowest member of each; the report names the longest of them with their share. PURE.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>
#include <stdint.h>

struct report_part {
    const char *service;
    const char *phase;
    unsigned unit;
    int64_t took_ns; /* negative: has not happened */
};

/* Writes "db init 8ms 66%, http ready 2ms 17%, 3 more 2ms 17%" into out, and "nothing" when no part
 * has happened. Parts of one phase stand together, in order of unit. Sorts parts. */
void report_critical_path(struct report_part *parts, size_t count, char *out, size_t size);

#endif
