/* SPDX-License-Identifier: MIT
 *
 * What /metrics answers: the text format 0.0.4 of Prometheus. One function, so that another source
 * of metrics can take its place. Threads: any.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/admin.h"
#include "base/buf.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Adds all metrics. 0 or -ENOMEM; out of memory shows in out as well. */
int metrics_write(struct buf *out, struct admin *admin);

/* The next line that holds a value: its name with labels, and the value, within the text from *at
 * on, which is moved behind it. False: there is none left. */
struct metrics_line {
    const char *name;
    size_t name_size;
    double value;
};
bool metrics_next(const char **at, struct metrics_line *out);

/* Adds a label's value, escaped, without its quotes. */
void metrics_label(struct buf *out, const char *value);

#endif
