/* SPDX-License-Identifier: MIT */
#include "admin/revert.h"

#include "admin/show.h"
#include "base/duration.h"
#include "base/fd.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct revert {
    pthread_mutex_t lock; /* guards what follows */
    int timer;            /* -1: none yet */
    int64_t until;        /* REVERT_NEVER: nothing waits */
    int level;            /* what we have set */
    int before;           /* what comes back */
};

struct revert *revert_new(void)
{
    struct revert *revert = calloc(1, sizeof *revert);
    if (revert == NULL)
        return NULL;
    (void)pthread_mutex_init(&revert->lock, NULL);
    revert->timer = -1;
    revert->until = REVERT_NEVER;
    return revert;
}

struct revert *revert_free(struct revert *revert)
{
    if (revert == NULL)
        return NULL;
    if (revert->timer >= 0)
        (void)close(revert->timer);
    (void)pthread_mutex_destroy(&revert->lock);
    free(revert);
    return NULL;
}

static void arm_locked(struct revert *revert)
{
    if (revert->timer >= 0)
        (void)fd_timer_set(revert->timer, revert->until); /* fails for no value of ours */
}

int revert_fd(struct revert *revert)
{
    pthread_mutex_lock(&revert->lock);
    int timer = revert->timer >= 0 ? revert->timer : fd_timer_new();
    if (timer >= 0 && revert->timer < 0) {
        revert->timer = timer;
        arm_locked(revert);
    }
    pthread_mutex_unlock(&revert->lock);
    return timer;
}

int revert_set(struct revert *revert, srun_logger *log, int level, int64_t until_ns)
{
    pthread_mutex_lock(&revert->lock);
    int present = srun_logger_level(log);
    bool waits = revert->until != REVERT_NEVER && present == revert->level;
    if (!waits)
        revert->before = present;
    revert->level = level;
    revert->until = level != revert->before ? until_ns : REVERT_NEVER;
    int back = revert->until != REVERT_NEVER ? revert->before : level;
    srun_logger_set_level(log, level);
    arm_locked(revert);
    pthread_mutex_unlock(&revert->lock);
    return back;
}

int64_t revert_run(struct revert *revert, srun_logger *log, int64_t now_ns)
{
    char from[SHOW_MAX], to[SHOW_MAX];
    pthread_mutex_lock(&revert->lock);
    int level = revert->level, before = revert->before;
    bool due = revert->until <= now_ns && revert->until != REVERT_NEVER;
    bool ours = due && srun_logger_level(log) == level;
    if (ours)
        srun_logger_set_level(log, before);
    if (due)
        revert->until = REVERT_NEVER;
    arm_locked(revert); /* which takes the expiration away, too */
    int64_t next = revert->until;
    pthread_mutex_unlock(&revert->lock);
    if (ours)
        SRUN_INFO(log, "the log level is back", SRUN_STR("from", show_level(from, level)),
                  SRUN_STR("to", show_level(to, before)));
    return next;
}

int64_t revert_left_ms(struct revert *revert, int64_t now_ns)
{
    pthread_mutex_lock(&revert->lock);
    int64_t until = revert->until;
    pthread_mutex_unlock(&revert->lock);
    if (until == REVERT_NEVER)
        return -1;
    return until > now_ns ? (until - now_ns) / NS_PER_MS : 0;
}
