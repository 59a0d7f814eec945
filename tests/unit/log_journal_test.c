/* SPDX-License-Identifier: MIT
 *
 * The journal as a sink: entries that a strict reader takes, whatever the record holds, and lines
 * when it does not take them.
 */
#include "base/ensure.h"
#include "harness.h"
#include "journal_check.h"
#include "log/journal.h"
#include "log/log.h"
#include "log/sink.h"
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 10000 /* for what must take at most 50 ms, on a machine that is very busy */

/* --- a receiver ------------------------------------------------------------------------------ */

static struct {
    char path[108];
    int fd, lines, journal;
    srun_logger *log;
    char data[1 << 18];
    size_t size;
    bool was_file;
} is;

static void listen_there(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, is.path, sizeof address.sun_path);
    is.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(is.fd, 0);
    ck_assert_int_eq(bind(is.fd, (struct sockaddr *)&address, sizeof address), 0);
}

/* A logger that has joined a journal, where somebody listens or not yet. */
static void open_log(bool listens)
{
    srun_err err = {0};
    (void)snprintf(is.path, sizeof is.path, "%s/journal", harness_folder());
    is.fd = -1;
    if (listens)
        listen_there();
    is.lines = memfd_create("lines", MFD_CLOEXEC);
    ck_assert_int_eq(log_new(&is.log, is.lines, SRUN_LOG_TEXT, SRUN_LEVEL_DEBUG, 0, &err), 0);
    int rc = log_join_journal(is.log, is.path, "ledger", &err);
    ck_assert_msg(rc >= 0, "%s", err.text);
    is.journal = rc;
}

static void close_log(void)
{
    srun_logger_free(is.log);
    (void)close(is.lines);
    if (is.fd >= 0)
        (void)close(is.fd);
}

static void read_file(int fd)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    struct stat status;
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS), seals);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_le((int)status.st_size, (int)sizeof is.data);
    is.size = (size_t)status.st_size;
    ck_assert_int_eq((int)pread(fd, is.data, is.size, 0), (int)is.size);
    (void)close(fd);
}

/* The next entry; false: there is none. */
static bool receive(void)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {is.data, sizeof is.data};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(is.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return false;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    is.size = (size_t)got;
    is.was_file = head != NULL;
    if (head != NULL) {
        int fd;
        ck_assert_int_eq(got, 0);
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
        read_file(fd);
    }
    return true;
}

static void next_entry(void)
{
    ck_assert_msg(receive(), "there is no entry");
}

/* The value of a field that stands in the entry once. */
static const char *value_of(const char *name)
{
    static char text[300];
    struct journal_field field = {0};
    int found = journal_find(is.data, is.size, name, &field);
    ck_assert_msg(found == 1, "%d fields %s in: %.*s", found, name, (int)is.size, is.data);
    (void)snprintf(text, sizeof text, "%.*s", (int)field.size, field.value);
    return text;
}

static int count_of(const char *name)
{
    struct journal_field field;
    int found = journal_find(is.data, is.size, name, &field);
    ck_assert_msg(found >= 0, "no entry: %.*s", (int)is.size, is.data);
    return found;
}

static const char *all_lines(void)
{
    static char text[1 << 17];
    ssize_t got = pread(is.lines, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

/* --- entries --------------------------------------------------------------------------------- */

static bool some_ids(char trace_id[33], char span_id[17])
{
    memcpy(trace_id, "0af7651916cd43dd8448eb211c80319c", 33);
    memcpy(span_id, "b7ad6b7169203331", 17);
    return true;
}

START_TEST(writes_a_record_as_one_entry_and_no_line)
    {
        open_log(true);
        srun_logger *http = NULL;
        ck_assert_int_eq(
            srun_logger_with(&http, is.log, SRUN_KVS(SRUN_STR("logger_scope", "http")), NULL), 0);
        log_set_ids(some_ids);
        int line = __LINE__ + 1;
        SRUN_WARN(http, "payment late", SRUN_STR("id", "7f3a"), SRUN_INT("cents", -1299),
                  SRUN_MS("took", 1500), SRUN_BOOL("retry", 1), SRUN_DOUBLE("rate", 0.5),
                  SRUN_UINT("n", 7), SRUN_CODE("why", -ETIMEDOUT), SRUN_STR("none", NULL));
        log_set_ids(NULL);
        next_entry();
        ck_assert(!is.was_file);
        ck_assert_str_eq(value_of("MESSAGE"), "payment late");
        ck_assert_str_eq(value_of("PRIORITY"), "4");
        ck_assert_str_eq(value_of("SYSLOG_IDENTIFIER"), "ledger");
        ck_assert_str_eq(value_of("LOGGER_SCOPE"), "http");
        ck_assert_str_eq(value_of("CODE_FUNC"), "writes_a_record_as_one_entry_and_no_line_fn");
        ck_assert_ptr_nonnull(strstr(value_of("CODE_FILE"), "log_journal_test.c"));
        ck_assert_int_eq(abs(atoi(value_of("CODE_LINE")) - line) <= 3, 1);
        ck_assert_str_eq(value_of("TRACE_ID"), "0af7651916cd43dd8448eb211c80319c");
        ck_assert_str_eq(value_of("SPAN_ID"), "b7ad6b7169203331");
        ck_assert_str_eq(value_of("ID"), "7f3a");
        ck_assert_str_eq(value_of("CENTS"), "-1299");
        ck_assert_str_eq(value_of("TOOK"), "1.5s");
        ck_assert_str_eq(value_of("RETRY"), "true");
        ck_assert_str_eq(value_of("RATE"), "0.5");
        ck_assert_str_eq(value_of("N"), "7");
        ck_assert_str_eq(value_of("WHY"), srun_strerror(-ETIMEDOUT));
        ck_assert_str_eq(value_of("NONE"), "<nil>");
        ck_assert(!receive());
        ck_assert_str_eq(all_lines(), "");
        srun_logger_free(http);
        close_log();
    }
END_TEST

START_TEST(gives_each_level_its_priority)
    {
        static const struct {
            int level;
            const char *priority;
        } cases[] = {{-5, "7"}, {-4, "7"}, {-1, "7"}, {0, "6"},  {3, "6"},
                     {4, "4"},  {7, "4"},  {8, "3"},  {100, "3"}};
        open_log(true);
        srun_logger_set_level(is.log, -100);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            srun_log_write(is.log, cases[i].level, NULL, "m", NULL);
            next_entry();
            ck_assert_str_eq(value_of("PRIORITY"), cases[i].priority);
            ck_assert_int_eq(count_of("CODE_FILE"), 0);
        }
        close_log();
    }
END_TEST

START_TEST(makes_every_key_a_name_that_forges_nothing)
    {
        static const struct {
            const char *key, *name;
        } cases[] = {{"http.request.method", "HTTP_REQUEST_METHOD"},
                     {"_PID", "X__PID"},
                     {"__CURSOR", "X___CURSOR"},
                     {"9lives", "X_9LIVES"},
                     {"", "X_"},
                     {"message", "X_MESSAGE"},
                     {"Priority", "X_PRIORITY"},
                     {"syslog.identifier", "X_SYSLOG_IDENTIFIER"},
                     {"code.file", "X_CODE_FILE"},
                     {"object_pid", "X_OBJECT_PID"},
                     {"coredump.unit", "X_COREDUMP_UNIT"},
                     {"trace_id", "X_TRACE_ID"},
                     {"logger_scope", "X_LOGGER_SCOPE"},
                     {"a=b\nMESSAGE=c", "A_B_MESSAGE_C"},
                     {"gr\xc3\xbc\xc3\x9f"
                      "e",
                      "GR____E"}};
        open_log(true);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            SRUN_INFO(is.log, "m", SRUN_STR(cases[i].key, "v"));
            next_entry();
            ck_assert_str_eq(value_of(cases[i].name), "v");
            ck_assert_str_eq(value_of("MESSAGE"), "m");
            ck_assert_str_eq(value_of("PRIORITY"), "6");
        }
        char key[200];
        memset(key, 'k', sizeof key);
        srun_log_write(
            is.log, 0, NULL, "m",
            (const struct srun_kv[]){
                {.key = key, .type = SRUN_KV_STR, .key_size = sizeof key, .value.str = "v"},
                SRUN_KV_END_});
        next_entry();
        memset(key, 'K', 64);
        key[64] = '\0';
        ck_assert_str_eq(value_of(key), "v");
        close_log();
    }
END_TEST

START_TEST(keeps_any_value_within_its_field)
    {
        static const char hostile[] = "one\nMESSAGE=two\nPRIORITY=0\n\n\0x";
        struct journal_field field;
        open_log(true);
        SRUN_INFO(is.log, hostile, SRUN_TEXT("text", hostile, sizeof hostile - 1),
                  SRUN_STR("empty", ""), SRUN_TEXT("void", NULL, 3), SRUN_TEXT("none", NULL, 0));
        next_entry();
        ck_assert_int_eq(journal_find(is.data, is.size, "MESSAGE", &field), 1);
        ck_assert(field.binary && field.size == strlen(hostile));
        ck_assert_int_eq(journal_find(is.data, is.size, "TEXT", &field), 1);
        ck_assert(field.binary && field.size == sizeof hostile - 1);
        ck_assert_mem_eq(field.value, hostile, sizeof hostile - 1);
        ck_assert_str_eq(value_of("PRIORITY"), "6");
        ck_assert_str_eq(value_of("EMPTY"), "");
        ck_assert_str_eq(value_of("VOID"), "<nil>");
        ck_assert_str_eq(value_of("NONE"), "");
        close_log();
    }
END_TEST

static char large[200000];

static void fill_large(void)
{
    memset(large, 'x', sizeof large - 1);
}

START_TEST(sends_a_large_record_as_one_datagram)
    {
        struct journal_field field;
        fill_large();
        open_log(true);
        SRUN_INFO(is.log, "large", SRUN_TEXT("text", large, 60000), SRUN_INT("after", 1));
        next_entry();
        ck_assert(!is.was_file);
        ck_assert_int_eq(journal_find(is.data, is.size, "TEXT", &field), 1);
        ck_assert_uint_eq(field.size, 60000);
        ck_assert_str_eq(value_of("AFTER"), "1");
        ck_assert_int_eq(count_of("TRUNCATED"), 0);
        close_log();
    }
END_TEST

START_TEST(sends_what_is_too_big_for_the_socket_as_a_sealed_file)
    {
        struct journal_field field;
        fill_large();
        int least = 1;
        open_log(true);
        ck_assert_int_eq(setsockopt(is.journal, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
        SRUN_INFO(is.log, "large", SRUN_TEXT("text", large, 60000));
        next_entry();
        ck_assert(is.was_file);
        ck_assert_int_eq(journal_find(is.data, is.size, "TEXT", &field), 1);
        ck_assert_uint_eq(field.size, 60000);
        ck_assert_str_eq(value_of("MESSAGE"), "large");
        SRUN_INFO(is.log, "small");
        next_entry();
        ck_assert(!is.was_file);
        ck_assert_str_eq(all_lines(), "");
        close_log();
    }
END_TEST

START_TEST(cuts_an_entry_at_64_kib)
    {
        struct journal_field field;
        fill_large();
        open_log(true);
        SRUN_INFO(is.log, "cut", SRUN_TEXT("text", large, sizeof large - 1), SRUN_INT("after", 1));
        next_entry();
        ck_assert_uint_le(is.size, SINK_LARGE);
        ck_assert_uint_gt(is.size, SINK_LARGE - 100);
        ck_assert_str_eq(value_of("TRUNCATED"), "true");
        ck_assert_int_eq(count_of("AFTER"), 0);
        for (size_t i = 0; i + 2 < sizeof large; i += 2)
            memcpy(large + i, "\xc3\xbc", 2);
        for (size_t shift = 0; shift < 2; shift++) {
            SRUN_INFO(is.log, large + shift, SRUN_INT("after", 1));
            next_entry();
            ck_assert_int_eq(journal_find(is.data, is.size, "MESSAGE", &field), 1);
            ck_assert_int_eq((unsigned char)field.value[field.size - 1], 0xbc);
            ck_assert_str_eq(value_of("TRUNCATED"), "true");
        }
        memset(large, 0x80, sizeof large - 1); /* no characters, but not nothing */
        SRUN_INFO(is.log, large);
        next_entry();
        ck_assert_int_eq(journal_find(is.data, is.size, "MESSAGE", &field), 1);
        ck_assert_uint_gt(field.size, SINK_LARGE - 200);
        close_log();
    }
END_TEST

/* --- a journal that is not there ------------------------------------------------------------- */

START_TEST(writes_lines_while_nobody_listens)
    {
        open_log(false);
        SRUN_INFO(is.log, "one");
        ck_assert_ptr_nonnull(strstr(all_lines(), "level=INFO msg=one\n"));
        listen_there();
        SRUN_INFO(is.log, "two");
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "two");
        (void)close(is.fd);
        SRUN_INFO(is.log, "three");
        ck_assert_ptr_nonnull(strstr(all_lines(), "msg=three\n"));
        ck_assert_int_eq(unlink(is.path), 0);
        listen_there(); /* as a journal that was started anew */
        SRUN_INFO(is.log, "four");
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "four");
        ck_assert_ptr_null(strstr(all_lines(), "four"));
        ck_assert_uint_eq(srun_logger_lost(is.log), 0);
        close_log();
    }
END_TEST

START_TEST(does_not_wait_for_a_journal_that_does_not_read)
    {
        enum { RECORDS = 3000 };
        open_log(true);
        int64_t begun = harness_now_ms();
        for (int i = 0; i < RECORDS; i++)
            SRUN_INFO(is.log, "m", SRUN_INT("i", i));
        ck_assert_int_lt(harness_now_ms() - begun, LIMIT_MS);
        size_t entries = 0, lines = 0;
        for (; receive(); entries++)
            ck_assert_int_eq(atoi(value_of("I")), (int)entries);
        for (const char *at = all_lines(); (at = strchr(at, '\n')) != NULL; at++)
            lines++;
        ck_assert_uint_gt(entries, 0);
        ck_assert_uint_gt(lines, 0);
        SRUN_INFO(is.log, "again"); /* it has taken something: there is room */
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "again");
        ck_assert_uint_eq(srun_logger_lost(is.log), 0);
        close_log();
    }
END_TEST

START_TEST(tells_in_an_entry_what_was_lost)
    {
        open_log(false);
        srun_logger_free(is.log);
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(log_new(&is.log, full, SRUN_LOG_TEXT, 0, 0, NULL), 0);
        ck_assert_int_ge(log_join_journal(is.log, is.path, "ledger", NULL), 0);
        errno = ENOTTY;
        SRUN_INFO(is.log, "lost");
        ck_assert_int_eq(errno, ENOTTY);
        ck_assert_uint_eq(srun_logger_lost(is.log), 1);
        listen_there();
        SRUN_INFO(is.log, "told", SRUN_INT("lost", 7));
        next_entry();
        ck_assert_str_eq(value_of("LOST"), "1");
        ck_assert_str_eq(value_of("X_LOST"), "7");
        close_log();
        (void)close(full);
    }
END_TEST

START_TEST(writes_from_a_child_too)
    {
        open_log(true);
        pid_t child = fork();
        if (child == 0) {
            SRUN_INFO(is.log, "child");
            _exit(0);
        }
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "child");
        close_log();
    }
END_TEST

START_TEST(is_joined_by_a_runner_and_no_leak_of_it)
    {
        char *argv[] = {"ledger", NULL};
        srun_runner *runner = NULL;
        srun_err err = {0};
        open_log(true);
        const struct srun_config *config =
            SRUN_CONFIG(.name = "shop", .log = {.fd_plus_one = is.lines + 1, .journal = is.path},
                        .signals.disabled = 1, .debug.leaks = 1);
        ck_assert_int_eq(srun_runner_new(&runner, config, &err), 0);
        ck_assert_int_eq(srun_runner_parse(runner, 1, argv, &err), 0);
        SRUN_INFO(srun_runner_log(runner), "hello");
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "hello");
        ck_assert_str_eq(value_of("SYSLOG_IDENTIFIER"), "shop");
        (void)srun_runner_free(runner);
        next_entry();
        ck_assert_str_eq(value_of("MESSAGE"), "nothing leaked");
        ck_assert_str_eq(all_lines(), "");
        close_log();
    }
END_TEST

START_TEST(refuses_a_path_that_no_socket_can_have)
    {
        srun_err err = {0};
        char path[200];
        memset(path, 'p', sizeof path - 1);
        path[sizeof path - 1] = '\0';
        open_log(false);
        ck_assert_int_eq(log_join_journal(is.log, path, "x", &err), -ENAMETOOLONG);
        ck_assert_str_ne(err.text, "");
        ck_assert_int_eq(log_join_journal(is.log, is.path, "x", &err), is.journal);
        close_log();
    }
END_TEST

START_TEST(knows_a_stream_by_its_device_and_inode)
    {
        char text[64];
        struct stat status;
        int fd = memfd_create("stream", MFD_CLOEXEC);
        ck_assert_int_eq(fstat(fd, &status), 0);
        (void)snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)status.st_dev,
                       (unsigned long long)status.st_ino);
        ck_assert(journal_is_behind(fd, text));
        ck_assert(!journal_is_behind(fd, NULL));
        ck_assert(!journal_is_behind(fd, ""));
        ck_assert(!journal_is_behind(fd, "0:0"));
        ck_assert(!journal_is_behind(987, text));
        strcat(text, "1");
        ck_assert(!journal_is_behind(fd, text));
        (void)close(fd);
    }
END_TEST

int main(void)
{
    return HARNESS("log_journal", writes_a_record_as_one_entry_and_no_line,
                   gives_each_level_its_priority, makes_every_key_a_name_that_forges_nothing,
                   keeps_any_value_within_its_field, sends_a_large_record_as_one_datagram,
                   sends_what_is_too_big_for_the_socket_as_a_sealed_file, cuts_an_entry_at_64_kib,
                   writes_lines_while_nobody_listens,
                   does_not_wait_for_a_journal_that_does_not_read, tells_in_an_entry_what_was_lost,
                   writes_from_a_child_too, is_joined_by_a_runner_and_no_leak_of_it,
                   refuses_a_path_that_no_socket_can_have, knows_a_stream_by_its_device_and_inode);
}
