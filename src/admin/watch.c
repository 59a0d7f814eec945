/* SPDX-License-Identifier: MIT */
#include "admin/watch.h"

#include "admin/revert.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <sys/socket.h>

#define LISTENERS_MAX 2
#define AT_ONCE 16 /* accepted before who has sent something meanwhile gets its turn */
#define DRAIN_NS (2 * NS_PER_S)
#define DRAIN_LOOK_NS (DRAIN_NS / 4) /* has a view come back? */
#define LINGER_NS (100 * NS_PER_MS)
#define LINGER_UPGRADE_NS NS_PER_S /* in which a packet that was lost comes again */

/* Tags in the poller; below them the slots. */
enum { TAG_CANCEL = CONNECTIONS_SLOTS, TAG_WAKE, TAG_REVERT, TAG_INNER, TAG_LISTENER };

struct state {
    struct server *server;
    const struct watch_listener *listeners;
    size_t count;
    int poller;           /* all but the listeners */
    int gates;            /* the listeners, and the poller */
    int64_t paused_until; /* nobody is accepted before */
    int64_t busy_since;   /* all are; 0: they are not */
    int64_t complained_ns;
};

/* --- who it is ------------------------------------------------------------------------------- */

static void name_inet(const struct sockaddr_storage *address, char out[SLOT_PEER_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host); /* any fits */
        (void)snprintf(out, SLOT_PEER_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        (void)snprintf(out, SLOT_PEER_MAX, "[%s]:%u", host, ntohs(in->sin6_port));
    }
}

/* The kernel's word for who has connected. Without it: nobody to trust. */
static void name_local(int fd, struct slot *out)
{
    struct ucred from;
    socklen_t size = sizeof from;
    out->peer.local = true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &from, &size) < 0 || size != sizeof from) {
        (void)snprintf(out->text, sizeof out->text, "unix");
        return;
    }
    out->peer.trusted = from.uid == 0 || from.uid == geteuid();
    (void)snprintf(out->text, sizeof out->text, "uid %u pid %d", (unsigned)from.uid, (int)from.pid);
}

/* --- new connections ------------------------------------------------------------------------- */

/* What clients can cause is said every ten seconds at most. */
static void complain(struct state *state, const char *what, int rc)
{
    int64_t now = clock_real_now();
    if (state->complained_ns != 0 && now - state->complained_ns < 10 * NS_PER_S)
        return;
    state->complained_ns = now;
    SRUN_WARN(state->server->log, what, SRUN_CODE("error", rc));
}

static void drop(struct state *state, int slot)
{
    slots_drop(&state->server->slots, slot); /* closed, it leaves the poller by itself */
}

/* It may have come with the connection, or later. */
static void look(struct state *state, int slot)
{
    struct slots *slots = &state->server->slots;
    int fd = slots_new_fd(slots, slot);
    struct head head;
    if (fd < 0)
        return; /* an event from before */
    switch (slots_look(slots, slot, &head)) {
    case SLOTS_NOTHING:
    case SLOTS_MORE:
        break;
    case SLOTS_DONE:
        fd_poller_remove(state->poller, fd);
        if (!server_add(state->server, slot, &head))
            complain(state, "no thread for a connection", -EAGAIN);
        break;
    case SLOTS_REFUSED:
        slots_refused(slots);
        slots_answer(fd, head.status, head.why);
        slots_enter(slots, slot, CONNECTION_LINGER);
        if (slots_look(slots, slot, &head) == SLOTS_GONE)
            drop(state, slot);
        break;
    case SLOTS_GONE:
        drop(state, slot);
        break;
    }
}

static void take(struct state *state, int fd, const struct slot *as)
{
    int gone, slot = slots_open(&state->server->slots, fd, as, &gone);
    if (gone >= 0)
        drop(state, gone);
    if (slot < 0) {
        slots_refused(&state->server->slots);
        slots_answer(fd, 503, "too many requests are being answered");
        (void)close(fd);
    } else if (fd_poller_add(state->poller, fd, (uint32_t)slot, true) < 0) {
        drop(state, slot);
    } else {
        look(state, slot);
    }
}

/* Out of descriptors: the connections wait in the backlog. */
static void rest(struct state *state, int rc)
{
    complain(state, "accept", rc);
    (void)srun_sleep_ms(state->server->ctx, 100); /* or until cancelled */
}

/* A flood of clients that say nothing is taken no faster than each can be given its chance to
 * speak; the rest waits in the backlog. So it does while all are busy, which is soon over. */
static bool has_room(struct state *state)
{
    int64_t at = slots_room_at(&state->server->slots), now = clock_real_now();
    bool busy = at == INT64_MAX;
    if (!busy || state->busy_since == 0)
        state->busy_since = busy ? now : 0;
    if (busy)
        at =
            now - state->busy_since < state->server->patience_ns ? now + CONNECTIONS_GRACE_NS : now;
    state->paused_until = at;
    return at <= now;
}

/* True: there may be more. */
static bool accept_some(struct state *state, const struct watch_listener *listener)
{
    int taken = 0;
    for (; taken < AT_ONCE && has_room(state); taken++) {
        struct sockaddr_storage from = {0};
        socklen_t length = sizeof from;
        int fd =
            srun_accept_now(state->server->ctx, listener->fd, (struct sockaddr *)&from, &length);
        if (fd == -EAGAIN || fd == -ENOENT)
            return false;
        if (fd < 0) {
            rest(state, fd);
            return false;
        }
        struct slot as = {.peer.loopback = listener->loopback};
        if (from.ss_family == AF_INET || from.ss_family == AF_INET6)
            name_inet(&from, as.text);
        else
            name_local(fd, &as);
        take(state, fd, &as);
    }
    return taken == AT_ONCE;
}

/* --- the loop -------------------------------------------------------------------------------- */

static int timeout_ms(int64_t until)
{
    if (until == INT64_MAX)
        return -1;
    int64_t left = until - clock_real_now();
    int64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
    return left <= 0 ? 0 : ms < 60000 ? (int)ms : 60000;
}

/* A level of the log that somebody wanted for a while. */
static void run_revert(const struct state *state)
{
    struct admin *admin = state->server->admin;
    (void)revert_run(admin_revert(admin), srun_runner_log(admin_host(admin)->runner),
                     clock_real_now());
}

static void take_tag(struct state *state, uint32_t tag)
{
    if (tag < CONNECTIONS_SLOTS)
        look(state, (int)tag);
    else if (tag == TAG_WAKE)
        fd_event_lower(state->server->slots.wake);
    else if (tag == TAG_REVERT)
        run_revert(state);
    else if (tag >= TAG_LISTENER)
        (void)accept_some(state, &state->listeners[tag - TAG_LISTENER]); /* the rest soon */
}

static void take_tags(struct state *state, const uint32_t *tags, int count)
{
    for (int i = 0; i < count; i++)
        take_tag(state, tags[i]);
}

/* Waits, then takes what has happened: with those who are here before those who want to come. */
static void wait_and_take(struct state *state, int64_t until)
{
    uint32_t outer[4], inner[8];
    bool paused = state->paused_until > clock_real_now();
    if (paused && state->paused_until < until)
        until = state->paused_until;
    int comers = paused ? 0 : fd_poller_wait(state->gates, outer, 4, timeout_ms(until));
    take_tags(state, inner,
              fd_poller_wait(state->poller, inner, 8, paused ? timeout_ms(until) : 0));
    take_tags(state, outer, comers);
}

static void look_again(struct state *state, int64_t until)
{
    struct slots *slots = &state->server->slots;
    int64_t next = slots_sleep(slots);
    wait_and_take(state, next < until ? next : until);
    int slot;
    while ((slot = slots_overdue(slots)) >= 0)
        drop(state, slot);
}

static int add(int poller, int fd, uint32_t tag, srun_err *err)
{
    int rc = fd < 0 ? fd : fd_poller_add(poller, fd, tag, false);
    return rc < 0 ? srun_fail(err, rc, "admin port: %s", srun_strerror(rc)) : 0;
}

static int prepare(struct state *state, srun_err *err)
{
    srun_context *ctx = state->server->ctx;
    int rc = add(state->poller, srun_cancel_fd(ctx), TAG_CANCEL, err);
    if (rc == 0)
        rc = add(state->poller, state->server->slots.wake, TAG_WAKE, err);
    if (rc == 0)
        rc = add(state->poller, revert_fd(admin_revert(state->server->admin)), TAG_REVERT, err);
    if (rc == 0)
        rc = add(state->gates, state->poller, TAG_INNER, err);
    for (size_t i = 0; rc == 0 && i < state->count; i++)
        if (state->listeners[i].fd >= 0)
            rc = add(state->gates, srun_gate_fd(ctx, state->listeners[i].fd),
                     TAG_LISTENER + (uint32_t)i, err);
    return rc;
}

/* As many of the backlog as there is room for. */
static void accept_rest(struct state *state, const struct watch_listener *listener)
{
    int rounds = CONNECTIONS_MAX / AT_ONCE;
    while (rounds-- > 0 && accept_some(state, listener))
        continue;
}

/* What was promised an answer by the backlog is taken, so that nothing that was accepted is lost;
 * then nobody comes any more. */
static void close_listeners(struct state *state)
{
    srun_context *ctx = state->server->ctx;
    fd_poller_remove(state->poller, srun_cancel_fd(ctx));
    for (size_t i = 0; i < state->count; i++) {
        if (state->listeners[i].fd < 0)
            continue;
        accept_rest(state, &state->listeners[i]);
        fd_poller_remove(state->gates, srun_gate_fd(ctx, state->listeners[i].fd));
        (void)srun_listen_close(ctx, state->listeners[i].name); /* it is there */
    }
}

/* How long views may run: the rest of the time to stop is for what they leave. */
static int64_t drain_end(const struct state *state, int64_t now)
{
    int64_t left_ms = srun_context_time_left_ms(state->server->ctx);
    return left_ms < 0 ? INT64_MAX : now + left_ms * NS_PER_MS / 4 * 3;
}

/* Who has connected to the old process of an upgrade knows nothing of it, and his request may still
 * be on its way. A stop has less time. */
static int64_t linger_ns(const struct state *state)
{
    bool upgraded = srun_context_cause(state->server->ctx)->kind == SRUN_CAUSE_UPGRADE;
    return upgraded ? LINGER_UPGRADE_NS : LINGER_NS;
}

/* New ones that say nothing are not waited for as long as who is being answered. The thread of a
 * view that runs is waited for in any case: then its client gets what it has asked for, too. */
static void drain(struct state *state)
{
    struct slots *slots = &state->server->slots;
    struct slots_counts counts;
    int64_t now = clock_real_now(), linger = now + linger_ns(state), limit = now + DRAIN_NS;
    int64_t name_at = limit, end = drain_end(state, now);
    atomic_store(&state->server->closing, true);
    slots_say_when_closed(slots);
    close_listeners(state);
    for (;;) {
        slots_shut(slots, false);
        counts = slots_count(slots);
        now = clock_real_now();
        if (counts.busy > 0 && now >= name_at) {
            server_name_busy(state->server);
            name_at = INT64_MAX;
        }
        if (counts.busy > 0)
            limit = now + DRAIN_NS < end ? now + DRAIN_NS : end;
        int64_t until = counts.at_work > 0 ? limit : linger;
        if (counts.at_work + counts.new == 0 || now >= until)
            break;
        look_again(state,
                   counts.busy > 0 && now + DRAIN_LOOK_NS < until ? now + DRAIN_LOOK_NS : until);
    }
    if (counts.busy > 0 && name_at != INT64_MAX)
        server_name_busy(state->server);
    for (int i = 0; i < CONNECTIONS_SLOTS; i++)
        if (slots_new_fd(slots, i) >= 0)
            drop(state, i);
}

int watch(struct server *server, const struct watch_listener *listeners, size_t count,
          srun_err *err)
{
    auto_close int poller = fd_poller_new();
    auto_close int gates = poller < 0 ? poller : fd_poller_new();
    struct state state = {
        .server = server, .listeners = listeners, .count = count, .poller = poller, .gates = gates};
    if (gates < 0)
        return srun_fail(err, gates, "admin port: %s", srun_strerror(gates));
    int rc = prepare(&state, err);
    if (rc < 0)
        return rc;
    srun_ready(server->ctx);
    while (!srun_cancelled(server->ctx))
        look_again(&state, INT64_MAX);
    drain(&state);
    return 0;
}
