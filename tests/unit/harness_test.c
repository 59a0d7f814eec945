/* SPDX-License-Identifier: MIT
 *
 * The harness tests itself: what must fail is run as a program of its own (MUST_FAIL), and must be
 * told as a failure, with its reason.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
    int exit_code; /* -1: ended by a signal */
    char output[8192];
};

static struct answer ask(const char *before, const char *arguments)
{
    struct answer answer = {.exit_code = -1};
    char command[1024];
    (void)snprintf(command, sizeof command, "%s '%s' %s 2>&1", before, MUST_FAIL, arguments);
    FILE *pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    size_t size = fread(answer.output, 1, sizeof answer.output - 1, pipe);
    answer.output[size] = '\0';
    int status = pclose(pipe);
    if (WIFEXITED(status))
        answer.exit_code = WEXITSTATUS(status);
    return answer;
}

static void assert_says(const struct answer *answer, const char *text)
{
    ck_assert_msg(strstr(answer->output, text) != NULL, "'%s' is not in:\n%s", text,
                  answer->output);
}

static void assert_fails(const char *name, const char *reason)
{
    struct answer answer = ask("", name);
    assert_says(&answer, reason);
    assert_says(&answer, "must_fail: 0 passed, 1 failed\n");
    ck_assert_int_eq(answer.exit_code, 1);
}

START_TEST(counts_what_passes)
    {
        struct answer answer = ask("", "passes");
        ck_assert_str_eq(answer.output, "must_fail: 1 passed, 0 failed\n");
        ck_assert_int_eq(answer.exit_code, 0);
    }
END_TEST

START_TEST(tells_a_failed_assertion_with_its_place)
    {
        assert_fails("asserts_what_is_wrong", "must_fail.c:");
    }
END_TEST

START_TEST(fails_a_test_that_leaks_a_descriptor)
    {
        assert_fails("leaks_a_descriptor", "-> anon_inode:[eventfd]");
    }
END_TEST

START_TEST(fails_a_test_that_closes_what_is_not_its_own)
    {
        assert_fails("closes_a_descriptor_of_others", "closed a descriptor of others: 0 ->");
    }
END_TEST

START_TEST(fails_a_test_that_leaks_a_thread)
    {
        assert_fails("leaks_a_thread", "thread left-alone");
    }
END_TEST

START_TEST(fails_a_test_that_leaks_a_child)
    {
        assert_fails("leaks_a_running_child", "left behind: child ");
        assert_fails("leaks_a_dead_child", "left behind: child ");
    }
END_TEST

START_TEST(fails_a_test_that_leaks_memory_under_a_sanitizer)
    {
        struct answer answer = ask("", "leaks_memory");
#ifdef EXPECT_LEAK_REPORT
        ck_assert_int_eq(answer.exit_code, 1);
#else
        ck_assert_int_eq(answer.exit_code, 0);
#endif
    }
END_TEST

START_TEST(fails_a_test_that_crashes)
    {
        assert_fails("aborts", "signal 6");
        assert_fails("is_killed", "signal 9");
    }
END_TEST

START_TEST(fails_a_test_that_exits_early)
    {
        assert_fails("exits", "return value 3");
    }
END_TEST

START_TEST(fails_a_test_that_hangs)
    {
        assert_fails("hangs", "timeout");
    }
END_TEST

START_TEST(sees_leaks_without_forking_too)
    {
        struct answer answer = ask("CK_FORK=no", "leaks_a_descriptor");
        assert_says(&answer, "must_fail: 0 passed, 1 failed\n");
        ck_assert_int_eq(answer.exit_code, 1);
    }
END_TEST

START_TEST(lists_its_tests_as_a_specification)
    {
        struct answer answer = ask("", "--list");
        assert_says(&answer, "must_fail.passes\n");
        assert_says(&answer, "must_fail.hangs\n");
        ck_assert_int_eq(answer.exit_code, 0);
    }
END_TEST

START_TEST(runs_what_a_regular_expression_selects)
    {
        struct answer answer = ask("", "'^leaks_a_(running|dead)_child$'");
        assert_says(&answer, "must_fail: 0 passed, 2 failed\n");
    }
END_TEST

START_TEST(refuses_a_name_that_is_not_there)
    {
        struct answer answer = ask("", "no_such_test");
        assert_says(&answer, "no test matches 'no_such_test'");
        ck_assert_int_eq(answer.exit_code, 2);
    }
END_TEST

START_TEST(hides_the_variables_of_the_caller)
    {
        ck_assert_ptr_null(getenv("SRUN_LOG_LEVEL"));
        ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    }
END_TEST

START_TEST(gives_a_folder_and_removes_it)
    {
        char command[512];
        char parent[256];
        (void)snprintf(parent, sizeof parent, "TMPDIR='%s'", harness_folder());
        struct answer answer = ask(parent, "passes");
        ck_assert_int_eq(answer.exit_code, 0);

        /* rmdir takes only an empty one: the folder made inside is gone. The harness wants it back.
         */
        (void)snprintf(command, sizeof command, "%s", harness_folder());
        ck_assert_int_eq(rmdir(command), 0);
        ck_assert_int_eq(mkdir(command, 0700), 0);
    }
END_TEST

static bool count_down(void *arg)
{
    int *left = arg;
    return --*left <= 0;
}

START_TEST(waits_until_the_probe_is_true)
    {
        int left = 3;
        ck_assert(harness_wait(count_down, &left, 10000));
        ck_assert_int_eq(left, 0);
    }
END_TEST

static bool never(void *arg)
{
    (void)arg;
    return false;
}

START_TEST(stops_waiting_at_the_limit)
    {
        int64_t start = harness_now_ms();
        ck_assert(!harness_wait(never, NULL, 20));
        ck_assert_int_ge(harness_now_ms() - start, 20);
    }
END_TEST

int main(void)
{
    (void)setenv("SRUN_LOG_LEVEL", "debug", 1);
    (void)setenv("NOTIFY_SOCKET", "@nobody", 1);
    return HARNESS(
        "harness", counts_what_passes, tells_a_failed_assertion_with_its_place,
        fails_a_test_that_leaks_a_descriptor, fails_a_test_that_closes_what_is_not_its_own,
        fails_a_test_that_leaks_a_thread, fails_a_test_that_leaks_a_child,
        fails_a_test_that_leaks_memory_under_a_sanitizer, fails_a_test_that_crashes,
        fails_a_test_that_exits_early, fails_a_test_that_hangs, sees_leaks_without_forking_too,
        lists_its_tests_as_a_specification, runs_what_a_regular_expression_selects,
        refuses_a_name_that_is_not_there, hides_the_variables_of_the_caller,
        gives_a_folder_and_removes_it, waits_until_the_probe_is_true, stops_waiting_at_the_limit);
}
