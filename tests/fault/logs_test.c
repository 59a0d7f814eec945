/* SPDX-License-Identifier: MIT
 *
 * Log records on their two other ways out, when the system refuses: the queue of an exporter opens
 * whole or not at all, and accounts for every record; what the journal does not get is a line.
 */
#include "base/clock.h"
#include "base/duration.h"
#include "kept_logs.h"
#include "log/log.h"
#include "scenario.h"
#include "telemetry/logs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RECORDS 40

/* --- the queue of an exporter ---------------------------------------------------------------- */

static void push(struct logs *logs, int number)
{
    static const struct telemetry_scope scope = {"test", "", ""};
    const struct log_given given = {.log = {.scope = &scope, .severity_text = "INFO", .body = "m"},
                                    .body_size = 1,
                                    .lists = {SRUN_KVS(SRUN_INT("n", number))}};
    logs_push(logs, &given);
}

static void use_all(void *arg)
{
    struct kept_logs kept;
    struct logs *logs = NULL;
    struct logs_stats stats = {0};
    struct logs_options options = logs_defaults();
    srun_err err = {0};
    (void)arg;
    kept_logs_init(&kept);
    kept.counts_only = true; /* what it keeps it would take from the library's memory */
    options.exporter = &kept.exporter;
    scenario_arm();
    int rc = logs_open(&logs, &options, &err);
    for (int i = 0; rc == 0 && i < RECORDS; i++)
        push(logs, i);
    if (rc == 0) {
        (void)logs_shutdown(logs, clock_real_now() + 10 * NS_PER_S * harness_slowness());
        logs_stats(logs, &stats);
        (void)logs_free(logs);
    }
    (void)scenario_disarm();
    uint64_t known = stats.exported + stats.dropped + stats.lost_at_end + stats.lost_in_export;
    SCENARIO_ASSERT(rc < 0 || known == RECORDS, "%llu", (unsigned long long)known);
    if (rc < 0)
        scenario_assert_error(rc, &err);
    kept_logs_destroy(&kept);
}

START_TEST(without_memory_or_threads_all_records_are_accounted_for)
    {
        scenario_each("logs", FAULT_SYSTEM, use_all, NULL);
        scenario_each_lasting("logs", FAULT_SYSTEM, use_all, NULL);
    }
END_TEST

/* --- the journal ----------------------------------------------------------------------------- */

static struct {
    char path[108];
    int fd, lines;
} journal;

static void open_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(journal.path, sizeof journal.path, "%s/journal", harness_folder());
    memcpy(address.sun_path, journal.path, sizeof address.sun_path);
    journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(journal.fd, (struct sockaddr *)&address, sizeof address), 0);
    journal.lines = memfd_create("lines", MFD_CLOEXEC);
    fault_output_fd(journal.lines);
}

static void close_journal(void)
{
    (void)close(journal.fd);
    (void)close(journal.lines);
}

static uint64_t count_entries(void)
{
    static char data[1 << 17];
    uint64_t count = 0;
    for (;; count++) {
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec piece = {data, sizeof data};
        struct msghdr message = {.msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        if (recvmsg(journal.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
            return count;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        int fd = -1;
        if (head != NULL)
            memcpy(&fd, CMSG_DATA(head), sizeof fd);
        if (fd >= 0)
            (void)close(fd);
    }
}

static uint64_t count_lines(void)
{
    static char text[1 << 18];
    uint64_t count = 0;
    ssize_t got = pread(journal.lines, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    ck_assert_int_eq(ftruncate(journal.lines, 0), 0);
    (void)lseek(journal.lines, 0, SEEK_SET);
    return count;
}

/* With so little room for what is sent that large records go as files. */
static srun_logger *join(srun_err *err, int *rc)
{
    srun_logger *log = NULL;
    int least = 1;
    ck_assert_int_eq(log_new(&log, journal.lines, SRUN_LOG_TEXT, SRUN_LEVEL_INFO, 0, err), 0);
    scenario_arm();
    *rc = log_join_journal(log, journal.path, "test", err);
    if (*rc >= 0)
        (void)setsockopt(*rc, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    return log;
}

static void log_to_the_journal(void *arg)
{
    static char large[20000];
    const bool *interrupted = arg;
    srun_err err = {0};
    int rc = 0;
    memset(large, 'x', sizeof large - 1);
    srun_logger *log = join(&err, &rc);
    SRUN_INFO(log, "small");
    SRUN_INFO(log, "large", SRUN_STR("text", large));
    SRUN_INFO(log, "small");
    unsigned failed = scenario_disarm();
    uint64_t lost = srun_logger_lost(log), entries = count_entries(), lines = count_lines();
    (void)srun_logger_free(log);
    (void)count_lines(); /* that some were lost */
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT(entries + lines + lost == 3, "%llu entries, %llu lines, %llu lost",
                    (unsigned long long)entries, (unsigned long long)lines,
                    (unsigned long long)lost);
    SCENARIO_ASSERT(entries == 3 || (failed > 0 && !*interrupted), "%llu entries, %llu lines",
                    (unsigned long long)entries, (unsigned long long)lines);
    SCENARIO_ASSERT(lost == 0, "%llu lost", (unsigned long long)lost);
}

START_TEST(what_the_journal_does_not_get_is_a_line)
    {
        bool interrupted = false;
        open_journal();
        scenario_each("journal", FAULT_SYSTEM, log_to_the_journal, &interrupted);
        scenario_each_lasting("journal", FAULT_SYSTEM, log_to_the_journal, &interrupted);
        interrupted = true;
        scenario_each("journal, interrupted", FAULT_INTERRUPT, log_to_the_journal, &interrupted);
        close_journal();
    }
END_TEST

int main(void)
{
    return HARNESS("fault.logs", without_memory_or_threads_all_records_are_accounted_for,
                   what_the_journal_does_not_get_is_a_line);
}
