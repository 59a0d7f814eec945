/* SPDX-License-Identifier: MIT
 *
 * What a start and a stop cost: N services that are ready at once, beside N bare threads that are
 * created, wait, are told to end and are joined, in the same run. Rounds alternate, and of each
 * side the quartile counts: a busy machine only ever adds, most of all to what waits for a thread
 * to be scheduled; the processor time of both sides is told too, which hardly depends on that. Then
 * what an idle program costs: time from exec to RUNNING, memory, threads, descriptors, wake-ups in
 * ten seconds. With --memory instead: an idle program of so many services, beside one of the same
 * libraries with as many bare threads.
 *
 *     bench_start [--json] [--services=1,10,100,1000] [--rounds=31]
 *                 [--idle-seconds=10] [--idle-only | --memory]
 */
#include <srun/srun.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#define COUNTS_MAX 8

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

static bool turn(srun_runner *runner)
{
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    (void)poll(&wait, 1, 10000);
    return srun_runner_dispatch(runner) > 0;
}

static void add_services(srun_runner *runner, int count)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = ready_at_once};
    for (int i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "service-%d", i);
        if (srun_runner_add(runner, name, &ops, NULL, NULL, NULL) < 0)
            die("add");
    }
}

struct times {
    double add_us, start_us, stop_us, cpu_us;
};

/* Answers whether they all started: the system may not have that many threads. */
static bool run_services(int count, int log_fd, struct times *times)
{
    srun_runner *runner = NULL;
    if (srun_runner_new(&runner,
                        SRUN_CONFIG(.name = "bench", .log.fd_plus_one = 1 + log_fd,
                                    .log.level = SRUN_LEVEL_WARN),
                        NULL) < 0)
        die("runner");
    double begin = now_us();
    add_services(runner, count);
    times->add_us = now_us() - begin;

    begin = now_us();
    double cpu_begin = cpu_us();
    if (srun_runner_start(runner, NULL) < 0)
        die("start");
    while (!srun_runner_is_ready(runner) && turn(runner))
        ;
    bool started = srun_runner_is_ready(runner);
    times->start_us = now_us() - begin;

    begin = now_us();
    (void)srun_runner_shutdown(runner, 0, "measured");
    while (srun_runner_dispatch(runner) > 0)
        (void)turn(runner);
    times->stop_us = now_us() - begin;
    times->cpu_us = cpu_us() - cpu_begin;
    (void)srun_runner_free(runner);
    return started;
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

/* As many as could be made: count, or fewer. */
static int make_bare(struct bare *bare, pthread_t *threads, int count)
{
    int made = 0;
    while (made < count && pthread_create(&threads[made], NULL, bare_thread, bare) == 0)
        made++;
    return made;
}

static void end_bare(struct bare *bare, const pthread_t *threads, int count)
{
    pthread_mutex_lock(&bare->lock);
    bare->end = true;
    pthread_cond_broadcast(&bare->changed);
    pthread_mutex_unlock(&bare->lock);
    for (int i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
}

static bool run_bare(int count, struct times *times)
{
    struct bare bare = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    pthread_t *threads = calloc((size_t)count, sizeof threads[0]);
    if (threads == NULL)
        die("memory");
    double begin = now_us(), cpu_begin = cpu_us();
    int made = make_bare(&bare, threads, count);
    end_bare(&bare, threads, made);
    *times = (struct times){.start_us = now_us() - begin, .cpu_us = cpu_us() - cpu_begin};
    free(threads);
    return made == count;
}

struct row {
    int count, rounds;
    double add_us, start_us, stop_us, bare_us, ratio, cpu_ratio;
};

/* Fewer rounds of what takes long. */
static int rounds_for(int count, int most)
{
    int rounds = count >= 10000 ? 3 : count >= 1000 ? 9 : MOST_ROUNDS;
    return rounds < most ? rounds : most;
}

static bool measure(int count, int most_rounds, int log_fd, struct row *row)
{
    double add[MOST_ROUNDS], start[MOST_ROUNDS], stop[MOST_ROUNDS], cpu[MOST_ROUNDS];
    double bare[MOST_ROUNDS], bare_cpu[MOST_ROUNDS];
    struct times threads, services;
    int rounds = rounds_for(count, most_rounds);
    if (!run_services(count, log_fd, &services)) /* once for the page cache and the allocator */
        return false;
    for (int i = 0; i < rounds; i++) {
        if (!run_bare(count, &threads) || !run_services(count, log_fd, &services))
            return false;
        bare[i] = threads.start_us;
        bare_cpu[i] = threads.cpu_us;
        add[i] = services.add_us;
        start[i] = services.start_us;
        stop[i] = services.stop_us;
        cpu[i] = services.cpu_us;
    }
    *row = (struct row){.count = count,
                        .rounds = rounds,
                        .add_us = quartile(add, rounds),
                        .start_us = quartile(start, rounds),
                        .stop_us = quartile(stop, rounds),
                        .bare_us = quartile(bare, rounds)};
    row->ratio = (row->start_us + row->stop_us) / row->bare_us;
    row->cpu_ratio = quartile(cpu, rounds) / quartile(bare_cpu, rounds);
    return true;
}

/* --- an idle program ------------------------------------------------------------------------- */

static int idle_setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)err;
    add_services(runner, *(const int *)user);
    return 0;
}

/* A program of the same libraries that does nothing of ours. */
static int be_bare(int count)
{
    struct bare bare = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    pthread_t *threads = calloc((size_t)count, sizeof threads[0]);
    sigset_t wanted;
    int number;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    if (threads == NULL || make_bare(&bare, threads, count) < count)
        die("threads");
    (void)fprintf(stderr, "msg=started\n");
    (void)sigwait(&wanted, &number);
    end_bare(&bare, threads, count);
    free(threads);
    return 0;
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

/* Reads a log, of which only the last piece is kept, to the line that says so. */
static bool wait_started(int log)
{
    char text[8192];
    size_t used = 0;
    for (;;) {
        ssize_t got = read(log, text + used, sizeof text - 1 - used);
        if (got <= 0)
            return false;
        used += (size_t)got;
        text[used] = '\0';
        if (strstr(text, "msg=started") != NULL)
            return true;
        if (used > sizeof text / 2) {
            memmove(text, text + used - 32, 32);
            used = 32;
        }
    }
}

/* Starts a program and waits until it says that it is started; false when it ended before. */
static bool start_program(const char *program, const char *argument, struct child *child)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe");
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    char *words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)argument, NULL};
    double begin = now_us();
    child->log = ends[0];
    if (posix_spawn(&child->pid, program, &actions, NULL, words, environ) != 0)
        die(program);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    bool started = wait_started(child->log);
    child->running_us = now_us() - begin;
    return started;
}

static void stop_program(struct child *child)
{
    int status;
    char rest[4096];
    (void)kill(child->pid, SIGTERM);
    while (read(child->log, rest, sizeof rest) > 0)
        ;
    (void)close(child->log);
    if (waitpid(child->pid, &status, 0) < 0 || status != 0) {
        (void)fprintf(stderr, "bench_start: the idle program ended with status %#x\n", status);
        exit(1);
    }
}

/* Without asking: how programs stop is measured elsewhere, and exporters take their time. */
static void end_program(struct child *child)
{
    (void)kill(child->pid, SIGKILL);
    (void)close(child->log);
    (void)waitpid(child->pid, NULL, 0);
}

struct idle {
    double exec_to_running_us, bare_us;
    long rss_kib, threads, descriptors, wake_ups;
    int seconds;
};

/* The same of a bare program with one thread, whose name is self. */
static double measure_bare_exec(const char *self)
{
    double took[EXEC_ROUNDS];
    for (int i = 0; i < EXEC_ROUNDS; i++) {
        struct child child;
        if (!start_program(self, "--be-bare=1", &child))
            die(self);
        took[i] = child.running_us;
        end_program(&child);
    }
    return quartile(took, EXEC_ROUNDS);
}

static struct idle measure_idle(const char *self, const char *hello, int seconds)
{
    struct idle idle = {.seconds = seconds, .bare_us = measure_bare_exec(self)};
    double took[EXEC_ROUNDS];
    struct child child;
    for (int i = 0; i < EXEC_ROUNDS; i++) {
        if (!start_program(hello, NULL, &child))
            die(hello);
        took[i] = child.running_us;
        idle.rss_kib = status_field(child.pid, child.pid, "VmRSS:");
        idle.threads = count_entries(child.pid, "task");
        idle.descriptors = count_entries(child.pid, "fd");
        end_program(&child);
    }
    idle.exec_to_running_us = quartile(took, EXEC_ROUNDS);

    if (!start_program(self, "--be-idle=1", &child))
        die(self);
    (void)poll(NULL, 0, 1200); /* what the start has set in motion settles */
    long before = wake_ups(child.pid);
    (void)poll(NULL, 0, seconds * 1000);
    idle.wake_ups = wake_ups(child.pid) - before;
    stop_program(&child);
    return idle;
}

/* --- memory of an idle program, by number of services ----------------------------------------- */

struct memory {
    int count;
    long rss_kib, bare_kib;
};

static long resident_of(const char *what, int count)
{
    char argument[32];
    struct child child;
    (void)snprintf(argument, sizeof argument, "%s=%d", what, count);
    bool started = start_program("/proc/self/exe", argument, &child);
    long kib = started ? status_field(child.pid, child.pid, "VmRSS:") : -1;
    end_program(&child);
    return kib;
}

static bool measure_memory(int count, struct memory *memory)
{
    *memory =
        (struct memory){count, resident_of("--be-idle", count), resident_of("--be-bare", count)};
    return memory->rss_kib > 0 && memory->bare_kib > 0;
}

/* --- telling --------------------------------------------------------------------------------- */

static void print_rows(const struct row *rows, int count)
{
    (void)printf(
        "services   start ms   stop ms   us/service   bare threads ms   ratio   cpu ratio\n");
    for (int i = 0; i < count; i++)
        (void)printf("%8d %10.3f %9.3f %12.2f %17.3f %6.2fx %10.2fx\n", rows[i].count,
                     rows[i].start_us / 1e3, rows[i].stop_us / 1e3,
                     (rows[i].start_us + rows[i].stop_us) / rows[i].count, rows[i].bare_us / 1e3,
                     rows[i].ratio, rows[i].cpu_ratio);
}

static void print_idle(const struct idle *idle)
{
    (void)printf("\nhello: exec to RUNNING %.2f ms (a bare program: %.2f ms), RSS %ld KiB, "
                 "%ld threads, %ld descriptors\n",
                 idle->exec_to_running_us / 1e3, idle->bare_us / 1e3, idle->rss_kib, idle->threads,
                 idle->descriptors);
    (void)printf("idle: %ld wake-ups in %d s\n", idle->wake_ups, idle->seconds);
}

static void print_json(const struct row *rows, int count, const struct idle *idle)
{
    (void)printf("{\"start\":[");
    for (int i = 0; i < count; i++)
        (void)printf("%s{\"services\":%d,\"rounds\":%d,\"add_us\":%.1f,\"start_us\":%.1f,"
                     "\"stop_us\":%.1f,\"bare_us\":%.1f,\"ratio\":%.3f,\"cpu_ratio\":%.3f}",
                     i > 0 ? "," : "", rows[i].count, rows[i].rounds, rows[i].add_us,
                     rows[i].start_us, rows[i].stop_us, rows[i].bare_us, rows[i].ratio,
                     rows[i].cpu_ratio);
    (void)printf("],\"hello\":{\"exec_to_running_us\":%.1f,\"bare_us\":%.1f,\"rss_kib\":%ld,"
                 "\"threads\":%ld,\"descriptors\":%ld},"
                 "\"idle\":{\"seconds\":%d,\"wake_ups\":%ld}}\n",
                 idle->exec_to_running_us, idle->bare_us, idle->rss_kib, idle->threads,
                 idle->descriptors, idle->seconds, idle->wake_ups);
}

static void print_memory(const struct memory *rows, int count, bool json)
{
    (void)printf(json ? "{\"memory\":[" : "services   resident KiB   bare threads KiB\n");
    for (int i = 0; i < count; i++)
        (void)printf(json ? "%s{\"services\":%d,\"rss_kib\":%ld,\"bare_kib\":%ld}"
                          : "%s%8d %14ld %18ld\n",
                     json && i > 0 ? "," : "", rows[i].count, rows[i].rss_kib, rows[i].bare_kib);
    (void)printf(json ? "]}\n" : "");
}

struct wanted {
    bool json, idle_only, memory;
    int seconds, rounds, counts[COUNTS_MAX], count;
};

static void parse_counts(struct wanted *wanted, const char *text)
{
    for (wanted->count = 0; *text != '\0' && wanted->count < COUNTS_MAX; wanted->count++) {
        char *end;
        wanted->counts[wanted->count] = (int)strtol(text, &end, 10);
        if (end == text || wanted->counts[wanted->count] < 1)
            die("--services: numbers, with commas between them");
        text = *end == ',' ? end + 1 : end;
    }
}

static struct wanted parse(int argc, char **argv)
{
    struct wanted wanted = {
        .seconds = 10, .rounds = MOST_ROUNDS, .counts = {1, 10, 100, 1000}, .count = 4};
    for (int i = 1; i < argc; i++) {
        wanted.json |= strcmp(argv[i], "--json") == 0;
        wanted.idle_only |= strcmp(argv[i], "--idle-only") == 0;
        wanted.memory |= strcmp(argv[i], "--memory") == 0;
        if (strncmp(argv[i], "--idle-seconds=", 15) == 0)
            wanted.seconds = (int)strtol(argv[i] + 15, NULL, 10);
        if (strncmp(argv[i], "--rounds=", 9) == 0)
            wanted.rounds = (int)strtol(argv[i] + 9, NULL, 10);
        if (strncmp(argv[i], "--services=", 11) == 0)
            parse_counts(&wanted, argv[i] + 11);
    }
    wanted.rounds = wanted.rounds < 1             ? 1
                    : wanted.rounds > MOST_ROUNDS ? MOST_ROUNDS
                                                  : wanted.rounds;
    return wanted;
}

static void not_started(int services)
{
    (void)fprintf(stderr, "bench_start: %d services: the system did not start that many threads\n",
                  services);
}

static void tell_memory(const struct wanted *wanted)
{
    struct memory rows[COUNTS_MAX];
    int told = 0;
    for (int i = 0; i < wanted->count; i++)
        if (measure_memory(wanted->counts[i], &rows[told]))
            told++;
        else
            not_started(wanted->counts[i]);
    print_memory(rows, told, wanted->json);
}

static void tell_start(const struct wanted *wanted)
{
    struct row rows[COUNTS_MAX];
    int told = 0, log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < wanted->count && !wanted->idle_only; i++)
        if (measure(wanted->counts[i], wanted->rounds, log_fd, &rows[told]))
            told++;
        else
            not_started(wanted->counts[i]);
    (void)close(log_fd);
    struct idle idle = measure_idle("/proc/self/exe", BENCH_HELLO, wanted->seconds);
    if (wanted->json) {
        print_json(rows, told, &idle);
        return;
    }
    if (told > 0)
        print_rows(rows, told);
    print_idle(&idle);
}

int main(int argc, char **argv)
{
    int count = 0;
    if (argc > 1 && sscanf(argv[1], "--be-idle=%d", &count) == 1)
        return srun_main(1, argv, SRUN_CONFIG(.name = "idle"), idle_setup, &count);
    if (argc > 1 && sscanf(argv[1], "--be-bare=%d", &count) == 1)
        return be_bare(count);
    const struct wanted wanted = parse(argc, argv);
    if (wanted.memory)
        tell_memory(&wanted);
    else
        tell_start(&wanted);
    return 0;
}
