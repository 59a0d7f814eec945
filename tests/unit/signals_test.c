/* SPDX-License-Identifier: MIT
 *
 * Signals are held from birth, read without a handler, and given back as they were.
 */
#include "cast.h"
#include "signals.h"

#include <fcntl.h>
#include <sys/ioctl.h>

static struct signals signals;

static int next(void)
{
    int sender = -1;
    bool lost = false;
    int signo = signals_next(&signals, &sender, &lost);
    ck_assert(signo == 0 || sender == getpid());
    ck_assert(!lost);
    return signo;
}

START_TEST(reads_each_signal_that_came_with_its_sender)
    {
        static const int ours[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        unsigned seen = 0;
        ck_assert_int_eq(signals_hold(&signals, true, NULL), 0);
        ck_assert_int_eq(next(), 0);
        for (size_t i = 0; i < 4; i++)
            ck_assert_int_eq(kill(getpid(), ours[i]), 0);
        for (size_t i = 0; i < 4; i++)
            seen |= 1U << next();
        ck_assert_uint_eq(seen, 1U << SIGHUP | 1U << SIGINT | 1U << SIGQUIT | 1U << SIGTERM);
        ck_assert_int_eq(next(), 0);
        signals_release(&signals);
    }
END_TEST

START_TEST(drops_what_is_pending_when_it_gives_the_signals_back)
    {
        ck_assert_int_eq(signals_hold(&signals, false, NULL), 0);
        ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
        signals_release(&signals); /* the default action would end this test */
        signals_release(&signals);
        sigset_t pending;
        ck_assert_int_eq(sigpending(&pending), 0);
        ck_assert_int_eq(sigismember(&pending, SIGTERM), 0);
    }
END_TEST

START_TEST(has_one_owner_at_a_time)
    {
        struct signals other = {0};
        srun_err err = {0};
        ck_assert_int_eq(signals_hold(&signals, true, NULL), 0);
        ck_assert_int_eq(signals_hold(&other, true, &err), -EBUSY);
        signals_release(&other); /* owns nothing, gives nothing back */
        ck_assert_int_eq(kill(getpid(), SIGINT), 0);
        ck_assert_int_eq(next(), SIGINT);
        signals_release(&signals);
        ck_assert_int_eq(signals_hold(&other, true, &err), 0);
        signals_release(&other);
    }
END_TEST

static void own_handler(int signo)
{
    (void)signo;
}

START_TEST(restores_the_programs_own_handler_of_sigpipe)
    {
        struct sigaction own = {.sa_handler = own_handler}, now;
        ck_assert_int_eq(sigaction(SIGPIPE, &own, NULL), 0);
        ck_assert_int_eq(signals_hold(&signals, true, NULL), 0);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &now), 0);
        ck_assert(now.sa_handler == SIG_IGN);
        signals_release(&signals);
        ck_assert_int_eq(sigaction(SIGPIPE, NULL, &now), 0);
        ck_assert(now.sa_handler == own_handler);
    }
END_TEST

/* A session with a terminal of its own; who closes what is returned takes it away. */
static int take_a_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (setsid() < 0 || master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        _exit(10);
    int terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) < 0)
        _exit(11);
    return master;
}

static void lose_the_terminal(void)
{
    int sender;
    bool lost = false;
    int master = take_a_terminal();
    if (signals_hold(&signals, true, NULL) != 0)
        _exit(12);
    (void)kill(getpid(), SIGHUP); /* somebody asks for an upgrade */
    if (signals_next(&signals, &sender, &lost) != SIGHUP || lost)
        _exit(13);
    (void)close(master); /* the terminal hangs up */
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    while (!lost && harness_now_ms() < end) {
        (void)usleep(1000);
        (void)signals_next(&signals, &sender, &lost);
    }
    if (!lost)
        _exit(14);
}

START_TEST(tells_a_lost_terminal_from_a_hangup_that_was_sent)
    {
        in_a_process_of_its_own(lose_the_terminal);
    }
END_TEST

static bool hangup_is_pending(void *arg)
{
    sigset_t pending;
    (void)arg;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGHUP) == 1;
}

/* The same, started by nohup. */
static void outlive_the_terminal(void)
{
    int sender;
    bool lost = false;
    int master = take_a_terminal();
    if (signal(SIGHUP, SIG_IGN) == SIG_ERR || signals_hold(&signals, true, NULL) != 0)
        _exit(12);
    (void)kill(getpid(), SIGHUP);
    if (signals_next(&signals, &sender, &lost) != SIGHUP || lost)
        _exit(13);
    (void)close(master);
    if (!harness_wait(hangup_is_pending, NULL, 10000))
        _exit(14);
    if (signals_next(&signals, &sender, &lost) != 0 || lost || hangup_is_pending(NULL))
        _exit(17);
    (void)kill(getpid(), SIGHUP); /* as a shell sends it on */
    if (signals_next(&signals, &sender, &lost) != 0 || lost)
        _exit(15);
    pid_t stranger = fork(); /* from elsewhere, and later */
    if (stranger == 0)
        _exit(kill(getppid(), SIGHUP) != 0);
    int status = -1;
    if (waitpid(stranger, &status, 0) != stranger || status != 0)
        _exit(18);
    if (signals_next(&signals, &sender, &lost) != SIGHUP || lost || sender != stranger)
        _exit(19);
    (void)kill(getpid(), SIGTERM);
    if (signals_next(&signals, &sender, &lost) != SIGTERM || lost)
        _exit(16);
}

START_TEST(outlives_its_terminal_when_hangups_were_ignored_at_first)
    {
        in_a_process_of_its_own(outlive_the_terminal);
    }
END_TEST

START_TEST(names_the_signals_for_the_log)
    {
        ck_assert_str_eq(signals_name(SIGTERM), "SIGTERM");
        ck_assert_str_eq(signals_name(SIGINT), "SIGINT");
        ck_assert_str_eq(signals_name(SIGQUIT), "SIGQUIT");
        ck_assert_str_eq(signals_name(SIGHUP), "SIGHUP");
        ck_assert_str_eq(signals_name(SIGUSR1), "a signal");
    }
END_TEST

int main(void)
{
    return HARNESS("signals", reads_each_signal_that_came_with_its_sender,
                   drops_what_is_pending_when_it_gives_the_signals_back, has_one_owner_at_a_time,
                   restores_the_programs_own_handler_of_sigpipe,
                   tells_a_lost_terminal_from_a_hangup_that_was_sent,
                   outlives_its_terminal_when_hangups_were_ignored_at_first,
                   names_the_signals_for_the_log);
}
