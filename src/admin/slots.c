/* SPDX-License-Identifier: MIT
 *
 * A descriptor is shut down under the lock, where it is certain that nobody has closed it: shutdown
 * does not wait. Heads are looked at by MSG_PEEK, so that libmicrohttpd reads what was approved.
 */
#include "admin/slots.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int slots_init(struct slots *slots)
{
    memset(slots, 0, sizeof *slots);
    slots->wake = -1;
    return -pthread_mutex_init(&slots->lock, NULL);
}

void slots_destroy(struct slots *slots)
{
    (void)pthread_mutex_destroy(&slots->lock); /* nobody holds it */
}

int slots_start(struct slots *slots)
{
    int wake = fd_event_new();
    if (wake < 0)
        return wake;
    pthread_mutex_lock(&slots->lock);
    slots->all = (struct connections){0};
    memset(slots->each, 0, sizeof slots->each);
    for (int i = 0; i < CONNECTIONS_SLOTS; i++)
        slots->all.slots[i].fd = -1;
    slots->asleep_until = slots->crowded_until = 0;
    slots->closing = false;
    slots->wake = wake;
    pthread_mutex_unlock(&slots->lock);
    return 0;
}

void slots_end(struct slots *slots)
{
    (void)close(slots->wake);
    slots->wake = -1;
}

/* --- the watch ------------------------------------------------------------------------------- */

/* Tells one that was handed over to leave. */
static void leave_locked(struct slots *slots, int slot)
{
    enum connection_state state = slots->all.slots[slot].state;
    if (state == CONNECTION_FREE || state == CONNECTION_LEAVING)
        return;
    connections_leave(&slots->all, slot);
    (void)shutdown(slots->all.slots[slot].fd, SHUT_RDWR); /* gone already: as well */
}

static int evict_locked(struct slots *slots, int64_t now)
{
    int victim = connections_victim(&slots->all, now);
    if (victim < 0)
        return -1;
    slots->traffic.evicted++;
    if (!slots->each[victim].handed_over)
        return victim;
    leave_locked(slots, victim);
    return -1;
}

int slots_open(struct slots *slots, int fd, const struct slot *as, int *drop)
{
    int64_t now = clock_real_now();
    *drop = -1;
    pthread_mutex_lock(&slots->lock);
    if (slots->all.count >= CONNECTIONS_MAX) {
        *drop = evict_locked(slots, now);
        if (*drop >= 0) /* it counts no more; the watch closes it */
            connections_leave(&slots->all, *drop);
    }
    int slot = connections_open(&slots->all, fd, now);
    if (slot >= 0) {
        slots->each[slot] = *as;
        slots->traffic.connections++;
    }
    pthread_mutex_unlock(&slots->lock);
    return slot;
}

int64_t slots_room_at(struct slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    int64_t now = clock_real_now(), at = connections_room_at(&slots->all, now);
    if (at > now)
        slots->crowded_until = now + CONNECTIONS_GRACE_NS;
    pthread_mutex_unlock(&slots->lock);
    return at;
}

int slots_overdue(struct slots *slots)
{
    int slot;
    pthread_mutex_lock(&slots->lock);
    while ((slot = connections_overdue(&slots->all, clock_real_now())) >= 0) {
        slots->traffic.timed_out++;
        if (!slots->each[slot].handed_over)
            break;
        leave_locked(slots, slot);
    }
    pthread_mutex_unlock(&slots->lock);
    return slot;
}

int64_t slots_sleep(struct slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    slots->asleep_until = connections_next(&slots->all, clock_real_now());
    int64_t until = slots->asleep_until;
    pthread_mutex_unlock(&slots->lock);
    return until;
}

void slots_hand_over(struct slots *slots, int slot, const struct head *head)
{
    pthread_mutex_lock(&slots->lock);
    connections_enter(&slots->all, slot, head->body > 0 ? CONNECTION_BODY : CONNECTION_BUSY,
                      clock_real_now());
    slots->each[slot].handed_over = true;
    pthread_mutex_unlock(&slots->lock);
}

int slots_new_fd(struct slots *slots, int slot)
{
    pthread_mutex_lock(&slots->lock);
    int fd = slots->each[slot].handed_over ? -1 : slots->all.slots[slot].fd;
    pthread_mutex_unlock(&slots->lock);
    return fd;
}

void slots_drop(struct slots *slots, int slot)
{
    pthread_mutex_lock(&slots->lock);
    int fd = slots->all.slots[slot].fd;
    connections_close(&slots->all, slot);
    pthread_mutex_unlock(&slots->lock);
    (void)close(fd); /* nothing is left to do about a failure */
}

/* A request that has come is not cut off from its response. */
static bool has_come(int fd)
{
    int waiting = 0;
    return ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

void slots_shut(struct slots *slots, bool all)
{
    pthread_mutex_lock(&slots->lock);
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        const struct connection *one = &slots->all.slots[i];
        bool idle = one->state == CONNECTION_IDLE && !has_come(one->fd);
        if (slots->each[i].handed_over && (all || idle))
            leave_locked(slots, i);
    }
    pthread_mutex_unlock(&slots->lock);
}

void slots_say_when_closed(struct slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    slots->closing = true;
    pthread_mutex_unlock(&slots->lock);
}

struct slots_counts slots_count(struct slots *slots)
{
    struct slots_counts counts = {0};
    pthread_mutex_lock(&slots->lock);
    counts.at_work = connections_at_work(&slots->all);
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        enum connection_state state = slots->all.slots[i].state;
        counts.at_work += state == CONNECTION_IDLE;
        counts.busy += state == CONNECTION_BUSY;
        counts.new += state == CONNECTION_HEAD && !slots->each[i].handed_over;
    }
    pthread_mutex_unlock(&slots->lock);
    return counts;
}

bool slots_busy(struct slots *slots, int slot, struct slot *out)
{
    pthread_mutex_lock(&slots->lock);
    *out = slots->each[slot];
    bool busy = slots->all.slots[slot].state != CONNECTION_FREE && out->doing[0] != '\0';
    pthread_mutex_unlock(&slots->lock);
    return busy;
}

/* --- a head ---------------------------------------------------------------------------------- */

static enum connection_state state_of(struct slots *slots, int slot)
{
    pthread_mutex_lock(&slots->lock);
    enum connection_state state = slots->all.slots[slot].state;
    pthread_mutex_unlock(&slots->lock);
    return state;
}

#define THROWN_MAX ((size_t)1024 * 1024) /* who sends more is not listening */

static enum slots_seen throw_away(struct slots *slots, int slot)
{
    char data[HEAD_MAX];
    ssize_t got;
    while ((got = recv(slots->all.slots[slot].fd, data, sizeof data, MSG_DONTWAIT)) > 0) {
        slots->each[slot].thrown += (size_t)got;
        if (slots->each[slot].thrown > THROWN_MAX)
            return SLOTS_GONE;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? SLOTS_NOTHING : SLOTS_GONE;
}

/* A unix socket does not say how much has come. But with each byte that is read the kernel moves
 * the place where a look would begin: so from here on it counts what libmicrohttpd takes. */
#define LOOK_FROM (1 << 30)

static bool look_from(int fd, int place)
{
    return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &place, sizeof place) == 0;
}

/* What comes behind this request, before it is answered, is not answered: the client has to come
 * again for it. */
enum slots_seen slots_look(struct slots *slots, int slot, struct head *head)
{
    char data[HEAD_MAX];
    if (state_of(slots, slot) == CONNECTION_LINGER)
        return throw_away(slots, slot);
    ssize_t got = recv(slots->all.slots[slot].fd, data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? SLOTS_NOTHING : SLOTS_GONE;
    if (got == 0)
        return SLOTS_GONE;
    switch (head_parse(data, (size_t)got, head)) {
    case HEAD_MORE:
        return SLOTS_MORE;
    case HEAD_REFUSED:
        return SLOTS_REFUSED;
    case HEAD_DONE:
        break;
    }
    struct slot *one = &slots->each[slot];
    bool local = one->peer.local;
    one->keep = head->keep && (size_t)got <= head->size + head->body &&
                (!local || look_from(slots->all.slots[slot].fd, LOOK_FROM));
    one->approved = (local ? 0 : one->approved) + head->size + head->body;
    return SLOTS_DONE;
}

static const char *reason(unsigned status)
{
    switch (status) {
    case 405:
        return "Method Not Allowed\r\nAllow: GET, HEAD, POST, PUT, DELETE";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable\r\nRetry-After: 1";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

/* What has come is read first, as in slots_linger. */
void slots_answer(int fd, unsigned status, const char *why)
{
    char text[512];
    for (int i = 0; i < 16 && recv(fd, text, sizeof text, MSG_DONTWAIT) > 0; i++)
        continue;
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %u %s\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Length: %zu\r\n"
                        "Cache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "Connection: close\r\n\r\n%s\n",
                        status, reason(status), strlen(why) + 1, why);
    (void)send(fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL); /* or not */
    (void)shutdown(fd, SHUT_WR);
}

/* --- a connection's thread ------------------------------------------------------------------- */

void slots_enter(struct slots *slots, int slot, enum connection_state state)
{
    int64_t now = clock_real_now();
    pthread_mutex_lock(&slots->lock);
    const struct connection *one = &slots->all.slots[slot];
    slots->traffic.requests += state == CONNECTION_WRITING &&
                               (one->state == CONNECTION_BUSY || one->state == CONNECTION_BODY);
    connections_enter(&slots->all, slot, state, now);
    int64_t limit = connections_limit(one, now);
    bool early = limit < slots->asleep_until;
    if (early)
        slots->asleep_until = limit;
    early |= slots->closing;
    pthread_mutex_unlock(&slots->lock);
    if (early)
        fd_event_raise(slots->wake);
}

void slots_note(struct slots *slots, int slot, const char *path)
{
    struct slot *one = &slots->each[slot];
    pthread_mutex_lock(&slots->lock);
    (void)snprintf(one->doing, sizeof one->doing, "%s", path); /* cut to fit */
    pthread_mutex_unlock(&slots->lock);
}

static bool is_ahead_local(int fd, uint64_t approved)
{
    int place = 0;
    socklen_t size = sizeof place;
    return getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &place, &size) < 0 ||
           (uint64_t)(LOOK_FROM - place) > approved;
}

/* What arrives between the two questions counts as taken: so it is never missed. */
static bool is_ahead(const struct slots *slots, int slot)
{
    int fd = slots->all.slots[slot].fd, waiting = 0;
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (slots->each[slot].peer.local)
        return is_ahead_local(fd, slots->each[slot].approved);
    if (ioctl(fd, FIONREAD, &waiting) < 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    return info.tcpi_bytes_received > slots->each[slot].approved + (uint64_t)waiting;
}

bool slots_may_stay(struct slots *slots, int slot)
{
    int64_t now = clock_real_now();
    pthread_mutex_lock(&slots->lock);
    bool crowded = now < slots->crowded_until;
    pthread_mutex_unlock(&slots->lock);
    return slots->each[slot].keep && !crowded && !is_ahead(slots, slot);
}

static void leave(struct slots *slots, int slot)
{
    pthread_mutex_lock(&slots->lock);
    leave_locked(slots, slot);
    pthread_mutex_unlock(&slots->lock);
}

/* What is there but was not taken stays readable, so from a part of a head on it needs a poller
 * that tells of new bytes only. */
static enum slots_seen look_until_decided(struct slots *slots, int slot, struct head *head)
{
    int fd = slots->all.slots[slot].fd;
    auto_close int poller = -1;
    for (;;) {
        uint32_t tag;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poller >= 0)
            (void)fd_poller_wait(poller, &tag, 1, -1);
        else
            (void)poll(&wait, 1, -1);
        enum slots_seen seen = slots_look(slots, slot, head);
        if (seen != SLOTS_NOTHING && seen != SLOTS_MORE)
            return seen;
        if (state_of(slots, slot) == CONNECTION_LEAVING)
            return SLOTS_GONE;
        if (seen == SLOTS_NOTHING || poller >= 0)
            continue;
        slots_enter(slots, slot, CONNECTION_HEAD);
        poller = fd_poller_new();
        if (poller < 0 || fd_poller_add(poller, fd, 0, true) < 0)
            return SLOTS_GONE;
    }
}

void slots_linger(struct slots *slots, int slot)
{
    struct pollfd wait = {.fd = slots->all.slots[slot].fd, .events = POLLIN};
    slots_enter(slots, slot, CONNECTION_LINGER);
    (void)shutdown(wait.fd, SHUT_WR); /* or it has gone */
    while (throw_away(slots, slot) == SLOTS_NOTHING)
        (void)poll(&wait, 1, -1); /* ends when the watch shuts it down */
}

void slots_await(struct slots *slots, int slot)
{
    struct head head = {0};
    slots_enter(slots, slot, CONNECTION_IDLE);
    bool blind = slots->each[slot].peer.local && !look_from(slots->all.slots[slot].fd, -1);
    switch (blind ? SLOTS_GONE : look_until_decided(slots, slot, &head)) {
    case SLOTS_DONE:
        slots_enter(slots, slot, head.body > 0 ? CONNECTION_BODY : CONNECTION_BUSY);
        return;
    case SLOTS_REFUSED:
        slots_refused(slots);
        slots_answer(slots->all.slots[slot].fd, head.status, head.why);
        slots_linger(slots, slot);
        break;
    default:
        break;
    }
    leave(slots, slot);
}

void slots_refused(struct slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    slots->traffic.refused++;
    pthread_mutex_unlock(&slots->lock);
}

void slots_failed_auth(struct slots *slots)
{
    pthread_mutex_lock(&slots->lock);
    slots->traffic.failed_auth++;
    pthread_mutex_unlock(&slots->lock);
}

void slots_traffic(struct slots *slots, struct admin_traffic *out)
{
    pthread_mutex_lock(&slots->lock);
    *out = slots->traffic;
    out->open = slots->all.count;
    pthread_mutex_unlock(&slots->lock);
}

/* --- libmicrohttpd's threads ----------------------------------------------------------------- */

int slots_find(struct slots *slots, int fd)
{
    int slot = -1;
    pthread_mutex_lock(&slots->lock);
    for (int i = 0; i < CONNECTIONS_SLOTS && slot < 0; i++)
        if (slots->all.slots[i].fd == fd && slots->all.slots[i].state != CONNECTION_FREE)
            slot = i;
    pthread_mutex_unlock(&slots->lock);
    return slot;
}

void slots_closed(struct slots *slots, int slot)
{
    pthread_mutex_lock(&slots->lock);
    connections_close(&slots->all, slot);
    slots->each[slot].handed_over = false;
    bool tell = slots->closing;
    pthread_mutex_unlock(&slots->lock);
    if (tell)
        fd_event_raise(slots->wake);
}
