/* SPDX-License-Identifier: MIT
 *
 * The private side of srun/log.h: what the runner needs to make and configure the root logger.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <srun/config.h>
#include <srun/log.h>

/* A root logger that writes to fd (borrowed). Owned by the caller, freed by srun_logger_free. */
int log_new(srun_logger **out, int fd, srun_log_format format, int level, int source,
            srun_err *err);

/* Changes format and level of the root and of all loggers made from it, also those that exist. */
void log_configure(srun_logger *root, srun_log_format format, int level);

#endif
