/* SPDX-License-Identifier: MIT
 *
 * Where the unix socket goes.
 */
#include "admin/place.h"
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char out[PLACE_MAX], wanted[600];
static srun_err err;

static int find(const char *configured, const char *name)
{
    err = (srun_err){0};
    return place_find(configured, name, true, out, &err);
}

static const char *in_folder(const char *name)
{
    (void)snprintf(wanted, sizeof wanted, "%s/%s", harness_folder(), name);
    return wanted;
}

static void forget_places(void)
{
    (void)unsetenv("RUNTIME_DIRECTORY");
    (void)unsetenv("XDG_RUNTIME_DIR");
}

START_TEST(goes_where_it_is_told)
    {
        (void)setenv("RUNTIME_DIRECTORY", harness_folder(), 1);
        ck_assert_int_eq(find("/run/x/admin.sock", "demo"), 0);
        ck_assert_str_eq(out, "/run/x/admin.sock");
        ck_assert_int_eq(find("none", "demo"), -ENOENT);
        ck_assert_str_eq(err.text, "");
        ck_assert_int_eq(find("relative", "demo"), -EINVAL);
        ck_assert_int_eq(find("", "demo"), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "accepted are"));
    }
END_TEST

START_TEST(prefers_the_first_runtime_directory_of_the_service_manager)
    {
        char list[700];
        (void)snprintf(list, sizeof list, "%s:/var", harness_folder());
        (void)setenv("RUNTIME_DIRECTORY", list, 1);
        (void)setenv("XDG_RUNTIME_DIR", "/tmp", 1);
        ck_assert_int_eq(find(NULL, "demo"), 0);
        ck_assert_str_eq(out, in_folder("admin.sock"));
    }
END_TEST

START_TEST(takes_the_users_runtime_directory_when_it_is_his)
    {
        forget_places();
        (void)setenv("RUNTIME_DIRECTORY", "relative", 1);
        (void)setenv("XDG_RUNTIME_DIR", harness_folder(), 1);
        ck_assert_int_eq(find(NULL, "de mo/../x"), 0);
        ck_assert_str_eq(out, in_folder("de_mo_.._x.sock"));
        ck_assert_int_eq(find(NULL, ".."), 0);
        ck_assert_str_eq(out, in_folder("_..sock"));
        ck_assert_int_eq(find(NULL, ""), 0);
        ck_assert_str_eq(out, in_folder("srun.sock"));
    }
END_TEST

/* The place is in /tmp then, in a folder that is made. */
static void expect_elsewhere(void)
{
    ck_assert_int_eq(find(NULL, "srun-place-test"), 0);
    ck_assert(strncmp(out, "/tmp/srun-place-test-", 21) == 0);
    *strrchr(out, '/') = '\0';
    ck_assert_int_eq(rmdir(out), 0);
}

START_TEST(takes_no_runtime_directory_of_others_or_open_to_them)
    {
        forget_places();
        (void)setenv("XDG_RUNTIME_DIR", harness_folder(), 1);
        if (geteuid() == 0) { /* left over from a su */
            ck_assert_int_eq(chown(harness_folder(), 65534, 65534), 0);
            expect_elsewhere();
            ck_assert_int_eq(chown(harness_folder(), 0, 0), 0);
        }
        ck_assert_int_eq(chmod(harness_folder(), 0777), 0);
        expect_elsewhere();
        ck_assert_int_eq(chmod(harness_folder(), 0720), 0);
        expect_elsewhere();
        ck_assert_int_eq(chmod(harness_folder(), 0755), 0);
        ck_assert_int_eq(find(NULL, "x"), 0);
        ck_assert_str_eq(out, in_folder("x.sock"));
    }
END_TEST

/* A name of our own in /tmp. */
static void name_folder(char name[32], char folder[100])
{
    forget_places();
    (void)snprintf(name, 32, "srun-test-%d", (int)getpid());
    (void)snprintf(folder, 100, "/tmp/%s-%u", name, (unsigned)geteuid());
}

START_TEST(makes_a_folder_in_tmp_that_only_we_can_use)
    {
        char name[32], folder[100], path[120];
        struct stat made;
        name_folder(name, folder);
        err = (srun_err){0};
        ck_assert_int_eq(place_find(NULL, name, false, out, &err), -ENOENT); /* who only looks */
        ck_assert(err.text[0] != '\0');
        ck_assert_int_eq(find(NULL, name), 0);
        (void)snprintf(path, sizeof path, "%s/admin.sock", folder);
        ck_assert_str_eq(out, path);
        ck_assert_int_eq(lstat(folder, &made), 0);
        ck_assert_uint_eq(made.st_mode, S_IFDIR | 0700);
        ck_assert_int_eq(find(NULL, name), 0); /* again */
        ck_assert_int_eq(place_find(NULL, name, false, out, &err), 0);
        ck_assert_int_eq(rmdir(folder), 0);
    }
END_TEST

START_TEST(trusts_nothing_else_in_tmp)
    {
        char name[32], folder[100];
        name_folder(name, folder);
        ck_assert_int_eq(symlink(harness_folder(), folder), 0);
        ck_assert_int_lt(find(NULL, name), 0);
        ck_assert_int_eq(unlink(folder), 0);

        ck_assert_int_eq(mkdir(folder, 0700), 0);
        ck_assert_int_eq(chmod(folder, 0770), 0);
        ck_assert_int_eq(find(NULL, name), -EPERM);
        ck_assert_ptr_nonnull(strstr(err.text, "admin.socket"));
        ck_assert_int_eq(chmod(folder, 0700), 0);
        if (geteuid() == 0) {
            ck_assert_int_eq(chown(folder, 65534, 65534), 0);
            ck_assert_int_eq(find(NULL, name), -EPERM);
        }
        ck_assert_int_eq(rmdir(folder), 0);
    }
END_TEST

START_TEST(explains_a_path_that_is_too_long)
    {
        char path[200];
        memset(path, 'a', sizeof path);
        path[0] = '/';
        path[107] = '\0';
        ck_assert_int_eq(find(path, "demo"), 0);
        path[107] = 'a';
        path[108] = '\0';
        ck_assert_int_eq(find(path, "demo"), -ENAMETOOLONG);
        ck_assert_ptr_nonnull(strstr(err.text, "107"));
        ck_assert_str_eq(out, "");

        (void)snprintf(path, sizeof path, "%s/%090d", harness_folder(), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        (void)setenv("XDG_RUNTIME_DIR", path, 1);
        (void)unsetenv("RUNTIME_DIRECTORY");
        ck_assert_int_eq(find(NULL, "demo"), -ENAMETOOLONG);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_place", goes_where_it_is_told,
                   prefers_the_first_runtime_directory_of_the_service_manager,
                   takes_the_users_runtime_directory_when_it_is_his,
                   takes_no_runtime_directory_of_others_or_open_to_them,
                   makes_a_folder_in_tmp_that_only_we_can_use, trusts_nothing_else_in_tmp,
                   explains_a_path_that_is_too_long);
}
