/* SPDX-License-Identifier: MIT
 *
 * A program to be profiled, which knows the truth: GET /truth tells how much processor time each of
 * its threads and functions has taken. PROFILED says what it does, words with blanks between:
 *
 *     shares      four threads that take 50, 25, 15 and 10 parts of the work
 *     spin        one thread in two functions, three to one
 *     libc        one thread in functions of the C library, which has no frame pointers
 *     liar        one thread in code whose call frame information is wrong
 *     born        threads of a few ms each
 *     loader      threads that load and unload a library, and walk through what is loaded
 *     idle=N      N threads that wait; each tenth blocks all signals
 *     handler     takes SIGPROF for itself
 *     spans       two threads that end spans, within and beside each other, with names that hurt
 *     stuck=N     N threads that wait for a mutex, which is never given back
 *     circle=N    N threads that have a mutex each, and wait for that of the next
 *     twice       a thread that locks its mutex twice
 *     kinds       threads that wait for mutexes of all kinds, which another one has
 *     others      threads that wait for a condition, and for a read-write lock
 *     keep=N      N MiB of memory in small pieces, three quarters of them in one function
 *     hang        the end of the service never comes
 *     ill         the second health check of the service does not return until the end
 *     mute        the service promises a heartbeat, and gives none
 *
 * It is compiled with -O2 and without frame pointers, as packages are.
 */
#include "profiled.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <srun/admin.h>
#include <srun/srun.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define WORKERS_MAX 16

struct worker {
    const char *name;
    void (*turn)(struct worker *worker);
    unsigned share;
    _Atomic int64_t cpu_ns;
    _Atomic uint64_t turns;
    pthread_t thread;
};

static struct worker workers[WORKERS_MAX];
static unsigned worker_count;
static atomic_bool stopping;
static _Atomic int64_t spin_long_ns, spin_short_ns;
static _Atomic uint64_t born;
static volatile uint64_t sink;

static int64_t cpu_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --- work ------------------------------------------------------------------------------------ */

static NOINLINE void spin_long(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds * 3; i++)
        sink = sink * 31 + i;
}

static NOINLINE void spin_short(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++)
        sink = sink * 31 + i;
}

/* Of different lengths: turns that keep time with the clock that samples would be seen by it at the
 * same places again and again. */
static void turn_spin(struct worker *worker)
{
    static _Thread_local uint64_t chance = 88172645463325252;
    (void)worker;
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    uint64_t rounds = 10000 + chance % 100000;
    int64_t start = cpu_now();
    spin_long(rounds);
    int64_t middle = cpu_now();
    spin_short(rounds);
    atomic_fetch_add(&spin_long_ns, middle - start);
    atomic_fetch_add(&spin_short_ns, cpu_now() - middle);
}

/* Its share of processor time, then a pause, so that all of them fit into one processor. */
static NOINLINE void turn_shares(struct worker *worker)
{
    int64_t until = cpu_now() + worker->share * INT64_C(20000);
    while (cpu_now() < until)
        spin_short(2000);
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static NOINLINE void turn_libc(struct worker *worker)
{
    static char texts[512][32];
    static const char *sorted[512];
    (void)worker;
    for (unsigned i = 0; i < 512; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%08x-%g", i * 2654435761u, (double)i * 1.1);
        sorted[i] = texts[i];
    }
    qsort(sorted, 512, sizeof sorted[0], compare);
    sink += (uint64_t)sorted[0][0];
}

#ifdef __x86_64__
/* Says that its frame is elsewhere, where it has put addresses that lead nowhere. */
__asm__(".text\n"
        ".type lying, @function\n"
        "lying:\n"
        ".cfi_startproc\n"
        "subq $64, %rsp\n"
        ".cfi_def_cfa_offset 40\n" /* it is 72 */
        "movabsq $0xdead000, %rax\n"
        "movq %rax, 24(%rsp)\n"
        "movq %rax, 32(%rsp)\n"
        "pushq %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        "movabsq $0x123456789abc0, %rbp\n"
        "movq $200000, %rax\n"
        "1: subq $1, %rax\n"
        "jnz 1b\n"
        "popq %rbp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "addq $64, %rsp\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size lying, .-lying\n");
void lying(void);
#else
static void lying(void)
{
    spin_short(200000);
}
#endif

static NOINLINE void turn_liar(struct worker *worker)
{
    (void)worker;
    lying();
}

static void *short_life(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "born");
    int64_t until = cpu_now() + 150 * INT64_C(1000000);
    while (cpu_now() < until)
        spin_short(2000);
    atomic_fetch_add(&born, 1);
    return arg;
}

static void turn_born(struct worker *worker)
{
    pthread_t thread;
    (void)worker;
    if (pthread_create(&thread, NULL, short_life, NULL) == 0)
        (void)pthread_join(thread, NULL);
}

static int see_module(struct dl_phdr_info *info, size_t size, void *cookie)
{
    (void)size, (void)cookie;
    sink += info->dlpi_phnum;
    return 0;
}

static void turn_loader(struct worker *worker)
{
    static const char *const libraries[] = {"libutil.so.1", "libanl.so.1", "libBrokenLocale.so.1"};
    void *library = dlopen(libraries[worker->share % 3], RTLD_NOW | RTLD_LOCAL);
    for (int i = 0; i < 20; i++)
        (void)dl_iterate_phdr(see_module, NULL);
    spin_short(2000);
    if (library != NULL)
        (void)dlclose(library);
}

/* --- spans ----------------------------------------------------------------------------------- */

static srun_tracer *tracer;

/* One within another; then two of which neither is within the other. */
static void turn_spans(struct worker *worker)
{
    const struct timespec moment = {.tv_nsec = 500000};
    srun_span outer = srun_span_start(tracer, "outer \"\\</script>\x01\n\xff", NULL);
    srun_span inner = srun_span_start(tracer, worker->name, SRUN_SPAN(.parent = &outer.context));
    srun_span_set_status(&inner, SRUN_SPAN_ERROR, "on purpose");
    (void)nanosleep(&moment, NULL);
    srun_span_end(&inner);
    srun_span_end(&outer);
    srun_span one = srun_span_start(tracer, "one", NULL);
    (void)nanosleep(&moment, NULL);
    srun_span other = srun_span_start(tracer, "other", NULL);
    (void)nanosleep(&moment, NULL);
    srun_span_end(&one);
    (void)nanosleep(&moment, NULL);
    srun_span_end(&other);
}

/* --- threads --------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct worker *worker = arg;
    (void)pthread_setname_np(pthread_self(), worker->name);
    while (!atomic_load(&stopping)) {
        worker->turn(worker);
        atomic_store(&worker->cpu_ns, cpu_now());
        atomic_fetch_add(&worker->turns, 1);
    }
    return NULL;
}

static void *idle(void *arg)
{
    if (arg != NULL) {
        sigset_t all;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    }
    (void)pthread_setname_np(pthread_self(), arg != NULL ? "deaf" : "idle");
    while (!atomic_load(&stopping))
        (void)pause();
    return NULL;
}

/* --- memory ---------------------------------------------------------------------------------- */

static NOINLINE void keep(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void **piece = malloc(size);
        static void **last;
        if (piece == NULL)
            abort();
        *piece = last;
        last = piece;
    }
}

static NOINLINE void keep_much(size_t bytes)
{
    keep(1024, bytes / 1024);
    sink++;
}

static NOINLINE void keep_little(size_t bytes)
{
    keep(128, bytes / 128);
    sink++;
}

/* --- a service that hangs -------------------------------------------------------------------- */

static bool hangs, mute, ill;

static NOINLINE void hang_for_good(void)
{
    for (;;)
        (void)pause();
}

static NOINLINE int check_for_long(void *self, srun_context *ctx, srun_err *err)
{
    static atomic_uint calls;
    (void)self, (void)ctx, (void)err;
    while (atomic_fetch_add(&calls, 1) > 0 && !atomic_load(&stopping))
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}

/* --- the program ----------------------------------------------------------------------------- */

static void add(const char *name, void (*turn)(struct worker *), unsigned share)
{
    if (worker_count == WORKERS_MAX)
        abort();
    workers[worker_count++] = (struct worker){.name = name, .turn = turn, .share = share};
}

static void on_prof(int signo)
{
    (void)signo;
}

static void make_idle(int count)
{
    for (int i = 0; i < count; i++) {
        pthread_attr_t small;
        pthread_t thread;
        (void)pthread_attr_init(&small);
        (void)pthread_attr_setstacksize(&small, 65536);
        if (pthread_create(&thread, &small, idle, i % 10 == 0 ? &thread : NULL) != 0)
            abort();
        (void)pthread_detach(thread);
        (void)pthread_attr_destroy(&small);
    }
}

static void take_word(const char *word)
{
    if (strcmp(word, "shares") == 0) {
        add("share-50", turn_shares, 50);
        add("share-25", turn_shares, 25);
        add("share-15", turn_shares, 15);
        add("share-10", turn_shares, 10);
    } else if (strcmp(word, "spin") == 0) {
        add("spin", turn_spin, 0);
    } else if (strcmp(word, "libc") == 0) {
        add("libc", turn_libc, 0);
    } else if (strcmp(word, "liar") == 0) {
        add("liar", turn_liar, 0);
    } else if (strcmp(word, "born") == 0) {
        add("mother", turn_born, 0);
    } else if (strcmp(word, "loader") == 0) {
        add("loader-0", turn_loader, 0);
        add("loader-1", turn_loader, 1);
        add("loader-2", turn_loader, 2);
    } else if (strcmp(word, "spans") == 0) {
        add("spans-0", turn_spans, 0);
        add("spans-1", turn_spans, 1);
    } else if (strncmp(word, "idle=", 5) == 0) {
        make_idle(atoi(word + 5));
    } else if (strncmp(word, "keep=", 5) == 0) {
        size_t bytes = (size_t)atoi(word + 5) << 20;
        keep_much(bytes / 4 * 3);
        keep_little(bytes / 4);
    } else if (strcmp(word, "hang") == 0) {
        hangs = true;
    } else if (strcmp(word, "ill") == 0) {
        ill = true;
    } else if (strcmp(word, "mute") == 0) {
        mute = true;
    } else if (strcmp(word, "handler") == 0) {
        (void)signal(SIGPROF, on_prof);
    } else {
        locks_take_word(word);
    }
}

static int tell_truth(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    struct timespec now;
    (void)user, (void)err;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    srun_admin_type(exchange, "application/json");
    srun_admin_printf(exchange, "{\"cpu\":%" PRId64 ",\"born\":%" PRIu64 ",\"functions\":",
                      now.tv_sec * INT64_C(1000000000) + now.tv_nsec, atomic_load(&born));
    srun_admin_printf(exchange, "{\"spin_long\":%" PRId64 ",\"spin_short\":%" PRId64 "}",
                      atomic_load(&spin_long_ns), atomic_load(&spin_short_ns));
    srun_admin_printf(exchange, ",\"threads\":{");
    for (unsigned i = 0; i < worker_count; i++)
        srun_admin_printf(exchange, "%s\"%s\":{\"cpu\":%" PRId64 ",\"turns\":%" PRIu64 "}",
                          i > 0 ? "," : "", workers[i].name, atomic_load(&workers[i].cpu_ns),
                          atomic_load(&workers[i].turns));
    srun_admin_printf(exchange, "}}\n");
    return 0;
}

static int load_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self;
    tracer = srun_context_tracer(ctx);
    for (unsigned i = 0; i < worker_count; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            return srun_fail(err, -EAGAIN, "a thread");
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, 60000) == 0)
        ;
    if (hangs)
        hang_for_good();
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < worker_count; i++)
        (void)pthread_join(workers[i].thread, NULL);
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static struct srun_service_ops load = {.size = sizeof load, .run = load_run};
    const char *plan = getenv("PROFILED");
    char *words = strdup(plan != NULL ? plan : ""), *rest = words, *word;
    (void)user;
    while (words != NULL && (word = strsep(&rest, " ")) != NULL)
        take_word(word);
    free(words);
    load.health = ill ? check_for_long : NULL;
    static const char *password, *key; /* to be kept out of what is shown */
    int rc = srun_flag_string(runner, &password, "db.password", "", "a secret", err);
    if (rc == 0)
        rc = srun_flag_string(runner, &key, "api-key", "", "another one", err);
    if (rc == 0)
        rc = srun_admin_route(runner, "GET", "/truth", tell_truth, NULL, err);
    struct srun_service_options options = {.size = sizeof options, .heartbeat_ms = mute ? 50 : 0};
    return rc < 0 ? rc : srun_runner_add(runner, "load", &load, NULL, &options, err);
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "profiled", .version = "1.0.0"), setup, NULL);
}
