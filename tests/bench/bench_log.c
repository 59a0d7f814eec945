/* SPDX-License-Identifier: MIT
 *
 * What a log record costs over the system call that carries it: lines with five attributes to
 * /dev/null, beside a bare write(2) of the same bytes. Rounds of both alternate, and are so short
 * that most of them fall between two disturbances of the machine; of each side the lower quartile
 * is told, and the ratio is that of the two quartiles. Single thread.
 *
 *     bench_log [--json]
 */
#include "log/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 801
#define RECORDS_PER_ROUND 1000
#define DISABLED_CALLS 50000000
#define ALLOCATION_RECORDS 1000000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#else
#define COUNTS_ALLOCATIONS 1
#endif

static uint64_t allocations;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(pointer, size);
}
#endif

struct figures {
    double bare_ns, record_ns, ratio;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double lower_quartile(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 4];
}

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

static struct figures measure(srun_log_format format)
{
    static double bare[ROUNDS], record[ROUNDS];
    char line[1024];
    size_t size = sample(format, line, sizeof line);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    srun_logger *log = logger_on(fd, format);

    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < RECORDS_PER_ROUND; i++)
            (void)!write(fd, line, size);
        double middle = now_ns();
        for (int i = 0; i < RECORDS_PER_ROUND; i++)
            log_one(log, i);
        double end = now_ns();
        bare[round] = (middle - start) / RECORDS_PER_ROUND;
        record[round] = (end - middle) / RECORDS_PER_ROUND;
    }
    srun_logger_free(log);
    close(fd);
    double bare_ns = lower_quartile(bare, ROUNDS), record_ns = lower_quartile(record, ROUNDS);
    return (struct figures){bare_ns, record_ns, record_ns / bare_ns};
}

static double measure_disabled(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    srun_logger *log = logger_on(fd, SRUN_LOG_JSON);
    double start = now_ns();
    for (int64_t i = 0; i < DISABLED_CALLS; i++)
        SRUN_DEBUG(log, "not shown", SRUN_INT("i", i), SRUN_STR("key", "value"));
    double end = now_ns();
    srun_logger_free(log);
    close(fd);
    return (end - start) / DISABLED_CALLS;
}

static uint64_t measure_allocations(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    srun_logger *log = logger_on(fd, SRUN_LOG_JSON);
    log_one(log, 0); /* what a thread does once: the zone's rules */
    uint64_t before = allocations;
    for (int64_t i = 0; i < ALLOCATION_RECORDS; i++)
        log_one(log, i);
    uint64_t after = allocations;
    srun_logger_free(log);
    close(fd);
    return after - before;
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    struct figures as_json = measure(SRUN_LOG_JSON);
    struct figures as_text = measure(SRUN_LOG_TEXT);
    double disabled = measure_disabled();
    uint64_t allocated = measure_allocations();

    if (json) {
        printf("{\"bench\":\"log\",\"json_ns\":%.1f,\"json_bare_ns\":%.1f,\"json_ratio\":%.3f,"
               "\"text_ns\":%.1f,\"text_bare_ns\":%.1f,\"text_ratio\":%.3f,\"disabled_ns\":%.3f,"
               "\"allocations\":%llu}\n",
               as_json.record_ns, as_json.bare_ns, as_json.ratio, as_text.record_ns,
               as_text.bare_ns, as_text.ratio, disabled, (unsigned long long)allocated);
        return 0;
    }
    printf("%-28s %10s %10s %8s\n", "5 attributes to /dev/null", "record ns", "write ns", "ratio");
    printf("%-28s %10.1f %10.1f %8.3f\n", "JSON", as_json.record_ns, as_json.bare_ns,
           as_json.ratio);
    printf("%-28s %10.1f %10.1f %8.3f\n", "text", as_text.record_ns, as_text.bare_ns,
           as_text.ratio);
    printf("%-28s %10.2f\n", "level off", disabled);
    printf("%-28s %10llu in %d records\n", "allocations", (unsigned long long)allocated,
           ALLOCATION_RECORDS);
    return 0;
}
