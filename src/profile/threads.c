/* SPDX-License-Identifier: MIT
 *
 * One list of questions at a time. A signal says which list (its number) and which question, so
 * that one that comes late finds nothing to answer.
 */
#include "profile/threads.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/libc.h"
#include "base/proc.h"
#include "profile/gate.h"
#include "profile/unwind.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_LIMIT (1 * NS_PER_S) /* a busy machine may take its time; most answer at once */
#define PAUSE (1 * NS_PER_S)        /* from one list to the next */

struct question {
    _Atomic bool answered;
    struct thread_stack *stack;
};

struct questions {
    uint32_t number;
    size_t count;
    const struct view *view;
    struct question each[];
};

static _Atomic(struct questions *) the_questions; /* what the handler reads, with the next */
static sem_t answers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static uint32_t last_number;
static int64_t last_ns;

/* --- in the handler -------------------------------------------------------------------------- */

void threads_on_question(const siginfo_t *info, const void *context)
{
    struct questions *questions = atomic_load(&the_questions);
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    uint32_t index = (uint32_t)value;
    if (questions == NULL || questions->number != value >> 32 || index >= questions->count)
        return;
    struct question *question = &questions->each[index];
    bool lost = false;
    if (question->stack->tid != gettid() || atomic_load(&question->answered))
        return;
    question->stack->sp = unwind_sp(context);
    question->stack->depth =
        (uint32_t)unwind(questions->view, context, question->stack->frames, RING_FRAMES, &lost);
    atomic_store(&question->answered, true);
    (void)sem_post(&answers);
}

/* --- who is there ---------------------------------------------------------------------------- */

static void look_at(struct thread_stack *stack, int tid)
{
    static const char field[] = "\nState:\t", blocked[] = "\nSigBlk:\t";
    char status[PROC_STATUS_MAX];
    *stack = (struct thread_stack){.tid = tid, .state = '?'};
    proc_thread_name(tid, stack->name, sizeof stack->name);
    proc_thread_status(tid, status);
    const char *at = strstr(status, field);
    if (at != NULL)
        stack->state = at[sizeof field - 1];
    at = strstr(status, blocked);
    if (at != NULL &&
        (strtoull(at + sizeof blocked - 1, NULL, 16) & (1ULL << (GATE_SIGNAL - 1))) != 0)
        stack->silent = "it blocks SIGPROF";
}

static int list_threads(struct threads *out)
{
    struct proc_list threads;
    int rc = proc_threads(&threads);
    if (rc < 0)
        return rc;
    out->all = calloc(threads.count > 0 ? threads.count : 1, sizeof out->all[0]);
    if (out->all != NULL)
        for (; out->count < threads.count; out->count++)
            look_at(&out->all[out->count], threads.numbers[out->count]);
    proc_list_free(&threads);
    return out->all != NULL ? 0 : -ENOMEM;
}

/* --- asking ---------------------------------------------------------------------------------- */

static bool send(const struct questions *questions, size_t index)
{
    siginfo_t info = {.si_signo = GATE_SIGNAL, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)((uint64_t)questions->number << 32 | index);
    return syscall(SYS_rt_tgsigqueueinfo, info.si_pid, questions->each[index].stack->tid,
                   GATE_SIGNAL, &info) == 0;
}

/* False: the time has come. */
static bool wait_for_one(int64_t until)
{
    const struct timespec at = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    int rc;
    do
        rc = sem_clockwait(&answers, CLOCK_MONOTONIC, &at);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

static void ask_locked(struct questions *questions)
{
    size_t asked = 0;
    for (size_t i = 0; i < questions->count; i++) {
        struct thread_stack *stack = questions->each[i].stack;
        if (stack->silent != NULL)
            continue;
        if (send(questions, i))
            asked++;
        else
            stack->silent = errno == ESRCH ? "it has ended" : "the kernel has no room for a signal";
    }
    int64_t until = clock_real_now() + ANSWER_LIMIT;
    while (asked > 0 && wait_for_one(until))
        asked--;
}

static void note_silent(struct questions *questions)
{
    for (size_t i = 0; i < questions->count; i++) {
        struct thread_stack *stack = questions->each[i].stack;
        if (stack->silent == NULL && !atomic_load(&questions->each[i].answered))
            stack->silent = "it did not answer within 1s";
        if (stack->silent == NULL)
            continue;
        stack->depth = 0;
        proc_thread_file(stack->tid, "wchan", stack->waits_in, sizeof stack->waits_in);
        if (strcmp(stack->waits_in, "0") == 0)
            stack->waits_in[0] = '\0';
    }
}

/* With the gate open, and modules known. */
static int ask_all_locked(struct threads *out)
{
    int rc = list_threads(out);
    struct questions *questions =
        rc == 0 ? calloc(1, sizeof *questions + out->count * sizeof questions->each[0]) : NULL;
    if (questions == NULL)
        return rc < 0 ? rc : -ENOMEM;
    questions->number = ++last_number;
    questions->count = out->count;
    questions->view = atomic_load(&out->modules->view);
    for (size_t i = 0; i < out->count; i++)
        questions->each[i].stack = &out->all[i];
    (void)sem_init(&answers, 0, 0);
    atomic_store(&the_questions, questions);
    ask_locked(questions);
    atomic_store(&the_questions, NULL);
    gate_settle();
    note_silent(questions);
    free(questions);
    return 0;
}

static int prepare_and_ask_locked(struct threads *out, srun_err *err)
{
    int rc = gate_open(err);
    if (rc < 0)
        return rc;
    rc = modules_new(&out->modules);
    if (rc == 0)
        rc = modules_refresh(out->modules, NULL);
    if (rc == 0) {
        out->known = out->modules->known;
        rc = ask_all_locked(out);
    }
    gate_close();
    return rc < 0 ? srun_fail(err, rc, "threads: %s", srun_strerror(rc)) : 0;
}

/* False: it is to end. */
static bool pause_locked(int cancel_fd)
{
    struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
    int64_t left;
    while (last_ns > 0 && (left = last_ns + PAUSE - clock_real_now()) > 0)
        if (poll(&cancel, 1, (int)(left / NS_PER_MS) + 1) > 0)
            return false;
    return true;
}

int threads_ask(int cancel_fd, struct threads *out, srun_err *err)
{
    *out = (struct threads){0};
    pthread_mutex_lock(&lock);
    int rc = pause_locked(cancel_fd) ? 0 : srun_fail(err, -ECANCELED, "threads: cancelled");
    if (rc == 0) {
        out->start_ns = clock_wall_ns();
        int64_t start = clock_real_now();
        rc = prepare_and_ask_locked(out, err);
        last_ns = clock_real_now();
        out->duration_ns = last_ns - start;
    }
    pthread_mutex_unlock(&lock);
    if (rc < 0)
        threads_free(out);
    return rc;
}

void threads_to_profile(struct threads *threads, struct profile *out)
{
    static const uintptr_t silent[] = {STACK_SILENT};
    static const uint64_t one[STACKS_VALUES] = {1};
    unsigned silent_ones = 0;
    *out = (struct profile){.start_ns = threads->start_ns,
                            .duration_ns = threads->duration_ns,
                            .known = threads->known};
    out->modules = take_ptr(threads->modules);
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread_stack *stack = &threads->all[i];
        struct stack_key key = {
            .name = stack->name, .frames = stack->frames, .depth = stack->depth};
        if (stack->silent != NULL) {
            key.frames = silent;
            key.depth = 1;
            silent_ones++;
        }
        stacks_add(&out->stacks, &key, one);
    }
    if (silent_ones > 0)
        buf_printf(&out->remarks, "%u of %zu threads gave no stack; ?debug=2 says why\n",
                   silent_ones, threads->count);
}

void threads_free(struct threads *threads)
{
    free(threads->all);
    modules_free(threads->modules);
    *threads = (struct threads){0};
}
