/* SPDX-License-Identifier: MIT
 *
 * The private side of srun/log.h: what the runner needs to make and configure the root logger.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <srun/config.h>
#include <srun/log.h>
#include <stdbool.h>

/* A root logger that writes to fd (borrowed). Owned by the caller, freed by srun_logger_free. */
int log_new(srun_logger **out, int fd, srun_log_format format, int level, int source,
            srun_err *err);

/* Who says what belongs to the span that is current on the calling thread: for all loggers of the
 * process; the answer false, and none at first: the record belongs to none. Must keep errno. */
void log_set_ids(bool (*ids)(char trace_id[33], char span_id[17]));

/* Changes format and level of the root and of all loggers made from it, also those that exist. */
void log_configure(srun_logger *root, srun_log_format format, int level);

#endif
