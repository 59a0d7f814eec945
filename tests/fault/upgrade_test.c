/* SPDX-License-Identifier: MIT
 *
 * Learning the start, starting the new process and writing the PID file, when the system refuses:
 * each says why, and leaves no child, no descriptor, no file behind.
 */
#include "runner.h"
#include "scenario.h"
#include "upgrade/pidfile.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void take(struct origin *origin)
{
    sigset_t none;
    srun_err err = {0};
    (void)sigemptyset(&none);
    int rc = origin_take(origin, &none, &err);
    SCENARIO_ASSERT(rc == 0, "%s", err.text);
}

static void take_once(void *arg)
{
    (void)arg;
    struct origin origin;
    sigset_t none;
    srun_err err = {0};
    (void)sigemptyset(&none);
    scenario_arm();
    int rc = origin_take(&origin, &none, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    else
        SCENARIO_ASSERT(origin.argv[0] != NULL, "no arguments");
    origin_free(&origin);
}

START_TEST(learns_how_it_was_started_or_says_why_not)
    {
        scenario_each("origin", FAULT_SYSTEM | FAULT_INTERRUPT, take_once, NULL);
    }
END_TEST

static void check_once(void *arg)
{
    struct origin origin;
    srun_err err = {0};
    bool changed;
    take(&origin);
    scenario_arm();
    int rc = origin_check_binary(&origin, arg, false, &changed, &err);
    unsigned failed = scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT((rc < 0) == (failed > 0), "%d", rc);
    origin_free(&origin);
}

START_TEST(checks_a_file_or_says_why_not)
    {
        char path[] = "/bin/true";
        scenario_each("binary", FAULT_SYSTEM, check_once, path);
    }
END_TEST

static void await_end(int pidfd)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    char ending[64];
    SCENARIO_ASSERT(poll(&wait, 1, 10000 * harness_slowness()) == 1, "the child does not end");
    spawn_reap(pidfd, ending, sizeof ending);
    SCENARIO_ASSERT(strcmp(ending, "exited with 0") == 0, "%s", ending);
}

/* From another folder than that of the start, so that there is more to do. */
static void spawn_once(void *arg)
{
    (void)arg;
    struct origin origin;
    srun_err err = {0};
    int ends[2], pid = -1, pidfd = -1;
    take(&origin);
    SCENARIO_ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "%m");
    SCENARIO_ASSERT(chdir("/") == 0, "%m");
    const struct spawn_request request = {.origin = &origin,
                                          .binary = "/bin/true",
                                          .channel = ends[1],
                                          .parent_pid = getpid(),
                                          .generation = 2};
    scenario_arm();
    int rc = spawn_process(&request, &pid, &pidfd, &err);
    if (rc == 0) {
        await_end(pidfd);
        (void)close(pidfd);
    }
    (void)scenario_disarm();
    if (rc < 0) {
        scenario_assert_error(rc, &err);
        SCENARIO_ASSERT(pid == -1 && pidfd == -1, "%d %d", pid, pidfd);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    SCENARIO_ASSERT(fchdir(origin.folder_fd) == 0, "%m");
    origin_free(&origin);
}

START_TEST(starts_a_process_or_says_why_not)
    {
        scenario_each("spawn", FAULT_SYSTEM | FAULT_INTERRUPT, spawn_once, NULL);
    }
END_TEST

static void write_once(void *arg)
{
    srun_err err = {0};
    (void)unlink(arg);
    SCENARIO_ASSERT(pidfile_write(arg, 1, &err) == 0, "%s", err.text);
    scenario_arm();
    int rc = pidfile_write(arg, 2, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    pidfile_remove(arg, rc < 0 ? 1 : 2); /* it is as it was, or as it is to be */
    SCENARIO_ASSERT(access(arg, F_OK) < 0 && errno == ENOENT, "%d", rc);
    SCENARIO_ASSERT(rmdir(harness_folder()) == 0, "something is left in the folder: %m");
    SCENARIO_ASSERT(mkdir(harness_folder(), 0700) == 0, "%m");
}

START_TEST(writes_the_pid_file_or_leaves_it_as_it_was)
    {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/a.pid", harness_folder());
        scenario_each("pidfile", FAULT_SYSTEM | FAULT_INTERRUPT, write_once, path);
    }
END_TEST

static srun_runner *make_runner(void)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    int rc = srun_runner_new(&runner, SRUN_CONFIG(.name = "fault", .signals.disabled = 1), &err);
    SCENARIO_ASSERT(rc == 0, "%s", err.text);
    return runner;
}

/* What an older generation would have handed over. */
static void bequeath(srun_runner *runner)
{
    srun_err err = {0};
    struct sockets_snapshot *snapshot = NULL;
    struct sockets *sockets = &runner->succession.sockets;
    SCENARIO_ASSERT(srun_upgrade_keep_state(runner, "cache", "12345", 5, &err) == 0, "%s",
                    err.text);
    SCENARIO_ASSERT(sockets_snapshot(sockets, &snapshot) == 0 && snapshot->count == 1, "%m");
    SCENARIO_ASSERT(srun_upgrade_forget(runner, "cache") == 0, "it was kept");
    int copy = dup(snapshot->fds[0]);
    SCENARIO_ASSERT(sockets_adopt(sockets, &snapshot->entries[0], copy) == 0, "%m");
    (void)sockets_snapshot_free(snapshot);
}

static void keep_once(void *arg)
{
    (void)arg;
    srun_err err = {0};
    srun_runner *runner = make_runner();
    scenario_arm();
    int rc = srun_upgrade_keep_state(runner, "cache", "12345", 5, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT(srun_upgrade_forget(runner, "cache") == (rc == 0 ? 0 : -ENOENT), "%d", rc);
    (void)srun_runner_free(runner);
}

static void take_state_once(void *arg)
{
    (void)arg;
    srun_err err = {0};
    srun_runner *runner = make_runner();
    void *data = NULL;
    size_t size = 0;
    bequeath(runner);
    scenario_arm();
    int rc = srun_upgrade_take_state(runner, "cache", &data, &size, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    else
        SCENARIO_ASSERT(size == 5 && memcmp(data, "12345", 5) == 0, "%zu", size);
    fault_free(data);
    (void)srun_runner_free(runner);
}

START_TEST(keeps_and_takes_state_or_says_why_not)
    {
        scenario_each("keep", FAULT_SYSTEM | FAULT_INTERRUPT, keep_once, NULL);
        scenario_each("take", FAULT_SYSTEM | FAULT_INTERRUPT, take_state_once, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.upgrade", learns_how_it_was_started_or_says_why_not,
                   checks_a_file_or_says_why_not, starts_a_process_or_says_why_not,
                   writes_the_pid_file_or_leaves_it_as_it_was,
                   keeps_and_takes_state_or_says_why_not);
}
