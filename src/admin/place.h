/* SPDX-License-Identifier: MIT
 *
 * Where the unix socket is: the one rule for the program that makes it and for srunctl that looks
 * for it. It needs nothing of the runner. Threads: before others change the environment.
 *
 *     as configured; else
 *     $RUNTIME_DIRECTORY/admin.sock        the first of them, when it is a directory
 *     $XDG_RUNTIME_DIR/NAME.sock           when it is ours
 *     /tmp/NAME-UID/admin.sock             in a directory that is ours, mode 0700, and no link
 */
#ifndef ADMIN_PLACE_H
#define ADMIN_PLACE_H

#include <srun/error.h>
#include <stdbool.h>

#define PLACE_MAX 108 /* what the address of a unix socket has room for, with its end */

/* configured: admin.socket, may be NULL. name: of the program; what has no place in a file name
 * becomes _. make: the directory in /tmp may be made. 0; -ENOENT: "none" was configured; else
 * negative, and why there is no safe place. */
int place_find(const char *configured, const char *name, bool make, char out[PLACE_MAX],
               srun_err *err);

#endif
