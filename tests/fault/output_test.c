/* SPDX-License-Identifier: MIT
 *
 * Output that is refused: a log drops the record and counts it, --version and --help say so.
 */
#include "scenario.h"
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORDS = 8 };

static char large[20000];

/* What a log is written to, and what reads it. */
struct channel {
    const char *kind;
    int writer, reader;
};

static struct channel open_channel(const char *kind)
{
    struct channel channel = {.kind = kind, .reader = -1};
    int pair[2] = {-1, -1};
    char path[256];
    if (strcmp(kind, "pipe") == 0)
        ck_assert_int_eq(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
    else if (strcmp(kind, "socket") == 0)
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                         0);
    else {
        (void)snprintf(path, sizeof path, "%s/log", harness_folder());
        pair[1] = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        ck_assert_int_ge(pair[1], 0);
    }
    channel.reader = pair[0];
    channel.writer = pair[1];
    fault_output_fd(channel.writer);
    return channel;
}

static void close_channel(struct channel *channel)
{
    (void)close(channel->writer);
    if (channel->reader >= 0)
        (void)close(channel->reader);
}

static void drain(const struct channel *channel)
{
    char data[65536];
    while (channel->reader >= 0 && read(channel->reader, data, sizeof data) > 0)
        ;
}

/* Small ones and large ones; one refused call loses one record at most. */
static void log_much(void *arg)
{
    const struct channel *channel = arg;
    srun_runner *runner = NULL;
    srun_err err = {0};
    struct srun_config config = world_config(channel->writer);
    config.debug.leaks = 0;
    ck_assert_msg(srun_runner_new(&runner, &config, &err) == 0, "%s", err.text);
    srun_logger *log = srun_runner_log(runner);
    scenario_arm();
    for (int i = 0; i < RECORDS; i++) {
        SRUN_INFO(log, "small", SRUN_INT("i", i));
        SRUN_INFO(log, "large", SRUN_STR("text", large));
        drain(channel);
    }
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(srun_logger_lost(log) <= failed, "%llu",
                    (unsigned long long)srun_logger_lost(log));
    SRUN_INFO(log, "last"); /* tells how many were lost */
    (void)srun_runner_free(runner);
    drain(channel);
}

static void log_to(const char *kind)
{
    char name[64];
    memset(large, 'x', sizeof large - 1);
    struct channel channel = open_channel(kind);
    (void)snprintf(name, sizeof name, "log to a %s", kind);
    scenario_each(name, FAULT_OUTPUT, log_much, &channel);
    (void)snprintf(name, sizeof name, "log to a %s, interrupted", kind);
    scenario_each(name, FAULT_INTERRUPT, log_much, &channel);
    close_channel(&channel);
}

START_TEST(a_file_that_refuses_loses_one_record)
    {
        log_to("file");
    }
END_TEST

START_TEST(a_pipe_that_refuses_loses_one_record)
    {
        log_to("pipe");
    }
END_TEST

START_TEST(a_socket_that_refuses_loses_one_record)
    {
        log_to("socket");
    }
END_TEST

/* --- standard output ------------------------------------------------------------------------- */

static void print_and_leave(void *arg)
{
    char *argv[] = {"world", arg, NULL};
    srun_runner *runner = NULL;
    srun_err err = {0};
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), before = dup(STDOUT_FILENO);
    struct srun_config config = world_config(quiet);
    ck_assert_msg(srun_runner_new(&runner, &config, &err) == 0, "%s", err.text);
    (void)fflush(stdout);
    (void)dup2(quiet, STDOUT_FILENO);
    scenario_arm();
    int rc = srun_runner_parse(runner, 2, argv, &err);
    unsigned failed = scenario_disarm();
    (void)fflush(stdout);
    (void)dup2(before, STDOUT_FILENO);
    (void)close(before);
    if (failed > 0)
        scenario_assert_error(rc, &err);
    else
        ck_assert_int_eq(rc, SRUN_DONE);
    (void)srun_runner_free(runner);
    (void)close(quiet);
}

START_TEST(help_and_version_tell_a_full_disk)
    {
        scenario_each("--version", FAULT_OUTPUT, print_and_leave, "--version");
        scenario_each("--help", FAULT_OUTPUT, print_and_leave, "--help");
    }
END_TEST

int main(void)
{
    return HARNESS("fault.output", a_file_that_refuses_loses_one_record,
                   a_pipe_that_refuses_loses_one_record, a_socket_that_refuses_loses_one_record,
                   help_and_version_tell_a_full_disk);
}
