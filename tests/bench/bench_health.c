/* SPDX-License-Identifier: MIT
 *
 * What health costs: from a push until three consumers know of it; how even the checks of a
 * thousand services stay beside one that hangs; what the status of a service costs on a hot path,
 * beside a bare look-up and load; and what a push costs while a consumer sleeps.
 *
 *     bench_health [--json] [--pushes=100000] [--seconds=10]
 */
#include <srun/srun.h>

#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONSUMERS = 3, MANY = 1000, GAPS_MAX = 100, LOOKUPS = 20000000, SLEEPER_PUSHES = 1000000 };

#define INTERVAL_MS 1000

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what, const srun_err *err)
{
    (void)fprintf(stderr, "bench_health: %s: %s\n", what, err != NULL ? err->text : "");
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double q)
{
    size_t at = (size_t)((double)count * q);
    return count == 0 ? 0 : sorted[at < count ? at : count - 1];
}

/* --- a runner -------------------------------------------------------------------------------- */

struct node {
    char name[16];
    srun_context *_Atomic ctx;
    bool hangs;
    atomic_bool hang_now;
    unsigned checks;
    int64_t checked_at[GAPS_MAX];
};

struct world {
    srun_runner *runner;
    pthread_t control;
};

static void world_open(struct world *world, int64_t interval_ms)
{
    srun_err err = {0};
    if (srun_runner_new(&world->runner,
                        SRUN_CONFIG(.name = "bench", .log.level = SRUN_LEVEL_ERROR,
                                    .signals.disabled = 1,
                                    .health = {.enabled = 1,
                                               .interval_ms = interval_ms,
                                               .timeout_ms = INTERVAL_MS / 5},
                                    .admin.disabled = 1, .timeouts.stop_ms = 500,
                                    .timeouts.stuck_grace_ms = 100),
                        &err) < 0)
        die("runner", &err);
}

static void *control(void *arg)
{
    struct world *world = arg;
    (void)srun_runner_run(world->runner);
    return NULL;
}

static void world_start(struct world *world)
{
    if (pthread_create(&world->control, NULL, control, world) != 0)
        die("no thread", NULL);
    while (!srun_runner_is_ready(world->runner))
        (void)usleep(1000);
}

static void world_close(struct world *world)
{
    (void)srun_runner_shutdown(world->runner, 0, "measured");
    (void)pthread_join(world->control, NULL);
    (void)srun_runner_free(world->runner);
}

static int node_init(void *self, srun_context *ctx, srun_err *err)
{
    (void)err;
    atomic_store(&((struct node *)self)->ctx, ctx);
    return 0;
}

static int node_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    return SRUN_RUN_BACKGROUND;
}

static int node_health(void *self, srun_context *ctx, srun_err *err)
{
    struct node *node = self;
    (void)err;
    if (node->checks < GAPS_MAX)
        node->checked_at[node->checks++] = now_ns();
    if (atomic_load(&node->hang_now))
        (void)srun_sleep_ms(ctx, -1);
    return 0;
}

static void node_add(struct world *world, struct node *node, unsigned number, bool checked)
{
    srun_err err = {0};
    const struct srun_service_ops ops = {.size = sizeof ops,
                                         .init = checked ? NULL : node_init,
                                         .run = number == 0 ? node_run : NULL,
                                         .health = checked ? node_health : NULL};
    *node = (struct node){0};
    (void)snprintf(node->name, sizeof node->name, "service-%u", number);
    if (srun_runner_add(world->runner, node->name, &ops, node, NULL, &err) < 0)
        die("add", &err);
}

/* --- from a push to three consumers ---------------------------------------------------------- */

struct consumer {
    pthread_t thread;
    srun_health_watch *watch;
    sem_t *heard;
    _Atomic int64_t *pushed_at;
    double *us;
    size_t count, capacity;
};

static void *consume(void *arg)
{
    struct consumer *consumer = arg;
    struct srun_health health;
    while (consumer->count < consumer->capacity &&
           srun_health_next(consumer->watch, &health, -1) == 0) {
        int64_t took = now_ns() - atomic_load(consumer->pushed_at);
        consumer->us[consumer->count++] = (double)took / 1e3;
        (void)sem_post(consumer->heard);
    }
    return NULL;
}

struct latency {
    double p50_us, p99_us, worst_us;
};

static struct latency measure_latency(size_t pushes)
{
    static struct node node;
    struct world world;
    struct consumer consumers[CONSUMERS];
    _Atomic int64_t pushed_at;
    sem_t heard;
    double *all = calloc(pushes * CONSUMERS, sizeof *all);
    if (all == NULL || sem_init(&heard, 0, 0) < 0)
        die("out of memory", NULL);
    world_open(&world, 60000);
    node_add(&world, &node, 0, false);
    world_start(&world);
    const char *const names[] = {node.name, NULL};
    for (int i = 0; i < CONSUMERS; i++) {
        struct srun_health first;
        consumers[i] = (struct consumer){.heard = &heard,
                                         .pushed_at = &pushed_at,
                                         .us = all + (size_t)i * pushes,
                                         .capacity = pushes};
        if (srun_health_subscribe(node.ctx, names, &consumers[i].watch, NULL) < 0 ||
            srun_health_next(consumers[i].watch, &first, 0) < 0 ||
            pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]) != 0)
            die("no consumer", NULL);
    }
    for (size_t n = 0; n < pushes; n++) {
        atomic_store(&pushed_at, now_ns());
        (void)srun_health_push(node.ctx, n % 2 == 0 ? SRUN_HEALTH_DEGRADED : SRUN_HEALTH_HEALTHY,
                               NULL);
        for (int i = 0; i < CONSUMERS; i++)
            while (sem_wait(&heard) < 0)
                ;
    }
    for (int i = 0; i < CONSUMERS; i++) {
        (void)pthread_join(consumers[i].thread, NULL);
        (void)srun_health_watch_free(consumers[i].watch);
    }
    world_close(&world);
    (void)sem_destroy(&heard);
    size_t count = pushes * CONSUMERS;
    qsort(all, count, sizeof *all, by_value);
    struct latency latency = {quantile(all, count, 0.5), quantile(all, count, 0.99),
                              quantile(all, count, 1)};
    free(all);
    return latency;
}

/* --- a thousand services and one that hangs -------------------------------------------------- */

struct cadence {
    double least_ms, p50_ms, most_ms, beyond_percent;
    size_t gaps;
    const char *hung;
};

static struct cadence measure_cadence(unsigned seconds)
{
    static struct node nodes[MANY];
    static double gaps[MANY * GAPS_MAX];
    struct world world;
    size_t count = 0;
    world_open(&world, INTERVAL_MS);
    for (unsigned i = 0; i < MANY; i++)
        node_add(&world, &nodes[i], i, true);
    world_start(&world);
    atomic_store(&nodes[MANY / 2].hang_now, true);
    (void)sleep(seconds);
    struct srun_health health;
    (void)srun_runner_health(world.runner, nodes[MANY / 2].name, &health);
    atomic_store(&nodes[MANY / 2].hang_now, false);
    world_close(&world); /* from here on nobody asks */
    for (unsigned i = 0; i < MANY; i++)
        for (unsigned n = 1; n < nodes[i].checks && i != MANY / 2; n++)
            gaps[count++] = (double)(nodes[i].checked_at[n] - nodes[i].checked_at[n - 1]) / 1e6;
    qsort(gaps, count, sizeof *gaps, by_value);
    struct cadence cadence = {.least_ms = quantile(gaps, count, 0),
                              .p50_ms = quantile(gaps, count, 0.5),
                              .most_ms = quantile(gaps, count, 1),
                              .gaps = count,
                              .hung = srun_health_source_name(health.source)};
    double late = cadence.most_ms - INTERVAL_MS * 1.1, early = INTERVAL_MS * 0.9 - cadence.least_ms;
    double beyond = late > early ? late : early;
    cadence.beyond_percent = beyond > 0 ? beyond * 100 / INTERVAL_MS : 0;
    return cadence;
}

/* --- on a hot path --------------------------------------------------------------------------- */

struct lookup {
    double get_ns, bare_ns;
};

static struct lookup measure_lookup(unsigned services)
{
    static struct node nodes[MANY];
    static _Atomic int statuses[MANY];
    struct world world;
    int64_t sum = 0;
    world_open(&world, 60000);
    for (unsigned i = 0; i < services; i++)
        node_add(&world, &nodes[i], i, false);
    world_start(&world);
    const char *volatile name = nodes[services / 2].name;
    srun_context *ctx = nodes[0].ctx;
    unsigned rounds = LOOKUPS / (services > 100 ? 10U : 1U);
    int64_t start = now_ns();
    for (unsigned i = 0; i < rounds; i++)
        sum += srun_health_get(ctx, name);
    int64_t middle = now_ns();
    for (unsigned i = 0; i < rounds; i++) {
        const char *wanted = name;
        for (unsigned n = 0; n < services; n++)
            if (strcmp(nodes[n].name, wanted) == 0) {
                sum += atomic_load_explicit(&statuses[n], memory_order_acquire);
                break;
            }
    }
    int64_t end = now_ns();
    world_close(&world);
    if (sum == INT64_MIN)
        puts("");
    return (struct lookup){(double)(middle - start) / rounds, (double)(end - middle) / rounds};
}

/* --- while a consumer sleeps ----------------------------------------------------------------- */

struct sleeper {
    double mean_ns, p99_9_us, longest_us;
    long grown;
    unsigned over_1_ms;
    uint64_t missed;
};

static struct sleeper measure_sleeper(void)
{
    static struct node nodes[MANY];
    struct world world;
    struct sleeper sleeper = {0};
    srun_health_watch *watch = NULL;
    double *took = calloc(SLEEPER_PUSHES, sizeof *took);
    if (took == NULL)
        die("out of memory", NULL);
    world_open(&world, 60000);
    for (unsigned i = 0; i < MANY; i++)
        node_add(&world, &nodes[i], i, false);
    world_start(&world);
    long before = (long)mallinfo2().uordblks;
    if (srun_health_subscribe(nodes[0].ctx, NULL, &watch, NULL) < 0)
        die("no consumer", NULL);
    int64_t start = now_ns(), last = start;
    for (unsigned i = 0; i < SLEEPER_PUSHES; i++) {
        (void)srun_health_push(nodes[i % MANY].ctx,
                               i / MANY % 2 == 0 ? SRUN_HEALTH_DEGRADED : SRUN_HEALTH_HEALTHY,
                               NULL);
        int64_t now = now_ns();
        took[i] = (double)(now - last) / 1e3;
        sleeper.over_1_ms += now - last > 1000000;
        last = now;
    }
    sleeper.mean_ns = (double)(last - start) / SLEEPER_PUSHES;
    sleeper.grown = (long)mallinfo2().uordblks - before;
    sleeper.missed = srun_health_watch_missed(watch);
    (void)srun_health_watch_free(watch);
    world_close(&world);
    qsort(took, SLEEPER_PUSHES, sizeof *took, by_value);
    sleeper.p99_9_us = quantile(took, SLEEPER_PUSHES, 0.999);
    sleeper.longest_us = took[SLEEPER_PUSHES - 1];
    free(took);
    return sleeper;
}

/* --- telling --------------------------------------------------------------------------------- */

static unsigned long option(int argc, char **argv, const char *name, unsigned long otherwise)
{
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0)
            return strtoul(argv[i] + length, NULL, 10);
    return otherwise;
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    struct latency latency = measure_latency(option(argc, argv, "--pushes=", 100000));
    struct cadence cadence = measure_cadence((unsigned)option(argc, argv, "--seconds=", 10));
    struct lookup few = measure_lookup(10), many = measure_lookup(MANY);
    struct sleeper sleeper = measure_sleeper();
    if (json) {
        printf("{\"bench\":\"health\",\"push_p50_us\":%.1f,\"push_p99_us\":%.1f,"
               "\"push_worst_us\":%.1f,\"gap_least_ms\":%.1f,\"gap_p50_ms\":%.1f,"
               "\"gap_most_ms\":%.1f,\"gap_beyond_percent\":%.2f,\"gaps\":%zu,"
               "\"get_10_ns\":%.1f,\"bare_10_ns\":%.1f,\"get_1000_ns\":%.1f,"
               "\"bare_1000_ns\":%.1f,\"sleeper_push_ns\":%.1f,\"sleeper_p99_9_us\":%.1f,"
               "\"sleeper_longest_us\":%.1f,\"sleeper_over_1_ms\":%u,\"sleeper_bytes\":%ld,"
               "\"sleeper_missed\":%" PRIu64 "}\n",
               latency.p50_us, latency.p99_us, latency.worst_us, cadence.least_ms, cadence.p50_ms,
               cadence.most_ms, cadence.beyond_percent, cadence.gaps, few.get_ns, few.bare_ns,
               many.get_ns, many.bare_ns, sleeper.mean_ns, sleeper.p99_9_us, sleeper.longest_us,
               sleeper.over_1_ms, sleeper.grown, sleeper.missed);
        return 0;
    }
    printf("%-44s %10s %10s %10s\n", "", "p50", "p99", "worst");
    printf("%-44s %10.1f %10.1f %10.1f us\n", "from a push to each of 3 consumers", latency.p50_us,
           latency.p99_us, latency.worst_us);
    printf("%-44s %10s %10s %10s\n", "", "least", "p50", "most");
    printf("%-44s %10.1f %10.1f %10.1f ms\n", "between checks, 1000 services, 1 hung (1 s)",
           cadence.least_ms, cadence.p50_ms, cadence.most_ms);
    printf("  beyond the jitter of 10 %%: %.2f %% of the interval in %zu gaps; the hung one: %s\n",
           cadence.beyond_percent, cadence.gaps, cadence.hung);
    printf("%-44s %10s %10s\n", "", "get", "bare");
    printf("%-44s %10.1f %10.1f ns\n", "the status of one of 10 services", few.get_ns, few.bare_ns);
    printf("%-44s %10.1f %10.1f ns\n", "the status of one of 1000 services", many.get_ns,
           many.bare_ns);
    printf("%-44s %10s %10s %10s\n", "", "mean", "p99.9", "worst");
    printf("%-44s %10.2f %10.1f %10.1f us\n", "a push, 1000 sources, the consumer sleeps",
           sleeper.mean_ns / 1e3, sleeper.p99_9_us, sleeper.longest_us);
    printf("  %u of %d took over 1 ms; memory grew by %ld bytes; %" PRIu64 " overtaken\n",
           sleeper.over_1_ms, SLEEPER_PUSHES, sleeper.grown, sleeper.missed);
    return 0;
}
