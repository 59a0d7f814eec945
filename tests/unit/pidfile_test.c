/* SPDX-License-Identifier: MIT
 *
 * The PID file: whole or as it was, and removed by nobody but its owner.
 */
#include "harness.h"
#include "upgrade/pidfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", harness_folder(), name);
    return path;
}

/* "" when there is none. */
static const char *content(const char *path)
{
    static _Thread_local char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[size > 0 ? size : 0] = '\0';
    if (fd >= 0)
        (void)close(fd);
    return text;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *folder = opendir(harness_folder());
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void assert_written(const char *path, int pid, const char *text)
{
    srun_err err = {0};
    int rc = pidfile_write(path, pid, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_str_eq(content(path), text);
}

static void assert_fails(const char *path, int code)
{
    srun_err err = {0};
    int rc = pidfile_write(path, 1, &err);
    ck_assert_msg(rc == code, "%d: %s", rc, err.text);
    ck_assert_msg(strncmp(err.text, "PID file ", 9) == 0, "%s", err.text);
    ck_assert_msg(strstr(err.text, path) != NULL || strlen(path) > 200, "%s", err.text);
}

START_TEST(writes_a_number_and_a_line_end)
    {
        struct stat info;
        mode_t before = umask(0077);
        assert_written(in_folder("a.pid"), 2147483647, "2147483647\n");
        (void)umask(before);
        ck_assert_int_eq(stat(in_folder("a.pid"), &info), 0);
        ck_assert_uint_eq(info.st_mode & 07777, 0644);
        assert_written(in_folder("a.pid"), 12, "12\n");
        ck_assert_uint_eq(entries(), 1);
    }
END_TEST

START_TEST(replaces_what_was_there_and_never_changes_it)
    {
        int old;
        char text[16] = "";
        put(in_folder("a.pid"), "999999\n");
        old = open(in_folder("a.pid"), O_RDONLY | O_CLOEXEC);
        assert_written(in_folder("a.pid"), 5, "5\n");
        ck_assert_int_eq(read(old, text, sizeof text - 1), 7);
        ck_assert_str_eq(text, "999999\n"); /* who reads it meanwhile reads a whole one */
        (void)close(old);

        put(in_folder("precious"), "precious");
        ck_assert_int_eq(symlink("precious", in_folder("b.pid")), 0);
        assert_written(in_folder("b.pid"), 6, "6\n");
        ck_assert_str_eq(content(in_folder("precious")), "precious");
    }
END_TEST

START_TEST(follows_no_link_at_the_temporary_name)
    {
        char temporary[600];
        (void)snprintf(temporary, sizeof temporary, "%s.new.%d", in_folder("a.pid"), gettid());
        put(in_folder("precious"), "precious");
        ck_assert_int_eq(symlink("precious", temporary), 0);
        assert_written(in_folder("a.pid"), 7, "7\n");
        ck_assert_str_eq(content(in_folder("precious")), "precious");
        put(temporary, "of one that died");
        assert_written(in_folder("a.pid"), 8, "8\n");
        ck_assert_uint_eq(entries(), 2);

        ck_assert_int_eq(mkdir(temporary, 0755), 0);
        assert_fails(in_folder("a.pid"), -EISDIR);
        ck_assert_str_eq(content(in_folder("a.pid")), "8\n");
    }
END_TEST

START_TEST(says_why_it_cannot_be_written)
    {
        char name[300];
        memset(name, 'x', sizeof name);
        name[250] = '\0';
        assert_fails(in_folder(name), -ENAMETOOLONG);
        assert_fails(in_folder("none/a.pid"), -ENOENT);
        put(in_folder("file"), "");
        assert_fails(in_folder("file/a.pid"), -ENOTDIR);
        ck_assert_int_eq(mkdir(in_folder("folder"), 0755), 0);
        assert_fails(in_folder("folder"), -EISDIR);
        ck_assert_uint_eq(entries(), 2);
        assert_fails("/proc/self/a.pid", -ENOENT);
    }
END_TEST

/* Permissions do not stop root: as nobody. */
static _Noreturn void write_as_nobody(const char *path)
{
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        _exit(77);
    srun_err err = {0};
    _exit(pidfile_write(path, 1, &err) == -EACCES ? 0 : 1);
}

START_TEST(keeps_the_old_one_in_a_folder_that_is_read_only)
    {
        int status;
        ck_assert_int_eq(chmod(harness_folder(), 0755), 0);
        ck_assert_int_eq(mkdir(in_folder("closed"), 0755), 0);
        put(in_folder("closed/a.pid"), "4\n");
        ck_assert_int_eq(chmod(in_folder("closed"), 0555), 0);
        pid_t child = fork();
        if (child == 0)
            write_as_nobody(in_folder("closed/a.pid"));
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) % 77 == 0, "%#x", (unsigned)status);
        ck_assert_str_eq(content(in_folder("closed/a.pid")), "4\n");
        ck_assert_int_eq(chmod(in_folder("closed"), 0755), 0);
    }
END_TEST

/* As on a full disk: the file is made, and takes nothing. */
START_TEST(keeps_the_old_one_when_the_disk_is_full)
    {
        struct rlimit before, none;
        put(in_folder("a.pid"), "4\n");
        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
        none = before;
        none.rlim_cur = 1;
        (void)signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        srun_err err = {0};
        int rc = pidfile_write(in_folder("a.pid"), 123, &err);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        ck_assert_msg(rc == -EFBIG, "%d: %s", rc, err.text);
        ck_assert_str_eq(content(in_folder("a.pid")), "4\n");
        ck_assert_uint_eq(entries(), 1);
        (void)signal(SIGXFSZ, SIG_DFL);
    }
END_TEST

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

START_TEST(removes_only_the_one_that_names_this_process)
    {
        static const char *const others[] = {"",       "13\n",   "1234\n", "123x\n", "123\n\n",
                                             "0123\n", " 123\n", "+123\n", "123"};
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            put(in_folder("a.pid"), others[i]);
            pidfile_remove(in_folder("a.pid"), 123);
            ck_assert_msg(is_there(in_folder("a.pid")), "'%s'", others[i]);
        }
        assert_written(in_folder("a.pid"), 123, "123\n");
        pidfile_remove(in_folder("a.pid"), 12);
        ck_assert(is_there(in_folder("a.pid")));
        pidfile_remove(in_folder("a.pid"), 123);
        ck_assert(!is_there(in_folder("a.pid")));
        pidfile_remove(in_folder("a.pid"), 123);
    }
END_TEST

START_TEST(leaves_what_is_no_file_of_ours)
    {
        put(in_folder("real"), "123\n");
        ck_assert_int_eq(symlink("real", in_folder("link")), 0);
        ck_assert_int_eq(mkfifo(in_folder("fifo"), 0600), 0); /* nobody writes: must not hang */
        ck_assert_int_eq(mkdir(in_folder("folder"), 0755), 0);
        pidfile_remove(in_folder("link"), 123);
        pidfile_remove(in_folder("fifo"), 123);
        pidfile_remove(in_folder("folder"), 123);
        pidfile_remove(in_folder("none"), 123);
        ck_assert_uint_eq(entries(), 4);
    }
END_TEST

struct worker {
    pthread_t thread;
    const char *path;
    int pid;
    unsigned failures;
};

static atomic_bool done;

static void *write_often(void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < 100; i++)
        worker->failures += pidfile_write(worker->path, worker->pid, NULL) != 0;
    return NULL;
}

static void *look_often(void *arg)
{
    struct worker *worker = arg;
    while (!atomic_load(&done)) {
        const char *text = content(worker->path);
        worker->failures += strcmp(text, "7\n") != 0 && strcmp(text, "1234567\n") != 0;
    }
    return NULL;
}

START_TEST(is_whole_while_many_write)
    {
        struct worker writers[4], reader = {.path = in_folder("a.pid")};
        assert_written(reader.path, 7, "7\n");
        ck_assert_int_eq(pthread_create(&reader.thread, NULL, look_often, &reader), 0);
        for (int i = 0; i < 4; i++) {
            writers[i] = (struct worker){.path = reader.path, .pid = i % 2 == 0 ? 7 : 1234567};
            ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_often, &writers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
            ck_assert_uint_eq(writers[i].failures, 0);
        }
        atomic_store(&done, true);
        ck_assert_int_eq(pthread_join(reader.thread, NULL), 0);
        ck_assert_uint_eq(reader.failures, 0);
        ck_assert_uint_eq(entries(), 1);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "pidfile", writes_a_number_and_a_line_end, replaces_what_was_there_and_never_changes_it,
        follows_no_link_at_the_temporary_name, says_why_it_cannot_be_written,
        keeps_the_old_one_in_a_folder_that_is_read_only, keeps_the_old_one_when_the_disk_is_full,
        removes_only_the_one_that_names_this_process, leaves_what_is_no_file_of_ours,
        is_whole_while_many_write);
}
