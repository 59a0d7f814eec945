/* SPDX-License-Identifier: MIT
 *
 * Services that play a part, and a stage for them: each verb writes "name.verb" into a trace, and
 * does what its actor was told to. The stage is a runner on the virtual clock, with its log in
 * memory. Nothing here asserts what the library should do; the suites do.
 */
#ifndef TESTS_UNIT_CAST_H
#define TESTS_UNIT_CAST_H

#include "base/clock.h"
#include "base/duration.h"
#include "base/thread.h"
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <srun/testing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL_LIMIT_MS ((int64_t)10000 * harness_slowness())

/* --- what happened, in order ----------------------------------------------------------------- */

struct trace {
    pthread_mutex_t lock;
    pthread_cond_t more;
    size_t used;
    char text[32768]; /* "db.init web.init db.run" */
};

static inline void trace_init(struct trace *trace)
{
    (void)pthread_mutex_init(&trace->lock, NULL);
    (void)thread_cond_init(&trace->more);
    trace->used = 0;
    trace->text[0] = '\0';
}

static inline void trace_destroy(struct trace *trace)
{
    (void)pthread_cond_destroy(&trace->more);
    (void)pthread_mutex_destroy(&trace->lock);
}

static inline void trace_add(struct trace *trace, const char *who, const char *what)
{
    pthread_mutex_lock(&trace->lock);
    size_t left = sizeof trace->text - trace->used;
    int length =
        snprintf(trace->text + trace->used, left, "%s%s.%s", trace->used > 0 ? " " : "", who, what);
    trace->used += length > 0 && (size_t)length < left ? (size_t)length : 0;
    pthread_cond_broadcast(&trace->more);
    pthread_mutex_unlock(&trace->lock);
}

/* Is the entry there as a whole word? */
static inline bool trace_has_locked(const struct trace *trace, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *at = trace->text; (at = strstr(at, entry)) != NULL; at++)
        if ((at == trace->text || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static inline bool trace_has(struct trace *trace, const char *entry)
{
    pthread_mutex_lock(&trace->lock);
    bool has = trace_has_locked(trace, entry);
    pthread_mutex_unlock(&trace->lock);
    return has;
}

static inline void trace_wait(struct trace *trace, const char *entry)
{
    int64_t until = clock_real_now() + REAL_LIMIT_MS * NS_PER_MS;
    pthread_mutex_lock(&trace->lock);
    bool in_time = true;
    while (!trace_has_locked(trace, entry) && in_time)
        in_time = thread_cond_wait_until(&trace->more, &trace->lock, until);
    bool has = trace_has_locked(trace, entry);
    pthread_mutex_unlock(&trace->lock);
    ck_assert_msg(has, "%s has not happened after: %s", entry, trace->text);
}

static inline void assert_trace(struct trace *trace, const char *wanted)
{
    pthread_mutex_lock(&trace->lock);
    ck_assert_str_eq(trace->text, wanted);
    pthread_mutex_unlock(&trace->lock);
}

/* --- what a verb may wait for, whatever it is told ------------------------------------------- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};

#define GATE_CLOSED                                                                                \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER, .open = false       \
    }

static inline void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}

static inline void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (!gate->open)
        (void)pthread_cond_wait(&gate->opened, &gate->lock); /* the test has a limit */
    pthread_mutex_unlock(&gate->lock);
}

/* --- the actors ------------------------------------------------------------------------------ */

/* What a verb does before it answers its code. */
enum manner {
    AT_ONCE,
    UNTIL_CANCELLED, /* sleeps until it is told to end */
    AT_THE_GATE,     /* waits for the gate, deaf to everything else */
};

enum part {
    STAYS,      /* says that it is ready, then lives until it is cancelled */
    BACKGROUND, /* answers SRUN_RUN_BACKGROUND */
    MUTE,       /* lives until cancelled without ever saying that it is ready */
    FINISHES,   /* says that it is ready and answers run_code */
    DEAF,       /* says that it is ready, then lives until the gate opens */
};

struct actor {
    const char *name;
    enum manner init, stop;
    enum part run;
    int init_code, run_code, stop_code;
    int not_yet; /* polled: so often ready answers -EAGAIN; -1: always */
    bool polled; /* has a ready verb, and run does not call srun_ready */
    bool only_init, only_run, only_stop, only_ready;
    struct gate *gate, *init_gate; /* the second one for init, if it has one of its own */
    struct trace *trace;
    srun_context *_Atomic ctx, *_Atomic stop_ctx;
    atomic_int ready_calls, lives;
};

static inline int actor_behave(struct gate *gate, srun_context *ctx, enum manner manner, int code)
{
    if (manner == UNTIL_CANCELLED)
        (void)srun_sleep_ms(ctx, -1);
    if (manner == AT_THE_GATE)
        gate_pass(gate);
    return code;
}

static inline int actor_init(void *self, srun_context *ctx, srun_err *err)
{
    struct actor *actor = self;
    atomic_store(&actor->ctx, ctx);
    trace_add(actor->trace, actor->name, "init");
    struct gate *gate = actor->init_gate != NULL ? actor->init_gate : actor->gate;
    int code = actor_behave(gate, ctx, actor->init, actor->init_code);
    return code < 0 ? srun_fail(err, code, "init of %s went wrong", actor->name) : code;
}

static inline int actor_run(void *self, srun_context *ctx, srun_err *err)
{
    struct actor *actor = self;
    atomic_store(&actor->ctx, ctx);
    trace_add(actor->trace, actor->name, "run");
    atomic_fetch_add(&actor->lives, 1);
    if (actor->run == BACKGROUND)
        return SRUN_RUN_BACKGROUND;
    if (!actor->polled && actor->run != MUTE && actor->run_code >= 0)
        (void)srun_ready(ctx);
    if (actor->run == DEAF)
        gate_pass(actor->gate);
    else if (actor->run != FINISHES)
        (void)srun_sleep_ms(ctx, -1);
    if (actor->run_code < 0)
        return srun_fail(err, actor->run_code, "run of %s went wrong", actor->name);
    if (srun_cancelled(ctx))
        trace_add(actor->trace, actor->name, "cancelled");
    return actor->run_code;
}

static inline int actor_ready(void *self, srun_context *ctx, srun_err *err)
{
    struct actor *actor = self;
    (void)ctx;
    int calls = atomic_fetch_add(&actor->ready_calls, 1) + 1;
    while (!actor->only_ready && atomic_load(&actor->lives) == 0)
        (void)usleep(50); /* the order to run was given: it is on its way */
    if (actor->not_yet >= 0 && calls > actor->not_yet)
        return 0;
    return srun_fail(err, -EAGAIN, "%s warms up", actor->name);
}

static inline int actor_stop(void *self, srun_context *ctx, srun_err *err)
{
    struct actor *actor = self;
    atomic_store(&actor->stop_ctx, ctx);
    trace_add(actor->trace, actor->name, "stop");
    int code = actor_behave(actor->gate, ctx, actor->stop, actor->stop_code);
    return code < 0 ? srun_fail(err, code, "stop of %s went wrong", actor->name) : code;
}

static inline void actor_destroy(void *self)
{
    struct actor *actor = self;
    trace_add(actor->trace, actor->name, "destroy");
}

static inline struct srun_service_ops actor_ops(const struct actor *actor)
{
    bool only = actor->only_init || actor->only_run || actor->only_stop || actor->only_ready;
    return (struct srun_service_ops){
        .size = sizeof(struct srun_service_ops),
        .init = !only || actor->only_init ? actor_init : NULL,
        .run = !only || actor->only_run ? actor_run : NULL,
        .ready = (!only && actor->polled) || actor->only_ready ? actor_ready : NULL,
        .stop = !only || actor->only_stop ? actor_stop : NULL,
        .destroy = actor_destroy,
    };
}

static inline void cast_add(srun_runner *runner, struct actor *actor, struct trace *trace,
                            const struct srun_service_options *options)
{
    srun_err err = {0};
    actor->trace = trace;
    const struct srun_service_ops ops = actor_ops(actor);
    int rc = srun_runner_add(runner, actor->name, &ops, actor, options, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

/* --- the stage ------------------------------------------------------------------------------- */

struct stage {
    srun_test *test;
    srun_runner *runner;
    struct trace trace;
    int log;
};

static inline void on_transition(void *user, const struct srun_transition *what)
{
    trace_add(user, what->service, srun_state_name(what->to));
}

static inline int memory_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* All that was written to a file of memory_file. Owned by nobody: one at a time. */
static inline const char *memory_text(int fd)
{
    static char text[262144];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static inline void stage_open(struct stage *stage, const struct srun_config *config)
{
    srun_err err = {0};
    struct srun_config own = config != NULL ? *config : (struct srun_config){.size = sizeof own};
    trace_init(&stage->trace);
    stage->log = memory_file();
    own.log.fd_plus_one = stage->log + 1;
    int rc = srun_test_new(&stage->test, &own, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    stage->runner = srun_test_runner(stage->test);
}

static inline void stage_add(struct stage *stage, struct actor *actor)
{
    cast_add(stage->runner, actor, &stage->trace, NULL);
}

static inline void stage_add_with(struct stage *stage, struct actor *actor,
                                  const struct srun_service_options *options)
{
    cast_add(stage->runner, actor, &stage->trace, options);
}

static inline void stage_start(struct stage *stage)
{
    srun_err err = {0};
    int rc = srun_test_start(stage->test, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static inline void stage_wait(struct stage *stage, const char *service, srun_state state)
{
    srun_err err = {0};
    int rc = srun_test_wait_state(stage->test, service, state, REAL_LIMIT_MS, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static inline int stage_finish(struct stage *stage)
{
    int code = srun_test_finish(stage->test, REAL_LIMIT_MS);
    ck_assert_msg(code >= 0, "the run does not end: %d\n%s", code, memory_text(stage->log));
    return code;
}

/* A probe: has this count come to two? */
static inline bool is_two(void *arg)
{
    const atomic_int *count = arg;
    return atomic_load(count) >= 2;
}

/* Lets virtual time pass until the probe is true, no faster than real time: whoever only has to get
 * to run has all of his limit for it. */
static inline void stage_pass_time(struct stage *stage, bool (*probe)(void *arg), void *arg)
{
    int64_t end = harness_now_ms() + REAL_LIMIT_MS;
    while (!probe(arg) && harness_now_ms() < end) {
        (void)usleep(1000);
        srun_test_advance_ms(stage->test, 1);
    }
    ck_assert_msg(probe(arg), "it does not happen after: %s", stage->trace.text);
}

static inline void stage_terminate(struct stage *stage)
{
    ck_assert_int_eq(srun_test_signal(stage->test, SIGTERM), 0);
}

static inline struct srun_service_info stage_info(const struct stage *stage, const char *name)
{
    struct srun_service_info list[16];
    size_t count = srun_runner_services(stage->runner, list, 16);
    for (size_t i = 0; i < count && i < 16; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i];
    ck_abort_msg("no service is named %s", name);
    return (struct srun_service_info){0};
}

static inline srun_cause stage_cause(const struct stage *stage)
{
    srun_cause cause;
    srun_runner_cause(stage->runner, &cause);
    return cause;
}

static inline void assert_logged(const struct stage *stage, const char *text)
{
    const char *log = memory_text(stage->log);
    ck_assert_msg(strstr(log, text) != NULL, "'%s' is not in:\n%s", text, log);
}

/* Frees the runner; the trace and the log can still be read. */
static inline void stage_clear(struct stage *stage)
{
    stage->test = srun_test_free(stage->test);
}

static inline void stage_close(struct stage *stage)
{
    stage_clear(stage);
    (void)close(stage->log);
    trace_destroy(&stage->trace);
}

/* A thread that never came home keeps its runner, on purpose: such a scene plays in a process of
 * its own, which leaves without looking back: no sanitizer counts what is left. */
static inline _Noreturn void leave_the_scene(void)
{
    (void)kill(getpid(), SIGKILL);
    _exit(1);
}

static inline void in_a_process_of_its_own(void (*scene)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        scene();
        leave_the_scene();
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                  "the scene ended with status %#x", (unsigned)status);
}

#endif
