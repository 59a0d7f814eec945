/* SPDX-License-Identifier: MIT
 *
 * Captures as files: which are there, which go, and what is left alone.
 */
#include "harness.h"
#include "profile/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 1764323621123 /* 2025-11-28T09:53:41.123Z */

static char folder[256];

static void begin(void)
{
    (void)snprintf(folder, sizeof folder, "%s/captures", harness_folder());
}

static char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int keep_sized(const char *program, int64_t time_ms, bool cpu, size_t size,
                      char name[FOLDER_NAME])
{
    srun_err err = {0};
    struct kept_item item = {.time_ms = time_ms, .cpu = cpu};
    char *bytes = calloc(1, size + 1);
    ck_assert_ptr_nonnull(bytes);
    buf_add(&item.body, bytes, size);
    int rc = folder_keep(folder, program, &item, name, &err);
    ck_assert_msg(rc == 0 || strstr(err.text, folder) != NULL, "%d: %s", rc, err.text);
    buf_free(&item.body);
    free(bytes);
    return rc;
}

static int keep(const char *program, int64_t time_ms)
{
    char name[FOLDER_NAME];
    return keep_sized(program, time_ms, false, 10, name);
}

static unsigned count(const char *prefix)
{
    unsigned found = 0;
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    ck_assert_ptr_nonnull(stream);
    while ((entry = readdir(stream)) != NULL)
        found += entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    (void)closedir(stream);
    return found;
}

static bool is_there(const char *name)
{
    struct stat found;
    return lstat(path_of(name), &found) == 0;
}

static void put(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    (void)close(fd);
}

START_TEST(a_file_says_by_its_name_whose_it_is_and_of_when)
    {
        char name[FOLDER_NAME], wanted[FOLDER_NAME];
        struct stat found;
        begin();
        (void)umask(0);
        ck_assert_int_eq(keep_sized("my/app \xc3\xa4", START_MS, true, 3, name), 0);
        (void)snprintf(wanted, sizeof wanted, "my_app___-20251128T095341.123Z-%d.cpu.pb", getpid());
        ck_assert_str_eq(name, wanted);
        ck_assert_int_eq(stat(path_of(name), &found), 0);
        ck_assert_int_eq(found.st_mode, S_IFREG | 0600);
        ck_assert_int_eq(found.st_size, 3);
        ck_assert_int_eq(stat(folder, &found), 0);
        ck_assert_int_eq(found.st_mode, S_IFDIR | 0700);
        ck_assert_int_eq(keep_sized("../../x", START_MS, false, 3, name), 0);
        ck_assert_ptr_null(strchr(name, '/'));
        ck_assert_ptr_nonnull(strstr(name, ".stacks.txt"));
        ck_assert_int_eq(keep_sized("", START_MS, false, 3, name), 0);
        char longest[4096];
        memset(longest, 'a', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        ck_assert_int_eq(keep_sized(longest, START_MS, false, 3, name), 0);
        ck_assert(is_there(name));
    }
END_TEST

START_TEST(the_oldest_files_of_the_program_go_first)
    {
        begin();
        for (int i = 0; i < FOLDER_FILES + 5; i++)
            ck_assert_int_eq(keep("app", START_MS + i * 1000), 0);
        ck_assert_uint_eq(count("app-"), FOLDER_FILES);
        char name[FOLDER_NAME];
        (void)snprintf(name, sizeof name, "app-20251128T095345.123Z-%d.stacks.txt", getpid());
        ck_assert(!is_there(name));
        name[sizeof "app-20251128T095345" - 2] = '6';
        ck_assert(is_there(name));
    }
END_TEST

START_TEST(no_more_bytes_are_there_than_said)
    {
        char name[FOLDER_NAME];
        begin();
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(keep_sized("app", START_MS + i, true, KEPT_EACH - 1, name), 0);
        ck_assert_uint_eq(count("app-"), FOLDER_BYTES / (int64_t)KEPT_EACH);
    }
END_TEST

START_TEST(what_is_not_of_the_program_is_left_alone)
    {
        static const char *const others[] = {"app",
                                             "app-",
                                             "app-notes.txt",
                                             "app-20251128T095341.123Z-1.txt",
                                             "app-20251128T095341.123Z-1.cpu.pb.bak",
                                             "app-2-20251128T095341.123Z-1.cpu.pb",
                                             "application-20251128T095341.123Z-1.cpu.pb"};
        char name[FOLDER_NAME];
        begin();
        ck_assert_int_eq(keep("app", START_MS), 0);
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            put(others[i]);
        ck_assert_int_eq(mkdir(path_of("app-20001128T095341.123Z-1.cpu.pb"), 0700), 0);
        for (int i = 0; i < 2 * FOLDER_FILES; i++)
            ck_assert_int_eq(keep("app", START_MS + i), 0);
        ck_assert_int_eq(keep_sized("app-2", START_MS, true, 1, name), 0);
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            ck_assert_msg(is_there(others[i]), "%s", others[i]);
        ck_assert(is_there("app-20001128T095341.123Z-1.cpu.pb"));
    }
END_TEST

START_TEST(links_are_neither_followed_nor_written_through)
    {
        char name[FOLDER_NAME], temporary[FOLDER_NAME], target[512];
        struct stat found;
        begin();
        ck_assert_int_eq(keep("app", START_MS), 0);
        (void)snprintf(target, sizeof target, "%s/target", harness_folder());
        (void)snprintf(temporary, sizeof temporary, "app-20251128T095342.000Z-%d.stacks.txt.tmp",
                       getpid());
        ck_assert_int_eq(symlink(target, path_of(temporary)), 0);
        ck_assert_int_eq(keep("app", START_MS + 877), -EEXIST); /* what it would be written to */
        ck_assert_int_lt(stat(target, &found), 0);
        (void)snprintf(name, sizeof name, "app-20251128T095343.000Z-%d.stacks.txt", getpid());
        ck_assert_int_eq(symlink(target, path_of(name)), 0);
        ck_assert_int_eq(keep("app", START_MS + 1877), 0); /* it replaces the link */
        ck_assert_int_lt(stat(target, &found), 0);
        ck_assert_int_eq(lstat(path_of(name), &found), 0);
        ck_assert(S_ISREG(found.st_mode));
    }
END_TEST

START_TEST(what_a_killed_process_has_left_goes_after_an_hour)
    {
        static const char name[] = "app-20251128T095341.123Z-1.cpu.pb.tmp";
        struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
        begin();
        ck_assert_int_eq(keep("app", START_MS), 0);
        put(name);
        ck_assert_int_eq(keep("app", START_MS + 1), 0);
        ck_assert(is_there(name)); /* somebody may be writing it */
        (void)clock_gettime(CLOCK_REALTIME, &times[1]);
        times[1].tv_sec -= 3700;
        ck_assert_int_eq(utimensat(AT_FDCWD, path_of(name), times, 0), 0);
        ck_assert_int_eq(keep("app", START_MS + 2), 0);
        ck_assert(!is_there(name));
    }
END_TEST

START_TEST(a_folder_that_cannot_be_used_is_told)
    {
        srun_err err = {0};
        begin();
        ck_assert_int_eq(mkdir(folder, 0700), 0);
        ck_assert_int_eq(folder_check(folder, &err), 0);
        ck_assert_int_eq(chmod(folder, 0777), 0);
        ck_assert_int_eq(folder_check(folder, &err), -EPERM);
        ck_assert_ptr_nonnull(strstr(err.text, "others may change what is in it"));
        ck_assert_int_eq(keep("app", START_MS), -EPERM);
        ck_assert_int_eq(chmod(folder, 01777), 0); /* as /tmp */
        ck_assert_int_eq(folder_check(folder, &err), 0);
        (void)snprintf(folder, sizeof folder, "%s/none/captures", harness_folder());
        ck_assert_int_eq(folder_check(folder, &err), -ENOENT);
        begin();
        put("file");
        (void)snprintf(folder, sizeof folder, "%s/captures/file", harness_folder());
        ck_assert_int_eq(folder_check(folder, &err), -ENOTDIR);
        ck_assert_int_eq(keep("app", START_MS), -ENOTDIR);
    }
END_TEST

/* Its owner may do anything in it, whatever its mode. Run by root alone: others cannot make one. */
START_TEST(a_folder_of_another_user_is_refused)
    {
        const uid_t other = 12345, third = 54321;
        srun_err err = {0};
        begin();
        if (geteuid() != 0)
            return;
        ck_assert_int_eq(keep("app", START_MS), 0);
        for (mode_t mode = 0700; mode <= 0755; mode += 055) {
            ck_assert_int_eq(chmod(folder, mode), 0);
            ck_assert_int_eq(chown(folder, other, other), 0);
            ck_assert_int_eq(folder_check(folder, &err), -EPERM);
            ck_assert_ptr_nonnull(strstr(err.text, "others may change what is in it"));
            ck_assert_int_eq(keep("app", START_MS + 1), -EPERM);
            ck_assert_uint_eq(count("app-"), 1);
            ck_assert_int_eq(chown(folder, 0, 0), 0);
            ck_assert_int_eq(folder_check(folder, &err), 0);
        }
        ck_assert_int_eq(chmod(folder, 01777), 0);
        ck_assert_int_eq(chown(folder, other, other), 0);
        ck_assert_int_eq(folder_check(folder, &err), -EPERM);
        /* The user that counts is the effective one. */
        ck_assert_int_eq(chmod(folder, 0755), 0);
        ck_assert_int_eq(chdir(folder), 0);
        (void)snprintf(folder, sizeof folder, ".");
        ck_assert_int_eq(seteuid(other), 0);
        ck_assert_int_eq(folder_check(folder, &err), 0);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(seteuid(third), 0);
        ck_assert_int_eq(folder_check(folder, &err), -EPERM);
        ck_assert_int_eq(seteuid(0), 0);
    }
END_TEST

START_TEST(a_full_disk_leaves_nothing_behind)
    {
        const struct rlimit little = {4096, 4096};
        char name[FOLDER_NAME];
        begin();
        ck_assert_int_eq(keep("app", START_MS), 0);
        (void)signal(SIGXFSZ, SIG_IGN);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
        ck_assert_int_eq(keep_sized("app", START_MS + 1, true, 10000, name), -EFBIG);
        ck_assert_uint_eq(count(""), 1);
        ck_assert_int_eq(keep("app", START_MS + 2), 0);
        ck_assert_uint_eq(count(""), 2);
    }
END_TEST

static void write_some(const char *program)
{
    for (int i = 0; i < 100; i++)
        if (keep(program, START_MS + i) != 0)
            _exit(1);
    _exit(0);
}

START_TEST(two_processes_of_one_program_share_a_ring)
    {
        pid_t children[2];
        begin();
        for (int i = 0; i < 2; i++) {
            children[i] = fork();
            ck_assert_int_ge(children[i], 0);
            if (children[i] == 0)
                write_some("app");
        }
        for (int i = 0; i < 2; i++) {
            int status;
            ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
            ck_assert_int_eq(status, 0);
        }
        ck_assert_int_eq(keep("app", START_MS + 1000), 0);
        ck_assert_uint_eq(count("app-"), FOLDER_FILES);
    }
END_TEST

int main(void)
{
    return HARNESS("capture_folder", a_file_says_by_its_name_whose_it_is_and_of_when,
                   the_oldest_files_of_the_program_go_first, no_more_bytes_are_there_than_said,
                   what_is_not_of_the_program_is_left_alone,
                   links_are_neither_followed_nor_written_through,
                   what_a_killed_process_has_left_goes_after_an_hour,
                   a_folder_that_cannot_be_used_is_told, a_folder_of_another_user_is_refused,
                   a_full_disk_leaves_nothing_behind, two_processes_of_one_program_share_a_ring);
}
