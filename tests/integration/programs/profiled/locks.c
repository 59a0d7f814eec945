/* SPDX-License-Identifier: MIT
 *
 * Threads that wait for locks, and never get them.
 */
#include "profiled.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void start(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, arg) != 0 || pthread_detach(thread) != 0)
        abort();
}

static void name_self(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

/* --- stuck ----------------------------------------------------------------------------------- */

static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER;

static void *be_stuck(void *arg)
{
    (void)arg;
    name_self("stuck");
    (void)pthread_mutex_lock(&taken);
    return NULL;
}

static void make_stuck(int count)
{
    (void)pthread_mutex_lock(&taken);
    for (int i = 0; i < count; i++)
        start(be_stuck, NULL);
}

/* --- circle, twice --------------------------------------------------------------------------- */

#define CIRCLE_MAX 16

static struct circle {
    pthread_mutex_t locks[CIRCLE_MAX];
    pthread_barrier_t all_have_one;
    unsigned count;
} circle;

/* Has one, and wants the next; the last one wants the first. */
static void *go_round(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    char name[] = "round-a";
    name[sizeof name - 2] = (char)('a' + self);
    name_self(name);
    (void)pthread_mutex_lock(&circle.locks[self]);
    (void)pthread_barrier_wait(&circle.all_have_one);
    (void)pthread_mutex_lock(&circle.locks[(self + 1) % circle.count]);
    return NULL;
}

static void make_circle(unsigned count)
{
    circle.count = count < CIRCLE_MAX ? count : CIRCLE_MAX;
    (void)pthread_barrier_init(&circle.all_have_one, NULL, circle.count);
    for (unsigned i = 0; i < circle.count; i++)
        (void)pthread_mutex_init(&circle.locks[i], NULL);
    for (unsigned i = 0; i < circle.count; i++)
        start(go_round, (void *)(uintptr_t)i);
}

static void *lock_twice(void *arg)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)arg;
    name_self("twice");
    (void)pthread_mutex_lock(&lock);
    (void)pthread_mutex_lock(&lock);
    return NULL;
}

/* --- kinds ----------------------------------------------------------------------------------- */

static struct kind {
    const char *name;
    int type, robust, protocol;
    pthread_mutex_t lock;
} kinds[] = {
    {.name = "plain", .type = PTHREAD_MUTEX_NORMAL},
    {.name = "recursive", .type = PTHREAD_MUTEX_RECURSIVE},
    {.name = "errorcheck", .type = PTHREAD_MUTEX_ERRORCHECK},
    {.name = "adaptive", .type = PTHREAD_MUTEX_ADAPTIVE_NP},
    {.name = "robust", .type = PTHREAD_MUTEX_NORMAL, .robust = PTHREAD_MUTEX_ROBUST},
    {.name = "inherit", .type = PTHREAD_MUTEX_NORMAL, .protocol = PTHREAD_PRIO_INHERIT},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void *wait_for_kind(void *arg)
{
    struct kind *kind = arg;
    name_self(kind->name);
    (void)pthread_mutex_lock(&kind->lock);
    return NULL;
}

static void *keep_kinds(void *arg)
{
    name_self("keeper");
    for (size_t i = 0; i < KINDS; i++) {
        pthread_mutexattr_t how;
        (void)pthread_mutexattr_init(&how);
        (void)pthread_mutexattr_settype(&how, kinds[i].type);
        if (kinds[i].robust != 0)
            (void)pthread_mutexattr_setrobust(&how, kinds[i].robust);
        (void)pthread_mutexattr_setprotocol(&how, kinds[i].protocol);
        (void)pthread_mutex_init(&kinds[i].lock, &how);
        (void)pthread_mutex_lock(&kinds[i].lock);
        start(wait_for_kind, &kinds[i]);
    }
    for (;;)
        (void)pause();
    return arg;
}

/* --- others ---------------------------------------------------------------------------------- */

/* What stands behind the condition is held by somebody, and is not what is waited for. */
static struct {
    pthread_cond_t changed;
    pthread_mutex_t other, lock;
    pthread_rwlock_t both;
} others = {PTHREAD_COND_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
            PTHREAD_RWLOCK_INITIALIZER};

static void *wait_for_change(void *arg)
{
    name_self("condition");
    (void)pthread_mutex_lock(&others.lock);
    for (;;)
        (void)pthread_cond_wait(&others.changed, &others.lock);
    return arg;
}

static void *wait_to_read(void *arg)
{
    name_self("reader");
    (void)pthread_rwlock_rdlock(&others.both);
    return arg;
}

static void *keep_others(void *arg)
{
    name_self("keeper");
    (void)pthread_mutex_lock(&others.other);
    (void)pthread_rwlock_wrlock(&others.both);
    start(wait_for_change, NULL);
    start(wait_to_read, NULL);
    for (;;)
        (void)pause();
    return arg;
}

/* --- what there is --------------------------------------------------------------------------- */

void locks_take_word(const char *word)
{
    if (strncmp(word, "stuck=", 6) == 0)
        make_stuck(atoi(word + 6));
    else if (strncmp(word, "circle=", 7) == 0)
        make_circle((unsigned)atoi(word + 7));
    else if (strcmp(word, "twice") == 0)
        start(lock_twice, NULL);
    else if (strcmp(word, "kinds") == 0)
        start(keep_kinds, NULL);
    else if (strcmp(word, "others") == 0)
        start(keep_others, NULL);
}
