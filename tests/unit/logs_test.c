/* SPDX-License-Identifier: MIT
 *
 * The processor of log records: what is exported when, what is dropped, and that every record is
 * accounted for.
 */
#include "telemetry/logs.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "harness.h"
#include "kept_logs.h"
#include "log/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct kept_logs kept;
static struct logs *logs;

static void open_with(const struct logs_options *options)
{
    struct logs_options all = *options;
    srun_err err = {0};
    kept_logs_init(&kept);
    all.exporter = &kept.exporter;
    int rc = logs_open(&logs, &all, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static struct logs_options slow(void)
{
    struct logs_options options = logs_defaults();
    options.delay_ms = 3600 * 1000; /* never by itself */
    return options;
}

static void push(const char *text, int64_t number)
{
    static const struct telemetry_scope scope = {"test", "1", ""};
    const struct log_given given = {
        .log = {.scope = &scope, .severity = 9, .severity_text = "INFO", .body = text},
        .body_size = strlen(text),
        .lists = {SRUN_KVS(SRUN_INT("n", number))}};
    logs_push(logs, &given);
}

static void push_many(int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        push("m", i);
}

static int64_t soon(int64_t ms)
{
    return clock_real_now() + ms * NS_PER_MS * harness_slowness();
}

static struct logs_stats stats(void)
{
    struct logs_stats out;
    logs_stats(logs, &out);
    return out;
}

static void assert_accounted(void)
{
    struct logs_stats is = stats();
    ck_assert_uint_eq(is.taken, is.exported + is.rejected + is.lost_in_export + is.lost_at_end);
}

static void close_all(void)
{
    (void)logs_shutdown(logs, soon(10000));
    assert_accounted();
    logs = logs_free(logs);
    ck_assert_ptr_null(logs);
    ck_assert(atomic_load(&kept.freed));
    kept_logs_destroy(&kept);
}

static bool has_all(void *arg)
{
    return kept_logs_count(&kept) == *(size_t *)arg;
}

START_TEST(exports_a_full_batch_at_once)
    {
        struct logs_options options = slow();
        options.size = 8;
        open_with(&options);
        push_many(7);
        ck_assert_uint_eq(kept_logs_count(&kept), 0);
        push_many(1);
        size_t wanted = 8;
        ck_assert(harness_wait(has_all, &wanted, 5000));
        ck_assert_uint_eq(kept.largest, 8);
        close_all();
    }
END_TEST

START_TEST(exports_fewer_when_they_are_due)
    {
        struct logs_options options = logs_defaults();
        options.delay_ms = 20;
        open_with(&options);
        for (size_t round = 1; round <= 3; round++) {
            size_t wanted = 3 * round;
            push_many(3);
            ck_assert(harness_wait(has_all, &wanted, 5000));
        }
        close_all();
    }
END_TEST

START_TEST(drops_the_newest_when_the_queue_is_full)
    {
        struct logs_options options = slow();
        options.queue = 100;
        options.size = 10;
        open_with(&options);
        kept_logs_close(&kept);
        push_many(10);
        kept_logs_await_call(&kept, 1); /* these ten have left the queue */
        push_many(100 + 23);
        ck_assert_uint_eq(stats().dropped, 23);
        ck_assert_uint_eq(stats().waiting, 100);
        kept_logs_open(&kept);
        ck_assert_int_eq(logs_flush(logs, soon(10000)), 0);
        ck_assert_uint_eq(kept_logs_count(&kept), 110);
        ck_assert_str_eq(kept.logs[109].attributes, "n=99");
        ck_assert_uint_eq(stats().exported, 110);
        close_all();
    }
END_TEST

START_TEST(drops_the_newest_when_its_memory_is_full)
    {
        static char large[40000];
        struct logs_options options = slow();
        options.queue = options.size = 100; /* so many would be 4 MB; the queue has 256 KiB */
        memset(large, 'x', sizeof large - 1);
        open_with(&options);
        for (int i = 0; i < 50; i++)
            push(large, i);
        struct logs_stats is = stats();
        ck_assert_uint_eq(is.taken + is.dropped, 50);
        ck_assert_uint_ge(is.taken, 5);
        ck_assert_uint_le(is.taken, 8);
        ck_assert_int_eq(logs_flush(logs, soon(10000)), 0);
        push("small again", 1);
        close_all();
    }
END_TEST

START_TEST(has_in_a_flush_what_came_before_it)
    {
        struct logs_options options = slow();
        open_with(&options);
        kept.counts_only = true;
        size_t rounds = harness_slowness() > 1 ? 2000 : 10000;
        for (size_t i = 1; i <= rounds; i++) {
            push_many(1);
            ck_assert_int_eq(logs_flush(logs, soon(10000)), 0);
            ck_assert_uint_eq(kept_logs_count(&kept), i);
        }
        close_all();
    }
END_TEST

/* --- many threads ------------------------------------------------------------------------------
 */

#define WRITERS 8

struct order {
    int64_t next[WRITERS]; /* of each writer: the least number that may come */
    uint64_t broken;
};

static void look(void *arg, const struct telemetry_log *log)
{
    struct order *order = arg;
    int64_t writer = log->attributes[0].value.i / 1000000,
            number = log->attributes[0].value.i % 1000000;
    size_t size = strlen(log->body);
    bool good = writer < WRITERS && number >= order->next[writer] && size > 0 &&
                size == (size_t)(number % 300 + 1);
    for (size_t i = 0; good && i < size; i++)
        good = log->body[i] == (char)('a' + writer);
    order->broken += !good;
    if (good)
        order->next[writer] = number + 1;
}

static int64_t per_writer;

static void *write_many(void *arg)
{
    int64_t writer = (int64_t)(intptr_t)arg;
    char text[302];
    for (int64_t i = 0; i < per_writer; i++) {
        size_t size = (size_t)(i % 300 + 1);
        memset(text, 'a' + (int)writer, size);
        text[size] = '\0';
        push(text, writer * 1000000 + i);
    }
    return NULL;
}

START_TEST(accounts_for_every_record_of_many_threads)
    {
        struct order order = {.broken = 0};
        struct logs_options options = logs_defaults();
        pthread_t threads[WRITERS];
        options.delay_ms = 1;
        open_with(&options);
        kept.counts_only = true;
        kept.look = look;
        kept.arg = &order;
        per_writer = harness_slowness() > 1 ? 5000 : 50000;
        for (intptr_t i = 0; i < WRITERS; i++)
            ck_assert_int_eq(thread_start(&threads[i], 0, write_many, (void *)i), 0);
        for (int i = 0; i < WRITERS; i++)
            (void)pthread_join(threads[i], NULL);
        ck_assert_int_eq(logs_flush(logs, soon(20000)), 0);
        struct logs_stats is = stats();
        ck_assert_uint_eq(is.taken + is.dropped, (uint64_t)(WRITERS * per_writer));
        ck_assert_uint_eq(is.exported, is.taken);
        ck_assert_uint_eq(kept_logs_count(&kept), is.taken);
        ck_assert_uint_eq(order.broken, 0);
        printf("%llu of %llu exported\n", (unsigned long long)is.exported,
               (unsigned long long)(WRITERS * per_writer));
        close_all();
    }
END_TEST

START_TEST(flushes_and_shuts_down_beside_writers)
    {
        struct logs_options options = logs_defaults();
        pthread_t threads[WRITERS];
        open_with(&options);
        kept.counts_only = true;
        per_writer = 3000;
        for (intptr_t i = 0; i < WRITERS; i++)
            ck_assert_int_eq(thread_start(&threads[i], 0, write_many, (void *)i), 0);
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(logs_flush(logs, soon(20000)), 0);
        ck_assert_int_eq(logs_shutdown(logs, soon(20000)), 0);
        for (int i = 0; i < WRITERS; i++)
            (void)pthread_join(threads[i], NULL);
        struct logs_stats is = stats();
        ck_assert_uint_eq(is.taken + is.dropped + is.late, (uint64_t)(WRITERS * per_writer));
        ck_assert_uint_eq(is.exported, is.taken);
        close_all();
    }
END_TEST

/* --- receivers that fail --------------------------------------------------------------------- */

static srun_logger *logger_on(int fd)
{
    srun_logger *log = NULL;
    ck_assert_int_eq(log_new(&log, fd, SRUN_LOG_TEXT, SRUN_LEVEL_INFO, 0, NULL), 0);
    return log;
}

static const char *content(int fd)
{
    static char text[1 << 16];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

START_TEST(counts_what_is_lost_and_rejected_and_tells_it_once)
    {
        int fd = memfd_create("log", MFD_CLOEXEC);
        struct logs_options options = slow();
        options.log = logger_on(fd);
        options.size = 10;
        open_with(&options);
        kept.lose = 2;
        kept.reject = 3;
        push_many(35); /* the last five wait for the flush */
        ck_assert_int_eq(logs_flush(logs, soon(10000)), -EIO);
        struct logs_stats is = stats();
        ck_assert_uint_eq(is.exported + is.lost_in_export + is.rejected, 35);
        ck_assert_uint_eq(is.lost_in_export, kept.lost);
        const char *told = strstr(content(fd), "log records were not sent");
        ck_assert_ptr_nonnull(told);
        ck_assert_ptr_null(strstr(told + 1, "log records were not sent")); /* not for ten seconds */
        srun_logger *log = options.log;
        close_all();
        told = strstr(content(fd), "log records were not sent");
        ck_assert_ptr_nonnull(
            strstr(told + 1, "log records were not sent")); /* the rest, at the end */
        srun_logger_free(log);
        (void)close(fd);
    }
END_TEST

static void tap(void *user, const struct log_copy *copy)
{
    (void)user;
    push(copy->message, 0);
}

/* Else a receiver that is gone would be told of itself for ever. */
START_TEST(does_not_export_what_the_exporter_says)
    {
        int fd = memfd_create("log", MFD_CLOEXEC);
        const struct log_tap into_the_queue = {tap, NULL};
        struct logs_options options = slow();
        options.log = logger_on(fd);
        log_set_tap(options.log, &into_the_queue);
        open_with(&options);
        kept.talks = options.log;
        kept.lose = 1;
        SRUN_INFO(options.log, "one");
        for (int i = 0; i < 5; i++)
            (void)logs_flush(logs, soon(10000));
        ck_assert_uint_eq(stats().taken, 1);
        ck_assert_ptr_nonnull(strstr(content(fd), "the exporter has something to say"));
        ck_assert_ptr_nonnull(strstr(content(fd), "log records were not sent"));
        log_set_tap(options.log, NULL);
        close_all();
        srun_logger_free(options.log);
        (void)close(fd);
    }
END_TEST

START_TEST(keeps_the_deadline_of_a_shutdown)
    {
        struct logs_options options = slow();
        options.size = 10;
        options.last_words_ms = 10000; /* whoever is interrupted has to get to run */
        open_with(&options);
        kept_logs_close(&kept);
        push_many(10);
        kept_logs_await_call(&kept, 1);
        push_many(25);
        int64_t begun = harness_now_ms();
        ck_assert_int_lt(logs_shutdown(logs, clock_real_now() + 100 * NS_PER_MS), 0);
        ck_assert_int_lt(harness_now_ms() - begun, (int64_t)20000 * harness_slowness());
        struct logs_stats is = stats();
        ck_assert_uint_eq(is.lost_in_export + is.lost_at_end, 35);
        push_many(3);
        ck_assert_uint_eq(stats().late, 3);
        ck_assert_int_eq(logs_shutdown(logs, soon(1000)), 0);
        close_all();
    }
END_TEST

START_TEST(interrupts_again_what_had_not_begun)
    {
        struct logs_options options = slow();
        options.timeout_ms = 0;
        options.last_words_ms = 10000;
        options.size = 5;
        open_with(&options);
        kept_logs_close(&kept);
        kept.too_early = 1;
        push_many(5);
        kept_logs_await_call(&kept, 1);
        ck_assert_int_eq(logs_shutdown(logs, clock_real_now() + 20 * NS_PER_MS), -ETIMEDOUT);
        close_all();
    }
END_TEST

START_TEST(is_left_alone_by_an_exporter_that_never_returns)
    {
        struct logs_options options = slow();
        open_with(&options);
        kept.deaf = true;
        kept_logs_close(&kept);
        push_many(5);
        ck_assert_int_eq(logs_flush(logs, clock_real_now() + 20 * NS_PER_MS), -ETIMEDOUT);
        kept_logs_await_call(&kept, 1);
        ck_assert_int_eq(logs_shutdown(logs, clock_real_now() + 20 * NS_PER_MS), -EBUSY);
        ck_assert_uint_eq(stats().lost_at_end, 5);
        ck_assert_ptr_eq(logs_free(logs), logs);
        _exit(0); /* its thread may still be there, on purpose */
    }
END_TEST

static bool thread_has_ended(void *arg)
{
    (void)arg;
    char path[300], name[32];
    bool found = false;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *at; (at = readdir(folder)) != NULL;) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", at->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, name, sizeof name) : 0;
        found = found || (got > 0 && strncmp(name, "srun:logs", 9) == 0);
        (void)close(fd);
    }
    (void)closedir(folder);
    return !found;
}

START_TEST(counts_once_what_a_late_exporter_sends_after_all)
    {
        int fd = memfd_create("log", MFD_CLOEXEC);
        struct logs_options options = slow();
        options.log = logger_on(fd);
        options.size = 5;
        open_with(&options);
        kept.deaf = true;
        kept.reject = 1;
        kept_logs_close(&kept);
        push_many(5);
        kept_logs_await_call(&kept, 1);
        push_many(3);
        ck_assert_int_eq(logs_shutdown(logs, clock_real_now() + 20 * NS_PER_MS), -EBUSY);
        ck_assert_uint_eq(stats().lost_at_end, 8);
        ck_assert_uint_eq(stats().waiting, 0);
        const char *told = strstr(content(fd), "log records were not sent");
        ck_assert_ptr_nonnull(told);
        off_t size = lseek(fd, 0, SEEK_END);
        kept_logs_open(&kept);
        ck_assert(harness_wait(thread_has_ended, NULL, 10000));
        assert_accounted();
        ck_assert_uint_eq(stats().lost_at_end, 8);
        ck_assert_int_eq(lseek(fd, 0, SEEK_END), size); /* the log may be gone by then */
        _exit(0);                                       /* it is left as it is, on purpose */
    }
END_TEST

/* --- a log that takes its time --------------------------------------------------------------- */

static struct {
    sem_t told, go;
    bool is_first;
} slow_log;

static void hold_the_log(void *user, const struct log_copy *copy)
{
    (void)user;
    if (strcmp(copy->message, "log records were not sent") != 0 || !slow_log.is_first)
        return;
    slow_log.is_first = false;
    (void)sem_post(&slow_log.told);
    while (sem_wait(&slow_log.go) < 0)
        ;
}

START_TEST(hands_over_while_a_loss_is_told)
    {
        int fd = memfd_create("log", MFD_CLOEXEC);
        const struct log_tap holds = {hold_the_log, NULL};
        struct logs_options options = slow();
        (void)sem_init(&slow_log.told, 0, 0);
        (void)sem_init(&slow_log.go, 0, 0);
        slow_log.is_first = true;
        options.log = logger_on(fd);
        options.size = 5;
        log_set_tap(options.log, &holds);
        open_with(&options);
        kept.lose = 1;
        push_many(5);
        while (sem_wait(&slow_log.told) < 0)
            ;
        push_many(4); /* would wait for ever */
        ck_assert_uint_eq(stats().taken, 9);
        ck_assert_uint_eq(stats().lost_in_export, 1);
        (void)sem_post(&slow_log.go);
        ck_assert_int_eq(logs_flush(logs, soon(10000)), -EIO);
        close_all();
        log_set_tap(options.log, NULL);
        srun_logger_free(options.log);
        (void)close(fd);
    }
END_TEST

START_TEST(takes_nothing_in_a_child)
    {
        struct logs_options options = slow();
        open_with(&options);
        push_many(2);
        pid_t child = fork();
        if (child == 0) {
            struct logs_stats is;
            push_many(5);
            logs_stats(logs, &is);
            _exit(logs_flush(logs, 0) == SRUN_EFORK && logs_shutdown(logs, 0) == 0 &&
                          is.taken == 0 && logs_free(logs) == NULL
                      ? 0
                      : 1);
        }
        int status = 1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(logs_flush(logs, soon(10000)), 0);
        ck_assert_uint_eq(kept_logs_count(&kept), 2);
        close_all();
    }
END_TEST

START_TEST(refuses_a_batch_that_exceeds_the_queue)
    {
        struct logs_options options = slow();
        srun_err err = {0};
        options.queue = 5;
        options.size = 6;
        ck_assert_int_eq(logs_open(&logs, &options, &err), -EINVAL);
        ck_assert_str_eq(err.text, "logs: a batch of 6 from a queue of 5");
        options.size = 0;
        ck_assert_int_eq(logs_open(&logs, &options, &err), -EINVAL);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "logs", exports_a_full_batch_at_once, exports_fewer_when_they_are_due,
        drops_the_newest_when_the_queue_is_full, drops_the_newest_when_its_memory_is_full,
        has_in_a_flush_what_came_before_it, accounts_for_every_record_of_many_threads,
        flushes_and_shuts_down_beside_writers, counts_what_is_lost_and_rejected_and_tells_it_once,
        does_not_export_what_the_exporter_says, keeps_the_deadline_of_a_shutdown,
        interrupts_again_what_had_not_begun, is_left_alone_by_an_exporter_that_never_returns,
        counts_once_what_a_late_exporter_sends_after_all, hands_over_while_a_loss_is_told,
        takes_nothing_in_a_child, refuses_a_batch_that_exceeds_the_queue);
}
