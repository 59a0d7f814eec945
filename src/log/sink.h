/* SPDX-License-Identifier: MIT
 *
 * Where records go: a descriptor that may be a file, a pipe that nobody reads, a socket or a
 * terminal. A sink takes whole records or none of one, and never waits longer for room than
 * SINK_PATIENCE_MS.
 */
#ifndef LOG_SINK_H
#define LOG_SINK_H

#include <srun/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#define SINK_PATIENCE_MS 50
#define SINK_SMALL 4096        /* PIPE_BUF: up to here a write to a pipe is all or nothing */
#define SINK_LARGE (64 * 1024) /* the longest record */

struct sink;

/* The part of a sink that sink_write reads; the rest is private. */
struct sink_head {
    bool is_file;
    atomic_size_t rest; /* bytes of a record taken in part that are still to go out */
};

/* The sink of the file behind fd, which stays the caller's. Two descriptors of the same file (the
 * same pipe, the same terminal) share one sink. -EBADF, -ENOMEM. Threads: any. */
int sink_open(struct sink **out, int fd, srun_err *err);

/* Takes NULL. Gives a record that is still half written one last chance. */
void sink_close(struct sink *sink, int fd);

/* What is left of sink_write when one write was not enough: its result, or how much is out. */
bool sink_write_after(struct sink *sink, int fd, const char *record, size_t size, ssize_t rc);
bool sink_write_in_turn(struct sink *sink, int fd, const char *record, size_t size, size_t done);

/* True when the record has been taken. size <= SINK_SMALL. Threads: any.
 *
 * A file takes a record at once. That is done here, inline: after a system call the processor has
 * forgotten where to return to, and every function between it and the caller costs a miss. */
static inline bool sink_write(struct sink *sink, int fd, const char *record, size_t size)
{
    const struct sink_head *head = (const struct sink_head *)(const void *)sink;
    if (!head->is_file || atomic_load_explicit(&head->rest, memory_order_relaxed) > 0)
        return sink_write_in_turn(sink, fd, record, size, 0);
    ssize_t rc = write(fd, record, size);
    return rc == (ssize_t)size || sink_write_after(sink, fd, record, size, rc);
}

/* For larger records: a buffer of SINK_LARGE bytes, to be filled and given back by sink_end. NULL:
 * it did not come free in time. No other record is written between the two calls. Threads: any. */
char *sink_begin(struct sink *sink, int fd);
bool sink_end(struct sink *sink, int fd, size_t size);

#endif
