/* One thread and poll(2). Nothing is lost in an upgrade: the socket is handed over with all that
 * waits in it, and who has been accepted already gets an answer from this process. */
#include "answer.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* for a question; less than the time to stop, which is 30 s */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int init(void *self, srun_context *ctx, srun_err *err)
{
    struct answer *answer = self;
    /* The name is how the next generation finds the socket. */
    int rc = srun_listen(ctx, "answer", answer->listen, &answer->listener, err);
    if (rc < 0)
        return rc;
    srun_instrument *questions =
        srun_counter(srun_context_meter(ctx), "mydaemon.questions",
                     SRUN_INSTRUMENT(.help = "Connections, by what became of them."));
    answer->answered = srun_bind(questions, SRUN_KVS(SRUN_STR("result", "answered")));
    answer->late = srun_bind(questions, SRUN_KVS(SRUN_STR("result", "late")));
    answer->gone = srun_bind(questions, SRUN_KVS(SRUN_STR("result", "gone")));
    return srun_listen_address(ctx, answer->listener, answer->address, sizeof answer->address);
}

static void accept_clients(struct answer *answer, srun_context *ctx)
{
    int fd = -EAGAIN;
    while (answer->count < ANSWER_CLIENTS &&
           (fd = srun_accept_now(ctx, answer->listener, NULL, NULL)) >= 0) {
        struct client *client = &answer->clients[answer->count++];
        client->fd = fd;
        client->until_ms = now_ms() + PATIENCE_MS;
        client->size = 0;
    }
    if (fd < 0 && fd != -EAGAIN) {
        SRUN_WARN(srun_context_log(ctx), "accept", SRUN_CODE("error", fd));
        srun_sleep_ms(ctx, 100); /* no descriptor is free: it waits in the backlog */
    }
}

/* The last one takes its place. */
static void drop(struct answer *answer, unsigned index)
{
    close(answer->clients[index].fd);
    answer->clients[index] = answer->clients[answer->count - 1];
    answer->count--;
}

/* What the program is for: put yours here. */
static void reply(const struct client *client, srun_context *ctx)
{
    char text[ANSWER_LINE + 64];
    struct srun_run_info info;
    srun_runner_info(srun_context_runner(ctx), &info);
    int size = snprintf(text, sizeof text, "mydaemon, generation %u: %.*s\n", info.generation,
                        (int)strcspn(client->line, "\r\n"), client->line);
    send(client->fd, text, (size_t)size, MSG_NOSIGNAL); /* fits into an empty buffer */
    SRUN_DEBUG(srun_context_log(ctx), "answered", SRUN_STR("question", client->line));
}

static void serve(struct answer *answer, srun_context *ctx, unsigned index)
{
    struct client *client = &answer->clients[index];
    ssize_t got = recv(client->fd, client->line + client->size, ANSWER_LINE - 1 - client->size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    client->size += got > 0 ? (size_t)got : 0;
    client->line[client->size] = '\0';
    bool asked = strchr(client->line, '\n') != NULL || client->size == ANSWER_LINE - 1;
    if (got > 0 && !asked)
        return;
    if (asked)
        reply(client, ctx);
    srun_series_add(asked ? answer->answered : answer->gone, 1);
    drop(answer, index);
}

/* Waits, and serves those who can be served; cancel and gate: -1 when they do not count. */
static void turn(struct answer *answer, srun_context *ctx, int cancel, int gate)
{
    struct pollfd fds[2 + ANSWER_CLIENTS];
    unsigned count = answer->count;
    int64_t now = now_ms(), wait_ms = count > 0 ? PATIENCE_MS : -1;
    fds[0] = (struct pollfd){.fd = cancel, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = count < ANSWER_CLIENTS ? gate : -1, .events = POLLIN};
    for (unsigned i = 0; i < count; i++) {
        int64_t left = answer->clients[i].until_ms - now;
        fds[2 + i] = (struct pollfd){.fd = answer->clients[i].fd, .events = POLLIN};
        wait_ms = left < wait_ms ? (left > 0 ? left : 0) : wait_ms;
    }
    if (poll(fds, 2 + count, (int)wait_ms) < 0)
        return;
    now = now_ms();
    for (unsigned i = count; i-- > 0;) { /* from the end: drop moves the last one */
        if (fds[2 + i].revents != 0) {
            serve(answer, ctx, i);
        } else if (answer->clients[i].until_ms <= now) {
            srun_series_add(answer->late, 1);
            drop(answer, i);
        }
    }
    if (fds[1].revents != 0)
        accept_clients(answer, ctx);
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    struct answer *answer = self;
    /* Readable while it is this process that serves, and somebody waits. */
    int gate = srun_gate_fd(ctx, answer->listener);
    int cancel = srun_cancel_fd(ctx);
    if (gate < 0 || cancel < 0)
        return srun_fail(err, gate < 0 ? gate : cancel, "no descriptor to wait on");
    srun_ready(ctx);
    while (!srun_cancelled(ctx))
        turn(answer, ctx, cancel, gate);

    /* Time to stop: who is here, or in the backlog while there is room, is answered. */
    accept_clients(answer, ctx);
    srun_listen_close(ctx, "answer");
    while (answer->count > 0)
        turn(answer, ctx, -1, -1);
    return 0;
}

static int health(void *self, srun_context *ctx, srun_err *err)
{
    struct answer *answer = self;
    (void)ctx;
    if (answer->count == ANSWER_CLIENTS)
        return srun_fail(err, SRUN_HEALTH_DEGRADED, "all %d places are taken", ANSWER_CLIENTS);
    return 0;
}

const struct srun_service_ops answer_ops = {
    .size = sizeof answer_ops, .init = init, .run = run, .health = health};
