/* SPDX-License-Identifier: MIT */
#include "busy.h"

#include "answer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTENERS 3
#define PAUSE_MS 5

struct thread {
    struct busy *busy;
    srun_context *ctx;
    const int *listeners;
    unsigned number;
    pthread_t id;
};

/* Nobody else may have waited for it, and it found no descriptor but 0, 1 and 2. */
static void start_child(const struct thread *thread)
{
    char *argv[] = {thread->busy->child, NULL};
    pid_t pid;
    int status = 0;
    int rc = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    if (rc != 0) {
        SRUN_ERROR(srun_context_log(thread->ctx), "no child", SRUN_CODE("error", -rc));
        return;
    }
    do
        rc = waitpid(pid, &status, 0);
    while (rc < 0 && errno == EINTR);
    if (rc != pid || status != 0)
        SRUN_ERROR(srun_context_log(thread->ctx), "bad child", SRUN_INT("waitpid", rc),
                   SRUN_INT("status", status));
}

static void keep_and_forget(const struct thread *thread)
{
    srun_runner *runner = srun_context_runner(thread->ctx);
    srun_err err = {0};
    char name[32], state[600];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    snprintf(name, sizeof name, "fd-%u", thread->number);
    int rc = fd < 0 ? -errno : srun_upgrade_keep(runner, name, fd, &err);
    if (fd >= 0)
        close(fd);
    memset(state, (int)thread->number, sizeof state);
    snprintf(name, sizeof name, "state-%u", thread->number);
    if (rc == 0)
        rc = srun_upgrade_keep_state(runner, name, state, sizeof state, &err);
    if (rc == 0 && thread->number % 2 == 0)
        rc = srun_upgrade_forget(runner, name);
    if (rc == -ENOENT && srun_draining(thread->ctx))
        rc = 0; /* it went over to the new generation meanwhile */
    if (rc < 0)
        SRUN_ERROR(srun_context_log(thread->ctx), "not kept", SRUN_STR("error", err.text));
}

/* State that the old generation kept is whole. */
static void take(const struct thread *thread)
{
    char name[32];
    void *data = NULL;
    size_t size = 0;
    srun_err err = {0};
    snprintf(name, sizeof name, "state-%u", thread->number);
    srun_runner *runner = srun_context_runner(thread->ctx);
    if (srun_upgrade_take_state(runner, name, &data, &size, &err) < 0)
        return;
    const char *state = data;
    if (size != 600 || state[0] != (char)thread->number || state[599] != (char)thread->number)
        SRUN_ERROR(srun_context_log(thread->ctx), "bad state", SRUN_UINT("size", size));
    free(data);
}

static void ask_and_allocate(const struct thread *thread)
{
    struct srun_upgrade_info info;
    srun_upgrade_info(srun_context_runner(thread->ctx), &info);
    if (info.generation == 0 || info.state[0] == '\0')
        SRUN_ERROR(srun_context_log(thread->ctx), "bad info");
    char *block = malloc(1000 + 4000 * (thread->number % 5));
    if (block != NULL)
        memset(block, 1, 1000);
    free(block);
    char address[128];
    int listener = thread->listeners[thread->number % LISTENERS];
    if (srun_listen_address(thread->ctx, listener, address, sizeof address) < 0)
        SRUN_ERROR(srun_context_log(thread->ctx), "bad address");
    SRUN_INFO(srun_context_log(thread->ctx), "busy", SRUN_UINT("thread", thread->number));
}

static void accept_one(const struct thread *thread)
{
    int listener = thread->listeners[thread->number % LISTENERS];
    int fd = srun_accept_now(thread->ctx, listener, NULL, NULL);
    if (fd >= 0)
        answer_once(thread->ctx, fd);
    else if (fd != -EAGAIN)
        SRUN_ERROR(srun_context_log(thread->ctx), "bad accept", SRUN_CODE("error", fd));
}

static void *do_everything(void *arg)
{
    const struct thread *thread = arg;
    take(thread);
    for (unsigned i = thread->number; !srun_cancelled(thread->ctx); i++) {
        switch (i % 4) {
        case 0:
            start_child(thread);
            break;
        case 1:
            keep_and_forget(thread);
            break;
        case 2:
            ask_and_allocate(thread);
            break;
        default:
            accept_one(thread);
        }
        srun_sleep_ms(thread->ctx, PAUSE_MS);
    }
    return NULL;
}

static void *only_accept(void *arg)
{
    const struct thread *thread = arg;
    int fd;
    while ((fd = srun_accept(thread->ctx, thread->listeners[thread->number % LISTENERS], NULL,
                             NULL)) >= 0)
        answer_once(thread->ctx, fd);
    if (fd != -ECANCELED)
        SRUN_ERROR(srun_context_log(thread->ctx), "bad accept", SRUN_CODE("error", fd));
    return NULL;
}

static int listen_all(srun_context *ctx, int listeners[LISTENERS], srun_err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < LISTENERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "busy-%u", i);
        rc = srun_listen(ctx, name, "tcp://127.0.0.1:0", &listeners[i], err);
    }
    return rc;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct busy *busy = self;
    struct thread threads[BUSY_THREADS_MAX];
    int listeners[LISTENERS];
    unsigned count = 0;
    if (busy->threads > BUSY_THREADS_MAX)
        return srun_fail(err, -EINVAL, "--busy: at most %d", BUSY_THREADS_MAX);
    int rc = listen_all(ctx, listeners, err);
    for (; rc == 0 && count < busy->threads; count++) {
        threads[count] =
            (struct thread){.busy = busy, .ctx = ctx, .listeners = listeners, .number = count};
        int code = pthread_create(&threads[count].id, NULL,
                                  count % 4 == 3 ? only_accept : do_everything, &threads[count]);
        if (code != 0) {
            rc = srun_fail(err, -code, "thread: %s", srun_strerror(-code));
            break;
        }
    }
    if (rc == 0)
        srun_ready(ctx);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i].id, NULL);
    return rc;
}

const struct srun_service_ops busy_ops = {.size = sizeof busy_ops, .run = run};
