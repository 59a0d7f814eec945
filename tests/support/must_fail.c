/* SPDX-License-Identifier: MIT
 *
 * Tests that must fail, for harness_test.c; run one by name. `passes` shows that the rest is right.
 */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

START_TEST(passes)
    {
        ck_assert_int_eq(access(harness_folder(), W_OK), 0);
    }
END_TEST

START_TEST(asserts_what_is_wrong)
    {
        ck_assert_int_eq(1, 2);
    }
END_TEST

START_TEST(leaks_a_descriptor)
    {
        ck_assert_int_ge(eventfd(0, EFD_CLOEXEC), 0);
    }
END_TEST

START_TEST(closes_a_descriptor_of_others)
    {
        (void)close(STDIN_FILENO);
    }
END_TEST

static void *wait_for_ever(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "left-alone");
    for (;;)
        (void)pause();
    return arg;
}

START_TEST(leaks_a_thread)
    {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
        ck_assert_int_eq(pthread_detach(thread), 0);
    }
END_TEST

START_TEST(leaks_a_running_child)
    {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            wait_for_ever(NULL);
    }
END_TEST

START_TEST(leaks_a_dead_child)
    {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(0);
    }
END_TEST

START_TEST(leaks_memory)
    {
        /* Through a volatile pointer, so that the compiler cannot do without the allocation. */
        char *volatile lost = malloc(100);
        memset(lost, 1, 100);
        lost = NULL;
    }
END_TEST

START_TEST(aborts)
    {
        abort();
    }
END_TEST

START_TEST(is_killed)
    {
        (void)raise(SIGKILL);
    }
END_TEST

START_TEST(exits)
    {
        exit(3);
    }
END_TEST

START_TEST(hangs)
    {
        wait_for_ever(NULL);
    }
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "hangs") == 0)
        harness_limit_ms(100);
    return HARNESS("must_fail", passes, asserts_what_is_wrong, leaks_a_descriptor,
                   closes_a_descriptor_of_others, leaks_a_thread, leaks_a_running_child,
                   leaks_a_dead_child, leaks_memory, aborts, is_killed, exits, hangs);
}
