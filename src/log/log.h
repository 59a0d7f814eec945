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

/* From now on the records of the family go to the journal whose socket this is, as entries of its
 * native protocol; one that it does not take is written as a line, as before. The identifier is
 * borrowed for as long as the root lives. The first one counts. Its descriptor, which stays the
 * logger's; or -ENAMETOOLONG, -ENOMEM, or what socket says. That nobody listens there yet is no
 * error. Threads: any. */
int log_join_journal(srun_logger *root, const char *path, const char *identifier, srun_err *err);

/* A record as data, borrowed for the call. */
struct log_copy {
    int64_t time_ns; /* Unix */
    int level;
    const struct srun_source *source; /* NULL: not shown. Its names are not NULL */
    const char *message, *scope;      /* scope: of the logger; NULL: none */
    size_t message_size;
    const struct srun_kv *own, *kvs; /* the logger's, and the record's, which may be NULL */
};

/* Who else gets the records of a family, after they were written, on the thread that logs. Must
 * not log; errno is kept for it. Borrowed; NULL: nobody. Threads: any; a call that has
 * begun may go on beside a change. */
struct log_tap {
    void (*take)(void *user, const struct log_copy *record);
    void *user;
};
void log_set_tap(srun_logger *root, const struct log_tap *tap);

#endif
