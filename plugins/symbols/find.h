/* SPDX-License-Identifier: MIT
 *
 * Debug information that was taken out of a program lies in a file of its own, in one of a few
 * places. Threads: any.
 */
#ifndef PLUGINS_SYMBOLS_FIND_H
#define PLUGINS_SYMBOLS_FIND_H

#include "profile/naming.h"

/* An open descriptor, the caller's; -1: there is none with the same build id. */
int find_debug_file(const struct naming_file *file);

/* The same for what several files have in common, by its name and build id as dwz has left them. */
int find_common_file(const char *name, const void *build_id, size_t size);

#endif
