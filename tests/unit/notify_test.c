/* SPDX-License-Identifier: MIT
 *
 * What the service manager is told, read from the socket that it would read.
 */
#include "base/text.h"
#include "cast.h"
#include "notify.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static const char *socket_name, *watchdog_usec, *watchdog_pid;

static char *fake_getenv(const char *name)
{
    const char *value = strcmp(name, "NOTIFY_SOCKET") == 0   ? socket_name
                        : strcmp(name, "WATCHDOG_USEC") == 0 ? watchdog_usec
                        : strcmp(name, "WATCHDOG_PID") == 0  ? watchdog_pid
                                                             : NULL;
    return (char *)(uintptr_t)value;
}

/* A manager that listens at a path, or an abstract name that begins with @. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    ck_assert_uint_lt(length, sizeof address.sun_path);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static const char *private_path(void)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/notify", harness_folder());
    return path;
}

/* The next message, "" when there is none within a moment. */
static const char *heard(int fd, int limit_ms)
{
    static char text[1024];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t size = poll(&wait, 1, limit_ms) == 1 ? recv(fd, text, sizeof text - 1, 0) : 0;
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    return text;
}

static void assert_reaches(const char *name)
{
    struct notify notify;
    int manager = listen_at(name);
    socket_name = name;
    ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
    notify_send(&notify, "READY=1\nSTATUS=%s", "running");
    ck_assert_str_eq(heard(manager, (int)REAL_LIMIT_MS), "READY=1\nSTATUS=running");
    notify_close(&notify);
    notify_send(&notify, "READY=0");
    ck_assert_str_eq(heard(manager, 0), "");
    (void)close(manager);
}

START_TEST(reaches_a_manager_at_a_path_and_at_an_abstract_name)
    {
        char name[64];
        assert_reaches(private_path());
        (void)snprintf(name, sizeof name, "@srun-test-%d", getpid());
        assert_reaches(name);
    }
END_TEST

START_TEST(does_nothing_without_a_manager)
    {
        struct notify notify;
        static const char *const none[] = {NULL, ""};
        for (int i = 0; i < 2; i++) {
            socket_name = none[i];
            watchdog_usec = "1000000";
            ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
            ck_assert_int_eq(notify.fd, -1);
            ck_assert_int_eq(notify.watchdog_ns, 0);
            notify_send(&notify, "READY=1");
            notify_status(&notify, "x");
            notify_close(&notify);
        }
    }
END_TEST

START_TEST(refuses_what_cannot_be_an_address)
    {
        struct notify notify;
        char name[200];
        memset(name, 'x', sizeof name);
        name[0] = '/';
        name[108] = '\0';
        const char *const bad[] = {"relative", "vsock:2:1", name};
        for (size_t i = 0; i < 3; i++) {
            socket_name = bad[i];
            ck_assert_int_eq(notify_open(&notify, fake_getenv), -EINVAL);
            ck_assert_int_eq(notify.fd, -1);
        }
        name[107] = '\0';
        socket_name = name;
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        notify_send(&notify, "READY=1"); /* nobody is there: dropped */
        notify_close(&notify);
    }
END_TEST

static int64_t watchdog_of(const char *usec, const char *pid)
{
    struct notify notify;
    socket_name = "/nowhere";
    watchdog_usec = usec;
    watchdog_pid = pid;
    ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
    notify_close(&notify);
    return notify.watchdog_ns;
}

START_TEST(reads_the_watchdog_that_is_meant_for_this_process)
    {
        char pid[32];
        (void)snprintf(pid, sizeof pid, "%d", getpid());
        ck_assert_int_eq(watchdog_of("200000", NULL), 200 * NS_PER_MS);
        ck_assert_int_eq(watchdog_of("200000", pid), 200 * NS_PER_MS);
        ck_assert_int_eq(watchdog_of("200000", "1"), 0);
        ck_assert_int_eq(watchdog_of(NULL, pid), 0);
        static const char *const bad[] = {
            "", "x", "-5", "0", "12x", "99999999999999999999", "9223372036854775807"};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            ck_assert_int_eq(watchdog_of(bad[i], NULL), 0);
    }
END_TEST

START_TEST(tells_a_status_that_is_utf_8)
    {
        char long_text[600] = "";
        struct notify notify;
        int manager = listen_at(private_path());
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        for (size_t i = 0; i + 2 < sizeof long_text; i += 2)
            memcpy(long_text + i, "\xc3\xbc", 3);
        for (const char *text = long_text; text < long_text + 2; text++) {
            notify_status(&notify, "%s", text);
            const char *told = heard(manager, (int)REAL_LIMIT_MS);
            ck_assert_int_eq(strncmp(told, "STATUS=", 7), 0);
            ck_assert_uint_eq(text_utf8_until(told, strlen(told)), strlen(told));
        }
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

START_TEST(tells_a_status_once_and_as_one_line)
    {
        struct notify notify;
        int manager = listen_at(private_path());
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        notify_status(&notify, "waiting for %s", "db\nREADY=1");
        ck_assert_str_eq(heard(manager, (int)REAL_LIMIT_MS), "STATUS=waiting for db READY=1");
        notify_status(&notify, "waiting for %s", "db\nREADY=1");
        ck_assert_str_eq(heard(manager, 0), "");
        notify_status(&notify, "%s", "db \x1b[2J\xc2\x9b is up");
        ck_assert_str_eq(heard(manager, (int)REAL_LIMIT_MS), "STATUS=db ?[2J?? is up");
        notify_status(&notify, "running");
        ck_assert_str_eq(heard(manager, (int)REAL_LIMIT_MS), "STATUS=running");
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

START_TEST(is_dropped_when_the_manager_does_not_read)
    {
        struct notify notify;
        int manager = listen_at(private_path());
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        for (int i = 0; i < 100000; i++)
            notify_send(&notify, "STATUS=%d", i); /* returns, however full it is there */
        ck_assert_str_eq(heard(manager, 0), "STATUS=0");
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

/* Until it is too busy to take any more. */
static void keep_busy(const struct notify *notify)
{
    while (sendto(notify->fd, "X=1", 3, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&notify->address, notify->address_size) == 3)
        ;
    ck_assert_int_eq(errno, EAGAIN);
}

static void assert_next_is(int manager, const char *wanted)
{
    const char *text;
    while (strcmp(text = heard(manager, (int)REAL_LIMIT_MS), "X=1") == 0)
        ;
    ck_assert_str_eq(text, wanted);
}

START_TEST(tells_a_busy_manager_later_what_counts)
    {
        struct notify notify;
        int manager = listen_at(private_path());
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        keep_busy(&notify);
        notify_send(&notify, "WATCHDOG=1");
        ck_assert(!notify_tend(&notify)); /* a ping that is late says nothing */
        notify_send(&notify, "RELOADING=1");
        notify_status(&notify, "running");
        notify_send(&notify, "READY=1");
        ck_assert(notify_tend(&notify));
        ck_assert(notify_owes(&notify, "READY="));
        ck_assert(!notify_owes(&notify, "MAINPID="));
        ck_assert_int_eq(notify_barrier(&notify), -EAGAIN);
        notify.mute = true; /* by now another process speaks */
        ck_assert_str_eq(heard(manager, 0), "X=1");
        while (notify_tend(&notify))
            ck_assert_str_eq(heard(manager, 0), "X=1");
        ck_assert(!notify_owes(&notify, "READY="));
        assert_next_is(manager, "RELOADING=1");
        assert_next_is(manager, "READY=1");
        notify.mute = false;
        notify_status(&notify, "running"); /* which it has not taken before */
        assert_next_is(manager, "STATUS=running");
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

static void on_alarm(int signo)
{
    (void)signo;
}

START_TEST(waits_for_a_busy_manager_once_however_often_it_is_interrupted)
    {
        struct notify notify;
        int manager = listen_at(private_path());
        const struct sigaction action = {.sa_handler = on_alarm};
        const struct itimerval often = {{.tv_usec = 1000}, {.tv_usec = 1000}}, never = {{0}, {0}};
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        keep_busy(&notify);
        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        notify_send(&notify, "READY=1");
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        ck_assert(notify_owes(&notify, "READY="));
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

START_TEST(keeps_the_latest_for_a_manager_that_stays_busy)
    {
        struct notify notify;
        int manager = listen_at(private_path());
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        keep_busy(&notify);
        for (int i = 0; i < NOTIFY_OWED_MAX + 3; i++)
            notify_send(&notify, "N=%d", i);
        while (notify_tend(&notify))
            ck_assert_str_eq(heard(manager, 0), "X=1");
        assert_next_is(manager, "N=3");
        for (int i = 4; i < NOTIFY_OWED_MAX + 3; i++) {
            char wanted[16];
            (void)snprintf(wanted, sizeof wanted, "N=%d", i);
            assert_next_is(manager, wanted);
        }
        notify_close(&notify);
        (void)close(manager);
    }
END_TEST

static atomic_int busy_manager;

static bool is_ready(void *runner)
{
    return srun_runner_is_ready(runner);
}

static int listen_late(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    bool told = false;
    (void)harness_wait(is_ready, srun_context_runner(ctx), 10000); /* it has said so */
    while (!told && harness_now_ms() < end)
        told = strcmp(heard(atomic_load(&busy_manager), 100), "READY=1") == 0;
    return srun_runner_shutdown(srun_context_runner(ctx), told ? 0 : -EIO, "heard");
}

/* Or it would take the service for one that never got ready, and end it. */
START_TEST(says_that_it_is_ready_to_a_manager_that_was_busy)
    {
        struct notify notify;
        srun_runner *runner = NULL;
        int manager = listen_at(private_path());
        int log = memory_file();
        socket_name = private_path();
        ck_assert_int_eq(notify_open(&notify, fake_getenv), 0);
        keep_busy(&notify);
        atomic_store(&busy_manager, manager);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", private_path(), 1), 0);
        ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL),
                         0);
        const struct srun_service_ops ops = {.size = sizeof ops, .run = listen_late};
        struct actor first = {.name = "first", .run = BACKGROUND};
        struct trace trace;
        trace_init(&trace);
        cast_add(runner, &first, &trace, NULL);
        ck_assert_int_eq(srun_runner_add(runner, "late", &ops, NULL, NULL, NULL), 0);
        ck_assert_int_eq(srun_runner_run(runner), 0);
        (void)srun_runner_free(runner);
        (void)unsetenv("NOTIFY_SOCKET");
        notify_close(&notify);
        trace_destroy(&trace);
        (void)close(log);
        (void)close(manager);
    }
END_TEST

static char all[4096];

static void collect(int manager)
{
    const char *text;
    all[0] = '\0';
    while ((text = heard(manager, 0))[0] != '\0')
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "[%s]\n", text);
}

static int stop_at_once(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    int rc = srun_ready(ctx);
    return rc < 0 ? rc : srun_runner_shutdown(srun_context_runner(ctx), 0, self);
}

/* Runs one service that stops the program, giving `why`. */
static void run_under_manager(int manager, const char *why)
{
    srun_runner *runner = NULL;
    int log = memory_file();
    static char text[64];
    (void)snprintf(text, sizeof text, "%s", why);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", private_path(), 1), 0);
    ck_assert_int_eq(srun_runner_new(&runner, SRUN_CONFIG(.log.fd_plus_one = log + 1), NULL), 0);
    ck_assert_int_eq(srun_serve(runner, "db", stop_at_once, text, NULL), 0);
    struct actor stays = {.name = "stays", .run = BACKGROUND};
    struct trace trace;
    trace_init(&trace);
    cast_add(runner, &stays, &trace, NULL);
    ck_assert_int_eq(srun_runner_run(runner), 0);
    (void)srun_runner_free(runner);
    trace_destroy(&trace);
    (void)close(log);
    (void)unsetenv("NOTIFY_SOCKET");
    collect(manager);
}

START_TEST(tells_of_the_stop_before_anything_stops)
    {
        int manager = listen_at(private_path());
        run_under_manager(manager, "enough");
        const char *stopping = strstr(all, "[STOPPING=1");
        ck_assert_msg(stopping != NULL, "no STOPPING=1 in:\n%s", all);
        const char *status = strstr(all, "STATUS=stopping db");
        ck_assert(status == NULL || status > stopping);
        const char *ready = strstr(all, "READY=1");
        ck_assert(ready == NULL || ready < stopping);
        ck_assert_ptr_nonnull(strstr(all, "enough"));
        (void)close(manager);
    }
END_TEST

START_TEST(lets_no_reason_to_stop_forge_a_variable)
    {
        int manager = listen_at(private_path());
        run_under_manager(manager, "bye\nMAINPID=1");
        ck_assert_ptr_nonnull(strstr(all, "MAINPID=1"));
        ck_assert_ptr_null(strstr(all, "\nMAINPID=1"));
        (void)close(manager);
    }
END_TEST

int main(void)
{
    return HARNESS("notify", reaches_a_manager_at_a_path_and_at_an_abstract_name,
                   does_nothing_without_a_manager, refuses_what_cannot_be_an_address,
                   reads_the_watchdog_that_is_meant_for_this_process, tells_a_status_that_is_utf_8,
                   tells_a_status_once_and_as_one_line, is_dropped_when_the_manager_does_not_read,
                   tells_a_busy_manager_later_what_counts,
                   waits_for_a_busy_manager_once_however_often_it_is_interrupted,
                   keeps_the_latest_for_a_manager_that_stays_busy,
                   says_that_it_is_ready_to_a_manager_that_was_busy,
                   tells_of_the_stop_before_anything_stops,
                   lets_no_reason_to_stop_forge_a_variable);
}
