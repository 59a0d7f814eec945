/* SPDX-License-Identifier: MIT */
#include "admin/connections.h"

#include "base/duration.h"

#define SLOW_NS (5 * NS_PER_S)
#define LOOK_NS (30 * NS_PER_S)

static const int64_t limits[] = {
    [CONNECTION_HEAD] = 5 * NS_PER_S,     [CONNECTION_BODY] = 10 * NS_PER_S,
    [CONNECTION_WRITING] = 30 * NS_PER_S, [CONNECTION_IDLE] = 75 * NS_PER_S,
    [CONNECTION_LINGER] = 5 * NS_PER_S,
};

static bool counts(enum connection_state state)
{
    return state != CONNECTION_FREE && state != CONNECTION_LEAVING;
}

int connections_open(struct connections *all, int fd, int64_t now)
{
    if (all->count >= CONNECTIONS_MAX)
        return -1;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        if (all->slots[i].state != CONNECTION_FREE)
            continue;
        all->slots[i] = (struct connection){.state = CONNECTION_HEAD, .fd = fd, .since_ns = now};
        all->count++;
        return i;
    }
    return -1;
}

void connections_enter(struct connections *all, int slot, enum connection_state state, int64_t now)
{
    struct connection *one = &all->slots[slot];
    if (!counts(one->state))
        return;
    if (state == CONNECTION_WRITING && one->state != CONNECTION_WRITING)
        one->wrote_ns = now;
    one->state = state;
    one->since_ns = now;
}

void connections_leave(struct connections *all, int slot)
{
    if (!counts(all->slots[slot].state))
        return;
    all->slots[slot].state = CONNECTION_LEAVING;
    all->count--;
}

void connections_close(struct connections *all, int slot)
{
    if (counts(all->slots[slot].state))
        all->count--;
    all->slots[slot] = (struct connection){.state = CONNECTION_FREE, .fd = -1};
}

static bool is_waiting(const struct connection *one)
{
    return one->state == CONNECTION_HEAD || one->state == CONNECTION_BODY ||
           one->state == CONNECTION_IDLE || one->state == CONNECTION_LINGER;
}

/* In a flood of clients that say nothing each has little time; a few may take longer, if only
 * because the machine is busy. */
static int64_t grace_of(const struct connections *all)
{
    unsigned silent = 0;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++)
        silent += all->slots[i].state == CONNECTION_HEAD;
    return silent > CONNECTIONS_MAX / 2 ? CONNECTIONS_GRACE_NS : CONNECTIONS_LONG_GRACE_NS;
}

static bool is_new(const struct connection *one, int64_t grace, int64_t now)
{
    return one->state == CONNECTION_HEAD && now - one->since_ns < grace;
}

int connections_victim(const struct connections *all, int64_t now)
{
    int waiting = -1, slow = -1;
    int64_t grace = grace_of(all);
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        const struct connection *one = &all->slots[i];
        if (is_waiting(one) && !is_new(one, grace, now) &&
            (waiting < 0 || one->since_ns < all->slots[waiting].since_ns))
            waiting = i;
        if (one->state == CONNECTION_WRITING && now - one->wrote_ns >= SLOW_NS &&
            (slow < 0 || one->wrote_ns < all->slots[slow].wrote_ns))
            slow = i;
    }
    return waiting >= 0 ? waiting : slow;
}

int64_t connections_room_at(const struct connections *all, int64_t now)
{
    int64_t at = INT64_MAX, grace = grace_of(all);
    bool room = all->count < CONNECTIONS_MAX || connections_victim(all, now) >= 0;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        const struct connection *one = &all->slots[i];
        if (room && one->state == CONNECTION_FREE)
            return now;
        if (is_new(one, grace, now) && one->since_ns + grace < at)
            at = one->since_ns + grace;
    }
    return at;
}

int64_t connections_limit(const struct connection *one, int64_t now)
{
    if (!counts(one->state))
        return INT64_MAX;
    if (one->state != CONNECTION_BUSY)
        return one->since_ns + limits[one->state];
    int64_t look = one->since_ns + LOOK_NS;
    return look > now ? look : now + LOOK_NS;
}

int64_t connections_next(const struct connections *all, int64_t now)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        int64_t limit = connections_limit(&all->slots[i], now);
        next = limit < next ? limit : next;
    }
    return next;
}

int connections_overdue(const struct connections *all, int64_t now)
{
    for (int i = 0; i < CONNECTIONS_SLOTS; i++)
        if (connections_limit(&all->slots[i], now) <= now)
            return i;
    return -1;
}

unsigned connections_at_work(const struct connections *all)
{
    unsigned count = 0;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++) {
        enum connection_state state = all->slots[i].state;
        count +=
            state == CONNECTION_BODY || state == CONNECTION_BUSY || state == CONNECTION_WRITING;
    }
    return count;
}
