/* SPDX-License-Identifier: MIT
 *
 * A program that is upgraded. One service answers on all listeners of the plan; a client sends one
 * line and gets the answer until the end of the connection:
 *
 *     id           version, pid, generation
 *     info         srun_upgrade_info, key=value
 *     names        the listeners and what they are bound to
 *     hold         "held", and "released PID" as soon as there is a file named release
 *     ask MS       srun_upgrade_request with that wait: its answer and text
 *     close NAME   srun_listen_close: its answer
 *     listen N A   srun_listen, with this name and address: its answer and text
 *     die          the process ends at once
 *     fail         run ends with an error
 *
 * A datagram is answered "released PID" as soon as there is that file; one at a time.
 *
 * Files in the folder of the start: refuse: the hook refuses the next upgrade, with its content as
 * the reason. slow: while it is there, the hook does not return from a failure; tarry: nor before
 * an upgrade. release: see hold.
 */
#include "plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <srun/srun.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, ASKERS_MAX = 32, STEP_MS = 10, RESERVE_MS = 1000 };

static struct {
    struct plan plan;
    srun_runner *runner;
    int listeners[PLAN_LISTENERS];
    struct pollfd polled[PLAN_LISTENERS + CLIENTS_MAX + 1];
    struct client {
        int fd, held;
    } clients[CLIENTS_MAX];
    unsigned client_count;
    struct asker {
        pthread_t thread;
        int fd;
        long long wait_ms;
    } askers[ASKERS_MAX];
    unsigned asker_count;
    struct {
        int listener;
        struct sockaddr_storage from;
        socklen_t length; /* 0: none */
    } datagram;
    int counter, pipe[2], failed;
} self = {.pipe = {-1, -1}};

static void answer(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)close(fd);
}

/* --- what clients ask for -------------------------------------------------------------------- */

static void tell_id(int fd)
{
    char text[256];
    struct srun_run_info info;
    srun_runner_info(self.runner, &info);
    (void)snprintf(text, sizeof text, "%s %d %u\n", info.version, info.pid, info.generation);
    answer(fd, text);
}

static void tell_info(int fd)
{
    char text[1024];
    struct srun_upgrade_info info;
    srun_upgrade_info(self.runner, &info);
    (void)snprintf(text, sizeof text,
                   "state=%s\ngeneration=%u\npeer_pid=%d\nserving=%d\ndraining=%d\nqueued=%d\n"
                   "attempts=%u\nsucceeded=%u\nfailed=%u\nrolled_back=%u\nlast_code=%d\n"
                   "last_phase=%s\nlast_text=%s\ntrace_id=%s\n",
                   info.state, info.generation, info.peer_pid, info.serving, info.draining,
                   info.queued, info.attempts, info.succeeded, info.failed, info.rolled_back,
                   info.last_code, info.last_phase, info.last_text, info.trace_id);
    answer(fd, text);
}

static void tell_names(srun_context *ctx, int fd)
{
    static char text[PLAN_LISTENERS * 64];
    size_t used = 0;
    for (unsigned i = 0; i < self.plan.count; i++) {
        char address[144] = "?";
        (void)srun_listen_address(ctx, self.listeners[i], address, sizeof address);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s\n",
                                 self.plan.listeners[i].name, address);
    }
    answer(fd, text);
}

static void *ask(void *arg)
{
    struct asker *asker = arg;
    char text[400];
    srun_err err = {0};
    int rc = srun_upgrade_request(self.runner, "a client asks", asker->wait_ms, &err);
    (void)snprintf(text, sizeof text, "%d %s\n", rc, err.text);
    answer(asker->fd, text);
    return NULL;
}

static void start_asking(int fd, const char *wait_ms)
{
    if (self.asker_count == ASKERS_MAX)
        abort();
    struct asker *asker = &self.askers[self.asker_count++];
    asker->fd = fd;
    asker->wait_ms = atoll(wait_ms);
    if (pthread_create(&asker->thread, NULL, ask, asker) != 0)
        abort();
}

static void close_listener(srun_context *ctx, int fd, const char *name)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%d\n", srun_listen_close(ctx, name));
    for (unsigned i = 0; i < self.plan.count; i++)
        if (strcmp(self.plan.listeners[i].name, name) == 0)
            self.listeners[i] = -1;
    answer(fd, text);
}

/* Nobody accepts there: what waits, waits for another generation. */
static void listen_late(srun_context *ctx, int fd, const char *line)
{
    char text[400], name[PLAN_WORD], address[PLAN_WORD];
    srun_err err = {0};
    int listener, rc = -EINVAL;
    if (sscanf(line, "%127s %127s", name, address) == 2)
        rc = srun_listen(ctx, name, address, &listener, &err);
    (void)snprintf(text, sizeof text, "%d %s\n", rc, err.text);
    answer(fd, text);
}

static void fail_soon(int fd)
{
    self.failed = 1;
    answer(fd, "");
}

/* True when the connection is kept. */
static int serve(srun_context *ctx, struct client *client)
{
    char line[128] = "";
    ssize_t got = recv(client->fd, line, sizeof line - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return 1;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "hold") == 0) {
        client->held = 1;
        (void)!send(client->fd, "held\n", 5, MSG_NOSIGNAL);
        return 1;
    }
    if (strcmp(line, "id") == 0)
        tell_id(client->fd);
    else if (strcmp(line, "info") == 0)
        tell_info(client->fd);
    else if (strcmp(line, "names") == 0)
        tell_names(ctx, client->fd);
    else if (strncmp(line, "ask ", 4) == 0)
        start_asking(client->fd, line + 4);
    else if (strncmp(line, "close ", 6) == 0)
        close_listener(ctx, client->fd, line + 6);
    else if (strncmp(line, "listen ", 7) == 0)
        listen_late(ctx, client->fd, line + 7);
    else if (strcmp(line, "fail") == 0)
        fail_soon(client->fd);
    else if (strcmp(line, "die") == 0)
        _exit(9);
    else
        (void)close(client->fd);
    return 0;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void receive(srun_context *ctx, int listener)
{
    char data[64];
    struct sockaddr *from = (struct sockaddr *)&self.datagram.from;
    socklen_t length = sizeof self.datagram.from;
    if (self.datagram.length > 0 || !srun_gate_open(ctx) ||
        recvfrom(listener, data, sizeof data, MSG_DONTWAIT, from, &length) < 0)
        return;
    self.datagram.listener = listener;
    self.datagram.length = length;
    SRUN_INFO(srun_context_log(ctx), "datagram", SRUN_INT("own_pid", (int)getpid()));
}

static void answer_datagram(srun_context *ctx)
{
    char text[32];
    const struct sockaddr *to = (const struct sockaddr *)&self.datagram.from;
    int size = snprintf(text, sizeof text, "released %d", (int)getpid());
    if (sendto(self.datagram.listener, text, (size_t)size, MSG_DONTWAIT, to, self.datagram.length) <
        0)
        SRUN_ERROR(srun_context_log(ctx), "not answered", SRUN_CODE("error", -errno));
    self.datagram.length = 0;
}

static void accept_clients(srun_context *ctx)
{
    for (unsigned i = 0; i < self.plan.count && self.client_count < CLIENTS_MAX; i++) {
        if (self.listeners[i] < 0)
            continue;
        int fd = srun_accept_now(ctx, self.listeners[i], NULL, NULL);
        if (fd >= 0)
            self.clients[self.client_count++] = (struct client){.fd = fd};
        else if (fd == -EOPNOTSUPP)
            receive(ctx, self.listeners[i]);
    }
}

static void serve_clients(srun_context *ctx, int released)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < self.client_count; i++) {
        struct client *client = &self.clients[i];
        char text[32];
        (void)snprintf(text, sizeof text, "released %d\n", (int)getpid());
        if (client->held && released)
            answer(client->fd, text);
        else if (client->held || serve(ctx, client))
            self.clients[kept++] = *client;
    }
    self.client_count = kept;
}

static unsigned gates(srun_context *ctx)
{
    unsigned count = 0;
    for (unsigned i = 0; i < self.plan.count; i++) {
        int gate = self.listeners[i] >= 0 ? srun_gate_fd(ctx, self.listeners[i]) : -1;
        if (gate >= 0)
            self.polled[count++] = (struct pollfd){.fd = gate, .events = POLLIN};
    }
    return count;
}

static void one_turn(srun_context *ctx, int wake)
{
    unsigned count = gates(ctx), held = self.datagram.length > 0;
    if (wake >= 0)
        self.polled[count++] = (struct pollfd){.fd = wake, .events = POLLIN};
    for (unsigned i = 0; i < self.client_count; i++) {
        held += self.clients[i].held != 0;
        if (!self.clients[i].held)
            self.polled[count++] = (struct pollfd){.fd = self.clients[i].fd, .events = POLLIN};
    }
    int busy = held > 0 || self.plan.queue[0] != '\0';
    (void)poll(self.polled, count, busy || wake < 0 ? STEP_MS : 1000);
    accept_clients(ctx);
    int released = held > 0 && access("release", F_OK) == 0;
    serve_clients(ctx, released);
    if (released && self.datagram.length > 0)
        answer_datagram(ctx);
}

/* An item that nobody has: taken by a new name, which only one can give it. */
static void work(srun_context *ctx)
{
    if (self.plan.queue[0] == '\0' || !srun_gate_open(ctx) || srun_draining(ctx))
        return;
    DIR *queue = opendir(self.plan.queue);
    const struct dirent *entry;
    for (int got = 0; queue != NULL && !got && (entry = readdir(queue)) != NULL;) {
        char taken[sizeof entry->d_name + 16];
        if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name))
            continue;
        (void)snprintf(taken, sizeof taken, "%s-%d", entry->d_name, (int)getpid());
        got = renameat(dirfd(queue), entry->d_name, dirfd(queue), taken) == 0;
        if (got)
            SRUN_INFO(srun_context_log(ctx), "worked", SRUN_INT("item", atoi(taken)),
                      SRUN_INT("own_pid", (int)getpid()));
    }
    if (queue != NULL)
        (void)closedir(queue);
}

static int on_run(void *user, srun_context *ctx, srun_err *err)
{
    (void)user;
    int cancel = srun_cancel_fd(ctx);
    (void)srun_ready(ctx);
    while (!srun_cancelled(ctx) && !self.failed && !(self.plan.finish && srun_draining(ctx))) {
        one_turn(ctx, cancel);
        work(ctx);
    }
    while (self.client_count + self.datagram.length > 0 &&
           srun_context_time_left_ms(ctx) > RESERVE_MS)
        one_turn(ctx, -1);
    SRUN_INFO(srun_context_log(ctx), "ends", SRUN_INT("own_pid", (int)getpid()),
              SRUN_UINT("cut", self.client_count));
    for (unsigned i = 0; i < self.client_count; i++)
        (void)close(self.clients[i].fd);
    return self.failed ? srun_fail(err, -EIO, "told to fail") : 0;
}

/* --- the start ------------------------------------------------------------------------------- */

static int listen_to(srun_context *ctx, unsigned number, srun_err *err)
{
    const struct plan_listener *listener = &self.plan.listeners[number];
    return srun_listen_with(ctx, listener->name, listener->address,
                            SRUN_LISTEN_OPTIONS(.mode = listener->mode,
                                                .backlog = listener->backlog,
                                                .v6only = listener->v6only),
                            &self.listeners[number], 1, err);
}

static void take_over(srun_context *ctx)
{
    srun_err err = {0};
    void *data = NULL;
    size_t size = 0;
    int fd = -1;
    int state = srun_upgrade_take_state(self.runner, "counter", &data, &size, &err);
    int rc = srun_upgrade_take(self.runner, "pipe", &fd, &err);
    if (state == 0 && size == sizeof self.counter)
        memcpy(&self.counter, data, size);
    free(data);
    char text[32] = "";
    if (rc == 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (rc == 0)
        (void)close(fd);
    SRUN_INFO(srun_context_log(ctx), "taken", SRUN_INT("state", state),
              SRUN_INT("counter", self.counter), SRUN_INT("pipe", rc), SRUN_STR("text", text));
}

static int on_init(void *user, srun_context *ctx, srun_err *err)
{
    (void)user;
    const struct plan *plan = &self.plan;
    SRUN_INFO(srun_context_log(ctx), "begins", SRUN_INT("own_pid", (int)getpid()),
              SRUN_STR("version", plan->version));
    if (plan->keep)
        take_over(ctx);
    if (plan->extend_ms > 0)
        (void)srun_extend_ms(ctx, plan->extend_ms);
    for (unsigned i = 0; i < plan->count; i++) {
        int rc = listen_to(ctx, i, err);
        if (rc < 0)
            return rc;
    }
    while (plan->wait[0] != '\0' && access(plan->wait, F_OK) < 0)
        if (srun_sleep_ms(ctx, STEP_MS) < 0)
            return -ECANCELED;
    return plan->fail[0] != '\0' ? srun_fail(err, -EIO, "%s", plan->fail) : 0;
}

static int on_drain(void *user, srun_context *ctx, int draining, srun_err *err)
{
    (void)user, (void)err;
    struct pollfd drain = {.fd = srun_drain_fd(ctx), .events = POLLIN};
    int readable = poll(&drain, 1, 0);
    SRUN_INFO(srun_context_log(ctx), "told to drain", SRUN_INT("draining", draining),
              SRUN_INT("readable", readable), SRUN_INT("flag", srun_draining(ctx)),
              SRUN_INT("own_pid", (int)getpid()));
    return 0;
}

static void on_destroy(void *user)
{
    (void)user;
    for (unsigned i = 0; i < self.asker_count; i++)
        (void)pthread_join(self.askers[i].thread, NULL);
}

/* --- the hook -------------------------------------------------------------------------------- */

static void keep(srun_err *err)
{
    char text[32];
    int next = self.counter + 1;
    (void)srun_upgrade_keep_state(self.runner, "counter", &next, sizeof next, err);
    if (pipe2(self.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    int length = snprintf(text, sizeof text, "from %d", (int)getpid());
    (void)!write(self.pipe[1], text, (size_t)length);
    (void)srun_upgrade_keep(self.runner, "pipe", self.pipe[0], err);
    (void)close(self.pipe[0]);
    (void)close(self.pipe[1]);
}

static int on_upgrade(void *user, const struct srun_upgrade_event *event, srun_err *err)
{
    (void)user;
    static const char *const names[] = {"before", "failed", "committed", "rolled_back", "drained"};
    static _Atomic int inside;
    char reason[PLAN_WORD] = "";
    SRUN_INFO(srun_runner_log(self.runner), "hook", SRUN_STR("step", names[event->step]),
              SRUN_INT("own_pid", (int)getpid()), SRUN_INT("peer", event->peer_pid),
              SRUN_STR("text", event->text), SRUN_INT("others", inside++));
    while ((event->step == SRUN_UPGRADE_FAILED && access("slow", F_OK) == 0) ||
           (event->step == SRUN_UPGRADE_BEFORE && access("tarry", F_OK) == 0))
        (void)poll(NULL, 0, STEP_MS);
    inside--;
    FILE *file = event->step == SRUN_UPGRADE_BEFORE ? fopen("refuse", "re") : NULL;
    if (file != NULL) {
        (void)!fgets(reason, sizeof reason, file);
        (void)fclose(file);
        return srun_fail(err, -EPERM, "%s", reason);
    }
    if (self.plan.keep && event->step == SRUN_UPGRADE_BEFORE)
        keep(err);
    return 0;
}

/* --- the program ----------------------------------------------------------------------------- */

static int init_idle(void *user, srun_context *ctx, srun_err *err)
{
    (void)user, (void)ctx, (void)err;
    return 0;
}

static int add_idle(srun_runner *runner, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .init = init_idle};
    char name[32];
    int rc = 0;
    for (int i = 0; rc == 0 && i < self.plan.services; i++) {
        (void)snprintf(name, sizeof name, "idle-%d", i);
        rc = srun_runner_add(runner, name, &ops, NULL, NULL, err);
    }
    return rc;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {.size = sizeof ops,
                                                .init = on_init,
                                                .run = on_run,
                                                .on_drain = on_drain,
                                                .destroy = on_destroy};
    (void)user;
    self.runner = runner;
    if (self.plan.early) {
        int rc = srun_upgrade_request(runner, "early", 1000, err);
        SRUN_INFO(srun_runner_log(runner), "asked early", SRUN_INT("estate", rc == SRUN_ESTATE),
                  SRUN_STR("text", err->text));
    }
    if (self.plan.folder[0] != '\0' && chdir(self.plan.folder) < 0)
        return srun_fail(err, -errno, "chdir: %m");
    if (self.plan.leave != 0)
        exit(self.plan.leave);
    int rc = srun_runner_add(runner, "server", &ops, NULL, NULL, err);
    return rc < 0 ? rc : add_idle(runner, err);
}

static void lower_limit(void)
{
    struct rlimit limit;
    if (self.plan.nofile == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = (rlim_t)self.plan.nofile;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    plan_read(&self.plan, getenv("PLAN"));
    lower_limit();
    return srun_main(argc, argv,
                     SRUN_CONFIG(.name = self.plan.name, .version = self.plan.version,
                                 .hooks.upgrade = on_upgrade),
                     setup, NULL);
}
