/* SPDX-License-Identifier: MIT
 *
 * Profiles, when the system refuses: each is taken, or it is said why not; a name that cannot be
 * looked up is an address; and what the next one needs is there again. In forms of text a failure
 * may leave something out, which then is no error: a profile shows what could be had.
 */
#include "scenario.h"

#include "base/duration.h"
#include "profile/cpu.h"
#include "profile/flame.h"
#include "profile/kept.h"
#include "profile/pprof.h"
#include "profile/remembered.h"
#include "profile/text.h"
#include "profile/threads.h"
#include "profile/timers.h"
#include "profiling.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__
#define HELD_BACK 1 /* it holds signals back: there are no profiles */
#else
#define HELD_BACK 0
#endif

static atomic_bool stop;
static volatile uint64_t sink;

static void *burn(void *arg)
{
    while (!atomic_load(&stop))
        for (unsigned i = 0; i < 1000; i++)
            sink = sink * 31 + i;
    return arg;
}

static pthread_t start_burning(void)
{
    pthread_t thread;
    atomic_store(&stop, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, burn, NULL), 0);
    return thread;
}

static void end_burning(pthread_t thread)
{
    atomic_store(&stop, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void take_cpu(void *arg)
{
    const struct cpu_ask ask = {.span_ns = *(int64_t *)arg, .hz = 1000, .cancel_fd = -1};
    struct profile profile = {0};
    srun_err err = {0};
    scenario_arm();
    int rc = cpu_profile(&ask, &profile, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    profile_free(&profile);
}

START_TEST(takes_processor_time_or_says_why_not)
    {
        if (HELD_BACK)
            return;
        int64_t brief = 5 * NS_PER_MS, enough = 200 * NS_PER_MS; /* to wait, after all is begun */
        pthread_t thread = start_burning();
        scenario_each("cpu", FAULT_SYSTEM, take_cpu, &brief);
        scenario_each("cpu, interrupted", FAULT_INTERRUPT, take_cpu, &enough);
        end_burning(thread);
    }
END_TEST

/* The first thread is new to the timers, so that what fails for it comes before the others. */
static void update_timers(void *arg)
{
    struct timers timers = {.period_ns = 1000000 * NS_PER_S}; /* they never fire */
    (void)arg;
    SCENARIO_ASSERT(timers_update(&timers) == 0 && timers.count > 1, "%zu", timers.count);
    (void)timer_delete(timers.all[0].id);
    timers.capacity = --timers.count; /* no room for it */
    memmove(&timers.all[0], &timers.all[1], timers.count * sizeof timers.all[0]);
    int known = timers.all[0].tid;
    scenario_arm();
    int rc = timers_update(&timers);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || failed > 0, "%d", rc);
    for (size_t i = 0; i < timers.count; i++)
        SCENARIO_ASSERT(timers.all[i].tid != known || timers.all[i].armed, "it is left out");
    timers_stop(&timers);
}

START_TEST(forgets_no_thread_that_it_could_not_look_for)
    {
        pthread_t thread = start_burning();
        scenario_each("timers", FAULT_SYSTEM, update_timers, NULL);
        end_burning(thread);
    }
END_TEST

/* Threads are asked once a second at most, but for the first time in a process: each run has one of
 * its own. */
static void ask_threads_here(void *arg)
{
    struct threads threads = {0};
    struct profile profile = {0};
    srun_err err = {0};
    (void)arg;
    pthread_t thread = start_burning();
    scenario_arm();
    int rc = threads_ask(-1, &threads, &err);
    if (rc == 0)
        threads_to_profile(&threads, &profile);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT(rc < 0 || threads.count == 2, "%zu threads", threads.count);
    profile_free(&profile);
    threads_free(&threads);
    end_burning(thread);
}

static void ask_threads(void *arg)
{
    scenario_in_child(ask_threads_here, arg);
}

START_TEST(asks_all_threads_or_says_why_not)
    {
        if (HELD_BACK)
            return;
        scenario_each("threads", FAULT_SYSTEM, ask_threads, NULL);
        scenario_each("threads, interrupted", FAULT_INTERRUPT, ask_threads, NULL);
    }
END_TEST

/* --- writing --------------------------------------------------------------------------------- */

static struct profile taken;
static struct threads seen;
static struct remembered remembered;

static void write_with_names(void (*write)(struct buf *out, struct names *names))
{
    struct names *names = NULL;
    struct buf out = {0};
    scenario_arm();
    int rc = names_new(&names, taken.known, &remembered);
    if (rc == 0)
        write(&out, names);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || (rc == -ENOMEM && failed > 0), "%d", rc);
    SCENARIO_ASSERT(rc < 0 || out.failed || out.size > 0, "nothing was written");
    SCENARIO_ASSERT(!out.failed || failed > 0, "it fails by itself");
    buf_free(&out);
    names_free(names);
}

static void write_top(struct buf *out, struct names *names)
{
    text_top(out, &taken, &pprof_cpu, names);
}

static void write_folded(struct buf *out, struct names *names)
{
    text_folded(out, &taken, &pprof_cpu, names);
}

static void write_flame(struct buf *out, struct names *names)
{
    flame_write(out, &taken, &pprof_cpu, names);
}

static void write_proto(struct buf *out, struct names *names)
{
    pprof_write(out, &taken, &pprof_cpu, names);
}

static void write_each(struct buf *out, struct names *names)
{
    text_threads_each(out, &seen, names);
}

static void write_grouped(struct buf *out, struct names *names)
{
    text_threads_grouped(out, &seen, names);
}

static void write_in_form(void *arg)
{
    void (*const *write)(struct buf * out, struct names * names) = arg;
    write_with_names(*write);
}

/* Nothing is remembered from the run before: all files are read anew. */
static void write_anew(void *arg)
{
    (void)arg;
    remembered_free(&remembered);
    write_with_names(write_top);
}

static void take_both(void)
{
    const struct cpu_ask ask = {.span_ns = 50 * NS_PER_MS, .hz = 1000, .cancel_fd = -1};
    srun_err err = {0};
    pthread_t thread = start_burning();
    while (taken.stacks.count == 0) { /* the machine may be busy with others */
        profile_free(&taken);
        ck_assert_msg(cpu_profile(&ask, &taken, &err) == 0, "%s", err.text);
    }
    ck_assert_msg(threads_ask(-1, &seen, &err) == 0, "%s", err.text);
    end_burning(thread);
}

START_TEST(writes_every_form_without_the_names_that_cannot_be_had)
    {
        static const struct {
            const char *name;
            void (*write)(struct buf *out, struct names *names);
        } forms[] = {{"top", write_top},     {"folded", write_folded}, {"flame", write_flame},
                     {"proto", write_proto}, {"each", write_each},     {"grouped", write_grouped}};
        if (HELD_BACK)
            return;
        take_both();
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            void (*write)(struct buf * out, struct names * names) = forms[i].write;
            scenario_each(forms[i].name, FAULT_SYSTEM, write_in_form, &write);
        }
        scenario_each("anew", FAULT_SYSTEM, write_anew, NULL);
        remembered_free(&remembered);
        profile_free(&taken);
        threads_free(&seen);
    }
END_TEST

/* --- as the admin port has it ---------------------------------------------------------------- */

static void take_form(void *arg)
{
    const struct admin_profile_ask *ask = arg;
    struct buf out = {0};
    srun_err err = {0};
    scenario_arm();
    int rc = profiling_take(ask, &out, &err);
    unsigned failed = scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT(rc == 0 || failed > 0, "%s", err.text);
    SCENARIO_ASSERT(rc < 0 || out.size > 0, "an empty answer");
    buf_free(&out);
}

static void take_form_in_child(void *arg)
{
    scenario_in_child(take_form, arg);
}

static void take_symbols(void *arg)
{
    char question[64];
    struct buf out = {0};
    srun_err err = {0};
    (void)arg;
    (void)snprintf(question, sizeof question, "%#lx+0x1", (unsigned long)(uintptr_t)take_form);
    scenario_arm();
    int rc = profiling_symbols(question, &out, &err);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || failed > 0, "%s", err.text);
    buf_free(&out);
}

static void keep(void *arg)
{
    const struct admin_profile_ask ask = {.span_ns = 5 * NS_PER_MS, .cancel_fd = -1};
    struct buf proto = {0}, top = {0};
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = profiling_keep_cpu(&ask, "busy", &proto, &top, &err);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || failed > 0, "%s", err.text);
    if (rc < 0)
        scenario_assert_error(rc, &err);
    buf_free(&proto);
    buf_free(&top);
}

static void keep_stacks_here(void *arg)
{
    struct buf stacks = {0};
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = profiling_keep_threads(100, &stacks, &err);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(rc == 0 || failed > 0, "%s", err.text);
    buf_free(&stacks);
}

static void keep_stacks(void *arg)
{
    scenario_in_child(keep_stacks_here, arg);
}

START_TEST(answers_the_admin_port_or_says_why_not)
    {
        static const struct {
            const char *name;
            struct admin_profile_ask ask;
        } asks[] = {{"cpu.proto", {ADMIN_CPU, ADMIN_PROTO, 5 * NS_PER_MS, 1000, -1}},
                    {"threads.each", {ADMIN_THREADS, ADMIN_EACH, 0, 0, -1}},
                    {"threads.flame", {ADMIN_THREADS, ADMIN_FLAME, 0, 0, -1}},
                    {"heap.top", {ADMIN_HEAP, ADMIN_TOP, 0, 0, -1}},
                    {"mutex.proto", {ADMIN_MUTEX, ADMIN_PROTO, 0, 0, -1}}};
        if (HELD_BACK)
            return;
        /* What is read of files stays remembered: the first time, all of it, without a failure. */
        for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
            struct admin_profile_ask ask = asks[i].ask;
            scenario_each(asks[i].name, FAULT_SYSTEM,
                          ask.what == ADMIN_THREADS ? take_form_in_child : take_form, &ask);
        }
        scenario_each("symbols", FAULT_SYSTEM, take_symbols, NULL);
        scenario_each("keep", FAULT_SYSTEM, keep, NULL);
        scenario_each("keep stacks", FAULT_SYSTEM, keep_stacks, NULL);
    }
END_TEST

/* --- keeping --------------------------------------------------------------------------------- */

static void keep_some(void *arg)
{
    struct kept kept = {0};
    (void)arg;
    scenario_arm();
    for (unsigned i = 0; i < KEPT_MAX + 2; i++) {
        struct kept_item item = {.cpu = i % 2 == 0};
        buf_text(&item.body, "what was seen");
        buf_text(&item.top, "a table");
        int rc = item.body.failed || item.top.failed ? -ENOMEM : 0;
        if (rc == 0)
            rc = kept_add(&kept, &item);
        else {
            buf_free(&item.body);
            buf_free(&item.top);
        }
        SCENARIO_ASSERT(rc == 0 || rc == -ENOMEM, "%d", rc);
        SCENARIO_ASSERT(rc < 0 || kept_find(&kept, kept.last) != NULL, "it is not there");
    }
    (void)scenario_disarm();
    SCENARIO_ASSERT(kept.count >= KEPT_MAX - 1, "%zu", kept.count);
    kept_free(&kept);
}

START_TEST(keeps_what_it_can)
    {
        scenario_each("kept", FAULT_SYSTEM, keep_some, NULL);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    scenario_stride(harness_slowness() > 1 ? 7 : 1);
    return HARNESS("fault.profile", takes_processor_time_or_says_why_not,
                   forgets_no_thread_that_it_could_not_look_for, asks_all_threads_or_says_why_not,
                   writes_every_form_without_the_names_that_cannot_be_had,
                   answers_the_admin_port_or_says_why_not, keeps_what_it_can);
}
