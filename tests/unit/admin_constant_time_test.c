/* SPDX-License-Identifier: MIT
 *
 * How long it takes to find a token wrong says nothing of where it is wrong. Time is not measured:
 * the instructions are counted, one by one.
 */
#include "admin/access.h"
#include "base/ensure.h"
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef0123456789abcdef"
#define STEPS_MAX 1000000

static char given[128]; /* at one address for all: how a text lies in memory makes a difference */

/* Stops before and after, when all that is bound at its first use has been. */
__attribute__((noreturn)) static void be_judged(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(1);
    bool found = access_has_token(given, TOKEN);
    (void)raise(SIGSTOP);
    (void)raise(SIGSTOP);
    found &= access_has_token(given, TOKEN);
    (void)raise(SIGSTOP);
    _exit(found ? 42 : 43);
}

/* Waits for its next stop: the signal, or 0 when it has ended. */
static int stopped(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

/* Between two stops; 0: nobody may look at a process here. */
static long count_steps(const char *token)
{
    (void)snprintf(given, sizeof given, "Bearer %s", token);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        be_judged();
    if (stopped(child) == 0)
        return 0;
    ck_assert_int_eq(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    ck_assert_int_eq(stopped(child), SIGSTOP);
    long steps = 0;
    do
        ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    while (stopped(child) == SIGTRAP && ++steps < STEPS_MAX);
    ck_assert_int_eq(ptrace(PTRACE_KILL, child, NULL, NULL), 0);
    ck_assert_int_eq(stopped(child), 0);
    return steps;
}

START_TEST(a_wrong_token_is_as_long_in_the_finding_wherever_it_is_wrong)
    {
#ifdef __SANITIZE_THREAD__
        printf("    skipped: what the sanitizer adds takes as long as it likes\n");
        return;
#endif
        static const char *const wrong[] = {
            "x123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdex",
            "0123456789abcdefx123456789abcdef", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
        long right = count_steps(TOKEN);
        if (right == 0) {
            printf("    skipped: ptrace is not allowed here\n");
            return;
        }
        ck_assert_int_gt(right, (long)strlen(TOKEN));
        for (size_t i = 0; i < COUNT_OF(wrong); i++)
            ck_assert_int_eq(count_steps(wrong[i]), right);
        ck_assert_int_ne(count_steps("x"), right); /* its length, which who sends it knows */
    }
END_TEST

int main(void)
{
    return HARNESS("admin_constant_time",
                   a_wrong_token_is_as_long_in_the_finding_wherever_it_is_wrong);
}
