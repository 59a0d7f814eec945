/* SPDX-License-Identifier: MIT */
#include "listeners.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static struct listeners *listeners_of(struct pool_job *job)
{
    return (struct listeners *)((char *)job - offsetof(struct listeners, job));
}

static bool take(struct listeners *listeners, struct srun_transition *out)
{
    pthread_mutex_lock(&listeners->lock);
    bool any = listeners->waiting > 0;
    if (any) {
        *out = listeners->ring[listeners->head];
        listeners->head = (listeners->head + 1) % listeners->capacity;
        listeners->waiting--;
    }
    pthread_mutex_unlock(&listeners->lock);
    return any;
}

static void run(struct pool_job *job)
{
    struct listeners *listeners = listeners_of(job);
    struct srun_transition what;
    while (take(listeners, &what))
        for (size_t i = 0; i < listeners->count; i++)
            listeners->list[i].call(listeners->list[i].user, &what);
}

/* Something may have come after the last look. */
static void done(struct pool_job *job)
{
    struct listeners *listeners = listeners_of(job);
    pthread_mutex_lock(&listeners->lock);
    bool again = listeners->busy = listeners->waiting > 0;
    pthread_mutex_unlock(&listeners->lock);
    if (again)
        pool_queue(listeners->pool, job);
}

void listeners_init(struct listeners *listeners, struct pool *pool)
{
    *listeners = (struct listeners){.pool = pool, .job = {.run = run, .done = done}};
    (void)pthread_mutex_init(&listeners->lock, NULL);
}

void listeners_destroy(struct listeners *listeners)
{
    if (listeners->pool == NULL)
        return;
    free(listeners->list);
    free(listeners->ring);
    (void)pthread_mutex_destroy(&listeners->lock);
    listeners->pool = NULL;
}

int listeners_add(struct listeners *listeners, listener *call, void *user)
{
    void *list = realloc(listeners->list, (listeners->count + 1) * sizeof *listeners->list);
    if (list == NULL)
        return -ENOMEM;
    listeners->list = list;
    listeners->list[listeners->count].call = call;
    listeners->list[listeners->count++].user = user;
    return 0;
}

int listeners_prepare(struct listeners *listeners, size_t services)
{
    if (listeners->count == 0)
        return 0;
    free(listeners->ring);                    /* of a start that failed later on */
    listeners->capacity = 64 + 12 * services; /* two whole lives of each */
    listeners->ring = calloc(listeners->capacity, sizeof listeners->ring[0]);
    return listeners->ring == NULL ? -ENOMEM : 0;
}

void listeners_tell(struct listeners *listeners, const struct srun_transition *what)
{
    if (listeners->count == 0)
        return;
    pthread_mutex_lock(&listeners->lock);
    if (listeners->waiting == listeners->capacity) {
        listeners->head = (listeners->head + 1) % listeners->capacity;
        listeners->waiting--;
        listeners->lost++;
    }
    size_t at = (listeners->head + listeners->waiting) % listeners->capacity;
    listeners->ring[at] = *what;
    listeners->waiting++;
    bool idle = !listeners->busy;
    listeners->busy = true;
    pthread_mutex_unlock(&listeners->lock);
    if (idle)
        pool_queue(listeners->pool, &listeners->job);
}
