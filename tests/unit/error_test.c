/* SPDX-License-Identifier: MIT
 *
 * Errors as values: text, codes, errno, and the line srun_report prints.
 */
#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <srun/error.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

START_TEST(returns_the_code_and_keeps_the_text)
    {
        srun_err err = {0};
        ck_assert_int_eq(srun_fail(&err, -EINVAL, "port %d: %s", 99999, "too large"), -EINVAL);
        ck_assert_int_eq(err.code, -EINVAL);
        ck_assert_str_eq(err.text, "port 99999: too large");
    }
END_TEST

START_TEST(takes_no_error_to_fill)
    {
        ck_assert_int_eq(srun_fail(NULL, -EPERM, "nobody reads %s", "this"), -EPERM);
    }
END_TEST

START_TEST(prints_errno_for_percent_m_and_keeps_it)
    {
        srun_err err = {0};
        errno = ENOENT;
        srun_fail(&err, -ENOENT, "open: %m");
        ck_assert_str_eq(err.text, "open: No such file or directory");
        ck_assert_int_eq(errno, ENOENT);
    }
END_TEST

START_TEST(lets_an_error_wrap_its_own_text)
    {
        srun_err err = {0};
        srun_fail(&err, -EIO, "read failed");
        srun_fail(&err, err.code, "store: %s", err.text);
        ck_assert_str_eq(err.text, "store: read failed");
    }
END_TEST

START_TEST(cuts_a_long_text_at_a_rune)
    {
        char runes[400];
        for (size_t shift = 0; shift < 3; shift++) {
            memset(runes, 'a', sizeof runes);
            for (size_t i = shift; i + 3 < sizeof runes; i += 3)
                memcpy(runes + i, "\xe2\x82\xac", 3);
            runes[sizeof runes - 1] = '\0';
            srun_err err = {0};
            srun_fail(&err, -E2BIG, "%s", runes);
            size_t size = strlen(err.text);
            ck_assert_uint_ge(size, sizeof err.text - 3);
            ck_assert_uint_eq((size - shift) % 3, 0);
        }
    }
END_TEST

START_TEST(keeps_control_bytes_out_of_the_text)
    {
        srun_err err = {0};
        srun_fail(&err, -EINVAL, "name \"%s\"", "a\nb\x1b[2J\x7f");
        ck_assert_str_eq(err.text, "name \"a?b?[2J?\"");
        srun_fail(&err, -EINVAL, "caf\xc3\xa9 %s",
                  "\xc2\x9b"
                  "31m\x9b"
                  "32m\xc2\x85");
        ck_assert_str_eq(err.text, "caf\xc3\xa9 ??31m?32m??");
    }
END_TEST

START_TEST(names_every_code)
    {
        ck_assert_str_eq(srun_strerror(-ETIMEDOUT), "timed out");
        ck_assert_str_eq(srun_strerror(-ENOENT), "No such file or directory");
        ck_assert_str_eq(srun_strerror(ENOENT), "No such file or directory");
        ck_assert_str_eq(srun_strerror(SRUN_EUSAGE), "wrong usage");
        ck_assert_str_eq(srun_strerror(SRUN_ESTATE), "not possible in this state");
        ck_assert_str_eq(srun_strerror(SRUN_EFORK), "called in a forked child");
        ck_assert_str_eq(srun_strerror(SRUN_EUPGRADE), "the upgrade failed");
        ck_assert_str_eq(srun_strerror(SRUN_ECLOSED), "nothing will come any more");
        ck_assert_str_eq(srun_strerror(-999999), "unknown error");
        ck_assert_str_eq(srun_strerror(INT_MIN), "unknown error");
    }
END_TEST

/* What srun_report prints, with its exit code in *code. */
static const char *reported(const srun_err *err, int *code)
{
    static char text[512];
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    *code = srun_report(err);
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    close(saved);
    ssize_t size = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

START_TEST(reports_the_program_and_the_text_and_chooses_the_exit_code)
    {
        int code = 0;
        char wanted[512];
        srun_err err = {0};

        srun_fail(&err, SRUN_EUSAGE, "--port: not a number");
        (void)snprintf(wanted, sizeof wanted, "%s: --port: not a number\n",
                       program_invocation_short_name);
        ck_assert_str_eq(reported(&err, &code), wanted);
        ck_assert_int_eq(code, 2);

        err = (srun_err){.code = -ETIMEDOUT};
        (void)snprintf(wanted, sizeof wanted, "%s: timed out\n", program_invocation_short_name);
        ck_assert_str_eq(reported(&err, &code), wanted);
        ck_assert_int_eq(code, 1);

        err = (srun_err){.code = -EIO,
                         .text = "by hand\n\xc2\x9b"
                                 "31m"};
        (void)snprintf(wanted, sizeof wanted, "%s: by hand???31m\n", program_invocation_short_name);
        ck_assert_str_eq(reported(&err, &code), wanted);
        ck_assert_int_eq(code, 1);

        (void)snprintf(wanted, sizeof wanted, "%s: unknown error\n", program_invocation_short_name);
        ck_assert_str_eq(reported(NULL, &code), wanted);
        ck_assert_int_eq(code, 1);
    }
END_TEST

int main(void)
{
    return HARNESS("error", returns_the_code_and_keeps_the_text, takes_no_error_to_fill,
                   prints_errno_for_percent_m_and_keeps_it, lets_an_error_wrap_its_own_text,
                   cuts_a_long_text_at_a_rune, keeps_control_bytes_out_of_the_text,
                   names_every_code, reports_the_program_and_the_text_and_chooses_the_exit_code);
}
