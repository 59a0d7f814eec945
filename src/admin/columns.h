/* SPDX-License-Identifier: MIT
 *
 * Rows of cells as text that stands in columns, for people. What cannot be printed shows as ?, so
 * that no cell can break a line or speak to the terminal. PURE.
 *
 *     auto_columns struct columns table = {0};
 *     columns_heads(&table, "NAME|>PID|STATE");       right-aligned: >
 *     columns_add(&table, name);
 *     columns_addf(&table, "%d", pid);
 *     columns_add(&table, state);
 *     columns_write(&table, &exchange->out);
 */
#ifndef ADMIN_COLUMNS_H
#define ADMIN_COLUMNS_H

#include "base/buf.h"

#define COLUMNS_MAX 12

struct columns {
    struct buf text; /* the cells, each with a NUL at its end, row by row */
    size_t count;    /* of the columns */
    size_t cells;
    size_t widths[COLUMNS_MAX];
    bool right[COLUMNS_MAX];
};

void columns_heads(struct columns *columns, const char *heads);

/* The next cell; one without text shows as "-". */
void columns_add(struct columns *columns, const char *text);
void columns_addf(struct columns *columns, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes all rows, the last one filled up. Out of memory shows in out. */
void columns_write(struct columns *columns, struct buf *out);

void columns_free(struct columns *columns);

static inline void auto_columns_cleanup(struct columns *columns)
{
    columns_free(columns);
}

#define auto_columns __attribute__((cleanup(auto_columns_cleanup)))

/* Adds text as part of one line: control characters, and what is not UTF-8, become ?. Returns how
 * many characters that are. */
size_t columns_plain(struct buf *out, const char *text);

#endif
