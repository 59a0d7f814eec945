/* SPDX-License-Identifier: MIT
 *
 * What it costs that a log record is not only written, to /dev/null, but also put into the queue of
 * an exporter that has room for it. Rounds with and without alternate; of each the lower quartile
 * is told. Single thread; the exporter takes all and does nothing.
 *
 *     bench_log_export [--json]
 */
#include "allocations.h"
#include "runner.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 801
#define RECORDS_PER_ROUND 1000 /* the queue has 2048 places, and is empty before each round */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double lower_quartile(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 4];
}

static void take_all(struct telemetry_exporter *exporter, const struct telemetry_log *logs,
                     size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    (void)exporter, (void)logs, (void)deadline_ns;
    out->accepted = count;
}

static void keep(struct telemetry_exporter *exporter)
{
    (void)exporter;
}

static srun_runner *open_runner(int fd, struct telemetry_exporter *exporter)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    const struct srun_config *config =
        SRUN_CONFIG(.log = {.fd_plus_one = fd + 1, .format = SRUN_LOG_JSON}, .signals.disabled = 1);
    int rc = srun_runner_new(&runner, config, &err);
    if (rc == 0 && exporter != NULL) {
        runner->shipping.exporter = exporter;
        rc = shipping_start(runner, &err);
    }
    if (rc < 0)
        exit(srun_report(&err));
    return runner;
}

static double write_some(srun_logger *log)
{
    double start = now_ns();
    for (int64_t i = 0; i < RECORDS_PER_ROUND; i++)
        SRUN_INFO(log, "payment settled", SRUN_STR("id", "3f6c2a90-51d2"),
                  SRUN_INT("cents", 129900 + i), SRUN_DOUBLE("rate", 0.0725),
                  SRUN_BOOL("retry", i & 1), SRUN_MS("took", 37));
    return (now_ns() - start) / RECORDS_PER_ROUND;
}

int main(int argc, char **argv)
{
    static double off[ROUNDS], on[ROUNDS];
    static struct telemetry_exporter nothing = {.logs = take_all, .free = keep};
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    srun_runner *without = open_runner(fd, NULL), *with = open_runner(fd, &nothing);
    (void)write_some(srun_runner_log(with)); /* what a thread does once */
    (void)srun_runner_flush_logs(with, 10000);
    uint64_t before = allocations_so_far();
    for (int round = 0; round < ROUNDS; round++) {
        off[round] = write_some(srun_runner_log(without));
        on[round] = write_some(srun_runner_log(with));
        (void)srun_runner_flush_logs(with, 10000);
    }
    uint64_t allocated = allocations_so_far() - before;
    struct logs_stats stats;
    logs_stats(with->shipping.logs, &stats);
    (void)srun_runner_free(with);
    (void)srun_runner_free(without);
    close(fd);
    double written = lower_quartile(off), exported = lower_quartile(on);
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    printf(
        json ? "{\"bench\":\"log_export\",\"written_ns\":%.1f,\"exported_ns\":%.1f,"
               "\"allocations\":%llu,\"dropped\":%llu}\n"
             : "written: %.1f ns; written and exported: %.1f ns; %llu allocations, %llu dropped\n",
        written, exported, (unsigned long long)allocated, (unsigned long long)stats.dropped);
    return 0;
}
