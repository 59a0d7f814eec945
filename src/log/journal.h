/* SPDX-License-Identifier: MIT
 *
 * The journal as a sink: its datagram socket, to which a record goes whole or not at all. What is
 * too big for a datagram goes as a sealed file. One of more than SINK_SMALL bytes is made in pages
 * of its own, given back at once; without them it is refused. Never waits longer than
 * SINK_PATIENCE_MS, and not at all once the journal has let somebody wait for so long, until it
 * takes something again.
 * Threads: any, but for making and freeing it. Works in a child after fork, too.
 */
#ifndef LOG_JOURNAL_H
#define LOG_JOURNAL_H

#include "log/entry.h"

#include <srun/error.h>
#include <stdbool.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journal;

/* Is what stands behind the descriptor the journal's stream, as JOURNAL_STREAM ("device:inode", may
 * be NULL) says? */
bool journal_is_behind(int fd, const char *stream);

/* That nobody listens there yet is no error. The identifier is borrowed. 0, -ENAMETOOLONG, -ENOMEM,
 * or what socket says. */
int journal_open(struct journal **out, const char *path, const char *identifier, srun_err *err);

int journal_fd(const struct journal *journal);

/* True when it has taken the record. The entry's identifier is filled in here. */
bool journal_write(struct journal *journal, const struct journal_entry *entry);

/* Takes NULL, returns NULL. */
struct journal *journal_free(struct journal *journal);

#endif
