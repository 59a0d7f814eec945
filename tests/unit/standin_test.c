/* SPDX-License-Identifier: MIT
 *
 * The process that stands in for a moment. The test is the service manager and the parent; the
 * maker, which it forks, is the new generation.
 */
#include "base/duration.h"
#include "harness.h"
#include "upgrade/standin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 20000 };

/* --- the manager ----------------------------------------------------------------------------- */

struct message {
    char text[64];
    int sender, fd; /* fd: what came with it, or -1 */
};

static struct sockaddr_un address;
static socklen_t address_size;

static int listen_here(void)
{
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", harness_folder());
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, address_size), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    return fd;
}

static bool is_readable(int fd, int limit_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, limit_ms * harness_slowness()) == 1;
}

static struct message hear(int manager)
{
    struct message message = {.fd = -1};
    _Alignas(struct cmsghdr) char control[256];
    struct iovec part = {.iov_base = message.text, .iov_len = sizeof message.text - 1};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control};
    ck_assert_msg(is_readable(manager, LIMIT_MS), "nothing is said");
    ck_assert_int_ge(recvmsg(manager, &head, MSG_CMSG_CLOEXEC), 0);
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&head); at != NULL; at = CMSG_NXTHDR(&head, at)) {
        struct ucred who;
        if (at->cmsg_type == SCM_RIGHTS)
            memcpy(&message.fd, CMSG_DATA(at), sizeof message.fd);
        if (at->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&who, CMSG_DATA(at), sizeof who);
        message.sender = who.pid;
    }
    return message;
}

/* The descriptor that came with it; closing it is the answer. */
static int hear_barrier(int manager, int sender)
{
    struct message message = hear(manager);
    ck_assert_str_eq(message.text, "BARRIER=1");
    ck_assert_int_eq(message.sender, sender);
    ck_assert_int_ge(message.fd, 0);
    return message.fd;
}

static int hear_main_pid(int manager, int sender)
{
    struct message message = hear(manager);
    ck_assert_msg(strncmp(message.text, "MAINPID=", 8) == 0, "%s", message.text);
    ck_assert_int_eq(message.sender, sender);
    return (int)strtol(message.text + 8, NULL, 10);
}

/* Its parent, from /proc, or -1. */
static int parent_of(int pid)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    const char *end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return end == NULL ? -1 : (int)strtol(end + 4, NULL, 10); /* ") S 1" */
}

/* The first part, until a stand-in is the main process. */
static int hear_stand_in(int manager, int maker)
{
    (void)close(hear_barrier(manager, maker));
    int pid = hear_main_pid(manager, maker);
    ck_assert_int_ne(pid, maker);
    ck_assert_int_eq(parent_of(pid), getpid()); /* alive, and the manager's child */
    return pid;
}

static int status_of(int pid)
{
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_ends_with(int pid, int code)
{
    int status = status_of(pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %#x", (unsigned)status);
}

/* --- the maker ------------------------------------------------------------------------------- */

struct outcome {
    int rc;
    int children; /* SIGCHLDs */
    int waited;   /* errno of a wait for any child */
    int left;     /* descriptors more than before */
    int told;     /* SIGTERMs */
    char text[64];
};

static volatile sig_atomic_t children, told;
static int signalled; /* raised with the SIGTERM */

static void on_signal(int signo)
{
    if (signo == SIGCHLD)
        children = children + 1;
    if (signo == SIGTERM) {
        told = told + 1;
        (void)eventfd_write(signalled, 1);
    }
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count;
}

struct maker {
    int pid;
    int report; /* an outcome comes from here */
    int stop, leave, signalled;
    int64_t patience_ns;
};

static void make(struct maker *maker, int report)
{
    const struct sigaction action = {.sa_handler = on_signal};
    signalled = maker->signalled;
    (void)sigaction(SIGCHLD, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    const struct standin_request request = {.manager = address,
                                            .size = address_size,
                                            .stop = maker->stop,
                                            .patience_ns = maker->patience_ns};
    srun_err err = {0};
    struct outcome outcome = {.left = -count_descriptors()};
    outcome.rc = standin_renew(&request, &err);
    outcome.left += count_descriptors();
    outcome.waited = waitpid(-1, NULL, WNOHANG | __WALL) < 0 ? errno : 0;
    outcome.children = (int)children;
    outcome.told = (int)told;
    (void)snprintf(outcome.text, sizeof outcome.text, "%.60s", err.text);
    (void)!write(report, &outcome, sizeof outcome);
    (void)is_readable(maker->leave, LIMIT_MS);
    _exit(0);
}

/* It lives until it is told to leave. */
static struct maker start_patient_maker(int64_t patience_ns)
{
    struct maker maker = {.stop = eventfd(0, EFD_CLOEXEC),
                          .leave = eventfd(0, EFD_CLOEXEC),
                          .signalled = eventfd(0, EFD_CLOEXEC),
                          .patience_ns = patience_ns};
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    maker.report = ends[0];
    maker.pid = fork();
    if (maker.pid == 0)
        make(&maker, ends[1]);
    ck_assert_int_gt(maker.pid, 0);
    (void)close(ends[1]);
    return maker;
}

static struct maker start_maker(void)
{
    return start_patient_maker((int64_t)LIMIT_MS * harness_slowness() * NS_PER_MS);
}

static struct outcome outcome_of(const struct maker *maker)
{
    struct outcome outcome;
    ck_assert_msg(is_readable(maker->report, LIMIT_MS), "it does not return");
    ck_assert_int_eq(read(maker->report, &outcome, sizeof outcome), sizeof outcome);
    return outcome;
}

static void raise_event(int fd)
{
    ck_assert_int_eq(eventfd_write(fd, 1), 0);
}

static void forget_maker(const struct maker *maker)
{
    (void)close(maker->report);
    (void)close(maker->stop);
    (void)close(maker->leave);
    (void)close(maker->signalled);
}

static void end_maker(const struct maker *maker)
{
    raise_event(maker->leave);
    assert_ends_with(maker->pid, 0);
    forget_maker(maker);
}

static void assert_nobody_noticed(const struct outcome *outcome)
{
    ck_assert_int_eq(outcome->children, 0);
    ck_assert_int_eq(outcome->waited, ECHILD);
    ck_assert_int_eq(outcome->left, 0);
}

/* --- how it goes ----------------------------------------------------------------------------- */

START_TEST(another_process_is_named_and_then_this_one)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int pid = hear_stand_in(manager, maker.pid);
        ck_assert_int_eq(hear_main_pid(manager, pid), maker.pid);
        int barrier = hear_barrier(manager, pid);
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0); /* it waits for the answer */
        (void)close(barrier);
        assert_ends_with(pid, 0);
        struct outcome outcome = outcome_of(&maker);
        ck_assert_msg(outcome.rc == 0, "%s", outcome.text);
        assert_nobody_noticed(&outcome);
        end_maker(&maker);
        ck_assert(!is_readable(manager, 0));
        (void)close(manager);
    }
END_TEST

START_TEST(a_manager_with_no_room_hears_all_of_it_later)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int barrier = hear_barrier(manager, maker.pid);
        int noise = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(noise, 0);
        while (sendto(noise, "X", 1, 0, (const struct sockaddr *)&address, address_size) == 1)
            ;
        ck_assert_str_eq(hear(manager).text, "X"); /* room for one */
        (void)close(barrier);
        int pid = 0;
        while (pid == 0) {
            struct message message = hear(manager);
            if (message.sender == maker.pid)
                pid = (int)strtol(message.text + 8, NULL, 10);
        }
        ck_assert_int_eq(hear_main_pid(manager, pid), maker.pid);
        (void)close(hear_barrier(manager, pid));
        assert_ends_with(pid, 0);
        ck_assert_int_eq(outcome_of(&maker).rc, 0);
        end_maker(&maker);
        (void)close(noise);
        (void)close(manager);
    }
END_TEST

/* --- how it does not begin ------------------------------------------------------------------- */

START_TEST(a_manager_that_does_not_answer_hears_of_no_other_process)
    {
        int manager = listen_here();
        struct maker maker = start_patient_maker(NS_PER_S); /* as usual */
        int barrier = hear_barrier(manager, maker.pid);
        struct outcome outcome = outcome_of(&maker);
        ck_assert_int_eq(outcome.rc, -ETIMEDOUT);
        assert_nobody_noticed(&outcome);
        end_maker(&maker);
        ck_assert(!is_readable(manager, 0));
        (void)close(barrier);
        (void)close(manager);
    }
END_TEST

START_TEST(a_manager_that_is_not_there_is_an_error)
    {
        (void)close(listen_here());
        struct maker maker = start_maker();
        struct outcome outcome = outcome_of(&maker);
        ck_assert_int_eq(outcome.rc, -ECONNREFUSED);
        ck_assert_str_ne(outcome.text, "");
        assert_nobody_noticed(&outcome);
        end_maker(&maker);
    }
END_TEST

START_TEST(it_does_not_begin_when_it_is_to_stop)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int barrier = hear_barrier(manager, maker.pid);
        raise_event(maker.stop);
        struct outcome outcome = outcome_of(&maker);
        ck_assert_int_eq(outcome.rc, -ECANCELED);
        assert_nobody_noticed(&outcome);
        end_maker(&maker);
        ck_assert(!is_readable(manager, 0));
        (void)close(barrier);
        (void)close(manager);
    }
END_TEST

/* --- what happens in between ----------------------------------------------------------------- */

START_TEST(it_fails_with_the_process_that_it_stands_in_for)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int pid = hear_stand_in(manager, maker.pid);
        ck_assert_int_eq(hear_main_pid(manager, pid), maker.pid);
        int barrier = hear_barrier(manager, pid);
        ck_assert_int_eq(kill(maker.pid, SIGKILL), 0);
        ck_assert(WIFSIGNALED(status_of(maker.pid)));
        assert_ends_with(pid, 1);
        (void)close(barrier);
        forget_maker(&maker);
        (void)close(manager);
    }
END_TEST

START_TEST(who_is_to_stop_does_not_wait_for_the_answer)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int pid = hear_stand_in(manager, maker.pid);
        ck_assert_int_eq(hear_main_pid(manager, pid), maker.pid);
        int barrier = hear_barrier(manager, pid);
        raise_event(maker.stop);
        ck_assert_int_eq(outcome_of(&maker).rc, -ECANCELED);
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG),
                         0); /* it goes on, while somebody may count on it */
        end_maker(&maker);
        assert_ends_with(pid, 1);
        (void)close(barrier);
        (void)close(manager);
    }
END_TEST

START_TEST(a_stop_that_reaches_it_is_passed_on)
    {
        int manager = listen_here();
        struct maker maker = start_maker();
        int pid = hear_stand_in(manager, maker.pid);
        ck_assert_int_eq(kill(pid, SIGTERM), 0);
        ck_assert_int_eq(hear_main_pid(manager, pid), maker.pid);
        (void)close(hear_barrier(manager, pid));
        ck_assert_msg(is_readable(maker.signalled, LIMIT_MS), "it is not passed on");
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0); /* it stays, for who waits for its end */
        raise_event(maker.stop);
        struct outcome outcome = outcome_of(&maker);
        ck_assert_int_eq(outcome.told, 1);
        ck_assert_int_eq(outcome.children, 0);
        end_maker(&maker);
        assert_ends_with(pid, 0);
        (void)close(manager);
    }
END_TEST

int main(void)
{
    return HARNESS("standin", another_process_is_named_and_then_this_one,
                   a_manager_with_no_room_hears_all_of_it_later,
                   a_manager_that_does_not_answer_hears_of_no_other_process,
                   a_manager_that_is_not_there_is_an_error, it_does_not_begin_when_it_is_to_stop,
                   it_fails_with_the_process_that_it_stands_in_for,
                   who_is_to_stop_does_not_wait_for_the_answer,
                   a_stop_that_reaches_it_is_passed_on);
}
