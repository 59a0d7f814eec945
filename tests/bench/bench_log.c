/* SPDX-License-Identifier: MIT
 *
 * What a log record costs over the system call that carries it: lines with five attributes to
 * /dev/null, beside a bare write(2) of the same bytes, by one, two and four threads. Rounds of both
 * alternate; of each the best counts, and the ratio is that of the two.
 *
 *     bench_log [--json]
 */
#include "allocations.h"
#include "log/log.h"

#include "pieces.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 3
#define RECORDS_OF_A_PIECE 1000
#define DISABLED_OF_A_PIECE 100000
#define ALLOCATION_RECORDS 1000000

enum { THREADS = 3 };
static const unsigned thread_counts[THREADS] = {1, 2, 4};

struct figures {
    double bare[THREADS], record[THREADS];
};

/* Inline: as the bare write does, a record stands in the loop itself, without a function of the
 * bench around it. */
static inline __attribute__((always_inline)) void log_one(srun_logger *log, int64_t i)
{
    SRUN_INFO(log, "payment settled", SRUN_STR("id", "3f6c2a90-51d2"),
              SRUN_INT("cents", 129900 + i), SRUN_DOUBLE("rate", 0.0725), SRUN_BOOL("retry", i & 1),
              SRUN_MS("took", 37));
}

static srun_logger *logger_on(int fd, srun_log_format format)
{
    srun_logger *log = NULL;
    srun_err err = {0};
    if (log_new(&log, fd, format, SRUN_LEVEL_INFO, 0, &err) < 0)
        exit(srun_report(&err));
    return log;
}

/* The bytes of one such record, as a file receives them. */
static size_t sample(srun_log_format format, char *line, size_t capacity)
{
    int fd = memfd_create("line", MFD_CLOEXEC);
    srun_logger *log = logger_on(fd, format);
    log_one(log, 0);
    srun_logger_free(log);
    ssize_t size = pread(fd, line, capacity, 0);
    close(fd);
    return size > 0 ? (size_t)size : 0;
}

struct sink {
    srun_logger *log;
    int fd;
    size_t size;
    char line[1024];
};

static void bare(void *user, unsigned thread, size_t ops)
{
    const struct sink *sink = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        (void)!write(sink->fd, sink->line, sink->size);
}

static void record(void *user, unsigned thread, size_t ops)
{
    const struct sink *sink = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        log_one(sink->log, (int64_t)i);
}

static void disabled(void *user, unsigned thread, size_t ops)
{
    const struct sink *sink = user;
    (void)thread;
    for (size_t i = 0; i < ops; i++)
        SRUN_DEBUG(sink->log, "not shown", SRUN_UINT("i", i), SRUN_STR("key", "value"));
}

static struct sink sink_open(srun_log_format format)
{
    struct sink sink = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    sink.size = sample(format, sink.line, sizeof sink.line);
    sink.log = logger_on(sink.fd, format);
    return sink;
}

static void sink_close(struct sink *sink)
{
    srun_logger_free(sink->log);
    close(sink->fd);
}

static struct figures measure(srun_log_format format)
{
    struct figures told;
    struct sink sink = sink_open(format);
    for (unsigned i = 0; i < THREADS; i++) {
        told.bare[i] = told.record[i] = INFINITY;
        for (unsigned round = 0; round < pieces_rounds(ROUNDS); round++) {
            told.bare[i] =
                fmin(told.bare[i],
                     pieces_measure(&(struct pieces){bare, &sink, RECORDS_OF_A_PIECE, NULL},
                                    thread_counts[i]));
            told.record[i] =
                fmin(told.record[i],
                     pieces_measure(&(struct pieces){record, &sink, RECORDS_OF_A_PIECE, NULL},
                                    thread_counts[i]));
        }
    }
    sink_close(&sink);
    return told;
}

static void measure_disabled(double ns[THREADS])
{
    struct sink sink = sink_open(SRUN_LOG_JSON);
    const struct pieces pieces = {disabled, &sink, DISABLED_OF_A_PIECE, NULL};
    for (unsigned i = 0; i < THREADS; i++)
        ns[i] = pieces_best(&pieces, thread_counts[i], ROUNDS);
    sink_close(&sink);
}

static uint64_t measure_allocations(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    srun_logger *log = logger_on(fd, SRUN_LOG_JSON);
    log_one(log, 0); /* what a thread does once: the zone's rules */
    uint64_t before = allocations_so_far();
    for (int64_t i = 0; i < ALLOCATION_RECORDS; i++)
        log_one(log, i);
    uint64_t after = allocations_so_far();
    srun_logger_free(log);
    close(fd);
    return after - before;
}

static void print_json(const struct figures *json, const struct figures *text,
                       const double off[THREADS], uint64_t allocated)
{
    printf("{\"bench\":\"log\"");
    for (unsigned i = 0; i < THREADS; i++) {
        pieces_json("json", thread_counts[i], json->record[i]);
        pieces_json("json_bare", thread_counts[i], json->bare[i]);
        pieces_json("text", thread_counts[i], text->record[i]);
        pieces_json("text_bare", thread_counts[i], text->bare[i]);
        pieces_json("disabled", thread_counts[i], off[i]);
    }
    printf(",\"allocations\":%llu}\n", (unsigned long long)allocated);
}

static void print_row(const char *name, const double ns[THREADS], double ratio)
{
    printf("%-28s %9.1f %9.1f %9.1f", name, ns[0], ns[1], ns[2]);
    if (ratio > 0)
        printf(" %8.3f", ratio);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct figures json = measure(SRUN_LOG_JSON), text = measure(SRUN_LOG_TEXT);
    double off[THREADS];
    measure_disabled(off);
    uint64_t allocated = measure_allocations();

    if (argc > 1 && strcmp(argv[1], "--json") == 0) {
        print_json(&json, &text, off, allocated);
        return 0;
    }
    printf("%-28s %9s %9s %9s %8s\n", "ns for each, threads:", "1", "2", "4", "x write");
    print_row("write of the JSON line", json.bare, 0);
    print_row("JSON, 5 attributes", json.record, json.record[0] / json.bare[0]);
    print_row("write of the text line", text.bare, 0);
    print_row("text, 5 attributes", text.record, text.record[0] / text.bare[0]);
    print_row("level off", off, 0);
    printf("%-28s %9llu in %d records\n", "allocations", (unsigned long long)allocated,
           ALLOCATION_RECORDS);
    return 0;
}
