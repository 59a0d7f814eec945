/* SPDX-License-Identifier: MIT
 *
 * What /metrics answers, which the runner writes; and reading it back. Threads: any.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/admin.h"
#include "base/buf.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

#define METRICS_TYPE_MAX 96

/* Adds all metrics, in the format that an Accept header asks for (NULL: the text format 0.0.4), and
 * says which it is. 0, -ENOMEM, which shows in out as well, or -EBUSY. */
int metrics_write(struct buf *out, struct admin *admin, const char *accept,
                  char type[METRICS_TYPE_MAX]);

/* The next line that holds a value: its name with labels, and the value, within the text from *at
 * on, which is moved behind it. False: there is none left. */
struct metrics_line {
    const char *name;
    size_t name_size;
    double value;
};
bool metrics_next(const char **at, struct metrics_line *out);

#endif
