/* SPDX-License-Identifier: MIT
 *
 * The PID file: written whole or not at all (a new file, renamed), by the generation that serves,
 * and removed only while it still names this process. Threads: any.
 */
#ifndef UPGRADE_PIDFILE_H
#define UPGRADE_PIDFILE_H

#include <srun/error.h>

/* "<pid>\n", mode 0644. O_EXCL | O_NOFOLLOW, synced by rename. 0 or a negative errno with a text
 * that names the path; then the file is as it was. */
int pidfile_write(const char *path, int pid, srun_err *err);

/* Unlinks it if it holds this pid. */
void pidfile_remove(const char *path, int pid);

#endif
