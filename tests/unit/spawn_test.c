/* SPDX-License-Identifier: MIT
 *
 * What a new process is given: one descriptor, and everything else as the first start had it.
 */
#include "start.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* --- descriptors ----------------------------------------------------------------------------- */

START_TEST(passes_the_channel_as_number_3_and_nothing_else)
    {
        struct origin origin;
        take_start(&origin, NULL, NULL);
        int careless[3] = {dup(2), fcntl(2, F_DUPFD, 77), fcntl(2, F_DUPFD, 500)};
        const struct started *started = start_and_finish(&origin, SHOW_START);
        ASSERT_TOLD(started, "fd 0");
        ASSERT_TOLD(started, "fd 1");
        ASSERT_TOLD(started, "fd 2");
        ASSERT_TOLD(started, "fd 3");
        ASSERT_TOLD(started, "channel flags 0");
        ck_assert_uint_eq(count_lines(started, "fd "), 4);
        for (int i = 0; i < 3; i++)
            (void)close(careless[i]);
        origin_free(&origin);
    }
END_TEST

/* A start with a descriptor at number `to`. No assertion before what was there is back: they write
 * to a descriptor of Check's, which may be that one. */
static const struct started *start_with_at(const struct origin *origin, int fd, int to, int channel)
{
    static struct started started;
    srun_err err = {0};
    int aside = fcntl(to, F_DUPFD_CLOEXEC, 200), flags = fcntl(to, F_GETFD);
    int moved = dup3(fd, to, O_CLOEXEC);
    (void)close(fd);
    const struct spawn_request request = request_of(origin, SHOW_START, channel);
    int rc = spawn_process(&request, &started.pid, &started.pidfd, &err);
    int flags_then = fcntl(to, F_GETFD);
    if (aside >= 0)
        (void)dup3(aside, to, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
    (void)close(aside >= 0 ? aside : to);

    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_int_eq(moved, to);
    ck_assert_int_eq(flags_then, FD_CLOEXEC); /* here it stays closed on exec */
    started.used = 0;
    return &started;
}

static const struct started *finish_report(const struct started *from, int channel)
{
    static struct started started;
    started = *from;
    started.channel = channel;
    read_report(&started, NULL);
    ck_assert_str_eq(finish(&started), "exited with 0");
    ASSERT_TOLD(&started, "end");
    return &started;
}

/* Numbers that nothing else here has. */
static void make_high_channel(int ends[2])
{
    int low[2];
    make_channel(low);
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 300);
        (void)close(low[i]);
    }
}

START_TEST(takes_a_channel_of_any_number)
    {
        static const int numbers[] = {3, 4, 100, 0}; /* 0: without a standard input */
        struct origin origin;
        take_start(&origin, NULL, NULL);
        int folder_fd = fcntl(origin.folder_fd, F_DUPFD_CLOEXEC, 400);
        (void)close(origin.folder_fd);
        origin.folder_fd = folder_fd;
        for (size_t i = 0; i < 4; i++) {
            int ends[2];
            make_high_channel(ends);
            const struct started *started = start_with_at(&origin, ends[1], numbers[i], numbers[i]);
            started = finish_report(started, ends[0]);
            ASSERT_TOLD(started, "channel flags 0");
            ck_assert_uint_eq(count_lines(started, "fd "), numbers[i] == 0 ? 3 : 4);
        }
        origin_free(&origin);
    }
END_TEST

START_TEST(uses_its_folder_before_the_channel_takes_its_number)
    {
        struct origin origin;
        char line[600];
        int ends[2];
        take_start(&origin, NULL, NULL);
        make_high_channel(ends);
        ck_assert_int_eq(mkdir(in_folder("moved"), 0755), 0);
        int folder_fd = origin.folder_fd;
        origin.folder_fd = 3; /* and the path leads elsewhere */
        int fd = open(in_folder("moved"), O_PATH | O_CLOEXEC);
        const struct started *started = start_with_at(&origin, fd, 3, ends[1]);
        (void)close(ends[1]);
        started = finish_report(started, ends[0]);
        (void)snprintf(line, sizeof line, "folder %s", in_folder("moved"));
        ASSERT_TOLD(started, line);
        origin.folder_fd = folder_fd;
        origin_free(&origin);
    }
END_TEST

/* --- what it is told ------------------------------------------------------------------------- */

START_TEST(gives_the_arguments_and_the_environment_of_the_start)
    {
        static char twice_a[] = "TWICE=a", twice_b[] = "TWICE=b", stale[] = "SRUN_HANDOVER=fd=9",
                    pid[] = "LISTEN_PID=1", path[] = "PATH=/bin", odd[] = "no-value",
                    near[] = "LISTEN_FDS_OF_OURS=1";
        char *variables[] = {twice_a, stale, pid, twice_b, stale, path, odd, near, NULL};
        char **before = environ, line[200];
        struct origin origin;
        environ = variables;
        take_start(&origin, "", "two words");
        environ = before;
        ck_assert_int_eq(setenv("LATER", "1", 1), 0);
        const struct started *started = start_and_finish(&origin, SHOW_START);
        ASSERT_TOLD(started, "arg 0 show_start");
        ASSERT_TOLD(started, "arg 1 ");
        ASSERT_TOLD(started, "arg 2 two words");
        ck_assert_uint_eq(count_lines(started, "arg "), 3);
        ASSERT_TOLD(started, "env TWICE=a");
        ASSERT_TOLD(started, "env TWICE=b");
        ASSERT_TOLD(started, "env PATH=/bin");
        ASSERT_TOLD(started, "env no-value");
        ASSERT_TOLD(started, "env LISTEN_FDS_OF_OURS=1");
        (void)snprintf(line, sizeof line,
                       "env SRUN_HANDOVER=fd=3 pid=%d generation=2 trace=" TRACE_ID "-" SPAN_ID,
                       getpid());
        ASSERT_TOLD(started, line);
        ck_assert_uint_eq(count_lines(started, "env "), 6);
        (void)unsetenv("LATER");
        origin_free(&origin);
    }
END_TEST

START_TEST(says_zeros_where_there_is_no_trace)
    {
        static struct started started;
        struct origin origin;
        srun_err err = {0};
        int ends[2];
        take_start(&origin, NULL, NULL);
        make_channel(ends);
        struct spawn_request request = request_of(&origin, SHOW_START, ends[1]);
        request.trace_id = "A";
        request.span_id = NULL;
        ck_assert_int_eq(spawn_process(&request, &started.pid, &started.pidfd, &err), 0);
        (void)close(ends[1]);
        started.channel = ends[0];
        read_report(&started, NULL);
        ck_assert_str_eq(finish(&started), "exited with 0");
        ck_assert_ptr_nonnull(
            strstr(started.report, "trace=00000000000000000000000000000000-0000000000000000\n"));
        origin_free(&origin);
    }
END_TEST

START_TEST(understands_only_what_a_parent_would_say)
    {
        static const char good[] = "fd=3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID;
        static const char *const bad[] = {
            "",
            "fd=3",
            "fd=3 pid=123 generation=7",
            "fd=2 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=-3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=+3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=03 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd= pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=3 pid=0 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=3 pid=2147483648 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=3 pid=123 generation=4294967296 trace=" TRACE_ID "-" SPAN_ID,
            "fd=3  pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "fd=3 pid=123 generation=7 trace=" TRACE_ID SPAN_ID,
            "fd=3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID "0",
            "fd=3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID " ",
            "fd=3 pid=123 generation=7 trace=0AF7651916CD43DD8448EB211C80319C-" SPAN_ID,
            " fd=3 pid=123 generation=7 trace=" TRACE_ID "-" SPAN_ID,
            "pid=123 fd=3 generation=7 trace=" TRACE_ID "-" SPAN_ID,
        };
        struct spawn_inherited said = {0};
        ck_assert_int_eq(spawn_inherited(&said), -ENOENT);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            ck_assert_int_eq(setenv(SPAWN_VARIABLE, bad[i], 1), 0);
            ck_assert_msg(spawn_inherited(&said) == -EINVAL, "'%s'", bad[i]);
            ck_assert_ptr_null(getenv(SPAWN_VARIABLE));
            ck_assert_int_eq(said.fd, 0);
        }
        ck_assert_int_eq(setenv(SPAWN_VARIABLE, good, 1), 0);
        ck_assert_int_eq(spawn_inherited(&said), 0);
        ck_assert_ptr_null(getenv(SPAWN_VARIABLE));
        ck_assert_int_eq(said.fd, 3);
        ck_assert_int_eq(said.pid, 123);
        ck_assert_uint_eq(said.generation, 7);
        ck_assert_str_eq(said.trace_id, TRACE_ID);
        ck_assert_str_eq(said.span_id, SPAN_ID);
    }
END_TEST

START_TEST(removes_every_copy_of_the_variable)
    {
        static char one[] = "SRUN_HANDOVER=x", two[] = "SRUN_HANDOVER=y", other[] = "A=b";
        char *variables[] = {one, other, two, NULL}, **before = environ;
        struct spawn_inherited said;
        environ = variables;
        ck_assert_int_eq(spawn_inherited(&said), -EINVAL);
        ck_assert_ptr_eq(environ[0], other);
        ck_assert_ptr_null(environ[1]);
        environ = before;
    }
END_TEST

/* --- signals --------------------------------------------------------------------------------- */

static void do_nothing(int signo)
{
    (void)signo;
}

static void set_mask(int how, const int *signals, size_t count)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        (void)sigaddset(&set, signals[i]);
    ck_assert_int_eq(pthread_sigmask(how, &set, NULL), 0);
}

START_TEST(gives_the_mask_of_the_start_and_default_signals)
    {
        struct origin origin;
        (void)signal(SIGUSR2, SIG_IGN);
        set_mask(SIG_SETMASK, (const int[]){SIGWINCH}, 1);
        take_start(&origin, NULL, NULL);
        ck_assert_uint_eq(origin.boot.blocked, (uint64_t)1 << (SIGWINCH - 1));
        ck_assert((origin.boot.ignored & (uint64_t)1 << (SIGUSR2 - 1)) != 0);
        (void)signal(SIGPIPE, SIG_IGN); /* since then */
        (void)signal(SIGRTMAX, SIG_IGN);
        (void)signal(SIGTERM, do_nothing);
        set_mask(SIG_SETMASK, (const int[]){SIGTERM, SIGINT, SIGHUP, SIGCHLD}, 4);
        const struct started *started = start_and_finish(&origin, SHOW_START);
        ASSERT_TOLD(started, "blocked 28"); /* SIGWINCH */
        ASSERT_TOLD(started, "blocked 1");
        ck_assert_uint_eq(count_lines(started, "blocked "), 2);
        ASSERT_TOLD(started, "ignored 12"); /* SIGUSR2 */
        ck_assert(!has_line(started, "ignored 13"));
        ck_assert(!has_line(started, "ignored 64"));
        set_mask(SIG_SETMASK, NULL, 0);
        origin_free(&origin);
    }
END_TEST

START_TEST(holds_a_hangup_until_it_can_be_taken)
    {
        static struct started started;
        struct origin origin;
        srun_err err = {0};
        take_start(&origin, "hangup", NULL);
        ck_assert_int_eq(try_start(&origin, SHOW_START, &started, &err), 0);
        ck_assert_int_eq(spawn_signal(started.pidfd, SIGHUP), 0);
        read_report(&started, "end");
        ck_assert_int_eq(write(started.channel, "x", 1), 1);
        read_report(&started, NULL);
        ASSERT_TOLD(&started, "took 1");
        ck_assert_str_eq(finish(&started), "exited with 0");
        origin_free(&origin);
    }
END_TEST

/* --- the folder ------------------------------------------------------------------------------ */

START_TEST(starts_in_the_folder_of_the_start)
    {
        struct origin origin;
        char line[600];
        int home = open(".", O_PATH | O_CLOEXEC);
        ck_assert_int_eq(mkdir(in_folder("first"), 0755), 0);
        ck_assert_int_eq(chdir(in_folder("first")), 0);
        take_start(&origin, NULL, NULL);
        (void)snprintf(line, sizeof line, "folder %s", in_folder("first"));
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), line); /* still there */
        ck_assert_int_eq(chdir("/"), 0);
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), line); /* by path */

        /* Another one is at the path now: the same folder, wherever it went. */
        ck_assert_int_eq(rename(in_folder("first"), in_folder("second")), 0);
        ck_assert_int_eq(mkdir(in_folder("first"), 0755), 0);
        (void)snprintf(line, sizeof line, "folder %s", in_folder("second"));
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), line);

        ck_assert_int_eq(rmdir(in_folder("second")), 0);
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), "folder (removed)");
        origin_free(&origin);
        ck_assert_int_eq(fchdir(home), 0);
        (void)close(home);
    }
END_TEST

START_TEST(starts_from_a_folder_that_was_removed_before)
    {
        struct origin origin;
        int home = open(".", O_PATH | O_CLOEXEC);
        ck_assert_int_eq(mkdir(in_folder("first"), 0755), 0);
        ck_assert_int_eq(chdir(in_folder("first")), 0);
        ck_assert_int_eq(rmdir(in_folder("first")), 0);
        take_start(&origin, NULL, NULL);
        ck_assert_ptr_null(origin.folder);
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), "folder (removed)");
        ck_assert_int_eq(chdir("/"), 0);
        ASSERT_TOLD(start_and_finish(&origin, SHOW_START), "folder (removed)");
        origin_free(&origin);
        ck_assert_int_eq(fchdir(home), 0);
        (void)close(home);
    }
END_TEST

START_TEST(stays_this_process_s_child_in_its_group)
    {
        struct origin origin;
        char line[64];
        take_start(&origin, NULL, NULL);
        const struct started *started = start_and_finish(&origin, SHOW_START);
        (void)snprintf(line, sizeof line, "parent %d", getpid());
        ASSERT_TOLD(started, line);
        (void)snprintf(line, sizeof line, "group %d", getpgrp());
        ASSERT_TOLD(started, line);
        origin_free(&origin);
    }
END_TEST

/* --- how it ends ----------------------------------------------------------------------------- */

static const char *ending_of(const char *first, const char *second)
{
    static struct started started;
    struct origin origin;
    srun_err err = {0};
    take_start(&origin, first, second);
    ck_assert_int_eq(try_start(&origin, SHOW_START, &started, &err), 0);
    ck_assert_int_eq(fcntl(started.pidfd, F_GETFD), FD_CLOEXEC);
    read_report(&started, NULL);
    origin_free(&origin);
    return finish(&started);
}

START_TEST(words_how_a_process_ended)
    {
        ck_assert_str_eq(ending_of("exit", "0"), "exited with 0");
        ck_assert_str_eq(ending_of("exit", "77"), "exited with 77");
        ck_assert_str_eq(ending_of("kill", "11"), "killed by SIGSEGV");
        ck_assert_str_eq(ending_of("kill", "9"), "killed by SIGKILL");
        ck_assert_str_eq(ending_of("kill", "40"), "killed by signal 40");
    }
END_TEST

START_TEST(says_so_when_somebody_else_took_the_status)
    {
        static struct started started;
        struct origin origin;
        srun_err err = {0};
        int status;
        take_start(&origin, "hangup", NULL);
        ck_assert_int_eq(try_start(&origin, SHOW_START, &started, &err), 0);
        ck_assert_int_eq(shutdown(started.channel, SHUT_WR), 0); /* of which it ends */
        ck_assert_int_eq(waitpid(started.pid, &status, 0), started.pid);
        ck_assert_int_eq(spawn_signal(started.pidfd, SIGTERM), -ESRCH);
        ck_assert_str_eq(finish(&started), "has gone");

        (void)signal(SIGCHLD, SIG_IGN); /* then it is the kernel */
        ck_assert_int_eq(try_start(&origin, SHOW_START, &started, &err), 0);
        ck_assert_int_eq(shutdown(started.channel, SHUT_WR), 0);
        ck_assert_str_eq(finish(&started), "has gone");
        (void)signal(SIGCHLD, SIG_DFL);
        origin_free(&origin);
    }
END_TEST

START_TEST(watches_any_process)
    {
        int pidfd = spawn_pidfd(getpid());
        ck_assert_int_ge(pidfd, 0);
        ck_assert_int_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(spawn_signal(pidfd, 0), 0);
        (void)close(pidfd);
        ck_assert_int_eq(spawn_pidfd(-1), -EINVAL);
        ck_assert_int_eq(spawn_signal(-1, SIGTERM), -EBADF);
    }
END_TEST

START_TEST(signals_nobody_in_place_of_a_process_that_has_gone)
    {
        int status;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(0);
        int pidfd = spawn_pidfd(child);
        ck_assert_int_ge(pidfd, 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child); /* now its number is free */
        ck_assert_int_eq(spawn_signal(pidfd, 0), -ESRCH);
        (void)close(pidfd);
    }
END_TEST

/* --- when the system refuses ----------------------------------------------------------------- */

START_TEST(leaves_no_child_that_it_cannot_watch)
    {
        struct origin origin;
        srun_err err = {0};
        struct rlimit before, none;
        int ends[2], pid = -1, pidfd = -1;
        take_start(&origin, "hangup", NULL);
        make_channel(ends);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = (rlim_t)(ends[0] > ends[1] ? ends[0] : ends[1]) + 1;
        int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0); /* a gap below, if there is one */
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        const struct spawn_request request = request_of(&origin, SHOW_START, ends[1]);
        int rc = spawn_process(&request, &pid, &pidfd, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_msg(rc == -EMFILE, "%d: %s", rc, err.text);
        ck_assert_int_eq(pid, -1);
        ck_assert_int_eq(pidfd, -1);
        ck_assert_ptr_nonnull(strstr(err.text, strerror(EMFILE)));
        (void)close(lowest);
        (void)close(ends[0]);
        (void)close(ends[1]);
        origin_free(&origin);
    }
END_TEST

/* As an ordinary user; 77: cannot be tried here. */
static _Noreturn void start_without_a_process_to_spare(const struct origin *origin)
{
    static struct started started;
    srun_err err = {0};
    const struct rlimit none = {0, 0};
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        _exit(77);
    if (setrlimit(RLIMIT_NPROC, &none) < 0)
        _exit(77);
    int rc = try_start(origin, "/bin/true", &started, &err);
    _exit(rc == -EAGAIN && strstr(err.text, "unavailable") != NULL ? 0 : rc == 0 ? 77 : 1);
}

START_TEST(says_that_there_are_too_many_processes)
    {
        struct origin origin;
        int status = 0;
        take_start(&origin, NULL, NULL);
        pid_t child = fork();
        if (child == 0)
            start_without_a_process_to_spare(&origin);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status));
        ck_assert_msg(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77, "%d",
                      WEXITSTATUS(status));
        if (WEXITSTATUS(status) == 77)
            printf("says_that_there_are_too_many_processes: not tried: no limit for this user\n");
        origin_free(&origin);
    }
END_TEST

/* --- often and at once ----------------------------------------------------------------------- */

static void start_true(const struct origin *origin)
{
    srun_err err = {0};
    char ending[64];
    int ends[2], pid = -1, pidfd = -1;
    make_channel(ends);
    const struct spawn_request request = request_of(origin, "/bin/true", ends[1]);
    int rc = spawn_process(&request, &pid, &pidfd, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    wait_readable(pidfd);
    spawn_reap(pidfd, ending, sizeof ending);
    ck_assert_str_eq(ending, "exited with 0");
    (void)close(pidfd);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

START_TEST(leaves_nothing_behind_after_200_starts)
    {
        struct origin origin;
        take_start(&origin, NULL, NULL);
        for (int i = 0; i < 200; i++)
            start_true(&origin);
        origin_free(&origin);
    }
END_TEST

struct lane {
    const struct origin *origin;
    pthread_t thread;
    unsigned bad;
};

static void *start_some(void *arg)
{
    struct lane *lane = arg;
    struct started *started = calloc(1, sizeof *started);
    for (int i = 0; started != NULL && i < 5; i++) {
        srun_err err = {0};
        if (try_start(lane->origin, SHOW_START, started, &err) < 0) {
            lane->bad++;
            continue;
        }
        read_report(started, NULL);
        lane->bad += !has_line(started, "end") || count_lines(started, "fd ") != 4;
        lane->bad += strcmp(finish(started), "exited with 0") != 0;
    }
    free(started);
    return NULL;
}

START_TEST(starts_from_eight_threads_at_once)
    {
        struct origin origin;
        struct lane lanes[8];
        take_start(&origin, NULL, NULL);
        for (int i = 0; i < 8; i++) {
            lanes[i] = (struct lane){.origin = &origin};
            ck_assert_int_eq(pthread_create(&lanes[i].thread, NULL, start_some, &lanes[i]), 0);
        }
        for (int i = 0; i < 8; i++) {
            ck_assert_int_eq(pthread_join(lanes[i].thread, NULL), 0);
            ck_assert_uint_eq(lanes[i].bad, 0);
        }
        origin_free(&origin);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "spawn", passes_the_channel_as_number_3_and_nothing_else, takes_a_channel_of_any_number,
        uses_its_folder_before_the_channel_takes_its_number,
        gives_the_arguments_and_the_environment_of_the_start, says_zeros_where_there_is_no_trace,
        understands_only_what_a_parent_would_say, removes_every_copy_of_the_variable,
        gives_the_mask_of_the_start_and_default_signals, holds_a_hangup_until_it_can_be_taken,
        starts_in_the_folder_of_the_start, starts_from_a_folder_that_was_removed_before,
        stays_this_process_s_child_in_its_group, words_how_a_process_ended,
        says_so_when_somebody_else_took_the_status, watches_any_process,
        signals_nobody_in_place_of_a_process_that_has_gone, leaves_no_child_that_it_cannot_watch,
        says_that_there_are_too_many_processes, leaves_nothing_behind_after_200_starts,
        starts_from_eight_threads_at_once);
}
