/* SPDX-License-Identifier: MIT
 *
 * Starts programs as the upgrade does and reads what show_start tells of its start. For tests.
 */
#ifndef TESTS_UNIT_START_H
#define TESTS_UNIT_START_H

#include "harness.h"
#include "upgrade/binary.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID "b7ad6b7169203331"

/* How the test itself was started; its arguments are replaced by up to three, of show_start. */
static inline void take_start(struct origin *origin, const char *first, const char *second)
{
    srun_err err = {0};
    sigset_t mask;
    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    int rc = origin_take(origin, &mask, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    for (char **argument = origin->argv; *argument != NULL; argument++)
        free(*argument);
    free(origin->argv);
    origin->argv = calloc(4, sizeof *origin->argv);
    ck_assert_ptr_nonnull(origin->argv);
    const char *const all[] = {"show_start", first, second};
    for (size_t i = 0; i < 3 && all[i] != NULL; i++)
        origin->argv[i] = strdup(all[i]);
}

struct started {
    int pid, pidfd, channel; /* ours */
    size_t used;
    char report[262144];
};

static inline struct spawn_request request_of(const struct origin *origin, const char *binary,
                                              int channel)
{
    return (struct spawn_request){.origin = origin,
                                  .binary = binary,
                                  .channel = channel,
                                  .parent_pid = getpid(),
                                  .generation = 2,
                                  .trace_id = TRACE_ID,
                                  .span_id = SPAN_ID};
}

static inline void make_channel(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static inline int try_start(const struct origin *origin, const char *binary,
                            struct started *started, srun_err *err)
{
    int ends[2];
    make_channel(ends);
    const struct spawn_request request = request_of(origin, binary, ends[1]);
    int rc = spawn_process(&request, &started->pid, &started->pidfd, err);
    (void)close(ends[1]);
    started->used = 0;
    started->report[0] = '\0';
    started->channel = ends[0];
    if (rc < 0)
        (void)close(ends[0]);
    return rc;
}

static inline void wait_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&wait, 1, 10000 * harness_slowness()), 1);
}

static inline bool has_line(const struct started *started, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = started->report; (at = strstr(at, line)) != NULL; at++)
        if ((at == started->report || at[-1] == '\n') && at[length] == '\n')
            return true;
    return false;
}

static inline unsigned count_lines(const struct started *started, const char *beginning)
{
    unsigned count = 0;
    for (const char *at = started->report; (at = strstr(at, beginning)) != NULL; at++)
        count += at == started->report || at[-1] == '\n';
    return count;
}

#define ASSERT_TOLD(started, line)                                                                 \
    ck_assert_msg(has_line((started), (line)), "'%s' is not in:\n%s", (line), (started)->report)

/* Up to the line, or to the end when there is none. */
static inline void read_report(struct started *started, const char *line)
{
    for (ssize_t got = 1; got > 0 && (line == NULL || !has_line(started, line));) {
        wait_readable(started->channel);
        size_t room = sizeof started->report - started->used - 1;
        ck_assert_uint_gt(room, 0);
        got = read(started->channel, started->report + started->used, room);
        started->used += got > 0 ? (size_t)got : 0;
        started->report[started->used] = '\0';
    }
}

/* How it ended. */
static inline const char *finish(struct started *started)
{
    static _Thread_local char text[64];
    wait_readable(started->pidfd);
    spawn_reap(started->pidfd, text, sizeof text);
    (void)close(started->pidfd);
    (void)close(started->channel);
    return text;
}

/* One that starts, tells all and ends. The report stays valid until the next. */
static inline struct started *start_and_finish(const struct origin *origin, const char *binary)
{
    static struct started started;
    srun_err err = {0};
    int rc = try_start(origin, binary, &started, &err);
    ck_assert_msg(rc == 0, "%d: %s", rc, err.text);
    read_report(&started, NULL);
    ck_assert_str_eq(finish(&started), "exited with 0");
    ASSERT_TOLD(&started, "end");
    return &started;
}

/* --- files ----------------------------------------------------------------------------------- */

/* A path in the folder of the test; four can be in use. */
static inline const char *in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", harness_folder(), name);
    return path;
}

static inline void write_file(const char *path, const void *data, size_t size, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_msg(fd >= 0, "%s: %m", path);
    ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    (void)close(fd);
}

static inline size_t read_whole(const char *path, char *data, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %m", path);
    ssize_t size = read(fd, data, room);
    ck_assert_int_gt(size, 0);
    ck_assert_uint_lt((size_t)size, room);
    (void)close(fd);
    return (size_t)size;
}

/* show_start, to be changed; its size. */
static inline size_t read_program(char *data, size_t room)
{
    return read_whole(SHOW_START, data, room);
}

static inline void copy_program(const char *path)
{
    static char data[4 << 20];
    write_file(path, data, read_program(data, sizeof data), 0755);
}

#endif
