/* SPDX-License-Identifier: MIT
 *
 * What the encoders are given: one record, all of it borrowed for the call.
 */
#ifndef LOG_RECORD_H
#define LOG_RECORD_H

#include "log/stamp.h"

#include <srun/log.h>
#include <stdint.h>

/* Both encoders are given at least this capacity, and answer a record of any size with it. */
#define RECORD_CAPACITY_MIN 4096

struct record {
    const struct stamp *stamp;
    int level;
    const struct srun_source *source; /* NULL: not shown. Its names are not NULL */
    const char *message;              /* not NULL */
    size_t message_size;
    uint64_t lost;      /* 0: not shown; else how many records before this one were dropped */
    const char *prefix; /* key-values that this encoder rendered before */
    size_t prefix_size;
    const char *ids;           /* of the current span, rendered as the prefix is */
    size_t ids_size;           /* 0: there is none */
    const struct srun_kv *kvs; /* NULL: none */
};

#define ERRNO_TEXT_MAX 96

/* The text of SRUN_KV_ERRNO, with the number when it has no name. Returns the size. */
size_t record_errno_text(char out[ERRNO_TEXT_MAX], int64_t code);

#endif
