/* SPDX-License-Identifier: MIT
 *
 * Profiles for the admin port: takes them, and writes them in the form that was asked for.
 * Threads: any, several at once.
 */
#ifndef PROFILING_H
#define PROFILING_H

#include "admin/admin.h"

/* As in struct admin_host. */
int profiling_take(const struct admin_profile_ask *ask, struct buf *out, srun_err *err);
int profiling_symbols(const char *addresses, struct buf *out, srun_err *err);

#endif
