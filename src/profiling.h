/* SPDX-License-Identifier: MIT
 *
 * Profiles for the admin port: takes them, and writes them in the form that was asked for.
 * Threads: any, several at once.
 */
#ifndef PROFILING_H
#define PROFILING_H

#include "admin/admin.h"

/* As in struct admin_host. -ENOTSUP in a child that was forked while its parent took one: what
 * belonged to that one is left half done in the child. */
int profiling_take(const struct admin_profile_ask *ask, struct buf *out, srun_err *err);
int profiling_symbols(const char *addresses, struct buf *out, srun_err *err);

/* To be kept. Processor time as profile.proto, with why as a comment, and as a table. The stacks of
 * all threads as text, behind what is there: each by itself, or, where that is more than so many
 * bytes in all, equal ones together. As profiling_take. */
int profiling_keep_cpu(const struct admin_profile_ask *ask, const char *why, struct buf *proto,
                       struct buf *top, srun_err *err);
int profiling_keep_threads(size_t most, struct buf *out, srun_err *err);

#endif
