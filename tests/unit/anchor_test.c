/* SPDX-License-Identifier: MIT
 *
 * Who counts as below an anchor, and what an anchor hears. What it does then:
 * tests/integration/anchor_test.py.
 */
#include "base/ensure.h"
#include "base/proc.h"
#include "harness.h"
#include "upgrade/anchor.h"
#include "upgrade/anchored.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void name_anchor(int pid)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", pid);
    ck_assert_int_eq(setenv(ANCHORED_VARIABLE, text, 1), 0);
}

static pid_t forked(void)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    return child;
}

static void ends_well(pid_t child)
{
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

/* A generation that says all it has to say; in a child, so no assertions. */
static int live(int anchor)
{
    struct anchored anchored;
    srun_err err = {0};
    if (anchored_begin(&anchored, &err) < 0)
        return 1;
    if (anchored.pid != anchor || getenv(ANCHORED_VARIABLE) != NULL || anchored_here())
        return 2;
    if (!anchored_hears(&anchored) || anchored_serves(&anchored) < 0)
        return 3;
    anchored_end(&anchored);
    return anchored.pid == 0 && anchored_serves(&anchored) == 0 ? 0 : 4;
}

static int live_below_another(int anchor)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(live(anchor));
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 5;
}

static void hold_news(sigset_t *news)
{
    (void)sigemptyset(news);
    (void)sigaddset(news, ANCHORED_JOINS);
    (void)sigaddset(news, ANCHORED_SERVES);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, news, NULL), 0);
}

static pid_t hears(const sigset_t *news, int signo)
{
    const struct timespec limit = {.tv_sec = 10L * harness_slowness()};
    siginfo_t info = {0};
    ck_assert_int_eq(sigtimedwait(news, &info, &limit), signo);
    ck_assert_int_eq(info.si_code, SI_USER); /* so the kernel vouches for the sender */
    return info.si_pid;
}

START_TEST(a_child_joins_and_serves)
    {
        sigset_t news;
        int anchor = getpid();
        hold_news(&news);
        name_anchor(anchor);
        pid_t child = forked();
        if (child == 0)
            _exit(live(anchor));
        ck_assert_int_eq(hears(&news, ANCHORED_JOINS), child);
        ck_assert_int_eq(hears(&news, ANCHORED_SERVES), child);
        ends_well(child);
    }
END_TEST

START_TEST(so_does_a_grandchild)
    {
        sigset_t news;
        int anchor = getpid();
        hold_news(&news);
        name_anchor(anchor);
        pid_t child = forked();
        if (child == 0)
            _exit(live_below_another(anchor));
        pid_t grandchild = hears(&news, ANCHORED_JOINS);
        ck_assert_int_ne(grandchild, child);
        ck_assert_int_eq(hears(&news, ANCHORED_SERVES), grandchild);
        ends_well(child);
    }
END_TEST

/* One that gave its rights up may not signal an anchor that kept them. */
static int live_as_nobody(void)
{
    enum { NOBODY = 65534 };
    struct anchored anchored;
    srun_err err = {0};
    if (anchored_begin(&anchored, &err) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return 1;
    bool deaf = !anchored_hears(&anchored) && anchored_serves(&anchored) == -EPERM;
    anchored_end(&anchored);
    return deaf ? 0 : 2;
}

START_TEST(knows_that_it_cannot_be_told_by_another_user)
    {
        sigset_t news;
        if (geteuid() != 0)
            return; /* only root can become somebody else */
        hold_news(&news);
        name_anchor(getpid());
        pid_t child = forked();
        if (child == 0)
            _exit(live_as_nobody());
        ck_assert_int_eq(hears(&news, ANCHORED_JOINS), child);
        ends_well(child);
    }
END_TEST

START_TEST(believes_nothing_else)
    {
        static const char *const wrong[] = {
            "", "0", "-1", "+1", " 1", "12x", "99999999999999", "4294967296", "1 ", "2147483647"};
        struct anchored anchored;
        srun_err err = {0};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) {
            ck_assert_int_eq(setenv(ANCHORED_VARIABLE, wrong[i], 1), 0);
            ck_assert_msg(!anchored_here(), "%s", wrong[i]);
            ck_assert_int_eq(anchored_begin(&anchored, &err), 0);
            ck_assert_msg(anchored.pid == 0, "%s", wrong[i]);
            ck_assert_ptr_null(getenv(ANCHORED_VARIABLE));
        }
        name_anchor(getpid()); /* one's own anchor nobody is */
        ck_assert(!anchored_here());
        ck_assert_int_eq(anchored_serves(&anchored), 0);
        ck_assert(anchored_hears(&anchored));
    }
END_TEST

START_TEST(a_process_beside_us_is_no_anchor)
    {
        int ends[2];
        char nothing;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t sibling = forked();
        if (sibling == 0) {
            (void)close(ends[1]);
            _exit(read(ends[0], &nothing, 1) == 0 ? 0 : 1);
        }
        name_anchor(sibling);
        ck_assert(!anchored_here());
        ck_assert(proc_is_below(sibling, getpid()));
        ck_assert(!proc_is_below(getpid(), sibling));
        (void)close(ends[0]);
        (void)close(ends[1]);
        ends_well(sibling);
        ck_assert(!proc_is_below(sibling, getpid()));
    }
END_TEST

START_TEST(is_due_only_in_a_first_process)
    {
        ck_assert(anchor_is_due());
        ck_assert_int_eq(setenv(SPAWN_VARIABLE, "anything", 1), 0);
        ck_assert(!anchor_is_due());
        ck_assert_int_eq(unsetenv(SPAWN_VARIABLE), 0);
        name_anchor(getppid());
        ck_assert(!anchor_is_due());
        name_anchor(getpid());
        ck_assert(anchor_is_due());
        ck_assert_int_eq(unsetenv(ANCHORED_VARIABLE), 0);
    }
END_TEST

START_TEST(knows_its_ancestors)
    {
        ck_assert(proc_is_below(getpid(), getppid()));
        ck_assert(!proc_is_below(getpid(), getpid()));
        ck_assert(!proc_is_below(getppid(), getpid()));
        ck_assert(!proc_is_below(getpid(), 0));
        ck_assert(!proc_is_below(1, getpid()));
        ck_assert(!proc_is_below(-1, 1));
    }
END_TEST

int main(void)
{
    return HARNESS("anchor", a_child_joins_and_serves, so_does_a_grandchild,
                   knows_that_it_cannot_be_told_by_another_user, believes_nothing_else,
                   a_process_beside_us_is_no_anchor, is_due_only_in_a_first_process,
                   knows_its_ancestors);
}
