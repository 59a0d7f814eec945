/* SPDX-License-Identifier: MIT
 *
 * The time of a record as text, local time with its offset from UTC.
 */
#ifndef LOG_STAMP_H
#define LOG_STAMP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define STAMP_SECONDS_SIZE 19 /* 2006-01-02T15:04:05 */

struct stamp {
    char seconds[STAMP_SECONDS_SIZE + 1];
    char offset[7]; /* -07:00, or Z when there is none */
    uint8_t offset_size;
    uint32_t ns;
    int64_t second; /* of Unix time */
};

/* The present time, or a given one. The thread's own, until its next call. Threads: any. */
const struct stamp *stamp_now(void);
const struct stamp *stamp_at(struct timespec when);

#endif
