/* SPDX-License-Identifier: MIT
 *
 * Numbers, times and rights as people write them. PURE but for the time zone.
 */
#ifndef ADMIN_SHOW_H
#define ADMIN_SHOW_H

#include "admin/admin.h"

#include <stddef.h>
#include <stdint.h>

#define SHOW_MAX 48

/* "12ms", "3.2s", "5m10s", "26h3m", "12d4h": as exact as somebody cares for; "-" when negative. */
const char *show_ms(char out[SHOW_MAX], int64_t ms);

/* Unix time in the local zone: "2006-01-02 15:04:05.000"; "-" for 0. */
const char *show_time(char out[SHOW_MAX], int64_t unix_ms);

/* "debug", "info+2": as srun_level_parse reads it. */
const char *show_level(char out[SHOW_MAX], int level);

/* "probe", "read", "write"; "nothing". */
const char *show_right(enum admin_right right);

#endif
