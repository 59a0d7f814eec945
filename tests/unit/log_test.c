/* SPDX-License-Identifier: MIT
 *
 * The loggers on real descriptors: whole lines, losses that are counted and told, nobody hanging.
 */
#include "allocations.h"
#include "base/ensure.h"
#include "comma.h"
#include "harness.h"
#include "json_check.h"
#include "log/log.h"
#include "log/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 10000 /* for what must take at most 50 ms, on a machine that is very busy */

static srun_logger *logger_on(int fd, srun_log_format format)
{
    srun_logger *log = NULL;
    srun_err err = {0};
    ck_assert_msg(log_new(&log, fd, format, SRUN_LEVEL_INFO, 0, &err) == 0, "%s", err.text);
    return log;
}

static int memory_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* All that is in the file, NUL-ended. */
static const char *content(int fd, size_t *size)
{
    static char text[1 << 20];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    ck_assert_int_ge(got, 0);
    text[got] = '\0';
    if (size != NULL)
        *size = (size_t)got;
    return text;
}

/* What stands in a text line behind its time. */
static const char *after_time(const char *line)
{
    ck_assert_int_eq(strncmp(line, "time=", 5), 0);
    return strchr(line, ' ') + 1;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

START_TEST(writes_one_line_for_one_record)
    {
        int fd = memory_file();
        srun_logger *log = logger_on(fd, SRUN_LOG_TEXT);
        SRUN_INFO(log, "payment settled", SRUN_STR("id", "7f3a"), SRUN_INT("cents", 1299));
        SRUN_WARN(log, "bare");
        ck_assert_uint_eq(count_lines(content(fd, NULL)), 2);
        ck_assert(
            strstr(content(fd, NULL), " level=INFO msg=\"payment settled\" id=7f3a cents=1299\n"));
        ck_assert(strstr(content(fd, NULL), " level=WARN msg=bare\n"));
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(shows_the_source_when_asked)
    {
        int fd = memory_file();
        srun_logger *log = NULL;
        ck_assert_int_eq(log_new(&log, fd, SRUN_LOG_JSON, 0, 1, NULL), 0);
        SRUN_INFO(log, "here");
        srun_log_write(log, 0, NULL, "a binding", NULL);
        ck_assert(
            strstr(content(fd, NULL), "\"source\":{\"function\":\"shows_the_source_when_asked"));
        ck_assert(strstr(content(fd, NULL), "\"level\":\"INFO\",\"msg\":\"a binding\"}\n"));
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(switches_the_level_of_the_family_at_run_time)
    {
        int fd = memory_file();
        srun_logger *log = logger_on(fd, SRUN_LOG_TEXT);
        srun_logger *child = NULL;
        ck_assert_int_eq(srun_logger_with(&child, log, SRUN_KVS(SRUN_STR("a", "b")), NULL), 0);
        SRUN_DEBUG(child, "hidden");
        ck_assert_str_eq(content(fd, NULL), "");
        srun_logger_set_level(child, SRUN_LEVEL_DEBUG);
        ck_assert_int_eq(srun_logger_level(log), SRUN_LEVEL_DEBUG);
        SRUN_DEBUG(log, "shown");
        srun_logger_set_level(log, SRUN_LEVEL_ERROR);
        SRUN_WARN(child, "hidden");
        srun_log_write(child, SRUN_LEVEL_WARN, NULL, "hidden", NULL);
        ck_assert_str_eq(after_time(content(fd, NULL)), "level=DEBUG msg=shown\n");
        srun_logger_free(child);
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(does_nothing_without_a_logger)
    {
        SRUN_ERROR(NULL, "nobody hears this");
        srun_log_write(NULL, SRUN_LEVEL_ERROR, NULL, "nor this", NULL);
        ck_assert_ptr_null(srun_logger_free(NULL));
    }
END_TEST

START_TEST(lets_children_begin_with_their_own_values_in_either_format)
    {
        int fd = memory_file();
        srun_logger *log = logger_on(fd, SRUN_LOG_TEXT);
        srun_logger *service = NULL;
        srun_logger *request = NULL;
        ck_assert_int_eq(
            srun_logger_with(&service, log, SRUN_KVS(SRUN_STR("logger_scope", "http")), NULL), 0);
        ck_assert_int_eq(srun_logger_with(&request, service, SRUN_KVS(SRUN_STR("id", "a b")), NULL),
                         0);
        SRUN_INFO(request, "one", SRUN_INT("n", 1));
        ck_assert_str_eq(after_time(content(fd, NULL)),
                         "level=INFO msg=one logger_scope=http id=\"a b\" n=1\n");
        log_configure(log, SRUN_LOG_JSON, SRUN_LEVEL_INFO);
        SRUN_INFO(request, "two", SRUN_INT("n", 2));
        ck_assert(strstr(content(fd, NULL),
                         "\"msg\":\"two\",\"logger_scope\":\"http\",\"id\":\"a b\",\"n\":2}\n"));
        srun_logger_free(request);
        srun_logger_free(service);
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(refuses_values_for_a_child_beyond_4_kib)
    {
        static char text[5000];
        int fd = memory_file();
        srun_logger *log = logger_on(fd, SRUN_LOG_TEXT), *child = NULL;
        srun_err err = {0};
        const struct srun_kv kvs[] = {SRUN_DOUBLE("d", 5e-324), SRUN_STR("k", text), SRUN_KV_END_};
        memset(text, 'x', sizeof text - 1);
        errno = ENOTTY;
        ck_assert_int_eq(srun_logger_with(&child, log, kvs, &err), -E2BIG);
        ck_assert(child == NULL && errno == ENOTTY);
        ck_assert_str_eq(err.text, "logger: the key-values exceed 4096 bytes");
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(refuses_a_descriptor_that_is_closed)
    {
        srun_logger *log = NULL;
        srun_err err = {0};
        ck_assert_int_eq(log_new(&log, 987, SRUN_LOG_TEXT, 0, 0, &err), -EBADF);
        ck_assert_str_eq(err.text, "log: descriptor 987: Bad file descriptor");
    }
END_TEST

START_TEST(keeps_errno)
    {
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        srun_logger *log = logger_on(fd, SRUN_LOG_JSON);
        errno = ENOTTY;
        SRUN_INFO(log, "lost", SRUN_DOUBLE("d", 5e-324));
        ck_assert_int_eq(errno, ENOTTY);
        ck_assert_uint_eq(srun_logger_lost(log), 1);
        srun_logger_free(log);
        ck_assert_int_eq(errno, ENOTTY);
        close(fd);
    }
END_TEST

START_TEST(reads_and_refuses_levels)
    {
        static const struct {
            const char *text;
            int level;
        } good[] = {{"debug", -4}, {"INFO", 0},   {"Warn", 4},
                    {"eRROR", 8},  {"info+2", 2}, {"WARN-1", 3}};
        static const char *const bad[] = {"",      "inf",   "infos",      "warning",
                                          "info+", "info2", "info++2",    " info",
                                          "info ", "4",     "error+99999"};
        int level = 77;
        for (size_t i = 0; i < COUNT_OF(good); i++) {
            ck_assert_int_eq(srun_level_parse(good[i].text, &level), 0);
            ck_assert_int_eq(level, good[i].level);
        }
        level = 77;
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert_msg(srun_level_parse(bad[i], &level) == -EINVAL && level == 77, "%s", bad[i]);
        ck_assert_int_eq(srun_level_parse(NULL, &level), -EINVAL);
    }
END_TEST

static void inject(srun_logger *log)
{
    static char huge[1 << 20];
    static const struct {
        const char *data;
        size_t size;
    } corpus[] = {{"\r", 1},
                  {"\n", 1},
                  {"a\r\nb", 4},
                  {"\x1b[2J", 4},
                  {"a\0b", 3},
                  {"\xe2\x80\xa8", 3},
                  {"\xe2\x80\xa9", 3},
                  {"\xff\xfe", 2},
                  {"\xc2\x85", 2},
                  {"\x7f", 1},
                  {"\xc2\x9b"
                   "31m",
                   5},
                  {"\xe2\x80\xae", 3},
                  {"\" msg=x\n", 8},
                  {"\",\"level\":\"ERROR\"}\n{\"a\":\"", 25},
                  {huge, sizeof huge}};
    for (size_t i = 0; i < sizeof huge; i++)
        huge[i] = (char)(i * 31 + i / 251);
    for (size_t i = 0; i < COUNT_OF(corpus); i++) {
        char text[64] = "";
        memcpy(text, corpus[i].data, corpus[i].size < 63 ? corpus[i].size : 63);
        SRUN_INFO(log, text, SRUN_TEXT("value", corpus[i].data, corpus[i].size));
        SRUN_INFO(log, "key", SRUN_STR(text, "value"));
    }
}

START_TEST(lets_no_value_forge_or_break_a_line)
    {
        for (int format = SRUN_LOG_TEXT; format <= SRUN_LOG_JSON; format++) {
            int fd = memory_file();
            srun_logger *log = logger_on(fd, (srun_log_format)format);
            inject(log);
            size_t size = 0;
            const char *text = content(fd, &size);
            ck_assert_uint_eq(count_lines(text), 30);
            ck_assert_uint_eq(strlen(text), size);
            for (size_t i = 0; i < size; i++)
                ck_assert((unsigned char)text[i] >= 0x20 || text[i] == '\n');
            for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
                const char *end = strchr(line, '\n');
                ck_assert(end - line < 64 * 1024);
                if (format == SRUN_LOG_JSON)
                    ck_assert(json_is_object(line, (size_t)(end - line)));
            }
            ck_assert(strstr(text, format == SRUN_LOG_JSON ? "\"truncated\":true}\n"
                                                           : " truncated=true\n") != NULL);
            srun_logger_free(log);
            close(fd);
        }
    }
END_TEST

START_TEST(allocates_nothing_for_a_record)
    {
        int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        for (int format = SRUN_LOG_TEXT; format <= SRUN_LOG_JSON; format++) {
            static char large[9000];
            srun_logger *log = logger_on(fd, (srun_log_format)format);
            memset(large, 'x', sizeof large - 1);
            SRUN_INFO(log, "what a thread does once");
            uint64_t before = allocations_so_far();
            for (int64_t i = 0; i < 100000; i++)
                SRUN_INFO(log, "m", SRUN_INT("i", i), SRUN_DOUBLE("d", 0.1 + (double)i * 1e-9),
                          SRUN_CODE("error", -EIO), SRUN_MS("took", i),
                          SRUN_STR("s", i % 1000 == 0 ? large : "small"));
            ck_assert_uint_eq(allocations_so_far(), before);
            srun_logger_free(log);
        }
        close(fd);
    }
END_TEST

START_TEST(writes_doubles_with_a_point_in_every_locale)
    {
        comma_locale();
        int fd = memory_file();
        srun_logger *log = logger_on(fd, SRUN_LOG_JSON);
        SRUN_INFO(log, "m", SRUN_DOUBLE("a", 1.5), SRUN_DOUBLE("b", 0.1 + 0.2));
        ck_assert(strstr(content(fd, NULL), "\"a\":1.5,\"b\":0.30000000000000004}\n"));
        srun_logger_free(log);
        close(fd);
    }
END_TEST

START_TEST(follows_the_zone_into_summer_time)
    {
        struct timespec when = {.tv_sec = 1711846799};
        setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
        tzset();
        const struct stamp *stamp = stamp_at(when);
        ck_assert_str_eq(stamp->seconds, "2024-03-31T01:59:59");
        ck_assert_int_eq(strncmp(stamp->offset, "+01:00", 6), 0);
        when.tv_sec++;
        stamp = stamp_at(when);
        ck_assert_str_eq(stamp->seconds, "2024-03-31T03:00:00");
        ck_assert_int_eq(strncmp(stamp->offset, "+02:00", 6), 0);
    }
END_TEST

#define WRITERS 8
#define RECORDS 300

struct writer {
    srun_logger *log;
    int id;
};

static char filling[60000];

static void *write_many(void *arg)
{
    const struct writer *writer = arg;
    uint64_t seed = (uint64_t)writer->id + 1;
    for (int i = 0; i < RECORDS; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t size = (seed >> 33) % (seed & (UINT64_C(1) << 40) ? 60000 : 300) + 1;
        SRUN_INFO(writer->log, "m", SRUN_INT("writer", writer->id), SRUN_INT("record", i),
                  SRUN_UINT("size", size), SRUN_TEXT("large", filling, size));
    }
    return NULL;
}

struct reader {
    int fd;
    uint64_t lines, told, broken;
};

static void take_line(struct reader *reader, const char *line, size_t size)
{
    const char *lost = memmem(line, size, "\"lost\":", 7);
    const char *length = memmem(line, size, "\"size\":", 7);
    const char *large = memmem(line, size, "\"large\":\"", 9);
    reader->lines++;
    if (!json_is_object(line, size))
        reader->broken++;
    if (lost != NULL)
        reader->told += strtoull(lost + 7, NULL, 10);
    if (length != NULL && large != NULL &&
        (size_t)(line + size - large) != strtoull(length + 7, NULL, 10) + 11)
        reader->broken++;
}

static void *read_lines(void *arg)
{
    static char buffer[1 << 18];
    struct reader *reader = arg;
    size_t used = 0;
    for (;;) {
        ssize_t got = read(reader->fd, buffer + used, sizeof buffer - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        char *line = buffer;
        char *end;
        while ((end = memchr(line, '\n', used - (size_t)(line - buffer))) != NULL) {
            take_line(reader, line, (size_t)(end - line));
            line = end + 1;
        }
        used -= (size_t)(line - buffer);
        memmove(buffer, line, used);
    }
    reader->broken += used > 0;
    return NULL;
}

static bool is_drained(void *arg)
{
    const struct reader *reader = arg;
    int left = 0;
    return ioctl(reader->fd, FIONREAD, &left) == 0 && left == 0;
}

/* Eight threads on the writing end, one reader; every line must be whole, and every record either
 * read or counted. */
static void check_writers(int writing_end, int reading_end)
{
    srun_logger *log = logger_on(writing_end, SRUN_LOG_JSON);
    struct reader reader = {.fd = reading_end};
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS + 1];

    memset(filling, 'x', sizeof filling);
    pthread_create(&threads[WRITERS], NULL, read_lines, &reader);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){log, i};
        pthread_create(&threads[i], NULL, write_many, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t lost = srun_logger_lost(log);
    bool told_last = lost > 0;
    ck_assert(harness_wait(is_drained, &reader, 20000)); /* room for what is left to be told */
    srun_logger_free(log);
    close(writing_end);
    pthread_join(threads[WRITERS], NULL);
    close(reading_end);

    uint64_t extra = reader.lines + lost - WRITERS * RECORDS;
    ck_assert_uint_eq(reader.broken, 0);
    ck_assert_msg(extra == 0 || (told_last && extra == 1), "%llu lines, %llu lost",
                  (unsigned long long)reader.lines, (unsigned long long)lost);
    ck_assert_uint_eq(reader.told, lost);
}

START_TEST(keeps_lines_of_eight_threads_whole_on_a_pipe)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        check_writers(ends[1], ends[0]);
    }
END_TEST

START_TEST(keeps_lines_of_eight_threads_whole_on_a_nonblocking_pipe)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        check_writers(ends[1], ends[0]);
    }
END_TEST

START_TEST(keeps_lines_of_eight_threads_whole_on_a_socket)
    {
        int ends[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        check_writers(ends[1], ends[0]);
    }
END_TEST

/* Nobody reads: no record may hold the program up, and afterwards nothing is unaccounted for. */
static void check_stopped_reader(int ends[2])
{
    static char large[9000];
    static char buffer[1 << 20];
    srun_logger *log = logger_on(ends[1], SRUN_LOG_JSON);
    memset(large, 'x', sizeof large - 1);
    int64_t slowest = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t before = harness_now_ms();
        SRUN_INFO(log, "m", SRUN_INT("i", i), SRUN_STR("s", i % 7 == 3 ? large : "small"));
        int64_t took = harness_now_ms() - before;
        slowest = took > slowest ? took : slowest;
    }
    ck_assert_int_le(slowest, LIMIT_MS);
    uint64_t lost = srun_logger_lost(log);
    ck_assert_uint_gt(lost, 0);

    size_t used = 0;
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    for (ssize_t got; (got = read(ends[0], buffer + used, sizeof buffer - used)) > 0;)
        used += (size_t)got;
    SRUN_INFO(log, "again");
    for (ssize_t got; (got = read(ends[0], buffer + used, sizeof buffer - used - 1)) > 0;)
        used += (size_t)got;
    buffer[used] = '\0';
    char told[64];
    (void)snprintf(told, sizeof told, "\"msg\":\"again\",\"lost\":%llu}\n",
                   (unsigned long long)lost);
    ck_assert(strstr(buffer, told) != NULL);
    ck_assert_uint_eq(count_lines(buffer) + lost, 2001);
    for (char *line = buffer, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        ck_assert(json_is_object(line, (size_t)(end - line)));
    srun_logger_free(log);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(drops_and_counts_when_nobody_reads_a_blocking_pipe)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        check_stopped_reader(ends);
    }
END_TEST

START_TEST(drops_and_counts_when_nobody_reads_a_nonblocking_pipe)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        check_stopped_reader(ends);
    }
END_TEST

START_TEST(drops_and_counts_when_nobody_reads_a_socket)
    {
        int ends[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        check_stopped_reader(ends);
    }
END_TEST

START_TEST(never_makes_the_shared_description_nonblocking)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        srun_logger *log = logger_on(ends[1], SRUN_LOG_TEXT);
        for (int i = 0; i < 2000; i++)
            SRUN_INFO(log, "m", SRUN_INT("i", i));
        ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
        srun_logger_free(log);
        close(ends[0]);
        close(ends[1]);
    }
END_TEST

START_TEST(survives_a_socket_whose_peer_has_gone)
    {
        int ends[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        srun_logger *log = logger_on(ends[1], SRUN_LOG_TEXT);
        close(ends[0]);
        SRUN_INFO(log, "nobody");
        ck_assert_uint_eq(srun_logger_lost(log), 1);
        srun_logger_free(log);
        close(ends[1]);
    }
END_TEST

int main(void)
{
    return HARNESS("log", writes_one_line_for_one_record, shows_the_source_when_asked,
                   switches_the_level_of_the_family_at_run_time, does_nothing_without_a_logger,
                   lets_children_begin_with_their_own_values_in_either_format,
                   refuses_values_for_a_child_beyond_4_kib, refuses_a_descriptor_that_is_closed,
                   keeps_errno, reads_and_refuses_levels, lets_no_value_forge_or_break_a_line,
                   allocates_nothing_for_a_record, writes_doubles_with_a_point_in_every_locale,
                   follows_the_zone_into_summer_time, keeps_lines_of_eight_threads_whole_on_a_pipe,
                   keeps_lines_of_eight_threads_whole_on_a_nonblocking_pipe,
                   keeps_lines_of_eight_threads_whole_on_a_socket,
                   drops_and_counts_when_nobody_reads_a_blocking_pipe,
                   drops_and_counts_when_nobody_reads_a_nonblocking_pipe,
                   drops_and_counts_when_nobody_reads_a_socket,
                   never_makes_the_shared_description_nonblocking,
                   survives_a_socket_whose_peer_has_gone);
}
