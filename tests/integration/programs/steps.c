/* SPDX-License-Identifier: MIT
 *
 * The steps of scripted services:
 *
 *   sleep:T pause:T       T passes; pause ends when the service is cancelled
 *   block cancelled       until cancelled; answer -ECANCELED
 *   fail:WORD fails:N     fail with that text; fail in the first N calls of the verb
 *   background            answer SRUN_RUN_BACKGROUND
 *   ready running         call srun_ready; until the state is RUNNING
 *   extend:T              srun_extend_ms
 *   beat:T beat           a heartbeat every few ms for T, or until cancelled
 *   tick                  log a tick every few ms until cancelled
 *   if:FILE gate:FILE     fail unless the file exists; until it exists
 *   touch:FILE say:WORD   make the file; log the word
 *   request:CODE          srun_runner_shutdown
 *   hang:cpu|mutex|read|sleep      for ever
 *   read-until-interrupted         a read that takes EINTR for an answer
 *   crash:segv|abort|overflow      what the name says
 *   crash:callback                 in the callback of a metric, as soon as somebody asks it
 *   fork stranger sigpipe leak     see the functions
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MORE 2 /* a step that does not end the verb */
#define GAP_MS 5

int64_t steps_ms(const char *text)
{
    int64_t ns = 0;
    srun_err err = {0};
    if (srun_parse_duration(text, &ns, &err) < 0) {
        (void)fprintf(stderr, "scripted: %s\n", err.text);
        _exit(99);
    }
    return ns / 1000000;
}

/* Not to be interrupted by anything. */
static void sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static int step_sleep(struct call *call)
{
    sleep_ms(steps_ms(call->value));
    return MORE;
}

static int step_pause(struct call *call)
{
    (void)srun_sleep_ms(call->ctx, steps_ms(call->value));
    return MORE;
}

static int step_block(struct call *call)
{
    (void)srun_sleep_ms(call->ctx, -1);
    const srun_cause *cause = srun_context_cause(call->ctx);
    SRUN_DEBUG(srun_context_log(call->ctx), "cancelled", SRUN_STR("phase", call->verb),
               SRUN_STR("cause", srun_cause_name(cause->kind)));
    return MORE;
}

static int step_cancelled(struct call *call)
{
    return srun_fail(call->err, -ECANCELED, "was told to end");
}

static int step_fail(struct call *call)
{
    return srun_fail(call->err, -EIO, "%s", call->value[0] != '\0' ? call->value : "failed");
}

static int step_fails(struct call *call)
{
    return call->number <= atoi(call->value) ? step_fail(call) : MORE;
}

static int step_background(struct call *call)
{
    (void)call;
    return SRUN_RUN_BACKGROUND;
}

static int step_ready(struct call *call)
{
    (void)srun_ready(call->ctx);
    return MORE;
}

static int step_running(struct call *call)
{
    srun_runner *runner = srun_context_runner(call->ctx);
    while (srun_runner_state(runner, srun_context_name(call->ctx)) != SRUN_RUNNING &&
           srun_sleep_ms(call->ctx, 1) == 0)
        ;
    return MORE;
}

static int step_extend(struct call *call)
{
    int rc = srun_extend_ms(call->ctx, steps_ms(call->value));
    return rc < 0 ? srun_fail(call->err, rc, "extend: %s", srun_strerror(rc)) : MORE;
}

static int step_beat(struct call *call)
{
    int64_t left = call->value[0] != '\0' ? steps_ms(call->value) : INT64_MAX;
    for (; left > 0; left -= GAP_MS) {
        srun_heartbeat(call->ctx);
        if (srun_sleep_ms(call->ctx, GAP_MS) < 0)
            break;
    }
    return MORE;
}

static int step_tick(struct call *call)
{
    srun_runner *runner = srun_context_runner(call->ctx);
    while (srun_sleep_ms(call->ctx, GAP_MS) == 0)
        SRUN_INFO(srun_context_log(call->ctx), "tick",
                  SRUN_INT("is_ready", srun_runner_is_ready(runner)));
    return MORE;
}

static int step_if(struct call *call)
{
    bool there = access(call->value, F_OK) == 0;
    return there ? MORE : srun_fail(call->err, -EAGAIN, "%s is not there", call->value);
}

static int step_gate(struct call *call)
{
    while (access(call->value, F_OK) < 0)
        sleep_ms(GAP_MS);
    return MORE;
}

static int step_touch(struct call *call)
{
    int fd = open(call->value, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return srun_fail(call->err, -errno, "%s: %m", call->value);
    (void)close(fd);
    return MORE;
}

static int step_go(struct call *call)
{
    return chdir(call->value) < 0 ? srun_fail(call->err, -errno, "%s: %m", call->value) : MORE;
}

static int step_say(struct call *call)
{
    SRUN_INFO(srun_context_log(call->ctx), "says", SRUN_STR("word", call->value));
    return MORE;
}

static int step_request(struct call *call)
{
    (void)srun_runner_shutdown(srun_context_runner(call->ctx), atoi(call->value), "work_is_done");
    return MORE;
}

/* --- what never ends ------------------------------------------------------------------------- */

static pthread_mutex_t dead = PTHREAD_MUTEX_INITIALIZER;

static void *take_and_keep(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&dead);
    for (;;)
        (void)pause();
    return NULL;
}

/* Somebody else holds it for ever: a wait for it does not end, whatever arrives. */
static void wait_for_dead_mutex(void)
{
    pthread_t keeper;
    if (pthread_create(&keeper, NULL, take_and_keep, NULL) != 0)
        _exit(98);
    while (pthread_mutex_trylock(&dead) == 0) {
        pthread_mutex_unlock(&dead);
        sleep_ms(1);
    }
    pthread_mutex_lock(&dead);
}

static int read_from_nobody(void)
{
    int ends[2];
    char byte;
    if (pipe2(ends, O_CLOEXEC) < 0)
        _exit(98);
    int rc = read(ends[0], &byte, 1) < 0 ? -errno : 0;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return rc;
}

static int step_hang(struct call *call)
{
    const char *how = call->value;
    static volatile unsigned long turns;
    if (strcmp(how, "mutex") == 0)
        wait_for_dead_mutex();
    while (strcmp(how, "cpu") == 0)
        turns = turns + 1;
    while (strcmp(how, "read") == 0)
        (void)read_from_nobody();
    while (strcmp(how, "sleep") == 0)
        sleep_ms(10);
    return -EINVAL;
}

static int step_read(struct call *call)
{
    int rc = read_from_nobody();
    return srun_fail(call->err, rc, "read: %s", srun_strerror(rc));
}

/* --- what goes wrong ------------------------------------------------------------------------- */

static __attribute__((noinline)) int deeper(volatile char *above, int depth)
{
    volatile char here[4096];
    here[0] = above[0];
    here[sizeof here - 1] = (char)depth;
    if (depth < 0)
        return 0;
    return deeper(here, depth + 1) + here[sizeof here - 1];
}

static void crash_when_asked(void *user, srun_observer *observer)
{
    volatile int *volatile nowhere = user;
    (void)observer;
    *nowhere = 1;
}

static int step_crash(struct call *call)
{
    volatile char first = 1;
    volatile int *volatile nowhere = NULL;
    if (strcmp(call->value, "segv") == 0)
        *nowhere = 1;
    if (strcmp(call->value, "abort") == 0)
        abort();
    if (strcmp(call->value, "overflow") == 0)
        return deeper(&first, 1) + MORE;
    if (strcmp(call->value, "callback") != 0)
        return -EINVAL;
    (void)srun_observable_gauge(srun_context_meter(call->ctx), "bad", NULL, crash_when_asked, NULL);
    return MORE;
}

/* In the child: how many calls answered something else than they should. */
static int wrong_answers(srun_context *ctx)
{
    srun_runner *runner = srun_context_runner(ctx);
    struct srun_service_info info;
    return (srun_sleep_ms(ctx, 3600000) != SRUN_EFORK) + (srun_ready(ctx) != SRUN_EFORK) +
           (srun_extend_ms(ctx, 1000) != SRUN_EFORK) + (srun_cancel_fd(ctx) != SRUN_EFORK) +
           (srun_runner_shutdown(runner, -1, "child") != SRUN_EFORK) +
           (srun_runner_state(runner, srun_context_name(ctx)) != SRUN_EFORK) +
           (srun_runner_services(runner, &info, 1) != 0) + (srun_runner_is_ready(runner) != 0);
}

static int step_fork(struct call *call)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(wrong_answers(call->ctx));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    SRUN_INFO(srun_context_log(call->ctx), "the child has ended", SRUN_INT("status", status));
    return MORE;
}

/* A process that outlives its parent, which is nobody's generation, until it is killed. */
static int step_stranger(struct call *call)
{
    int ends[2];
    pid_t stranger = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = fork();
    if (child == 0) {
        stranger = fork();
        while (stranger == 0)
            (void)pause();
        _exit(write(ends[1], &stranger, sizeof stranger) == sizeof stranger ? 0 : 1);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    ssize_t got = read(ends[0], &stranger, sizeof stranger);
    (void)close(ends[0]);
    (void)close(ends[1]);
    SRUN_INFO(srun_context_log(call->ctx), "stranger", SRUN_INT("pid", got > 0 ? stranger : -1));
    return MORE;
}

static int step_sigpipe(struct call *call)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)close(ends[0]);
    int error = write(ends[1], "x", 1) < 0 ? errno : 0;
    (void)close(ends[1]);
    SRUN_INFO(srun_context_log(call->ctx), "nobody reads",
              SRUN_STR("errno", strerrorname_np(error)));
    return MORE;
}

/* A descriptor that nobody closes. */
static int step_leak(struct call *call)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    SRUN_INFO(srun_context_log(call->ctx), "opened", SRUN_INT("fd", fd));
    return MORE;
}

/* --- choosing -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*act)(struct call *call);
} steps[] = {
    {"sleep", step_sleep},
    {"pause", step_pause},
    {"block", step_block},
    {"fail", step_fail},
    {"fails", step_fails},
    {"cancelled", step_cancelled},
    {"ready", step_ready},
    {"running", step_running},
    {"background", step_background},
    {"extend", step_extend},
    {"beat", step_beat},
    {"tick", step_tick},
    {"if", step_if},
    {"gate", step_gate},
    {"touch", step_touch},
    {"go", step_go},
    {"say", step_say},
    {"hang", step_hang},
    {"request", step_request},
    {"fork", step_fork},
    {"crash", step_crash},
    {"read-until-interrupted", step_read},
    {"sigpipe", step_sigpipe},
    {"leak", step_leak},
    {"stranger", step_stranger},
};

static int do_one(char *step, struct call *call)
{
    char *colon = strchr(step, ':');
    call->value = colon != NULL ? colon + 1 : "";
    if (colon != NULL)
        *colon = '\0';
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (strcmp(steps[i].name, step) == 0)
            return steps[i].act(call);
    return srun_fail(call->err, -EINVAL, "no such step: %s", step);
}

int steps_do(const char *text, struct call *call)
{
    char *rest = strdup(text), *at = NULL;
    int rc = MORE;
    for (char *step = strtok_r(rest, ",", &at); step != NULL && rc == MORE;
         step = strtok_r(NULL, ",", &at))
        rc = do_one(step, call);
    free(rest);
    return rc == MORE ? 0 : rc;
}
