/* SPDX-License-Identifier: MIT
 *
 * Counters under one lock and one condition. An idle keep-alive connection is given linger_ms,
 * because its next request may already be on the way: closing at once would cut that request.
 */
#include "traffic.h"

#include "../clock.h"

static void wait_until_locked(struct traffic *traffic, int64_t at_ms)
{
    struct timespec at = timespec_of_ms(at_ms);
    pthread_cond_timedwait(&traffic->changed, &traffic->lock, &at);
}

static void note_locked(struct traffic *traffic)
{
    traffic->active_ms = monotonic_ms();
    pthread_cond_broadcast(&traffic->changed);
}

void traffic_init(struct traffic *traffic)
{
    *traffic = (struct traffic){0};
    pthread_mutex_init(&traffic->lock, NULL);
    monotonic_cond_init(&traffic->changed);
}

void traffic_destroy(struct traffic *traffic)
{
    pthread_cond_destroy(&traffic->changed);
    pthread_mutex_destroy(&traffic->lock);
}

void traffic_connection_opened(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->connections++;
    note_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
}

void traffic_connection_closed(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->connections--;
    note_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
}

void traffic_request_opened(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->requests++;
    note_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
}

void traffic_request_closed(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->requests--;
    traffic->answered++;
    note_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
}

static struct traffic_counts counts_locked(const struct traffic *traffic)
{
    return (struct traffic_counts){
        .connections = traffic->connections,
        .requests = traffic->requests,
        .answered = traffic->answered,
    };
}

struct traffic_counts traffic_counts(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    struct traffic_counts counts = counts_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
    return counts;
}

bool traffic_wait_below(struct traffic *traffic, unsigned connections, int64_t limit_ms)
{
    int64_t until = monotonic_ms() + limit_ms;
    pthread_mutex_lock(&traffic->lock);
    while (traffic->connections >= connections && monotonic_ms() < until)
        wait_until_locked(traffic, until);
    bool below = traffic->connections < connections;
    pthread_mutex_unlock(&traffic->lock);
    return below;
}

void traffic_drain(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->draining = true;
    note_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
}

bool traffic_is_draining(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    bool draining = traffic->draining;
    pthread_mutex_unlock(&traffic->lock);
    return draining;
}

struct traffic_counts traffic_wait(struct traffic *traffic, int64_t linger_ms, int64_t limit_ms)
{
    int64_t limit = monotonic_ms() + limit_ms;
    pthread_mutex_lock(&traffic->lock);
    while (traffic->connections > 0) {
        int64_t until = traffic->requests > 0 ? limit : traffic->active_ms + linger_ms;
        if (until > limit)
            until = limit;
        if (monotonic_ms() >= until)
            break;
        wait_until_locked(traffic, until);
    }
    struct traffic_counts counts = counts_locked(traffic);
    pthread_mutex_unlock(&traffic->lock);
    return counts;
}

void traffic_cut(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    traffic->cut = true;
    pthread_cond_broadcast(&traffic->changed);
    pthread_mutex_unlock(&traffic->lock);
}

bool traffic_pause_ms(struct traffic *traffic, int64_t ms)
{
    int64_t until = monotonic_ms() + ms;
    pthread_mutex_lock(&traffic->lock);
    while (!traffic->cut && monotonic_ms() < until)
        wait_until_locked(traffic, until);
    bool whole = !traffic->cut;
    pthread_mutex_unlock(&traffic->lock);
    return whole;
}
