/* SPDX-License-Identifier: MIT
 *
 * How the program was started, which file that was, and giving a new process the same.
 */
#include "start.h"

#include <sys/resource.h>
#include <sys/wait.h>

static uint64_t bit(int signo)
{
    return (uint64_t)1 << (signo - 1);
}

static void take(struct origin *origin)
{
    srun_err err = {0};
    sigset_t mask;
    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    int rc = origin_take(origin, &mask, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

/* --- the command line, in a process of its own ----------------------------------------------- */

/* What this program does when it is started with --take: a line per fact, on standard output. */
static int tell_origin(void)
{
    struct origin origin;
    srun_err err = {0};
    sigset_t mask;
    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    if (origin_take(&origin, &mask, &err) < 0) {
        printf("error %s\n", err.text);
        return 1;
    }
    size_t count = 0, size = 0;
    for (char **argument = origin.argv; *argument != NULL; argument++) {
        count++;
        size += strlen(*argument);
    }
    printf("count %zu\nsize %zu\n", count, size);
    for (size_t i = 0; i < count && i < 4; i++)
        printf("arg %zu %s\n", i, origin.argv[i]);
    printf("binary %s\n", origin.binary != NULL ? origin.binary : "(none)");
    printf("umask %04o\n", origin.boot.umask);
    origin_free(&origin);
    return 0;
}

/* Runs ourselves (or the file) with these arguments in this folder. */
static const struct started *told_by(const char *file, char **argv, const char *folder,
                                     const char *path)
{
    static struct started started;
    int pipes[2], status;
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(pipes[1], 1);
        (void)umask(0027);
        if (chdir(folder) == 0 && setenv("PATH", path, 1) == 0)
            (void)execv(file, argv);
        _exit(99);
    }
    (void)close(pipes[1]);
    started.channel = pipes[0];
    started.used = 0;
    read_report(&started, NULL);
    (void)close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x: %s", (unsigned)status,
                  started.report);
    return &started;
}

static const char *self(void)
{
    static char path[512];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(size, 0);
    return path;
}

START_TEST(takes_the_command_line_as_it_was)
    {
        static char name[] = "/odd/name", flag[] = "--take", none[] = "", rest[] = "--a\nb",
                    *argv[] = {name, flag, none, rest, NULL};
        const struct started *told = told_by(self(), argv, "/", "/bin");
        ASSERT_TOLD(told, "count 4");
        ASSERT_TOLD(told, "arg 0 /odd/name");
        ASSERT_TOLD(told, "arg 2 ");
        ASSERT_TOLD(told, "arg 3 --a"); /* and the rest on the next line */
        ASSERT_TOLD(told, "binary /odd/name");
        ASSERT_TOLD(told, "umask 0027");
    }
END_TEST

START_TEST(takes_a_command_line_of_any_size)
    {
        enum { COUNT = 40, SIZE = 30000 };
        static char name[] = "x", flag[] = "--take", filler[SIZE + 1], *argv[COUNT + 3];
        memset(filler, 'y', SIZE);
        argv[0] = name;
        argv[1] = flag;
        for (int i = 0; i < COUNT; i++)
            argv[2 + i] = filler;
        const struct started *told = told_by(self(), argv, "/", "/bin");
        ASSERT_TOLD(told, "count 42");
        ASSERT_TOLD(told, "size 1200007");
    }
END_TEST

/* --- which file ------------------------------------------------------------------------------ */

START_TEST(makes_the_name_of_the_program_absolute)
    {
        char line[600], path[600];
        static char flag[] = "--take", bare[] = "daemon", relative[] = "bin/daemon",
                    dotted[] = "./bin/../bin/daemon";
        char *argv[] = {bare, flag, NULL};
        char bin[512];
        (void)snprintf(bin, sizeof bin, "%s", in_folder("bin"));
        ck_assert_int_eq(mkdir(bin, 0755), 0);
        ck_assert_int_eq(symlink(self(), in_folder("bin/daemon")), 0);

        (void)snprintf(line, sizeof line, "binary %s/daemon", bin);
        ASSERT_TOLD(told_by(self(), argv, "/", bin), line);
        (void)snprintf(path, sizeof path, "/nowhere:%s:/bin", bin);
        ASSERT_TOLD(told_by(self(), argv, "/", path), line);
        argv[0] = relative;
        ASSERT_TOLD(told_by(self(), argv, harness_folder(), "/bin"), line);
        argv[0] = dotted;
        (void)snprintf(line, sizeof line, "binary %s/./bin/../bin/daemon", harness_folder());
        ASSERT_TOLD(told_by(self(), argv, harness_folder(), "/bin"), line);

        argv[0] = bare; /* an entry of PATH that is empty is the folder of the start */
        (void)snprintf(line, sizeof line, "binary %s/daemon", bin);
        ASSERT_TOLD(told_by(self(), argv, bin, ""), line);
        ASSERT_TOLD(told_by(self(), argv, bin, ":/bin"), line);
        ASSERT_TOLD(told_by(self(), argv, bin, "/bin::/nowhere"), line);
        ASSERT_TOLD(told_by(self(), argv, bin, "/bin:"), line);
        (void)snprintf(line, sizeof line, "binary %s/bin/daemon", harness_folder());
        ASSERT_TOLD(told_by(self(), argv, harness_folder(), "bin"), line); /* a relative one */
        ASSERT_TOLD(told_by(self(), argv, "/", "/bin"), "binary (none)");
    }
END_TEST

START_TEST(takes_no_namesake_for_the_program)
    {
        char line[600], path[1100];
        static char flag[] = "--take", bare[] = "daemon", *argv[] = {bare, flag, NULL};
        ck_assert_int_eq(mkdir(in_folder("a"), 0755), 0);
        ck_assert_int_eq(mkdir(in_folder("b"), 0755), 0);
        write_file(in_folder("a/daemon"), "#!/bin/sh\n", 10, 0755);
        ck_assert_int_eq(symlink(self(), in_folder("b/daemon")), 0);
        (void)snprintf(path, sizeof path, "%s:%s", in_folder("a"), in_folder("b"));
        (void)snprintf(line, sizeof line, "binary %s", in_folder("b/daemon"));
        ASSERT_TOLD(told_by(self(), argv, "/", path), line);
        ASSERT_TOLD(told_by(self(), argv, "/", in_folder("a")), "binary (none)");
    }
END_TEST

/* Moved away by a deployment between its exec and its look: the shell unlinks the file it becomes.
 */
START_TEST(takes_the_successor_of_a_file_that_was_removed)
    {
        static char data[64 << 20], shell[] = "sh", option[] = "-c", text[1200];
        char *argv[] = {shell, option, text, NULL}, line[600];
        write_file(in_folder("copy"), data, read_whole(self(), data, sizeof data), 0755);
        ck_assert_int_eq(mkdir(in_folder("bin"), 0755), 0);
        write_file(in_folder("bin/daemon"), "#!/bin/sh\n", 10, 0755);
        (void)snprintf(text, sizeof text,
                       "exec 9<%s; /bin/rm %s; exec -a daemon /proc/self/fd/9 --take",
                       in_folder("copy"), in_folder("copy"));
        (void)snprintf(line, sizeof line, "binary %s", in_folder("bin/daemon"));
        ASSERT_TOLD(told_by("/bin/bash", argv, "/", in_folder("bin")), line);
    }
END_TEST

/* --- may it be run --------------------------------------------------------------------------- */

static void assert_check(const char *path, bool allow_writable, int code, const char *reason)
{
    struct origin origin;
    srun_err err = {0};
    bool changed = true;
    take(&origin);
    int rc = origin_check_binary(&origin, path, allow_writable, &changed, &err);
    ck_assert_msg(rc == code, "%s: %d: %s", path, rc, err.text);
    ck_assert(!changed);
    ck_assert_msg(strstr(err.text, reason) != NULL, "'%s' is not in: %s", reason, err.text);
    origin_free(&origin);
}

/* Where TMPDIR is a place that others may write, nothing in it is accepted: /tmp is sticky. */
static bool is_in_a_safe_place(void)
{
    struct origin origin;
    bool changed;
    take(&origin);
    write_file(in_folder("probe"), "", 0, 0755);
    int rc = origin_check_binary(&origin, in_folder("probe"), false, &changed, NULL);
    origin_free(&origin);
    return rc == 0;
}

START_TEST(accepts_a_file_that_only_root_and_we_may_change)
    {
        assert_check("/bin/true", false, 0, "");
        if (!is_in_a_safe_place())
            return;
        copy_program(in_folder("file"));
        assert_check(in_folder("file"), false, 0, "");
        ck_assert_int_eq(symlink("file", in_folder("link")), 0);
        assert_check(in_folder("link"), false, 0, "");
        ck_assert_int_eq(chmod(in_folder("file"), 04755), 0); /* of ourselves: no change */
        assert_check(in_folder("file"), false, 0, "");
    }
END_TEST

START_TEST(refuses_what_is_no_executable_file)
    {
        assert_check(NULL, false, -ENOENT, "was not found");
        assert_check(in_folder("none"), false, -ENOENT, "No such file");
        assert_check(harness_folder(), false, -EISDIR, "is a folder");
        assert_check("/dev/null", false, -EACCES, "not a regular file");
        write_file(in_folder("file"), "x", 1, 0644);
        assert_check(in_folder("file"), false, -EACCES, "not executable");
        assert_check(in_folder("file/x"), false, -ENOTDIR, "Not a directory");
        ck_assert_int_eq(symlink("loop", in_folder("loop")), 0);
        assert_check(in_folder("loop"), false, -ELOOP, strerror(ELOOP));
    }
END_TEST

START_TEST(refuses_a_file_that_others_may_write)
    {
        copy_program(in_folder("file"));
        ck_assert_int_eq(chmod(in_folder("file"), 0757), 0);
        assert_check(in_folder("file"), false, -EPERM, "is writable by all (mode 0757)");
        assert_check(in_folder("file"), true, 0, "");
        ck_assert_int_eq(chmod(in_folder("file"), 0775), 0);
        assert_check(in_folder("file"), false, -EPERM, "is writable by its group (mode 0775)");
        assert_check(in_folder("file"), true, 0, "");
    }
END_TEST

START_TEST(refuses_a_file_that_others_may_replace)
    {
        if (!is_in_a_safe_place())
            return;
        ck_assert_int_eq(mkdir(in_folder("open"), 0700), 0);
        ck_assert_int_eq(mkdir(in_folder("open/deep"), 0700), 0);
        copy_program(in_folder("open/deep/file"));
        copy_program(in_folder("safe"));
        assert_check(in_folder("open/deep/file"), false, 0, "");
        ck_assert_int_eq(chmod(in_folder("open"), 0777), 0);
        assert_check(in_folder("open/deep/file"), false, -EPERM, "/open is writable by all");
        assert_check(in_folder("open/deep/file"), true, 0, "");
        ck_assert_int_eq(chmod(in_folder("open"), 01777), 0); /* sticky: to each his own */
        assert_check(in_folder("open/deep/file"), false, 0, "");
        ck_assert_int_eq(chmod(in_folder("open"), 0770), 0);
        assert_check(in_folder("open/deep/file"), false, -EPERM, "writable by its group");

        /* Both where the link stands and where it leads to count. */
        ck_assert_int_eq(symlink("open/deep/file", in_folder("link")), 0);
        assert_check(in_folder("link"), false, -EPERM, "/open is writable by its group");
        ck_assert_int_eq(symlink("../safe", in_folder("open/link")), 0);
        assert_check(in_folder("open/link"), false, -EPERM, "/open is writable by its group");
    }
END_TEST

START_TEST(refuses_a_file_or_a_folder_of_another_user)
    {
        if (geteuid() != 0) {
            assert_check("/bin/true", false, 0, ""); /* of root; others cannot be made here */
            return;
        }
        ck_assert_int_eq(mkdir(in_folder("theirs"), 0755), 0);
        copy_program(in_folder("theirs/file"));
        ck_assert_int_eq(chown(in_folder("theirs"), 12345, 12345), 0);
        assert_check(in_folder("theirs/file"), false, -EPERM, "/theirs belongs to user 12345");
        assert_check(in_folder("theirs/file"), true, 0, "");
        ck_assert_int_eq(chown(in_folder("theirs/file"), 12345, 0), 0);
        assert_check(in_folder("theirs/file"), true, -EPERM, "/theirs/file belongs to user 12345");
    }
END_TEST

START_TEST(refuses_a_file_that_would_make_us_somebody_else)
    {
        copy_program(in_folder("file"));
        if (geteuid() != 0)
            return;
        ck_assert_int_eq(chown(in_folder("file"), 0, 12345), 0);
        ck_assert_int_eq(chmod(in_folder("file"), 02755), 0);
        assert_check(in_folder("file"), false, -EPERM, "as another user or group (mode 2755)");
        ck_assert_int_eq(chmod(harness_folder(), 0755), 0);
        ck_assert_int_eq(chmod(in_folder("file"), 04755), 0);
        pid_t child = fork();
        if (child == 0) { /* not root, and the file is root's */
            struct origin origin = {0};
            srun_err err = {0};
            bool changed;
            if (setgid(65534) < 0 || setuid(65534) < 0)
                _exit(0);
            int rc = origin_check_binary(&origin, in_folder("file"), true, &changed, &err);
            _exit(rc == -EPERM && strstr(err.text, "(mode 4755)") != NULL ? 0 : 1);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
END_TEST

START_TEST(sees_that_the_running_file_was_changed_in_place)
    {
        struct origin origin;
        srun_err err = {0};
        bool changed = true;
        take(&origin);
        ck_assert_int_eq(origin_check_binary(&origin, self(), true, &changed, &err), 0);
        ck_assert(!changed);
        origin.exe_mtime_ns -= 1;
        ck_assert_int_eq(origin_check_binary(&origin, self(), true, &changed, &err), 0);
        ck_assert(changed);
        ck_assert_int_eq(origin_check_binary(&origin, "/bin/true", true, &changed, &err), 0);
        ck_assert(!changed); /* another file */
        origin_free(&origin);
    }
END_TEST

/* --- the environment, signals, limits -------------------------------------------------------- */

START_TEST(keeps_the_environment_but_for_what_is_meant_for_one_process)
    {
        static char a[] = "LISTEN_PID=1", b[] = "LISTEN_FDS=2", c[] = "LISTEN_FDNAMES=x",
                    d[] = "LISTEN_PIDFDID=3", e[] = "WATCHDOG_PID=4", f[] = "SRUN_HANDOVER=y",
                    g[] = "WATCHDOG_USEC=5", h[] = "SRUN_HANDOVER_=z", i[] = "NOTIFY_SOCKET=@n";
        char *variables[] = {a, b, a, c, d, g, e, f, h, i, f, NULL}, *none[] = {NULL};
        char **before = environ;
        struct origin origin;
        environ = variables;
        take(&origin);
        environ = none;
        ck_assert_str_eq(origin.environ[0], g);
        ck_assert_str_eq(origin.environ[1], h);
        ck_assert_str_eq(origin.environ[2], i);
        ck_assert_ptr_null(origin.environ[3]);
        origin_free(&origin);
        take(&origin);
        ck_assert_ptr_null(origin.environ[0]);
        origin_free(&origin);
        environ = NULL;
        take(&origin);
        ck_assert_ptr_null(origin.environ[0]);
        origin_free(&origin);
        environ = before;
    }
END_TEST

static void do_nothing(int signo)
{
    (void)signo;
}

START_TEST(gives_back_what_the_first_start_was_given)
    {
        struct origin origin;
        struct rlimit files, now;
        take(&origin);
        ck_assert_uint_eq(origin.boot.ignored & (bit(SIGUSR1) | bit(SIGUSR2)), 0);
        struct handover_boot boot = origin.boot;
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
        ck_assert_uint_eq(boot.limits[RLIMIT_NOFILE].soft, files.rlim_cur);

        boot.umask = 0031;
        boot.ignored = bit(SIGUSR1) | bit(SIGKILL) | bit(SIGTERM) | bit(32);
        boot.limits[RLIMIT_NOFILE].soft = 321;
        boot.limits[RLIMIT_CORE] = (struct handover_limit){0, 0};
        boot.limits[RLIMIT_NPROC].soft = UINT64_MAX; /* hard: perhaps less, then it is refused */
        (void)signal(SIGTERM, do_nothing);
        origin_restore(&origin, &boot);

        ck_assert_uint_eq(umask(0022), 0031);
        struct sigaction action;
        ck_assert_int_eq(sigaction(SIGUSR1, NULL, &action), 0);
        ck_assert(action.sa_handler == SIG_IGN);
        ck_assert_int_eq(sigaction(SIGTERM, NULL, &action), 0);
        ck_assert(action.sa_handler == do_nothing); /* somebody wants it */
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
        ck_assert_uint_eq(now.rlim_cur, 321);
        ck_assert_uint_eq(now.rlim_max, files.rlim_max);
        ck_assert_int_eq(getrlimit(RLIMIT_CORE, &now), 0);
        ck_assert_uint_eq(now.rlim_max, 0);
        ck_assert_int_eq(memcmp(&origin.boot, &boot, sizeof boot), 0);
        (void)signal(SIGTERM, SIG_DFL);
        (void)signal(SIGUSR1, SIG_DFL);
        origin_free(&origin);
    }
END_TEST

static _Noreturn void restore_as_nobody(struct origin *origin)
{
    struct rlimit now = {.rlim_cur = 100, .rlim_max = 200};
    if (setrlimit(RLIMIT_NOFILE, &now) < 0 ||
        (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)))
        _exit(0);
    struct handover_boot boot = origin->boot;
    boot.limits[RLIMIT_NOFILE] = (struct handover_limit){.soft = 400, .hard = 500};
    origin_restore(origin, &boot);
    _exit(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 200 && now.rlim_max == 200 ? 0
                                                                                            : 1);
}

START_TEST(comes_as_near_to_a_limit_as_it_may)
    {
        struct origin origin;
        int status = -1;
        take(&origin);
        pid_t child = fork();
        if (child == 0)
            restore_as_nobody(&origin);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        origin_free(&origin);
    }
END_TEST

START_TEST(changes_no_limit_when_none_were_said)
    {
        struct origin origin;
        struct rlimit before, now;
        take(&origin);
        struct handover_boot boot = {.umask = 0022}, mine = origin.boot;
        ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
        origin_restore(&origin, &boot);
        ck_assert_int_eq(getrlimit(RLIMIT_AS, &now), 0);
        ck_assert_int_eq(memcmp(&before, &now, sizeof now), 0);
        ck_assert_int_eq(memcmp(origin.boot.limits, mine.limits, sizeof mine.limits), 0);
        origin_free(&origin);
    }
END_TEST

START_TEST(frees_what_is_half_made_or_nothing)
    {
        struct origin origin = {0};
        origin_free(&origin);
        origin_free(&origin);
        ck_assert_int_ge(fcntl(0, F_GETFD), 0); /* of zeros, descriptor 0 is not meant */
        ck_assert_int_eq(origin.folder_fd, -1);
    }
END_TEST

START_TEST(says_what_it_could_not_learn)
    {
        struct origin origin;
        srun_err err = {0};
        sigset_t mask;
        struct rlimit before, none;
        (void)sigemptyset(&mask);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = 0;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        int rc = origin_take(&origin, &mask, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_int_eq(rc, -EMFILE);
        char text[128];
        snprintf(text, sizeof text, "upgrade: cannot learn the command line of the start: %s",
                 strerror(EMFILE));
        ck_assert_str_eq(err.text, text);
        ck_assert_ptr_null(origin.argv);
        ck_assert_int_eq(origin.folder_fd, -1);
    }
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--take") == 0)
        return tell_origin();
    return HARNESS(
        "origin", takes_the_command_line_as_it_was, takes_a_command_line_of_any_size,
        makes_the_name_of_the_program_absolute, takes_no_namesake_for_the_program,
        takes_the_successor_of_a_file_that_was_removed,
        accepts_a_file_that_only_root_and_we_may_change, refuses_what_is_no_executable_file,
        refuses_a_file_that_others_may_write, refuses_a_file_that_others_may_replace,
        refuses_a_file_or_a_folder_of_another_user, refuses_a_file_that_would_make_us_somebody_else,
        sees_that_the_running_file_was_changed_in_place,
        keeps_the_environment_but_for_what_is_meant_for_one_process,
        gives_back_what_the_first_start_was_given, comes_as_near_to_a_limit_as_it_may,
        changes_no_limit_when_none_were_said, frees_what_is_half_made_or_nothing,
        says_what_it_could_not_learn);
}
