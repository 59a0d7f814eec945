/* SPDX-License-Identifier: MIT
 *
 * What a start and a stop cost: N services that are ready at once, beside N bare threads that are
 * created, wait, are told to end and are joined, in the same run. Rounds alternate, and of each
 * side the quartile counts: a busy machine only ever adds, most of all to what waits for a thread
 * to be scheduled; the processor time of both sides is told too, which hardly depends on that. Then
 * what an idle program costs: time from exec to RUNNING, memory, threads, descriptors, wake-ups in
 * ten seconds.
 *
 *     bench_start [--json] [--idle-seconds=10] [--idle-only]
 */
#include <srun/srun.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUNDS 31
#define EXEC_ROUNDS 21

static double read_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

static double cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_start: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double quartile(double *values, int count)
{
    qsort(values, (size_t)count, sizeof values[0], ascending);
    return values[count / 4];
}

/* --- N services ------------------------------------------------------------------------------ */

static int ready_at_once(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    srun_ready(ctx);
    return srun_sleep_ms(ctx, -1) == -ECANCELED ? 0 : -EIO;
}

static void turn(srun_runner *runner)
{
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    (void)poll(&wait, 1, 10000);
    (void)srun_runner_dispatch(runner);
}

struct times {
    double start_us, stop_us, cpu_us;
};

static struct times run_services(int count, int log_fd)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = ready_at_once};
    srun_runner *runner = NULL;
    if (srun_runner_new(&runner,
                        SRUN_CONFIG(.name = "bench", .log.fd_plus_one = 1 + log_fd,
                                    .log.level = SRUN_LEVEL_WARN),
                        NULL) < 0)
        die("runner");
    for (int i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "service-%d", i);
        if (srun_runner_add(runner, name, &ops, NULL, NULL, NULL) < 0)
            die("add");
    }
    struct times times;
    double begin = now_us(), cpu_begin = cpu_us();
    if (srun_runner_start(runner, NULL) < 0)
        die("start");
    while (!srun_runner_is_ready(runner))
        turn(runner);
    times.start_us = now_us() - begin;

    begin = now_us();
    (void)srun_runner_shutdown(runner, 0, "measured");
    while (srun_runner_dispatch(runner) > 0)
        turn(runner);
    times.stop_us = now_us() - begin;
    times.cpu_us = cpu_us() - cpu_begin;
    (void)srun_runner_free(runner);
    return times;
}

/* --- N bare threads -------------------------------------------------------------------------- */

struct bare {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool end;
};

static void *bare_thread(void *arg)
{
    struct bare *bare = arg;
    pthread_mutex_lock(&bare->lock);
    while (!bare->end)
        pthread_cond_wait(&bare->changed, &bare->lock);
    pthread_mutex_unlock(&bare->lock);
    return NULL;
}

static struct times run_bare(int count)
{
    struct bare bare = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    pthread_t *threads = calloc((size_t)count, sizeof threads[0]);
    if (threads == NULL)
        die("memory");
    double begin = now_us(), cpu_begin = cpu_us();
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, bare_thread, &bare) != 0)
            die("thread");
    pthread_mutex_lock(&bare.lock);
    bare.end = true;
    pthread_cond_broadcast(&bare.changed);
    pthread_mutex_unlock(&bare.lock);
    for (int i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    struct times times = {.start_us = now_us() - begin, .cpu_us = cpu_us() - cpu_begin};
    free(threads);
    return times;
}

struct row {
    int count;
    double start_us, stop_us, bare_us, ratio, cpu_ratio;
};

static struct row measure(int count, int log_fd)
{
    double start[MOST_ROUNDS], stop[MOST_ROUNDS], cpu[MOST_ROUNDS];
    double bare[MOST_ROUNDS], bare_cpu[MOST_ROUNDS];
    int rounds = count >= 1000 ? 9 : MOST_ROUNDS;
    (void)run_services(count, log_fd); /* once for the page cache and the allocator */
    for (int i = 0; i < rounds; i++) {
        struct times threads = run_bare(count), services = run_services(count, log_fd);
        bare[i] = threads.start_us;
        bare_cpu[i] = threads.cpu_us;
        start[i] = services.start_us;
        stop[i] = services.stop_us;
        cpu[i] = services.cpu_us;
    }
    struct row row = {.count = count,
                      .start_us = quartile(start, rounds),
                      .stop_us = quartile(stop, rounds),
                      .bare_us = quartile(bare, rounds)};
    row.ratio = (row.start_us + row.stop_us) / row.bare_us;
    row.cpu_ratio = quartile(cpu, rounds) / quartile(bare_cpu, rounds);
    return row;
}

/* --- an idle program ------------------------------------------------------------------------- */

static int idle_setup(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = ready_at_once};
    (void)user;
    return srun_runner_add(runner, "idle", &ops, NULL, NULL, err);
}

static long status_field(pid_t pid, pid_t tid, const char *field)
{
    char path[64], line[256];
    long value = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtol(line + strlen(field) + 1, NULL, 10);
    if (file != NULL)
        (void)fclose(file);
    return value;
}

static long count_entries(pid_t pid, const char *name)
{
    char path[64];
    long count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        (void)closedir(folder);
    return count - 2;
}

static long wake_ups(pid_t pid)
{
    char path[64];
    long sum = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            sum += status_field(pid, (pid_t)strtol(entry->d_name, NULL, 10),
                                "voluntary_ctxt_switches");
    if (folder != NULL)
        (void)closedir(folder);
    return sum;
}

struct child {
    pid_t pid;
    int log;
    double running_us; /* from spawn to the line that says so */
};

/* Starts a program and waits until it says that it is started. */
static struct child start_program(const char *program, const char *argument)
{
    int ends[2];
    char text[8192];
    size_t used = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe");
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    char *words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)argument, NULL};
    double begin = now_us();
    struct child child = {.log = ends[0]};
    if (posix_spawn(&child.pid, program, &actions, NULL, words, environ) != 0)
        die(program);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    do {
        ssize_t got = read(ends[0], text + used, sizeof text - 1 - used);
        if (got <= 0)
            die(program);
        used += (size_t)got;
        text[used] = '\0';
    } while (strstr(text, "msg=started") == NULL && used < sizeof text - 1);
    child.running_us = now_us() - begin;
    return child;
}

static void stop_program(struct child *child)
{
    int status;
    char rest[4096];
    (void)kill(child->pid, SIGTERM);
    while (read(child->log, rest, sizeof rest) > 0)
        ;
    (void)close(child->log);
    if (waitpid(child->pid, &status, 0) < 0 || status != 0)
        die("the idle program did not end well");
}

struct idle {
    double exec_to_running_us;
    long rss_kib, threads, descriptors, wake_ups;
    int seconds;
};

static struct idle measure_idle(const char *self, const char *hello, int seconds)
{
    struct idle idle = {.seconds = seconds};
    double took[EXEC_ROUNDS];
    for (int i = 0; i < EXEC_ROUNDS; i++) {
        struct child child = start_program(hello, NULL);
        took[i] = child.running_us;
        idle.rss_kib = status_field(child.pid, child.pid, "VmRSS:");
        idle.threads = count_entries(child.pid, "task");
        idle.descriptors = count_entries(child.pid, "fd");
        stop_program(&child);
    }
    idle.exec_to_running_us = quartile(took, EXEC_ROUNDS);

    struct child child = start_program(self, "--be-idle");
    (void)poll(NULL, 0, 1200); /* what the start has set in motion settles */
    long before = wake_ups(child.pid);
    (void)poll(NULL, 0, seconds * 1000);
    idle.wake_ups = wake_ups(child.pid) - before;
    stop_program(&child);
    return idle;
}

/* --- telling --------------------------------------------------------------------------------- */

static void print_table(const struct row *rows, int count, const struct idle *idle)
{
    (void)printf(
        "services   start ms   stop ms   us/service   bare threads ms   ratio   cpu ratio\n");
    for (int i = 0; i < count; i++)
        (void)printf("%8d %10.3f %9.3f %12.2f %17.3f %6.2fx %10.2fx\n", rows[i].count,
                     rows[i].start_us / 1e3, rows[i].stop_us / 1e3,
                     (rows[i].start_us + rows[i].stop_us) / rows[i].count, rows[i].bare_us / 1e3,
                     rows[i].ratio, rows[i].cpu_ratio);
    (void)printf("\nhello: exec to RUNNING %.2f ms, RSS %ld KiB, %ld threads, %ld descriptors\n",
                 idle->exec_to_running_us / 1e3, idle->rss_kib, idle->threads, idle->descriptors);
    (void)printf("idle: %ld wake-ups in %d s\n", idle->wake_ups, idle->seconds);
}

static void print_json(const struct row *rows, int count, const struct idle *idle)
{
    (void)printf("{\"start\":[");
    for (int i = 0; i < count; i++)
        (void)printf("%s{\"services\":%d,\"start_us\":%.1f,\"stop_us\":%.1f,\"bare_us\":%.1f,"
                     "\"ratio\":%.3f,\"cpu_ratio\":%.3f}",
                     i > 0 ? "," : "", rows[i].count, rows[i].start_us, rows[i].stop_us,
                     rows[i].bare_us, rows[i].ratio, rows[i].cpu_ratio);
    (void)printf("],\"hello\":{\"exec_to_running_us\":%.1f,\"rss_kib\":%ld,\"threads\":%ld,"
                 "\"descriptors\":%ld},\"idle\":{\"seconds\":%d,\"wake_ups\":%ld}}\n",
                 idle->exec_to_running_us, idle->rss_kib, idle->threads, idle->descriptors,
                 idle->seconds, idle->wake_ups);
}

int main(int argc, char **argv)
{
    bool json = false, idle_only = false;
    int seconds = 10;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--be-idle") == 0)
            return srun_main(1, argv, SRUN_CONFIG(.name = "idle"), idle_setup, NULL);
        json |= strcmp(argv[i], "--json") == 0;
        idle_only |= strcmp(argv[i], "--idle-only") == 0;
        if (strncmp(argv[i], "--idle-seconds=", 15) == 0)
            seconds = (int)strtol(argv[i] + 15, NULL, 10);
    }
    static const int counts[] = {1, 10, 100, 1000};
    struct row rows[4];
    int count = idle_only ? 0 : 4;
    int log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < count; i++)
        rows[i] = measure(counts[i], log_fd);
    (void)close(log_fd);
    struct idle idle = measure_idle("/proc/self/exe", BENCH_HELLO, seconds);
    if (json)
        print_json(rows, count, &idle);
    else
        print_table(rows, count, &idle);
    return 0;
}
