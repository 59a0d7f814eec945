/* SPDX-License-Identifier: MIT
 *
 * The processor: what is exported when, what is dropped, and that every span is accounted for.
 */
#include "log/log.h"
#include "telemetry/self.h"
#include "tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 20000 /* for what ends in a moment, or never, on a machine that is very busy */

static struct traces_options slow(void)
{
    struct traces_options options = traces_defaults();
    options.delay_ms = 3600 * 1000; /* never by itself */
    return options;
}

static void end_spans(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        srun_span span = srun_span_start(tracer, "s", NULL);
        srun_span_end(&span);
    }
}

static void assert_accounted(const struct srun_trace_stats *is)
{
    ck_assert_uint_eq(is->sampled, is->exported + is->rejected + is->lost_no_slot +
                                       is->lost_queue_full + is->lost_at_end + is->lost_in_export);
}

static bool has_all(void *arg)
{
    return kept_spans_count(&kept) == *(size_t *)arg;
}

START_TEST(exports_a_full_batch_at_once)
    {
        struct traces_options options = slow();
        options.batch = 8;
        open_with(&options);
        end_spans(7);
        ck_assert_uint_eq(kept_spans_count(&kept), 0);
        end_spans(1);
        size_t wanted = 8;
        ck_assert(harness_wait(has_all, &wanted, 5000));
        ck_assert_uint_eq(kept.largest, 8);
        close_all();
    }
END_TEST

START_TEST(exports_fewer_when_they_are_due)
    {
        struct traces_options options = traces_defaults();
        options.delay_ms = 20;
        open_with(&options);
        for (size_t round = 1; round <= 3; round++) {
            size_t wanted = 3 * round;
            end_spans(3);
            ck_assert(harness_wait(has_all, &wanted, 5000));
        }
        close_all();
    }
END_TEST

START_TEST(drops_the_newest_when_the_queue_is_full)
    {
        struct traces_options options = slow();
        options.queue = 100; /* no power of two */
        options.batch = 10;
        open_with(&options);
        kept_spans_close(&kept);
        end_spans(10);
        kept_spans_await_call(&kept, 1); /* these ten have left the queue */
        end_spans(100 + 23);
        ck_assert_uint_eq(stats().lost_queue_full, 23);
        ck_assert_uint_eq(stats().ended, 133);
        kept_spans_open(&kept);
        flush();
        ck_assert_uint_eq(kept_spans_count(&kept), 110);
        end_spans(100);
        flush();
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.exported, 210);
        ck_assert_uint_eq(is.lost_queue_full, 23);
        assert_accounted(&is);
        close_all();
    }
END_TEST

START_TEST(records_no_more_than_there_are_slots)
    {
        struct traces_options options = slow();
        char told[512] = "";
        int fd = memfd_create("log", MFD_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(log_new(&options.log, fd, SRUN_LOG_TEXT, SRUN_LEVEL_INFO, 0, NULL), 0);
        options.queue = 2 * SLOT_COUNT;
        open_with(&options);
        enum { MORE = SLOT_COUNT + 100 };
        srun_span *spans = calloc(MORE, sizeof *spans);
        unsigned recorded = 0;
        for (unsigned i = 0; i < MORE; i++) {
            spans[i] = srun_span_start(tracer, "s", NULL);
            bool records = srun_span_is_recording(&spans[i]);
            recorded += records;
            ck_assert_int_eq((spans[i].context.flags & SRUN_TRACE_SAMPLED) != 0, records);
            ck_assert_int_eq(srun_span_context_is_valid(&spans[i].context), 1);
        }
        ck_assert_uint_eq(recorded, SLOT_COUNT - 1);
        ck_assert_uint_eq(stats().lost_no_slot, MORE - recorded);
        for (unsigned i = 0; i < MORE; i++)
            srun_span_end(&spans[i]);
        flush();
        ck_assert_uint_eq(kept_spans_count(&kept), recorded);
        end_spans(10);
        flush();
        ck_assert_uint_eq(kept_spans_count(&kept), recorded + 10);
        struct srun_trace_stats is = stats();
        assert_accounted(&is);
        free(spans);
        close_all();
        ck_assert_int_gt(pread(fd, told, sizeof told - 1, 0), 0);
        ck_assert_msg(strstr(told, "lost=101 so_far_no_slot=101 ") != NULL, "%s", told);
        (void)srun_logger_free(options.log);
        (void)close(fd);
    }
END_TEST

START_TEST(has_in_a_flush_what_ended_before_it)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept.counts_only = true;
        size_t rounds = harness_slowness() > 1 ? 2000 : 10000;
        for (size_t i = 1; i <= rounds; i++) {
            end_spans(1);
            ck_assert_int_eq(traces_flush(traces, soon(10000)), 0);
            ck_assert_uint_eq(kept_spans_count(&kept), i);
        }
        close_all();
    }
END_TEST

static _Atomic bool over;

static void *end_many(void *arg)
{
    (void)arg;
    while (!atomic_load(&over))
        end_spans(10);
    return NULL;
}

START_TEST(flushes_while_others_end_spans)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept.counts_only = true;
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, end_many, NULL), 0);
        for (int i = 0; i < 200; i++)
            ck_assert_int_eq(traces_flush(traces, soon(10000)), 0);
        atomic_store(&over, true);
        for (int i = 0; i < 2; i++)
            (void)pthread_join(threads[i], NULL);
        flush();
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.exported, kept_spans_count(&kept));
        assert_accounted(&is);
        close_all();
    }
END_TEST

static void *run_spans(void *arg)
{
    for (unsigned i = 0; i < *(unsigned *)arg; i++) {
        SRUN_SPAN_SCOPE(outer, tracer, "outer");
        srun_span_set(&outer, SRUN_KVS(SRUN_UINT("i", i)));
        srun_span inner = srun_span_start(tracer, "inner", NULL);
        srun_span_event(&inner, "e", SRUN_KVS(SRUN_STR("k", "v")));
        srun_span_end(&inner);
    }
    return NULL;
}

static int compare_ids(const void *one, const void *other)
{
    return memcmp(((const struct kept_span *)one)->span_id,
                  ((const struct kept_span *)other)->span_id, 8);
}

START_TEST(accounts_for_each_of_100000_spans_of_8_threads)
    {
        struct traces_options options = traces_defaults();
        options.delay_ms = 10;
        open_with(&options);
        kept.counts_only = true;
        enum { THREADS = 8 };
        unsigned each = 100000 / THREADS / 2;
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, run_spans, &each), 0);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_join(threads[i], NULL);
        flush();
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.started, 100000);
        ck_assert_uint_eq(is.ended, 100000 - is.lost_no_slot);
        ck_assert_uint_eq(is.exported, kept.count);
        ck_assert_uint_eq(kept.count + is.lost_queue_full + is.lost_no_slot, 100000);
        assert_accounted(&is);
        qsort(kept.spans, kept.count, sizeof kept.spans[0], compare_ids);
        for (size_t i = 1; i < kept.count; i++)
            ck_assert_int_ne(compare_ids(&kept.spans[i - 1], &kept.spans[i]), 0);
        close_all();
    }
END_TEST

enum { HELD = 32, ENDERS = 4 };
static pthread_barrier_t together;

static void *end_held(void *arg)
{
    srun_span *spans = arg;
    for (int i = 0; i < HELD; i++)
        spans[i] = srun_span_start(tracer, "s", NULL);
    (void)pthread_barrier_wait(&together); /* all have begun */
    (void)pthread_barrier_wait(&together);
    for (int i = 0; i < HELD; i++)
        srun_span_end(&spans[i]);
    return NULL;
}

static void end_beside_the_end(bool simple, bool free_at_once)
{
    static srun_span spans[ENDERS][HELD];
    pthread_t threads[ENDERS];
    struct traces_options options = slow();
    options.simple = simple;
    open_with(&options);
    ck_assert_int_eq(pthread_barrier_init(&together, NULL, ENDERS + 1), 0);
    for (int i = 0; i < ENDERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, end_held, spans[i]), 0);
    (void)pthread_barrier_wait(&together);
    (void)pthread_barrier_wait(&together);
    if (free_at_once)
        close_all();
    else
        (void)traces_shutdown(traces, soon(10000));
    for (int i = 0; i < ENDERS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&together);
    if (free_at_once)
        return;
    struct srun_trace_stats is = stats();
    ck_assert_uint_eq(is.sampled, HELD * ENDERS);
    assert_accounted(&is);
    close_all();
}

START_TEST(lets_spans_end_beside_the_end_of_it_all)
    {
        for (int i = 0; i < 100; i++)
            end_beside_the_end(i % 4 == 3, i % 2 == 1);
    }
END_TEST

START_TEST(tells_what_a_flush_lost)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept.lose = 2;
        kept.reject = 1;
        end_spans(10);
        ck_assert_int_eq(traces_flush(traces, soon(10000)), -EIO);
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.exported, 7);
        ck_assert_uint_eq(is.rejected, 1);
        ck_assert_uint_eq(is.lost_in_export, 2);
        assert_accounted(&is);
        kept.lose = kept.reject = 0;
        ck_assert_int_eq(traces_flush(traces, soon(10000)), 0);
        close_all();
    }
END_TEST

START_TEST(keeps_the_deadline_of_a_flush)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept_spans_close(&kept);
        end_spans(1);
        int64_t before = harness_now_ms();
        ck_assert_int_eq(traces_flush(traces, clock_real_now() + 50 * NS_PER_MS), -ETIMEDOUT);
        ck_assert_int_lt(harness_now_ms() - before, LIMIT_MS);
        kept_spans_open(&kept);
        flush();
        ck_assert_uint_eq(kept_spans_count(&kept), 1);
        close_all();
    }
END_TEST

START_TEST(keeps_the_deadline_of_an_export)
    {
        struct traces_options options = slow();
        options.timeout_ms = 20;
        open_with(&options);
        kept_spans_close(&kept);
        end_spans(3);
        ck_assert_int_eq(traces_flush(traces, soon(10000)), -EIO);
        ck_assert_uint_eq(stats().lost_in_export, 3);
        kept_spans_open(&kept);
        close_all();
    }
END_TEST

START_TEST(exports_what_is_left_at_the_end)
    {
        struct traces_options options = slow();
        open_with(&options);
        end_spans(700);
        srun_span open = srun_span_start(tracer, "open", NULL);
        ck_assert_int_eq(traces_shutdown(traces, soon(10000)), -EIO);
        srun_span_end(&open);
        ck_assert_int_eq(traces_shutdown(traces, INT64_MAX), 0);
        ck_assert_uint_eq(kept.count, 700);
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.lost_at_end, 1);
        assert_accounted(&is);
        close_all();
    }
END_TEST

START_TEST(may_end_without_a_deadline)
    {
        open_default();
        end_spans(10);
        ck_assert_int_eq(traces_flush(traces, INT64_MAX), 0);
        ck_assert_int_eq(traces_shutdown(traces, INT64_MAX), 0);
        close_all();
    }
END_TEST

START_TEST(keeps_the_deadline_of_the_end)
    {
        struct traces_options options = slow();
        options.batch = 10;
        options.timeout_ms = 0;
        options.last_words_ms = 10000; /* whoever is interrupted has to get to run */
        open_with(&options);
        kept_spans_close(&kept);
        end_spans(100);
        kept_spans_await_call(&kept, 1);
        int64_t before = harness_now_ms();
        int rc = traces_shutdown(traces, clock_real_now() + 100 * NS_PER_MS);
        ck_assert(rc == -ETIMEDOUT || rc == -EIO);
        ck_assert_int_lt(harness_now_ms() - before, LIMIT_MS);
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.lost_in_export + is.lost_at_end, 100);
        ck_assert_uint_ge(is.lost_at_end, 80);
        assert_accounted(&is);
        close_all();
    }
END_TEST

static void *end_one_and_flush(void *arg)
{
    (void)arg;
    end_spans(1);
    (void)traces_flush(traces, soon(10000));
    return NULL;
}

START_TEST(interrupts_again_what_had_not_begun)
    {
        struct traces_options options = slow();
        options.timeout_ms = 0;
        options.last_words_ms = 10000;
        for (int simple = 0; simple < 2; simple++) {
            pthread_t thread;
            options.simple = simple == 1;
            open_with(&options);
            kept_spans_close(&kept);
            kept.too_early = 1;
            ck_assert_int_eq(pthread_create(&thread, NULL, end_one_and_flush, NULL), 0);
            kept_spans_await_call(&kept, 1);
            ck_assert_int_eq(traces_shutdown(traces, clock_real_now() + 20 * NS_PER_MS),
                             -ETIMEDOUT);
            (void)pthread_join(thread, NULL);
            close_all();
        }
    }
END_TEST

/* A log that waits: a pipe that is full. */
static srun_logger *make_waiting_log(int ends[2])
{
    static const char much[4096];
    srun_logger *log;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(ends[1], much, sizeof much) > 0)
        ;
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
    ck_assert_int_eq(log_new(&log, ends[1], SRUN_LOG_TEXT, SRUN_LEVEL_INFO, 0, NULL), 0);
    return log;
}

static bool log_goes_on(void *arg)
{
    char text[4096];
    while (read(*(int *)arg, text, sizeof text) > 0)
        ;
    return traces_flush(traces, clock_real_now() + NS_PER_MS) != -ETIMEDOUT;
}

START_TEST(a_flush_keeps_its_deadline_when_the_log_waits)
    {
        struct traces_options options = slow();
        int ends[2];
        options.log = make_waiting_log(ends);
        open_with(&options);
        kept.lose = 1;
        end_spans(1);
        int64_t before = harness_now_ms(); /* the log gives up after 50 ms */
        int rc = traces_flush(traces, clock_real_now() + NS_PER_MS);
        ck_assert(rc == -ETIMEDOUT || harness_now_ms() - before >= 40);
        ck_assert(harness_wait(log_goes_on, &ends[0], 10000));
        close_all();
        (void)srun_logger_free(options.log);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
END_TEST

START_TEST(leaves_an_exporter_that_is_stuck)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept_spans_close(&kept);
        kept.deaf = true;
        end_spans(5);
        ck_assert_int_eq(traces_flush(traces, clock_real_now() + NS_PER_MS), -ETIMEDOUT);
        kept_spans_await_call(&kept, 1);
        int64_t before = harness_now_ms();
        ck_assert_int_eq(traces_shutdown(traces, clock_real_now() + 50 * NS_PER_MS), -EBUSY);
        ck_assert_int_lt(harness_now_ms() - before, LIMIT_MS);
        struct srun_trace_stats is = stats();
        ck_assert_uint_eq(is.lost_at_end, 5);
        assert_accounted(&is);
        ck_assert_ptr_eq(traces_free(traces), traces); /* whose scopes the export has */
        ck_assert_str_eq(traces->tracers[0]->scope.name, "test");
        _exit(0); /* its thread may still be there, on purpose */
    }
END_TEST

START_TEST(exports_each_span_as_it_ends_when_told_so)
    {
        struct traces_options options = slow();
        options.simple = true;
        open_with(&options);
        for (size_t i = 1; i <= 3; i++) {
            end_spans(1);
            ck_assert_uint_eq(kept_spans_count(&kept), i);
        }
        ck_assert_int_eq(traces_flush(traces, soon(1000)), 0);
        ck_assert_uint_eq(kept.largest, 1);
        close_all();
    }
END_TEST

START_TEST(records_nothing_in_a_forked_child)
    {
        struct traces_options options = slow();
        open_with(&options);
        srun_span span = srun_span_start(tracer, "parent", NULL);
        pid_t pid = fork();
        if (pid == 0) {
            srun_span child = srun_span_start(tracer, "s", SRUN_SPAN(.parent = &span.context));
            bool good = !srun_span_is_recording(&child) && !srun_span_is_recording(&span) &&
                        memcmp(&child.context, &span.context, sizeof child.context) == 0 &&
                        traces_flush(traces, soon(1000)) == SRUN_EFORK &&
                        traces_shutdown(traces, soon(1000)) == 0 && traces_free(traces) == NULL;
            srun_span_set(&span, SRUN_KVS(SRUN_INT("child", 1)));
            srun_span_end(&span);
            _exit(good ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        srun_span_end(&span);
        flush();
        ck_assert_uint_eq(kept.count, 1);
        ck_assert_str_eq(kept.spans[0].attributes, "");
        close_all();
    }
END_TEST

START_TEST(works_anew_in_a_forked_child)
    {
        open_default();
        srun_span held = srun_span_start(tracer, "parent", NULL);
        pid_t pid = fork();
        if (pid == 0) {
            struct kept_spans mine;
            kept_spans_init(&mine);
            struct traces_options options = slow();
            options.exporter = &mine.exporter;
            options.simple = true; /* a thread after a fork is too much for a sanitizer */
            struct traces *own;
            if (traces_open(&own, &options, NULL) != 0)
                _exit(1);
            srun_tracer *here = traces_tracer(own, &(struct telemetry_scope){.name = "child"});
            srun_span span = srun_span_start(here, "s", SRUN_SPAN(.parent = &held.context));
            srun_span_end(&held);
            srun_span_end(&span);
            bool good = traces_shutdown(own, soon(10000)) == 0 && mine.count == 1 &&
                        strcmp(mine.spans[0].scope, "child") == 0;
            _exit(good ? 0 : 2);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        srun_span_end(&held);
        close_all();
    }
END_TEST

START_TEST(never_gives_parent_and_child_the_same_id)
    {
        enum { IDS = 100000 };
        int pipe_fds[2];
        static struct kept_span ids[2 * IDS];
        uint8_t id[8];
        self_span_id(id); /* the parent's numbers have begun */
        ck_assert_int_eq(pipe(pipe_fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < IDS; i++) {
                self_span_id(id);
                if (write(pipe_fds[1], id, sizeof id) != sizeof id)
                    _exit(1);
            }
            _exit(0);
        }
        (void)close(pipe_fds[1]);
        for (int i = 0; i < IDS; i++)
            self_span_id(ids[i].span_id);
        for (int i = IDS; i < 2 * IDS; i++)
            ck_assert_int_eq(read(pipe_fds[0], ids[i].span_id, 8), 8);
        (void)close(pipe_fds[0]);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        qsort(ids, 2 * IDS, sizeof ids[0], compare_ids);
        for (int i = 1; i < 2 * IDS; i++)
            ck_assert_int_ne(compare_ids(&ids[i - 1], &ids[i]), 0);
    }
END_TEST

START_TEST(gives_back_the_slots_of_threads_that_end)
    {
        struct traces_options options = slow();
        open_with(&options);
        kept.counts_only = true;
        unsigned each = 1;
        for (int i = 0; i < 3000; i++) { /* each would keep a few for itself */
            pthread_t thread;
            ck_assert_int_eq(pthread_create(&thread, NULL, run_spans, &each), 0);
            (void)pthread_join(thread, NULL);
            if (i % 500 == 0)
                flush();
        }
        flush();
        ck_assert_uint_eq(stats().lost_no_slot, 0);
        close_all();
    }
END_TEST

int main(void)
{
    return HARNESS(
        "trace_batch", exports_a_full_batch_at_once, exports_fewer_when_they_are_due,
        drops_the_newest_when_the_queue_is_full, records_no_more_than_there_are_slots,
        has_in_a_flush_what_ended_before_it, flushes_while_others_end_spans,
        accounts_for_each_of_100000_spans_of_8_threads, lets_spans_end_beside_the_end_of_it_all,
        tells_what_a_flush_lost, keeps_the_deadline_of_a_flush, keeps_the_deadline_of_an_export,
        exports_what_is_left_at_the_end, may_end_without_a_deadline, keeps_the_deadline_of_the_end,
        interrupts_again_what_had_not_begun, a_flush_keeps_its_deadline_when_the_log_waits,
        leaves_an_exporter_that_is_stuck, exports_each_span_as_it_ends_when_told_so,
        records_nothing_in_a_forked_child, works_anew_in_a_forked_child,
        never_gives_parent_and_child_the_same_id, gives_back_the_slots_of_threads_that_end);
}
