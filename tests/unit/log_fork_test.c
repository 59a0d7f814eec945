/* SPDX-License-Identifier: MIT
 *
 * The log in a child of fork, whoever was writing in the parent at that moment. A child says how it
 * went by its exit code.
 */
#include "harness.h"
#include "log/log.h"
#include "log/sink.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];

static struct sink *open_sink(void)
{
    struct sink *sink = NULL;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(sink_open(&sink, ends[1], NULL), 0);
    return sink;
}

static void close_sink(struct sink *sink)
{
    sink_close(sink, ends[1]);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void assert_good(pid_t child)
{
    int status = 0;
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

static bool write_text(struct sink *sink, const char *text)
{
    return sink_write(sink, ends[1], text, strlen(text));
}

/* As a thread that is within a large record while another one forks. */
START_TEST(a_child_writes_though_somebody_had_the_sink)
    {
        char text[32] = "";
        struct sink *sink = open_sink();
        char *buffer = sink_begin(sink, ends[1]);
        ck_assert_ptr_nonnull(buffer);
        memcpy(buffer, "parent\n", 7);
        pid_t child = fork();
        if (child == 0)
            _exit(write_text(sink, "child\n") && write_text(sink, "again\n") ? 0 : 1);
        assert_good(child);
        ck_assert(sink_end(sink, ends[1], 7));
        ck_assert_int_eq(read(ends[0], text, sizeof text - 1), 19);
        ck_assert_str_eq(text, "child\nagain\nparent\n");
        close_sink(sink);
    }
END_TEST

/* Of a record that is half out the parent has the rest: it would be there twice. */
START_TEST(a_child_does_not_finish_what_its_parent_has_begun)
    {
        static char record[SINK_LARGE], read_back[4 * SINK_LARGE];
        struct sink *sink = open_sink();
        size_t wanted = sizeof record, got = 0;
        ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, SINK_LARGE / 2), 0);
        char *buffer = sink_begin(sink, ends[1]);
        memset(buffer, 'p', wanted - 1);
        buffer[wanted - 1] = '\n';
        ck_assert(sink_end(sink, ends[1], wanted));
        ck_assert_uint_gt(atomic_load(&((struct sink_head *)(void *)sink)->rest), 0);
        ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        for (ssize_t n; (n = read(ends[0], read_back + got, sizeof read_back - got)) > 0;)
            got += (size_t)n;
        pid_t child = fork();
        if (child == 0)
            _exit(write_text(sink, "child\n") ? 0 : 1);
        assert_good(child);
        ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4 * SINK_LARGE), 0);
        ck_assert(write_text(sink, "parent\n"));
        for (ssize_t n; (n = read(ends[0], read_back + got, sizeof read_back - got)) > 0;)
            got += (size_t)n;
        ck_assert_uint_eq(got, wanted + strlen("child\nparent\n"));
        close_sink(sink);
    }
END_TEST

int main(void)
{
    return HARNESS("log_fork", a_child_writes_though_somebody_had_the_sink,
                   a_child_does_not_finish_what_its_parent_has_begun);
}
