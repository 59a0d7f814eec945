/* SPDX-License-Identifier: MIT
 *
 * The file with the token: what is accepted, and when it is read again.
 */
#include "admin/token.h"
#include "base/ensure.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOOD "0123456789abcdef"

static char path[512];

static void put(const char *text, size_t size, mode_t mode)
{
    (void)snprintf(path, sizeof path, "%s/token", harness_folder());
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    (void)close(fd);
}

static int try_file(srun_err *err)
{
    struct token token;
    *err = (srun_err){0};
    int rc = token_init(&token, path, err);
    if (rc == 0)
        token_destroy(&token);
    return rc;
}

START_TEST(takes_one_line_of_16_to_512_printable_characters)
    {
        static const struct {
            size_t size;
            const char *end;
            int code;
        } cases[] = {{16, "", 0},
                     {16, "\n", 0},
                     {16, "\r\n", 0},
                     {512, "\n", 0},
                     {15, "\n", -EINVAL},
                     {513, "", -EINVAL},
                     {0, "", -EINVAL},
                     {16, " ", -EINVAL},
                     {16, "\na", -EINVAL},
                     {16, "\t", -EINVAL},
                     {16, "\xc3\xa4", -EINVAL},
                     {600, "", -EINVAL}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            char text[700];
            memset(text, 'a', sizeof text);
            memcpy(text + cases[i].size, cases[i].end, strlen(cases[i].end));
            put(text, cases[i].size + strlen(cases[i].end), 0600);
            srun_err err;
            ck_assert_msg(try_file(&err) == cases[i].code, "%zu: %s", i, err.text);
            ck_assert(cases[i].code == 0 || strstr(err.text, "accepted is") != NULL);
            ck_assert_ptr_null(strstr(err.text, "aaaa"));
        }
        put(GOOD "\0\n", 18, 0600);
        srun_err err;
        ck_assert_int_eq(try_file(&err), -EINVAL);
    }
END_TEST

START_TEST(takes_only_a_file_that_is_closed_to_others)
    {
        static const struct {
            mode_t mode;
            int code;
        } cases[] = {{0600, 0},       {0400, 0},       {0640, -EINVAL}, {0604, -EINVAL},
                     {0601, -EINVAL}, {0660, -EINVAL}, {0620, -EINVAL}, {0700, 0}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            put(GOOD, strlen(GOOD), cases[i].mode);
            srun_err err;
            ck_assert_int_eq(try_file(&err), cases[i].code);
            ck_assert(cases[i].code == 0 || strstr(err.text, "0600") != NULL);
        }
        if (geteuid() == 0) {
            put(GOOD, strlen(GOOD), 0600);
            ck_assert_int_eq(chown(path, 65534, 65534), 0);
            srun_err err;
            ck_assert_int_eq(try_file(&err), -EINVAL);
        }
    }
END_TEST

/* A folder as systemd makes one, with the token as a credential in it. */
static char credentials[480];

static void put_credential(mode_t folder_mode, mode_t mode)
{
    (void)snprintf(credentials, sizeof credentials, "%s/credentials", harness_folder());
    ck_assert(mkdir(credentials, 0700) == 0 || errno == EEXIST);
    ck_assert_int_eq(chmod(credentials, 0700), 0);
    put(GOOD, strlen(GOOD), mode);
    char there[512];
    (void)snprintf(there, sizeof there, "%s/token", credentials);
    ck_assert_int_eq(rename(path, there), 0);
    (void)snprintf(path, sizeof path, "%s", there);
    ck_assert_int_eq(chmod(credentials, folder_mode), 0);
    ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
}

START_TEST(takes_a_credential_of_systemd_whose_mask_shows_as_the_group)
    {
        static const struct {
            mode_t folder, file;
            int code;
        } cases[] = {{0550, 0440, 0},       {0500, 0400, 0},       {0700, 0440, 0},
                     {0550, 0460, -EINVAL}, {0550, 0444, -EINVAL}, {0550, 0450, -EINVAL},
                     {0555, 0440, -EINVAL}, {0570, 0440, -EINVAL}, {0551, 0440, -EINVAL}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            srun_err err;
            put_credential(cases[i].folder, cases[i].file);
            ck_assert_msg(try_file(&err) == cases[i].code, "%zu: %s", i, err.text);
        }
        ck_assert_int_eq(chmod(credentials, 0700), 0); /* so that it can be removed */
    }
END_TEST

START_TEST(takes_no_file_for_a_credential_that_lies_elsewhere)
    {
        srun_err err;
        char other[512];
        put_credential(0700, 0440);
        (void)snprintf(other, sizeof other, "%s/link", credentials);
        put(GOOD, strlen(GOOD), 0440); /* beside the folder */
        ck_assert_int_eq(try_file(&err), -EINVAL);
        ck_assert_int_eq(symlink(path, other), 0); /* in it, and leads out */
        (void)snprintf(path, sizeof path, "%s", other);
        ck_assert_int_eq(try_file(&err), -EINVAL);
        (void)snprintf(path, sizeof path, "%s/../token", credentials);
        ck_assert_int_eq(try_file(&err), -EINVAL);
        (void)snprintf(path, sizeof path, "%s/token", credentials);
        ck_assert_int_eq(try_file(&err), 0);
        ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        ck_assert_int_eq(try_file(&err), -EINVAL);
    }
END_TEST

START_TEST(takes_no_directory_pipe_or_missing_file)
    {
        srun_err err;
        (void)snprintf(path, sizeof path, "%s", harness_folder());
        ck_assert_int_eq(try_file(&err), -EINVAL);
        (void)snprintf(path, sizeof path, "%s/pipe", harness_folder());
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(try_file(&err), -EINVAL); /* without waiting for a writer */
        (void)snprintf(path, sizeof path, "%s/none", harness_folder());
        ck_assert_int_eq(try_file(&err), -ENOENT);
        ck_assert_ptr_nonnull(strstr(err.text, path));
    }
END_TEST

START_TEST(has_none_when_none_is_configured)
    {
        struct token token;
        char text[TOKEN_TEXT_MAX];
        srun_err err = {0};
        ck_assert_int_eq(token_init(&token, NULL, &err), 0);
        ck_assert(!token_get(&token, text, &err));
        ck_assert_int_eq(err.code, 0);
        token_destroy(&token);
    }
END_TEST

START_TEST(follows_the_file_as_it_changes)
    {
        struct token token;
        char text[TOKEN_TEXT_MAX];
        srun_err err = {0};
        put(GOOD "\n", 17, 0600);
        ck_assert_int_eq(token_init(&token, path, &err), 0);
        ck_assert(token_get(&token, text, &err));
        ck_assert_str_eq(text, GOOD);

        put(GOOD "-two", 20, 0600);
        ck_assert(token_get(&token, text, &err));
        ck_assert_str_eq(text, GOOD "-two");

        ck_assert_int_eq(chmod(path, 0644), 0); /* told once */
        ck_assert(!token_get(&token, text, &err));
        ck_assert_int_eq(err.code, -EINVAL);
        ck_assert(!token_get(&token, text, &err));
        ck_assert_int_eq(err.code, 0);
        ck_assert_str_eq(text, "");
        ck_assert_int_eq(chmod(path, 0600), 0);
        ck_assert(token_get(&token, text, &err));

        ck_assert_int_eq(unlink(path), 0); /* taken back */
        ck_assert(!token_get(&token, text, &err));
        ck_assert_int_eq(err.code, -ENOENT);
        ck_assert(!token_get(&token, text, &err));
        put(GOOD "-three", 22, 0600);
        ck_assert(token_get(&token, text, &err));
        ck_assert_str_eq(text, GOOD "-three");
        token_destroy(&token);
    }
END_TEST

START_TEST(follows_a_symbolic_link_to_another_file)
    {
        struct token token;
        char text[TOKEN_TEXT_MAX], link[600];
        srun_err err = {0};
        put(GOOD "-one", 20, 0600);
        (void)snprintf(link, sizeof link, "%s/link", harness_folder());
        ck_assert_int_eq(symlink(path, link), 0);
        ck_assert_int_eq(token_init(&token, link, &err), 0);
        ck_assert(token_get(&token, text, &err));
        ck_assert_str_eq(text, GOOD "-one");
        token_destroy(&token);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_token", takes_one_line_of_16_to_512_printable_characters,
                   takes_only_a_file_that_is_closed_to_others,
                   takes_a_credential_of_systemd_whose_mask_shows_as_the_group,
                   takes_no_file_for_a_credential_that_lies_elsewhere,
                   takes_no_directory_pipe_or_missing_file, has_none_when_none_is_configured,
                   follows_the_file_as_it_changes, follows_a_symbolic_link_to_another_file);
}
