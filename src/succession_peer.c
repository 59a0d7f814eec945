/* SPDX-License-Identifier: MIT */
#include "succession_peer.h"

#include "base/duration.h"
#include "base/fd.h"
#include "log/log.h"
#include "succession_adopted.h"
#include "succession_report.h"
#include "upgrade/budget.h"
#include "upgrade/channel.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define OWN_NEEDS 8     /* descriptors of an upgrade beside those that are handed over */
#define MESSAGES_MAX 64 /* in one turn: whoever sends more must not keep us from our work */
#define LAST_WORDS 4096 /* more than a channel holds; a child of its child may go on for ever */

static struct succession *of(srun_runner *runner)
{
    return &runner->succession;
}

void peer_feed(srun_runner *runner, const struct machine_event *event)
{
    machine_feed(&of(runner)->machine, event, clock_now(&runner->clock));
}

void peer_feed_kind(srun_runner *runner, enum machine_event_kind kind)
{
    peer_feed(runner, &(struct machine_event){.kind = kind});
}

/* --- the other process ----------------------------------------------------------------------- */

void peer_close(srun_runner *runner, int *fd)
{
    if (*fd >= 0) {
        fd_poller_remove(runner->poller, *fd);
        (void)close(*fd);
    }
    *fd = -1;
}

void peer_forget(srun_runner *runner)
{
    struct succession *succession = of(runner);
    peer_close(runner, &succession->channel);
    peer_close(runner, &succession->peer_fd);
    peer_close(runner, &succession->barrier);
    succession->snapshot = sockets_snapshot_free(succession->snapshot);
    succession->peer_pid = 0;
    succession->presented = succession->news.wait = false;
    succession->barrier_at = MACHINE_NEVER;
}

int peer_watch(srun_runner *runner, int channel, int peer_fd, int peer_pid)
{
    struct succession *succession = of(runner);
    succession->channel = channel;
    succession->peer_fd = peer_fd;
    succession->peer_pid = peer_pid;
    int rc = fd_poller_add(runner->poller, channel, RUNNER_TAG_CHANNEL, false);
    return rc < 0 ? rc : fd_poller_add(runner->poller, peer_fd, RUNNER_TAG_PEER, false);
}

/* What cannot be said to the new process is as if it had answered nonsense. To the old one nothing
 * is said that it could not miss. */
static void say(srun_runner *runner, const struct handover_message *message, const int *fds,
                unsigned count)
{
    struct succession *succession = of(runner);
    int rc =
        succession->channel < 0 ? -EPIPE : channel_send(succession->channel, message, fds, count);
    if (rc == 0 || rc == -EPIPE) /* its end will be noticed */
        return;
    (void)snprintf(succession->peer_text, sizeof succession->peer_text, "it cannot be told %s: %s",
                   handover_type_name(message->type), srun_strerror(rc));
    peer_feed_kind(runner, MACHINE_GARBLED);
}

static void say_welcome(srun_runner *runner)
{
    struct succession *succession = of(runner);
    int rc = sockets_snapshot(&succession->sockets, &succession->snapshot);
    int self = rc < 0 ? rc : spawn_pidfd(getpid());
    if (self < 0) {
        (void)snprintf(succession->peer_text, sizeof succession->peer_text,
                       "what is to be handed over: %s", srun_strerror(self));
        peer_feed_kind(runner, MACHINE_GARBLED);
        return;
    }
    const struct handover_message welcome = {.type = HANDOVER_WELCOME,
                                             .version_max = succession->speaks,
                                             .generation = succession->generation + 1,
                                             .count = (uint32_t)succession->snapshot->count,
                                             .boot = succession->origin.boot};
    succession->sent = 0;
    say(runner, &welcome, &self, 1);
    (void)close(self);
}

void peer_hand_over(srun_runner *runner)
{
    struct succession *succession = of(runner);
    struct sockets_snapshot *snapshot = succession->snapshot;
    if (snapshot == NULL || succession->sent == snapshot->count)
        return;
    size_t left = snapshot->count - succession->sent;
    unsigned count = left < HANDOVER_BATCH_MAX ? (unsigned)left : HANDOVER_BATCH_MAX;
    struct handover_message batch = {.type = HANDOVER_BATCH, .entry_count = count};
    memcpy(batch.entries, &snapshot->entries[succession->sent], count * sizeof batch.entries[0]);
    say(runner, &batch, &snapshot->fds[succession->sent], count);
    succession->sent += count;
}

void peer_say(srun_runner *runner, enum handover_type type)
{
    struct handover_message message = {.type = type};
    if (type == HANDOVER_WELCOME) {
        say_welcome(runner);
        return;
    }
    if (type == HANDOVER_READY)
        message.count = (uint32_t)sockets_unclaimed(&of(runner)->sockets, false, message.text,
                                                    HANDOVER_TEXT_MAX);
    if (type == HANDOVER_FAILED || type == HANDOVER_STOPPING)
        (void)snprintf(message.text, sizeof message.text, "%s", runner->cause.text);
    say(runner, &message, NULL, 0);
}

/* While the old process does not read, only the newest is kept: READY must find its way. */
static void tell_news(srun_runner *runner, int64_t now)
{
    struct succession *succession = of(runner);
    struct succession_news *news = &succession->news;
    bool due = succession->machine.state == MACHINE_JOIN && succession->channel >= 0;
    bool wait = due && !channel_has_room(succession->channel);
    if (due && !wait) {
        struct handover_message message = {.type = HANDOVER_PROGRESS};
        message.extend_ns = news->until > now ? (uint64_t)(news->until - now) : 0;
        memcpy(message.text, news->text, sizeof message.text);
        say(runner, &message, NULL, 0);
        news->until = 0;
    }
    if (wait != news->wait && succession->channel >= 0)
        fd_poller_want_room(runner->poller, succession->channel, RUNNER_TAG_CHANNEL, wait);
    news->wait = wait;
}

void succession_progress(srun_runner *runner, const char *text, int64_t extend_ns)
{
    struct succession_news *news = &of(runner)->news;
    int64_t now = clock_now(&runner->clock);
    int64_t until = extend_ns > INT64_MAX - now ? INT64_MAX : now + extend_ns;
    if (of(runner)->machine.state != MACHINE_JOIN)
        return;
    (void)snprintf(news->text, sizeof news->text, "%s", text);
    if (extend_ns > 0 && until > news->until)
        news->until = until;
    tell_news(runner, now);
}

/* --- what it says ---------------------------------------------------------------------------- */

/* Is it this program, and do we understand each other? */
static int judge_hello(srun_runner *runner, const struct handover_message *hello)
{
    struct succession *succession = of(runner);
    (void)snprintf(succession->peer_version, sizeof succession->peer_version, "%s", hello->version);
    if (!handover_is_by(hello, runner->config.value.name)) {
        (void)snprintf(succession->peer_text, sizeof succession->peer_text,
                       "it is another program: %s", hello->name);
        return -EINVAL;
    }
    succession->speaks = handover_agree(hello->version_min, hello->version_max);
    if (succession->speaks == 0) {
        (void)snprintf(succession->peer_text, sizeof succession->peer_text,
                       "no common version: it speaks %u to %u, this process %d to %d",
                       hello->version_min, hello->version_max, HANDOVER_VERSION_MIN,
                       HANDOVER_VERSION_MAX);
        return -EPROTONOSUPPORT;
    }
    return 0;
}

/* In case that they are its last, or the reason of a failure. */
static void note_words(struct succession *succession, const struct handover_message *message)
{
    bool tells = message->type == HANDOVER_PROGRESS || message->type == HANDOVER_FAILED;
    if (message->type == HANDOVER_STOPPING)
        (void)snprintf(succession->peer_text, sizeof succession->peer_text, "it was told to stop");
    else if (tells && message->text[0] != '\0')
        memcpy(succession->peer_text, message->text, sizeof succession->peer_text);
    else if (message->type != HANDOVER_HELLO) /* which is judged */
        (void)snprintf(succession->peer_text, sizeof succession->peer_text, "it said %s",
                       handover_type_name(message->type));
}

static void take_message(srun_runner *runner, const struct handover_message *message)
{
    struct succession *succession = of(runner);
    struct machine_event event = {.kind = MACHINE_SAID, .type = message->type};
    switch (message->type) {
    case HANDOVER_HELLO:
        event.code = judge_hello(runner, message);
        break;
    case HANDOVER_ACK:
        if (succession->snapshot == NULL || message->count != succession->sent)
            event.kind = MACHINE_GARBLED;
        else
            event.last = succession->sent == succession->snapshot->count;
        break;
    case HANDOVER_PROGRESS:
        event.extend_ns = message->extend_ns <= INT64_MAX ? (int64_t)message->extend_ns : 0;
        if (event.extend_ns > 0)
            notify_send(&runner->notify, "EXTEND_TIMEOUT_USEC=%lld",
                        (long long)(event.extend_ns / NS_PER_US));
        notify_status(&runner->notify, "upgrading: %s", message->text);
        break;
    case HANDOVER_AGAIN: /* counts from here on: the clock of a request is its process's */
        if (!succession->machine.asked)
            succession->wanted_at = clock_now(&runner->clock);
        break;
    case HANDOVER_READY:
        if (message->count > 0)
            SRUN_INFO(runner->log, "not taken over", SRUN_UINT("count", message->count),
                      SRUN_STR("names", message->text));
        break;
    default:
        break;
    }
    note_words(succession, message);
    peer_feed(runner, &event);
}

static void note_garbage(srun_runner *runner, int rc)
{
    struct succession *succession = of(runner);
    SRUN_WARN(runner->log, "the other process is not understood",
              SRUN_INT("pid", succession->peer_pid), SRUN_CODE("error", rc));
    (void)snprintf(succession->peer_text, sizeof succession->peer_text,
                   "what it said is no message: %s", srun_strerror(rc));
    peer_feed_kind(runner, MACHINE_GARBLED);
}

/* Descriptors come before there is a control thread (inherit.c); later they are nobody's. */
static bool read_some(srun_runner *runner, int most)
{
    struct succession *succession = of(runner);
    bool any = false;
    for (int i = 0; i < most && succession->channel >= 0; i++) {
        struct handover_message message;
        int fds[HANDOVER_BATCH_MAX];
        unsigned count = 0;
        int rc = channel_receive(succession->channel, &message, fds, &count);
        while (count > 0)
            (void)close(fds[--count]);
        if (rc == 0)
            take_message(runner, &message);
        else if (rc == -EPIPE)
            peer_close(runner, &succession->channel); /* its end follows by its pidfd */
        else if (rc == -EBADMSG || rc == -EMFILE)
            note_garbage(runner, rc);
        else if (rc != -EPROTONOSUPPORT)
            break;
        any |= succession_act(runner);
    }
    return any;
}

bool succession_read(srun_runner *runner)
{
    bool any = read_some(runner, MESSAGES_MAX);
    if (of(runner)->news.wait)
        tell_news(runner, clock_now(&runner->clock));
    return any;
}

/* How it ended, for people. When this process ends too, an anchor needs the status as well, and
 * gets it with what we leave behind: the new process may have been the last one in office. */
static void take_end(srun_runner *runner, char *out, size_t size)
{
    const struct succession *succession = of(runner);
    if (succession->anchor.pid != 0 && succession->machine.ending)
        spawn_look(succession->peer_fd, out, size);
    else
        spawn_reap(succession->peer_fd, out, size);
}

void succession_peer_ended(srun_runner *runner)
{
    struct succession *succession = of(runner);
    if (succession->peer_fd < 0)
        return;
    (void)read_some(runner, LAST_WORDS); /* they come first, and may be the end */
    if (succession->peer_fd < 0)
        return;
    fd_poller_remove(runner->poller, succession->peer_fd);
    if (machine_has_child(&succession->machine)) {
        char how[64];
        take_end(runner, how, sizeof how);
        (void)snprintf(succession->peer_text, sizeof succession->peer_text, "pid %d %s",
                       succession->peer_pid, how);
    }
    peer_feed_kind(runner, MACHINE_GONE);
}

void succession_barrier_passed(srun_runner *runner)
{
    peer_close(runner, &of(runner)->barrier);
    peer_feed_kind(runner, MACHINE_PASSED);
}

/* --- launching ------------------------------------------------------------------------------- */

/* On a thread of the pool: the program's hook, the file system and exec may all take their time. */
static void run_launch(struct pool_job *job)
{
    srun_runner *runner =
        (srun_runner *)((char *)job - offsetof(srun_runner, succession.launch.job));
    struct succession *succession = of(runner);
    struct succession_launch *launch = &succession->launch;
    const struct srun_config *config = &runner->config.value;
    const char *binary = succession->origin.binary;
    int ends[2] = {-1, -1};
    launch->err = (srun_err){0};
    launch->rc = report_step_now(runner, SRUN_UPGRADE_BEFORE, &launch->err);
    if (launch->rc == 0)
        launch->rc =
            origin_check_binary(&succession->origin, binary, config->upgrade.any_binary != 0,
                                &launch->in_place, &launch->err);
    if (launch->rc == 0) /* copies are sent, so that what happens meanwhile does not matter */
        launch->rc =
            budget_check(sockets_to_hand_over(&succession->sockets) + OWN_NEEDS, &launch->err);
    if (launch->rc == 0 && (launch->rc = channel_pair(ends)) < 0)
        (void)srun_fail(&launch->err, launch->rc, "socketpair: %s", srun_strerror(launch->rc));
    if (launch->rc == 0) {
        const struct spawn_request request = {.origin = &succession->origin,
                                              .binary = binary,
                                              .channel = ends[1],
                                              .parent_pid = getpid(),
                                              .generation = succession->generation + 1,
                                              .trace_id = succession->trace_id,
                                              .span_id = succession->span_id};
        launch->rc = spawn_process(&request, &launch->pid, &launch->pidfd, &launch->err);
    }
    if (ends[1] >= 0)
        (void)close(ends[1]);
    if (launch->rc < 0 && ends[0] >= 0)
        (void)close(ends[0]);
    launch->channel = ends[0];
}

static void launch_done(struct pool_job *job)
{
    srun_runner *runner =
        (srun_runner *)((char *)job - offsetof(srun_runner, succession.launch.job));
    inbox_post(&runner->inbox, &of(runner)->launch.item);
}

static void make_ids(struct succession *succession)
{
    unsigned char bytes[24];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes); /* no trace is better than a wrong one */
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(&succession->trace_id[2 * i], 3, "%02x", bytes[i]);
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(&succession->span_id[2 * i], 3, "%02x", bytes[16 + i]);
}

/* For whom it was started has no use for it. */
static void end_launched(const struct succession_launch *launch)
{
    char how[64];
    (void)spawn_signal(launch->pidfd, SIGKILL);
    spawn_reap(launch->pidfd, how, sizeof how);
}

/* The hook is called for one step at a time; and one speaks of main processes at a time. What was
 * given up meanwhile has been told as failed, and does not begin any more. */
void peer_start_launch(srun_runner *runner)
{
    struct succession_launch *launch = &of(runner)->launch;
    if (!launch->waits || report_has_steps(runner) || adopted_is_telling(runner))
        return;
    launch->waits = false;
    if (of(runner)->machine.state != MACHINE_SPAWN) {
        launch->rc = -ECANCELED;
        peer_feed_kind(runner, MACHINE_REFUSED);
        return;
    }
    launch->job = (struct pool_job){.run = run_launch, .done = launch_done};
    launch->rc = -EINPROGRESS;
    int rc = pool_submit(runner->pool, &launch->job);
    launch->busy = rc == 0;
    if (rc == 0)
        return;
    launch->rc = srun_fail(&launch->err, rc, "thread: %s", srun_strerror(rc));
    peer_feed_kind(runner, MACHINE_REFUSED);
}

void peer_launch(srun_runner *runner, int64_t now)
{
    struct succession *succession = of(runner);
    make_ids(succession);
    tracing_upgrade(runner, succession->trace_id, succession->span_id);
    succession->asked_at = succession->wanted_at;
    succession->launched_at = now;
    succession->peer_text[0] = '\0';
    pthread_mutex_lock(&runner->lock);
    succession->covers = succession->taken;
    pthread_mutex_unlock(&runner->lock);
    report_launch(runner);
    succession->launch.waits = true;
    peer_start_launch(runner);
}

void peer_take_launch(srun_runner *runner)
{
    struct succession *succession = of(runner);
    struct succession_launch *done = &succession->launch;
    done->busy = false;
    report_next_step(runner); /* of an attempt that was given up meanwhile */
    if (done->rc < 0) {
        peer_feed_kind(runner, MACHINE_REFUSED);
        return;
    }
    if (done->in_place)
        SRUN_WARN(runner->log, "the program file was overwritten, not replaced",
                  SRUN_STR("binary", succession->origin.binary));
    int rc = peer_watch(runner, done->channel, done->pidfd, done->pid);
    if (rc < 0) { /* nobody would ever hear of its end */
        end_launched(done);
        peer_forget(runner);
        done->rc =
            srun_fail(&done->err, rc, "cannot watch the new process: epoll: %s", srun_strerror(rc));
    }
    peer_feed_kind(runner, rc < 0 ? MACHINE_REFUSED : MACHINE_SPAWNED);
}

/* One that was started for a runner that is no more. */
void peer_drop_launch(srun_runner *runner)
{
    const struct succession_launch *launch = &of(runner)->launch;
    if (!launch->busy || launch->rc < 0)
        return;
    end_launched(launch);
    (void)close(launch->pidfd);
    (void)close(launch->channel);
}
