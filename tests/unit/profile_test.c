/* SPDX-License-Identifier: MIT
 *
 * Profiles of this very process: of processor time and of all threads, and what is written of them.
 * Under the thread sanitizer, which holds signals back, they are refused.
 */
#include "base/clock.h"
#include "base/duration.h"
#include "base/proc.h"
#include "base/text.h"
#include "base/wire.h"
#include "harness.h"
#include "profile/cpu.h"
#include "profile/flame.h"
#include "profile/text.h"
#include "profile/threads.h"
#include "profile/timers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define HELD_BACK 1
#else
#define HELD_BACK 0
#endif

static atomic_bool stop;
static volatile uint64_t sink;

__attribute__((noinline)) static void burn_some(void)
{
    for (unsigned i = 0; i < 100000; i++)
        sink = sink * 31 + i;
}

static sem_t begun;

static void *burn(void *arg)
{
    (void)pthread_setname_np(pthread_self(), arg);
    (void)sem_post(&begun);
    while (!atomic_load(&stop))
        burn_some();
    return NULL;
}

static void start(pthread_t *thread, const char *name)
{
    ck_assert_int_eq(sem_init(&begun, 0, 0), 0);
    ck_assert_int_eq(pthread_create(thread, NULL, burn, (void *)(uintptr_t)name), 0);
    while (sem_wait(&begun) < 0)
        ;
}

static void end(pthread_t thread)
{
    atomic_store(&stop, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static struct profile take(double seconds, unsigned hz)
{
    struct profile profile;
    srun_err err = {0};
    const struct cpu_ask ask = {(int64_t)(seconds * NS_PER_S), hz, -1};
    ck_assert_msg(cpu_profile(&ask, &profile, &err) == 0, "%s", err.text);
    return profile;
}

static int64_t cpu_of(pthread_t thread)
{
    clockid_t clock;
    struct timespec now;
    ck_assert_int_eq(pthread_getcpuclockid(thread, &clock), 0);
    ck_assert_int_eq(clock_gettime(clock, &now), 0);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* A profile that ends when the thread has had so much processor time, however long that takes. */
struct until {
    pthread_t burner;
    double seconds;
    unsigned hz;
    struct profile profile;
    int pipe[2];
};

static bool is_default(void)
{
    struct sigaction now;
    return sigaction(SIGPROF, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static void *wait_for_burner(void *arg)
{
    struct until *until = arg;
    while (is_default()) /* until it has begun, or another one */
        (void)poll(NULL, 0, 1);
    int64_t end_ns = cpu_of(until->burner) + (int64_t)(until->seconds * NS_PER_S);
    while (cpu_of(until->burner) < end_ns)
        (void)poll(NULL, 0, 1);
    ck_assert_int_eq(write(until->pipe[1], "x", 1), 1);
    return NULL;
}

static void *take_until(void *arg)
{
    struct until *until = arg;
    pthread_t waiter;
    srun_err err = {0};
    ck_assert_int_eq(pipe(until->pipe), 0);
    ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_burner, until), 0);
    const struct cpu_ask ask = {300 * NS_PER_S, until->hz, until->pipe[0]};
    ck_assert_msg(cpu_profile(&ask, &until->profile, &err) == 0, "%s", err.text);
    ck_assert_int_eq(pthread_join(waiter, NULL), 0);
    (void)close(until->pipe[0]);
    (void)close(until->pipe[1]);
    return NULL;
}

static uint64_t time_of(const struct profile *profile, const char *thread)
{
    uint64_t ns = 0;
    for (size_t i = 0; i < profile->stacks.count; i++)
        if (strcmp(profile->stacks.names[profile->stacks.all[i].name], thread) == 0)
            ns += profile->stacks.all[i].values[1];
    return ns;
}

/* The processor time that the process has taken meanwhile: between the moments that count, whoever
 * was not let run before or after. */
static double taken_during(const struct profile *profile)
{
    double sampled, taken = 0;
    (void)sscanf(profile->remarks.data, "%lfs of %lfs processor time was sampled", &sampled,
                 &taken);
    ck_assert_msg(taken > 0, "%s", profile->remarks.data);
    return taken * NS_PER_S;
}

/* --- processor time -------------------------------------------------------------------------- */

START_TEST(counts_the_processor_time_of_a_thread)
    {
        struct until until = {.seconds = 0.8, .hz = 250};
        start(&until.burner, "burner");
        (void)take_until(&until);
        double sampled = (double)time_of(&until.profile, "burner");
        double taken = taken_during(&until.profile);
        end(until.burner);
        ck_assert_msg(sampled > 0.8 * taken && sampled < 1.2 * taken, "%g of %g", sampled, taken);
        ck_assert_int_eq(until.profile.period_ns, NS_PER_S / 250);
        profile_free(&until.profile);
        ck_assert(is_default());
    }
END_TEST

START_TEST(shares_the_timers_between_profiles_that_overlap)
    {
        pthread_t burner, others[4];
        struct until windows[4];
        start(&burner, "burner");
        for (int i = 0; i < 4; i++) {
            windows[i] = (struct until){
                .burner = burner, .seconds = 0.2 + 0.2 * i, .hz = i % 2 ? 1000 : 100};
            ck_assert_int_eq(pthread_create(&others[i], NULL, take_until, &windows[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_join(others[i], NULL), 0);
        end(burner);
        for (int i = 0; i < 4; i++) {
            double sampled = (double)time_of(&windows[i].profile, "burner");
            double taken = taken_during(&windows[i].profile);
            ck_assert_msg(sampled > 0.5 * taken - 2e-2 * NS_PER_S &&
                              sampled < 1.2 * (double)windows[i].profile.duration_ns,
                          "%g of %g", sampled, taken);
            profile_free(&windows[i].profile);
        }
        ck_assert(is_default());
    }
END_TEST

static void *start_late(void *arg)
{
    struct until *until = arg;
    while (is_default())
        (void)poll(NULL, 0, 1);
    start(&until->burner, "late");
    return wait_for_burner(until);
}

START_TEST(sees_threads_that_are_born_meanwhile)
    {
        pthread_t starter;
        struct until until = {.seconds = 0.5};
        ck_assert_int_eq(pipe(until.pipe), 0);
        ck_assert_int_eq(pthread_create(&starter, NULL, start_late, &until), 0);
        const struct cpu_ask ask = {300 * NS_PER_S, 250, until.pipe[0]};
        ck_assert_int_eq(cpu_profile(&ask, &until.profile, NULL), 0);
        ck_assert_int_eq(pthread_join(starter, NULL), 0);
        end(until.burner);
        ck_assert_uint_gt(time_of(&until.profile, "late"), 0);
        profile_free(&until.profile);
        (void)close(until.pipe[0]);
        (void)close(until.pipe[1]);
    }
END_TEST

START_TEST(ends_early_when_it_is_cancelled)
    {
        int pipe_of[2];
        ck_assert_int_eq(pipe(pipe_of), 0);
        ck_assert_int_eq(write(pipe_of[1], "x", 1), 1);
        struct profile profile;
        int64_t before = harness_now_ms();
        const struct cpu_ask ask = {100 * NS_PER_S, 100, pipe_of[0]};
        ck_assert_int_eq(cpu_profile(&ask, &profile, NULL), 0);
        ck_assert_int_lt(harness_now_ms() - before, 50000);
        profile_free(&profile);
        (void)close(pipe_of[0]);
        (void)close(pipe_of[1]);
        ck_assert(is_default());
    }
END_TEST

static void on_prof(int signo)
{
    (void)signo;
}

START_TEST(leaves_a_signal_alone_that_the_program_uses)
    {
        srun_err err = {0};
        struct profile profile;
        struct threads threads;
        ck_assert(signal(SIGPROF, on_prof) == SIG_DFL);
        const struct cpu_ask ask = {NS_PER_S, 100, -1};
        ck_assert_int_eq(cpu_profile(&ask, &profile, &err), -EBUSY);
        ck_assert_msg(strstr(err.text, "SIGPROF is taken") != NULL, "%s", err.text);
        ck_assert_int_eq(threads_ask(-1, &threads, &err), -EBUSY);
        ck_assert(signal(SIGPROF, SIG_DFL) == on_prof);
    }
END_TEST

START_TEST(gives_the_signal_back_as_it_was)
    {
        ck_assert(signal(SIGPROF, SIG_IGN) == SIG_DFL);
        struct profile profile = take(0.01, 100);
        profile_free(&profile);
        ck_assert(signal(SIGPROF, SIG_DFL) == SIG_IGN);
    }
END_TEST

static void *profile_along(void *arg)
{
    struct profile *out = arg;
    *out = take(0.3, 1000);
    return NULL;
}

START_TEST(survives_signals_of_others)
    {
        pthread_t other;
        struct profile along = {0};
        ck_assert(signal(SIGPROF, SIG_IGN) == SIG_DFL); /* also for one that comes too late */
        ck_assert_int_eq(pthread_create(&other, NULL, profile_along, &along), 0);
        union sigval value = {.sival_ptr = &along};
        errno = EDOM;
        for (int i = 0; i < 1000; i++) {
            (void)raise(SIGPROF);
            (void)sigqueue(getpid(), SIGPROF, value);
        }
        ck_assert_int_eq(errno, EDOM);
        ck_assert_int_eq(pthread_join(other, NULL), 0);
        profile_free(&along);
    }
END_TEST

START_TEST(says_who_cannot_be_seen)
    {
        pthread_t thread;
        sigset_t all, before;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        start(&thread, "deaf one");
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        struct profile profile = take(0.2, 100);
        end(thread);
        ck_assert_uint_eq(time_of(&profile, "deaf one"), 0);
        ck_assert_msg(strstr(profile.remarks.data, "block SIGPROF, and so are not seen: deaf one"),
                      "%s", profile.remarks.data);
        profile_free(&profile);
    }
END_TEST

START_TEST(says_how_many_threads_have_no_timer)
    {
        const struct rlimit none = {0};
        ck_assert_int_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
        struct profile profile = take(0.01, 100);
        ck_assert_msg(strstr(profile.remarks.data, "1 threads have no timer") != NULL, "%s",
                      profile.remarks.data);
        profile_free(&profile);
    }
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

static sem_t asleep;
static unsigned sleeper_count;
static int sleeper_tids[20];

static void *sleep_named(void *arg)
{
    char byte;
    int *fd = arg;
    (void)pthread_setname_np(pthread_self(), "sleeper");
    sleeper_tids[__atomic_fetch_add(&sleeper_count, 1, __ATOMIC_SEQ_CST)] = gettid();
    (void)sem_post(&asleep);
    while (read(*fd, &byte, 1) < 0)
        ;
    return NULL;
}

/* Each of them is where it stays, and not on the way there. */
static bool all_sleep(void *arg)
{
    bool all = true;
    for (unsigned i = 0; i < *(unsigned *)arg; i++) {
        char text[64];
        proc_thread_file(sleeper_tids[i], "stat", text, sizeof text);
        all = all && strstr(text, ") S") != NULL;
    }
    return all;
}

/* On a machine that is very busy one may not answer in time, and is told so. */
static bool has_late(const struct threads *threads)
{
    for (size_t i = 0; i < threads->count; i++)
        if (threads->all[i].silent != NULL && strstr(threads->all[i].silent, "within") != NULL)
            return true;
    return false;
}

static const struct thread_stack *find_thread(const struct threads *threads, const char *name)
{
    for (size_t i = 0; i < threads->count; i++)
        if (strcmp(threads->all[i].name, name) == 0)
            return &threads->all[i];
    return NULL;
}

START_TEST(asks_all_threads_what_they_do)
    {
        enum { SLEEPERS = sizeof sleeper_tids / sizeof sleeper_tids[0] };
        pthread_t sleepers[SLEEPERS], deaf;
        int pipe_of[2];
        sigset_t all, before;
        ck_assert_int_eq(pipe(pipe_of), 0);
        ck_assert_int_eq(sem_init(&asleep, 0, 0), 0);
        for (int i = 0; i < SLEEPERS; i++)
            ck_assert_int_eq(pthread_create(&sleepers[i], NULL, sleep_named, &pipe_of[0]), 0);
        for (int i = 0; i < SLEEPERS; i++)
            while (sem_wait(&asleep) < 0)
                ;
        ck_assert(harness_wait(all_sleep, &sleeper_count, 10000));
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        start(&deaf, "deaf one");
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        struct threads threads;
        while (threads_ask(-1, &threads, NULL) == 0 && has_late(&threads))
            threads_free(&threads);
        (void)close(pipe_of[1]);
        for (int i = 0; i < SLEEPERS; i++)
            ck_assert_int_eq(pthread_join(sleepers[i], NULL), 0);
        end(deaf);
        ck_assert_uint_eq(threads.count, SLEEPERS + 2);
        ck_assert_str_eq(find_thread(&threads, "deaf one")->silent, "it blocks SIGPROF");
        const struct thread_stack *sleeper = find_thread(&threads, "sleeper");
        ck_assert_ptr_null(sleeper->silent);
        ck_assert_uint_gt(sleeper->depth, 2);

        struct names *names;
        struct remembered remembered = {0};
        ck_assert_int_eq(names_new(&names, threads.known, &remembered), 0);
        struct buf text = {0};
        text_threads_grouped(&text, &threads, names);
        ck_assert_msg(strncmp(text.data, "threads profile: total 22\n20 @ 0x", 33) == 0, "%s",
                      text.data);
        ck_assert_ptr_nonnull(strstr(text.data, "\tsleep_named\t"));
        buf_free(&text);
        text_threads_each(&text, &threads, names);
        ck_assert_ptr_nonnull(strstr(text.data, "\"deaf one\" [running]:\nno stack: it blocks"));
        buf_free(&text);
        names_free(names);
        remembered_free(&remembered);
        threads_free(&threads);
        (void)close(pipe_of[0]);
        ck_assert(is_default());
    }
END_TEST

/* --- what is written ------------------------------------------------------------------------- */

struct content {
    uint64_t count[20]; /* fields, by number */
    uint64_t samples, cpu, last_location, last_function, last_mapping;
    bool first_string_is_empty, has_name, has_build_id;
};

static void read_sample(struct content *content, const struct wire_field *sample)
{
    struct wire_reader in = wire_reader(sample->data, sample->size);
    struct wire_field field;
    while (wire_next(&in, &field)) {
        if (field.number != 2)
            continue;
        uint64_t values[2] = {0};
        unsigned at = 0, shift = 0;
        for (size_t i = 0; i < field.size; i++) {
            ck_assert_uint_lt(at, 2);
            values[at] |= (uint64_t)(field.data[i] & 0x7f) << shift;
            shift = field.data[i] >= 0x80 ? shift + 7 : 0;
            at += field.data[i] < 0x80;
        }
        ck_assert_uint_eq(at, 2);
        content->samples += values[0];
        content->cpu += values[1];
    }
    ck_assert(!in.bad);
}

static uint64_t first_number(const struct wire_field *message, uint32_t number)
{
    struct wire_reader in = wire_reader(message->data, message->size);
    struct wire_field field;
    while (wire_next(&in, &field))
        if (field.number == number)
            return field.value;
    return 0;
}

static void read_string(struct content *content, const struct wire_field *field)
{
    if (content->count[6] == 1)
        content->first_string_is_empty = field->size == 0;
    content->has_name |= field->size == 9 && memcmp(field->data, "burn_some", 9) == 0;
}

static struct content read_content(const struct buf *buf)
{
    struct content content = {0};
    struct wire_reader in = wire_reader(buf->data, buf->size);
    struct wire_field field;
    while (wire_next(&in, &field)) {
        ck_assert_uint_lt(field.number, 20);
        content.count[field.number]++;
        if (field.number == 2)
            read_sample(&content, &field);
        else if (field.number == 3)
            ck_assert_uint_eq(first_number(&field, 1), ++content.last_mapping);
        else if (field.number == 4)
            ck_assert_uint_eq(first_number(&field, 1), ++content.last_location);
        else if (field.number == 5)
            ck_assert_uint_eq(first_number(&field, 1), ++content.last_function);
        else if (field.number == 6)
            read_string(&content, &field);
    }
    ck_assert(!in.bad);
    return content;
}

START_TEST(writes_what_pprof_reads)
    {
        struct until until = {.seconds = 0.3, .hz = 250};
        start(&until.burner, "burner");
        (void)take_until(&until);
        end(until.burner);
        struct profile profile = until.profile;
        struct names *names;
        struct remembered remembered = {0};
        struct buf out = {0};
        ck_assert_int_eq(names_new(&names, profile.known, &remembered), 0);
        pprof_write(&out, &profile, &pprof_cpu, names);
        ck_assert(!out.failed);
        struct content content = read_content(&out);
        uint64_t sampled = 0;
        for (size_t i = 0; i < profile.stacks.count; i++)
            sampled += profile.stacks.all[i].values[1];
        ck_assert_uint_eq(content.count[1], 2);
        ck_assert_uint_eq(content.count[2], profile.stacks.count);
        ck_assert_uint_eq(content.cpu, sampled);
        ck_assert_uint_eq(content.cpu, content.samples * (uint64_t)profile.period_ns);
        ck_assert(content.first_string_is_empty && content.has_name);
        ck_assert_uint_gt(content.last_mapping, 0);
        ck_assert_uint_gt(content.last_function, 1);
        buf_free(&out);
        text_top(&out, &profile, &pprof_cpu, names);
        ck_assert_msg(strstr(out.data, " burn_some\n") != NULL, "%s", out.data);
        buf_free(&out);
        text_folded(&out, &profile, &pprof_cpu, names);
        ck_assert_msg(strstr(out.data, ";burn;burn_some ") != NULL, "%s", out.data);
        buf_free(&out);
        flame_write(&out, &profile, &pprof_cpu, names);
        ck_assert_msg(strstr(out.data, "<g><title>burn_some ") != NULL, "%s", out.data);
        buf_free(&out);
        names_free(names);
        remembered_free(&remembered);
        profile_free(&profile);
    }
END_TEST

START_TEST(writes_a_profile_without_anything)
    {
        struct profile profile = {.start_ns = 1};
        struct names *names;
        struct remembered remembered = {0};
        struct buf out = {0};
        buf_text(&profile.remarks, "why\nand more\n");
        ck_assert_int_eq(names_new(&names, NULL, &remembered), 0);
        pprof_write(&out, &profile, &pprof_heap, names);
        struct content content = read_content(&out);
        ck_assert_uint_eq(content.count[1], 4);
        ck_assert_uint_eq(content.count[2], 0);
        ck_assert_uint_eq(content.count[13], 2);
        buf_free(&out);
        flame_write(&out, &profile, &pprof_heap, names);
        ck_assert_ptr_nonnull(strstr(out.data, ">why and more </text>"));
        buf_free(&out);
        names_free(names);
        remembered_free(&remembered);
        profile_free(&profile);
    }
END_TEST

/* Threads have the names that the kernel has cut. */
START_TEST(draws_a_picture_of_whole_letters)
    {
        struct profile profile = {.start_ns = 1};
        struct names *names;
        struct remembered remembered = {0};
        struct buf out = {0};
        const uint64_t values[STACKS_VALUES] = {1, 1};
        const struct stack_key cut = {.name = "<caf\xc3\xa9\xc3"},
                               none = {.name = "a\xff\xef\xbf\xbfz"};
        stacks_add(&profile.stacks, &cut, values);
        stacks_add(&profile.stacks, &none, values);
        buf_text(&profile.remarks, "x");
        for (int i = 0; i < 200; i++)
            buf_text(&profile.remarks, "\xc3\xa9");
        ck_assert_int_eq(names_new(&names, NULL, &remembered), 0);
        flame_write(&out, &profile, &pprof_cpu, names);
        ck_assert_uint_eq(text_utf8_until(out.data, out.size), out.size);
        ck_assert_msg(strstr(out.data, "<title>&#60;caf\xc3\xa9? 50") != NULL, "%s", out.data);
        ck_assert_msg(strstr(out.data, "<title>a??z 50") != NULL, "%s", out.data);
        buf_free(&out);
        names_free(names);
        remembered_free(&remembered);
        profile_free(&profile);
    }
END_TEST

START_TEST(is_refused_where_signals_are_held_back)
    {
        srun_err err = {0};
        struct profile profile = {0};
        const struct cpu_ask ask = {NS_PER_MS, 100, -1};
        int rc = cpu_profile(&ask, &profile, &err);
        ck_assert_int_eq(rc, HELD_BACK ? -ENOTSUP : 0);
        ck_assert(!HELD_BACK || strstr(err.text, "thread sanitizer") != NULL);
        profile_free(&profile);
        ck_assert(is_default());
    }
END_TEST

int main(void)
{
    if (HELD_BACK)
        return HARNESS("profile", is_refused_where_signals_are_held_back,
                       writes_a_profile_without_anything, draws_a_picture_of_whole_letters);
    return HARNESS("profile", counts_the_processor_time_of_a_thread,
                   shares_the_timers_between_profiles_that_overlap,
                   sees_threads_that_are_born_meanwhile, ends_early_when_it_is_cancelled,
                   leaves_a_signal_alone_that_the_program_uses, gives_the_signal_back_as_it_was,
                   survives_signals_of_others, says_who_cannot_be_seen,
                   says_how_many_threads_have_no_timer, asks_all_threads_what_they_do,
                   writes_what_pprof_reads, writes_a_profile_without_anything,
                   draws_a_picture_of_whole_letters, is_refused_where_signals_are_held_back);
}
