/* SPDX-License-Identifier: MIT
 *
 * A program that exec has given more rights than its starter has (AT_SECURE: set-user-ID): what the
 * starter chooses has no part in it. This very program is the one: a copy of it belongs to another
 * user, and is started by a third one. Only root can make such a copy; the same copy without the
 * bit is the proof that each thing would count otherwise.
 */
#include "admin/place.h"
#include "base/ensure.h"
#include "exporting.h"
#include "harness.h"
#include "runner.h"
#include "telemetry/propagation.h"
#include "upgrade/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER 1 /* whose rights the program has */
#define STARTER 65534
#define SHOW "--show"

/* --- the program ------------------------------------------------------------------------------ */

static void show(const char *what, bool counts)
{
    (void)printf("%s=%s\n", what, counts ? "yes" : "no");
}

static int show_upgrade(void *user, srun_context *ctx, srun_err *err)
{
    srun_err why = {0};
    srun_runner *runner = user;
    const struct srun_config *config = &runner->config.value;
    srun_ready(ctx);
    show("variables", config->log.level == SRUN_LEVEL_ERROR);
    show("pid_file", config->upgrade.pid_file != NULL);
    show("file", config->timeouts.stop_ms == 7000);
    int rc = srun_upgrade_request(runner, "test", 10, &why);
    show("upgrade", rc != SRUN_EUPGRADE || strstr(why.text, "set-user-ID") == NULL);
    show("notify", runner->notify.fd >= 0);
    (void)err;
    return 0;
}

static int set_up(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = show_upgrade};
    const struct otelenv_source otel = exporting_variables(runner);
    struct srun_span_context span;
    char place[PLACE_MAX];
    srun_err none = {0};
    (void)user;
    show("otel", otel.get(otel.arg, "OTEL_SERVICE_NAME") != NULL);
    show("trace", propagation_from_environment(&span, NULL) > 0);
    (void)place_find(NULL, "secure", false, place, &none);
    show("runtime", strncmp(place, "/var/", 5) == 0);
    return srun_runner_add(runner, "show", &ops, runner, NULL, err);
}

static int run_shown(int argc, char **argv)
{
    struct spawn_inherited inherited;
    struct srun_config config = {.size = sizeof config, .name = "secure", .version = "1"};
    config.admin.disabled = 1;
    config.log.fd_plus_one = STDERR_FILENO + 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    show("secure", getauxval(AT_SECURE) != 0);
    show("handover", spawn_inherited(&inherited) == 0);
    argv[1] = argv[0]; /* --show is ours */
    return srun_main(argc - 1, argv + 1, &config, set_up, NULL);
}

/* --- its start -------------------------------------------------------------------------------- */

static char program[512], answers[4096];

static void copy_program(mode_t mode)
{
    char buffer[65536];
    (void)snprintf(program, sizeof program, "%s/program", harness_folder());
    ck_assert_int_eq(chmod(harness_folder(), 0755), 0);
    (void)unlink(program);
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(program, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ck_assert(from >= 0 && to >= 0);
    for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;)
        ck_assert_int_eq(write(to, buffer, (size_t)got), got);
    ck_assert_int_eq(fchown(to, OWNER, OWNER), 0);
    ck_assert_int_eq(fchmod(to, mode), 0);
    ck_assert(close(from) == 0 && close(to) == 0);
}

static void write_file(const char *path, uid_t owner, mode_t mode)
{
    static const char text[] = "srun: {timeouts: {stop: 7s}}\n";
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    ck_assert(fchown(fd, owner, owner) == 0 && fchmod(fd, mode) == 0);
    ck_assert_int_eq(close(fd), 0);
}

static void become_program(const char *config)
{
    static char *const variables[] = {
        "SRUN_LOG_LEVEL=error",
        "SRUN_PID_FILE=/nowhere/pid",
        "SRUN_UPGRADE_ANY_BINARY=true",
        "OTEL_SERVICE_NAME=other",
        "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "RUNTIME_DIRECTORY=/var/tmp",
        "NOTIFY_SOCKET=@srun-secure-test",
        "SRUN_HANDOVER=fd=3 pid=1 generation=2 "
        "trace=00000000000000000000000000000000-0000000000000000",
        NULL};
    char *arguments[] = {program, (char *)SHOW, (char *)config, NULL};
    if (setgroups(0, NULL) == 0 && setresgid(STARTER, STARTER, STARTER) == 0 &&
        setresuid(STARTER, STARTER, STARTER) == 0)
        (void)execve(program, arguments, (char *const *)variables);
    _exit(127);
}

/* Its answers, and its exit code. */
static int start(const char *config)
{
    int ends[2], status;
    size_t size = 0;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        become_program(config);
    }
    ck_assert_int_eq(close(ends[1]), 0);
    for (ssize_t got; (got = read(ends[0], answers + size, sizeof answers - 1 - size)) > 0;)
        size += (size_t)got;
    answers[size] = '\0';
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A file system may be mounted so that the bit does nothing, and only root makes such a file. */
static bool can_be_made(void)
{
    if (geteuid() == 0 && harness_slowness() == 1) {
        copy_program(04755);
        if (start(NULL) != 127 && strstr(answers, "secure=yes") != NULL)
            return true;
    }
    printf("    skipped: needs root, a file system without nosuid, and no sanitizer\n");
    return false;
}

static void expect(const char *name, bool counts)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "%s=%s\n", name, counts ? "yes" : "no");
    ck_assert_msg(strstr(answers, wanted) != NULL, "not %s in: %s", wanted, answers);
}

/* --- the tests -------------------------------------------------------------------------------- */

START_TEST(reads_no_variable_of_its_starter)
    {
        static const char *const names[] = {"variables", "pid_file", "otel",
                                            "trace",     "runtime",  "handover"};
        if (!can_be_made())
            return;
        ck_assert_int_eq(start(NULL), 0);
        for (size_t i = 0; i < COUNT_OF(names); i++)
            expect(names[i], false);
        expect("notify", false);
        copy_program(0755);
        ck_assert_int_ne(start(NULL), 127); /* there is no folder for its pid file */
        expect("secure", false);
        for (size_t i = 0; i < COUNT_OF(names); i++)
            expect(names[i], true);
    }
END_TEST

START_TEST(does_not_start_a_file_that_its_starter_chose)
    {
        if (!can_be_made())
            return;
        ck_assert_int_eq(start(NULL), 0);
        expect("upgrade", false);
    }
END_TEST

START_TEST(reads_no_file_that_its_starter_can_write_or_cannot_read)
    {
        static const struct {
            uid_t owner;
            mode_t mode;
            bool good;
        } cases[] = {{0, 0644, true},     {OWNER, 0644, true},  {STARTER, 0644, false},
                     {0, 0646, false},    {OWNER, 0664, false}, {OWNER, 0600, false},
                     {OWNER, 0640, false}};
        char path[512], flag[600];
        if (!can_be_made())
            return;
        (void)snprintf(path, sizeof path, "%s/config.yaml", harness_folder());
        (void)snprintf(flag, sizeof flag, "--config=%s", path);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            write_file(path, cases[i].owner, cases[i].mode);
            ck_assert_msg(start(flag) == (cases[i].good ? 0 : 2), "%zu: %s", i, answers);
            if (cases[i].good)
                expect("file", true);
            else
                ck_assert_msg(strstr(answers, "raised privileges") != NULL, "%s", answers);
        }
    }
END_TEST

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], SHOW) == 0)
        return run_shown(argc, argv);
    return HARNESS("secure", reads_no_variable_of_its_starter,
                   does_not_start_a_file_that_its_starter_chose,
                   reads_no_file_that_its_starter_can_write_or_cannot_read);
}
