/* SPDX-License-Identifier: MIT
 *
 * What other suites do not come by, when the system refuses: reading the environment, sockets of
 * the service manager, paths that a dead process has left, where a program lies, and its crash.
 */
#include "scenario.h"

#include "admin/place.h"
#include "admin/token.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/proc.h"
#include "crash.h"
#include "health/mailbox.h"
#include "leaks.h"
#include "log/journal.h"
#include "notify.h"
#include "profile/stacks.h"
#include "telemetry/late.h"
#include "telemetry/otelenv.h"
#include "telemetry/tap.h"
#include "upgrade/activation.h"
#include "upgrade/binary.h"
#include "upgrade/bind.h"
#include "upgrade/pidfile.h"
#include "upgrade/standin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the environment ------------------------------------------------------------------------- */

static const char *get(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "OTEL_SERVICE_NAME") == 0)
        return "shop";
    return strcmp(name, "OTEL_RESOURCE_ATTRIBUTES") == 0 ? "a=1,b=%20" : NULL;
}

static void warn(void *arg, const char *name, const char *what)
{
    (void)arg, (void)name, (void)what;
}

static void read_environment(void *arg)
{
    const struct otelenv_source source = {.get = get, .warn = warn};
    struct otelenv env;
    (void)arg;
    scenario_arm();
    int rc = otelenv_read(&env, &source);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (rc == -ENOMEM), "%d", rc);
    otelenv_free(&env);
}

START_TEST(reads_the_environment_or_says_why_not)
    {
        scenario_each("environment", FAULT_SYSTEM, read_environment, NULL);
    }
END_TEST

#ifdef PLUGIN
static void open_late(void *arg)
{
    static const char *const headers[] = {"key", "value", "more", "values", NULL};
    const struct transport_options options = {.url = "http://127.0.0.1:1/v1/traces",
                                              .headers = headers,
                                              .ca_file = "/ca",
                                              .cert_file = "/cert",
                                              .key_file = "/key"};
    struct transport *transport = NULL;
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = late_open(&options, PLUGIN, &transport, &err);
    (void)scenario_disarm();
    SCENARIO_ASSERT((rc < 0) == (transport == NULL), "%d", rc);
    if (rc < 0)
        scenario_assert_error(rc, &err);
    else
        transport->free(transport);
}
#endif

START_TEST(remembers_what_to_load_later_or_says_why_not)
    {
#ifdef PLUGIN
        scenario_each("late", FAULT_SYSTEM, open_late, NULL);
#endif
    }
END_TEST

/* --- sockets and paths ----------------------------------------------------------------------- */

static void ignore(void *arg, int fd, const char *name, unsigned index)
{
    (void)arg, (void)fd, (void)name, (void)index;
}

/* It does not begin, because it is to stop: only what comes before that can fail. */
static void stand_in(void *arg)
{
    struct standin_request request = {.manager = {.sun_family = AF_UNIX},
                                      .size = sizeof request.manager,
                                      .patience_ns = NS_PER_S};
    srun_err err = {0};
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)arg;
    (void)snprintf(request.manager.sun_path, sizeof request.manager.sun_path, "%s/notify",
                   harness_folder());
    (void)unlink(request.manager.sun_path);
    SCENARIO_ASSERT(bind(manager, (struct sockaddr *)&request.manager, request.size) == 0, "%d",
                    errno);
    request.stop = fd_event_new();
    fd_event_raise(request.stop);
    scenario_arm();
    int rc = standin_renew(&request, &err);
    (void)scenario_disarm();
    SCENARIO_ASSERT(rc < 0, "%d", rc);
    if (rc != -ECANCELED)
        scenario_assert_error(rc, &err);
    (void)close(request.stop);
    (void)close(manager);
}

START_TEST(is_looked_at_anew_or_says_why_not)
    {
        scenario_each("standin", FAULT_SYSTEM, stand_in, NULL);
        scenario_each("standin, interrupted", FAULT_INTERRUPT, stand_in, NULL);
    }
END_TEST

/* Descriptor 3 is what the manager gives first. */
static void take_activated(void *arg)
{
    char self[16];
    unsigned strange = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)arg;
    if (fd < 0 || listen(fd, 1) < 0 || dup2(fd, 3) < 0)
        _exit(3);
    (void)snprintf(self, sizeof self, "%d", getpid());
    (void)setenv("LISTEN_PID", self, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    scenario_arm();
    int rc = activation_take(0, ignore, NULL, &strange);
    unsigned failed = scenario_disarm();
    bool good = rc == 1 || (failed > 0 && (rc == -ENOMEM || (rc == 0 && strange == 1)));
    if (!good || getenv("LISTEN_FDS") != NULL)
        _exit(4);
}

static void take_activated_in_child(void *arg)
{
    scenario_in_child(take_activated, arg);
}

START_TEST(takes_what_the_manager_gives_or_counts_it)
    {
        scenario_each("activation", FAULT_SYSTEM, take_activated_in_child, NULL);
    }
END_TEST

/* A dead process has left the path. */
static void replace_stale(void *arg)
{
    const struct address *address = arg;
    struct bind_path path = {0};
    srun_err err = {0};
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(dead, (const struct sockaddr *)&address->socket, address->length), 0);
    (void)close(dead);
    scenario_arm();
    int fd = bind_open(address, SRUN_LISTEN_OPTIONS(0), false, &path, &err);
    (void)scenario_disarm();
    if (fd == -EADDRINUSE) { /* what cannot be looked at is somebody else's */
        SCENARIO_ASSERT(scenario_errno() != 0 && unlink(address_path(address)) == 0, "%m");
    } else if (fd < 0) {
        scenario_assert_error(fd, &err);
        SCENARIO_ASSERT(unlink(address_path(address)) == 0 || errno == ENOENT, "%m");
    } else {
        (void)close(fd);
        bind_unlink(address, &path);
    }
    SCENARIO_ASSERT(access(address_path(address), F_OK) < 0, "the path is left");
}

START_TEST(replaces_what_a_dead_process_left_or_says_why_not)
    {
        char text[256];
        struct address address;
        (void)snprintf(text, sizeof text, "unix://%s/s", harness_folder());
        ck_assert_int_eq(address_parse(&address, text, NULL), 0);
        scenario_each("stale path", FAULT_SYSTEM, replace_stale, &address);
    }
END_TEST

/* One that is not what it has to be is not used, whatever fails. */
static void find_place(void *arg)
{
    char out[PLACE_MAX] = "";
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = place_find(NULL, "fault", true, out, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    else
        SCENARIO_ASSERT(strstr(out, "fault") != NULL, "%s", out);
}

START_TEST(finds_a_place_for_the_unix_socket_or_says_why_not)
    {
        (void)unsetenv("RUNTIME_DIRECTORY");
        (void)setenv("XDG_RUNTIME_DIR", harness_folder(), 1);
        scenario_each("place", FAULT_SYSTEM, find_place, NULL);
        (void)unsetenv("XDG_RUNTIME_DIR");
        scenario_each("place in /tmp", FAULT_SYSTEM, find_place, NULL);
    }
END_TEST

/* A credential of systemd, which its group may read. */
static void read_credential(void *path)
{
    struct token token;
    char text[TOKEN_TEXT_MAX] = "";
    srun_err err = {0};
    ck_assert_int_eq(token_init(&token, path, &err), 0);
    scenario_arm();
    bool got = token_get(&token, text, &err);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(got || failed > 0, "%s", err.text);
    SCENARIO_ASSERT(!got || strcmp(text, "correct-horse-battery-staple") == 0, "%s", text);
    token_destroy(&token);
}

START_TEST(reads_a_credential_or_has_no_token)
    {
        char folder[256], path[300];
        (void)snprintf(folder, sizeof folder, "%s/credentials", harness_folder());
        (void)snprintf(path, sizeof path, "%s/token", folder);
        ck_assert_int_eq(mkdir(folder, 0700), 0);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_eq(write(fd, "correct-horse-battery-staple\n", 29), 29);
        ck_assert_int_eq(fchmod(fd, 0440), 0);
        (void)close(fd);
        (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
        scenario_each("credential", FAULT_SYSTEM, read_credential, path);
    }
END_TEST

static void remove_pidfile(void *arg)
{
    srun_err err = {0};
    ck_assert_msg(pidfile_write(arg, 7, &err) == 0, "%s", err.text);
    scenario_arm();
    pidfile_remove(arg, 7);
    unsigned failed = scenario_disarm();
    bool there = unlink(arg) == 0;
    SCENARIO_ASSERT(there == (failed > 0), "what cannot be read is another's");
}

START_TEST(removes_no_pid_file_that_it_cannot_read)
    {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/a.pid", harness_folder());
        scenario_each("pidfile", FAULT_SYSTEM, remove_pidfile, path);
    }
END_TEST

/* --- the program ----------------------------------------------------------------------------- */

static void find_binary(void *name)
{
    char *argv[] = {name, NULL}, folder[] = "/bin";
    struct origin origin = {.argv = argv, .folder = folder};
    scenario_arm();
    int rc = binary_find(&origin, "/nowhere:/bin:/usr/bin");
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || (failed > 0 && rc == -ENOMEM && origin.binary == NULL), "%d", rc);
    fault_free(origin.binary);
}

START_TEST(finds_the_program_or_says_why_not)
    {
        static char absolute[] = "/bin/true", relative[] = "./true", bare[] = "true";
        scenario_each("absolute", FAULT_SYSTEM, find_binary, absolute);
        scenario_each("relative", FAULT_SYSTEM, find_binary, relative);
        scenario_each("by PATH", FAULT_SYSTEM, find_binary, bare);
    }
END_TEST

static void take_nothing(void *arg)
{
    struct origin origin;
    sigset_t none;
    srun_err err = {0};
    (void)arg;
    (void)sigemptyset(&none);
    (void)clearenv();
    scenario_arm();
    int rc = origin_take(&origin, &none, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    origin_free(&origin);
}

static void take_nothing_in_child(void *arg)
{
    scenario_in_child(take_nothing, arg);
}

START_TEST(learns_an_empty_environment_or_says_why_not)
    {
        scenario_each("empty environment", FAULT_SYSTEM, take_nothing_in_child, NULL);
    }
END_TEST

/* Whatever fails, the signal ends the process, so that whoever waits for it knows. */
static void crash_once(void *path)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)dup2(null, STDERR_FILENO);
        fault_output_fd(STDERR_FILENO);
        crash_acquire("fault", path);
        scenario_arm();
        crash_thread_enter();
        (void)raise(SIGABRT);
        _exit(0);
    }
    SCENARIO_ASSERT(waitpid(child, &status, 0) == child, "%m");
    SCENARIO_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%#x", status);
}

START_TEST(dies_of_its_signal_though_it_cannot_be_reported)
    {
        char path[512];
        unsigned kinds = FAULT_SYSTEM | FAULT_OUTPUT | FAULT_INTERRUPT;
        (void)snprintf(path, sizeof path, "%s/crash", harness_folder());
        crash_acquire("fault", path); /* what is made once per process */
        crash_release();
        scenario_each_until("crash", kinds, 120, crash_once, path);
    }
END_TEST

static void enter_and_leave(void *arg)
{
    (void)arg;
    scenario_arm();
    crash_thread_enter(); /* without a stack of its own it goes on */
    crash_thread_leave();
    (void)scenario_disarm();
}

START_TEST(gives_a_thread_a_stack_for_its_crash_if_there_is_room)
    {
        scenario_each("crash stack", FAULT_SYSTEM, enter_and_leave, NULL);
    }
END_TEST

/* --- small parts ----------------------------------------------------------------------------- */

static void allow_leaks(void *arg)
{
    struct leaks leaks = {0};
    (void)arg;
    scenario_arm();
    leaks_begin(&leaks);
    for (int fd = 900; fd < 910; fd++)
        leaks_allow(&leaks, fd);
    (void)scenario_disarm();
    leaks_end(&leaks);
}

static void watch_health(void *arg)
{
    struct mailbox box;
    (void)arg;
    scenario_arm();
    int rc = mailbox_init(&box, 3);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (rc == -ENOMEM), "%d", rc);
    if (rc == 0)
        mailbox_free(&box);
}

static void count_stacks(void *arg)
{
    static const uintptr_t frames[] = {1, 2};
    const uint64_t values[STACKS_VALUES] = {3};
    struct stacks stacks = {0};
    (void)arg;
    scenario_arm();
    stacks_add(&stacks, &(struct stack_key){.name = "a", .frames = frames, .depth = 2}, values);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (stacks.lost == 3), "%u", (unsigned)stacks.lost);
    SCENARIO_ASSERT((failed > 0) == (stacks.count == 0), "%zu", stacks.count);
    stacks_free(&stacks);
}

static void listen_to_spans(void *arg)
{
    struct tap *tap = NULL;
    (void)arg;
    scenario_arm();
    int rc = tap_open(&tap);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (rc < 0), "%d", rc);
    if (rc == 0) {
        tap_close(tap);
        tap_free(tap);
    }
}

static void ask_for_a_barrier(void *arg)
{
    struct notify notify = {0};
    (void)arg;
    ck_assert_int_eq(notify_open(&notify, getenv), 0);
    scenario_arm();
    int rc = notify_barrier(&notify);
    (void)scenario_disarm();
    SCENARIO_ASSERT(rc >= 0 || scenario_is_told(-rc), "%d", rc);
    if (rc >= 0)
        (void)close(rc);
    notify_close(&notify);
}

static void look_for_ancestors(void *arg)
{
    (void)arg;
    scenario_arm();
    bool below = proc_is_below(getpid(), getppid());
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(below || failed > 0, "it is no child of its parent");
}

static void look_for_a_journal(void *arg)
{
    (void)arg;
    scenario_arm();
    bool found = journal_is_behind(STDERR_FILENO, "1:2");
    (void)scenario_disarm();
    SCENARIO_ASSERT(!found, "there is none");
}

static void send_a_message(void *manager)
{
    struct notify notify = {0};
    char text[64] = "";
    ck_assert_int_eq(notify_open(&notify, getenv), 0);
    scenario_arm();
    notify_send(&notify, "READY=1");
    (void)notify_tend(&notify);
    unsigned failed = scenario_disarm();
    ssize_t size = recv(*(int *)manager, text, sizeof text, 0);
    SCENARIO_ASSERT(size == 7 && memcmp(text, "READY=1", 7) == 0, "%zd, %u failed", size, failed);
    notify_close(&notify);
}

static void hold_what_is_closed(void *arg)
{
    int before = dup(STDIN_FILENO);
    (void)arg;
    ck_assert_int_ge(before, 0);
    (void)close(STDIN_FILENO);
    scenario_arm();
    fd_hold_standard();
    unsigned failed = scenario_disarm();
    bool open = fcntl(STDIN_FILENO, F_GETFD) >= 0;
    (void)dup2(before, STDIN_FILENO);
    (void)close(before);
    SCENARIO_ASSERT(open == (failed == 0), "open: %d", open);
}

struct waiting {
    struct pool_job job;
    atomic_bool began, may_end;
};

static void wait_for_the_end(struct pool_job *job)
{
    struct waiting *waiting = (struct waiting *)(void *)job; /* its first member */
    atomic_store(&waiting->began, true);
    while (!atomic_load(&waiting->may_end))
        proc_wait_a_moment();
}

static void tell_nobody(struct pool_job *job)
{
    (void)job;
}

static bool has_begun(void *waiting)
{
    return atomic_load(&((struct waiting *)waiting)->began);
}

/* One that waits for a thread gets it as soon as there may be one, whatever the others do. */
static void submit_behind_a_slow_one(void *arg)
{
    struct waiting slow = {.job = {.run = wait_for_the_end, .done = tell_nobody}};
    struct waiting next = {.job = {.run = wait_for_the_end, .done = tell_nobody}};
    struct pool *pool = NULL;
    (void)arg;
    ck_assert_int_eq(pool_new(&pool, 2), 0);
    ck_assert_int_eq(pool_submit(pool, &slow.job), 0);
    bool began = harness_wait(has_begun, &slow, 10000);
    scenario_arm();
    int rc = pool_submit(pool, &next.job);
    (void)scenario_disarm();
    bool starved = pool_tend(pool);
    began = began && harness_wait(has_begun, &next, 10000);
    atomic_store(&slow.may_end, true);
    atomic_store(&next.may_end, true);
    pool = pool_free(pool, 10 * NS_PER_S);
    SCENARIO_ASSERT(rc == 0 && !starved && began && pool == NULL, "%d %d %d", rc, starved, began);
}

START_TEST(leaves_small_parts_whole)
    {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        scenario_each("leaks", FAULT_SYSTEM, allow_leaks, NULL);
        scenario_each("mailbox", FAULT_SYSTEM, watch_health, NULL);
        scenario_each("stacks", FAULT_SYSTEM, count_stacks, NULL);
        scenario_each("tap", FAULT_SYSTEM, listen_to_spans, NULL);
        scenario_each("journal", FAULT_SYSTEM, look_for_a_journal, NULL);
        scenario_each("ancestors", FAULT_SYSTEM, look_for_ancestors, NULL);
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", harness_folder());
        int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(manager, (const struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        scenario_each("message", FAULT_SYSTEM | FAULT_INTERRUPT, send_a_message, &manager);
        scenario_each("barrier", FAULT_SYSTEM, ask_for_a_barrier, NULL);
        scenario_each("standard", FAULT_SYSTEM, hold_what_is_closed, NULL);
        scenario_each("pool", FAULT_SYSTEM, submit_behind_a_slow_one, NULL);
        (void)close(manager);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "fault.corners", reads_a_credential_or_has_no_token, reads_the_environment_or_says_why_not,
        remembers_what_to_load_later_or_says_why_not, is_looked_at_anew_or_says_why_not,
        takes_what_the_manager_gives_or_counts_it,
        replaces_what_a_dead_process_left_or_says_why_not,
        finds_a_place_for_the_unix_socket_or_says_why_not, removes_no_pid_file_that_it_cannot_read,
        finds_the_program_or_says_why_not, learns_an_empty_environment_or_says_why_not,
        dies_of_its_signal_though_it_cannot_be_reported,
        gives_a_thread_a_stack_for_its_crash_if_there_is_room, leaves_small_parts_whole);
}
