/* SPDX-License-Identifier: MIT */
#include "profile/locks.h"

#include "base/peek.h"
#include "base/proc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* --- who waits ------------------------------------------------------------------------------- */

/* "__GI___lll_lock_wait" is as "lll_lock_wait", and may have a version, "@@GLIBC_2.2.5": aliases,
 * of which any may be in a symbol table. */
static bool is_named(const char *function, const char *name)
{
    function += strspn(function, "_");
    if (strncmp(function, "GI_", 3) == 0)
        function += 3;
    function += strspn(function, "_");
    size_t size = strcspn(function, "@");
    return size == strlen(name) && memcmp(function, name, size) == 0;
}

enum lock { NO_LOCK, SOME_LOCK, MUTEX };

static enum lock lock_of(const char *function)
{
    static const char *const mutexes[] = {"pthread_mutex_lock",
                                          "pthread_mutex_lock_full",
                                          "pthread_mutex_cond_lock",
                                          "pthread_mutex_cond_lock_full",
                                          "pthread_mutex_timedlock",
                                          "pthread_mutex_clocklock",
                                          "pthread_mutex_clocklock_common"};
    for (size_t i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++)
        if (is_named(function, mutexes[i]))
            return MUTEX;
    return is_named(function, "lll_lock_wait") || is_named(function, "lll_lock_wait_private")
               ? SOME_LOCK
               : NO_LOCK;
}

/* It sleeps, and its innermost functions are those of a lock; one that is not named, of a C library
 * without debug information, may stand before them. */
static enum lock waits_for(const struct thread_stack *stack, struct names *names)
{
    enum { INNERMOST = 3 };
    enum lock found = NO_LOCK;
    if (stack->state != 'S' || stack->silent != NULL)
        return NO_LOCK;
    for (size_t i = 0; i < stack->depth && i < INNERMOST && found != MUTEX; i++) {
        const struct named *named = names_find(names, stack->frames[i]);
        for (size_t j = 0; named != NULL && j < named->count && found != MUTEX; j++) {
            enum lock lock = lock_of(named->names[j].function);
            found = lock != NO_LOCK ? lock : found;
        }
    }
    return found;
}

/* --- which mutex ----------------------------------------------------------------------------- */

#ifdef __GLIBC__
#define HOLDER_AT offsetof(pthread_mutex_t, __data.__owner)
#define HOLDER_KNOWN                                                                               \
    (offsetof(pthread_mutex_t, __data.__lock) == 0) /* what the kernel waits for                   \
                                                     */
#else
#define HOLDER_AT 0
#define HOLDER_KNOWN 0
#endif

#define SWITCHES_UNKNOWN UINT64_MAX

/* A thread that waits, looked at twice with its holder in between. */
struct sleeper {
    size_t thread;
    uintptr_t mutex;   /* 0: it does not sleep where its stack says */
    uint64_t switches; /* how often it went to sleep so far */
    pid_t holder;
};

/* SWITCHES_UNKNOWN: the kernel does not say. */
static uint64_t read_switches(int tid)
{
    static const char field[] = "\nvoluntary_ctxt_switches:";
    char status[PROC_STATUS_MAX];
    proc_thread_status(tid, status);
    const char *at = strstr(status, field);
    return at != NULL ? strtoull(at + sizeof field - 1, NULL, 10) : SWITCHES_UNKNOWN;
}

/* The address that it sleeps at, by a call to the kernel from the place where its stack ends; 0:
 * from another one, or it runs. */
static uintptr_t read_futex(const struct thread_stack *stack)
{
    enum { NUMBER, ADDRESS, SP = 7, PC, FIELDS };
    enum { CALL_MAX = 4 }; /* bytes: where it was interrupted, the call is made once more */
    char text[256];
    uint64_t value[FIELDS];
    proc_thread_file(stack->tid, "syscall", text, sizeof text);
    char *at = text, *end;
    for (int i = 0; i < FIELDS; i++, at = end) {
        value[i] = strtoull(at, &end, 0);
        if (end == at)
            return 0;
    }
    return value[NUMBER] == SYS_futex && value[SP] == stack->sp &&
                   value[PC] - stack->frames[0] <= CALL_MAX
               ? (uintptr_t)value[ADDRESS]
               : 0;
}

/* They were woken by a signal just now, and go back to sleep. */
static void see_asleep(struct sleeper *all, size_t count, const struct threads *threads)
{
    enum { LOOKS = 20 };
    size_t awake = count;
    for (int look = 0; look < LOOKS && awake > 0; look++) {
        if (look > 0)
            proc_wait_a_moment();
        awake = 0;
        for (size_t i = 0; i < count; i++) {
            struct sleeper *sleeper = &all[i];
            const struct thread_stack *stack = &threads->all[sleeper->thread];
            if (sleeper->mutex != 0)
                continue;
            sleeper->switches = read_switches(stack->tid);
            sleeper->mutex = sleeper->switches != SWITCHES_UNKNOWN ? read_futex(stack) : 0;
            awake += sleeper->mutex == 0;
        }
    }
}

static void see_holders(struct sleeper *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].mutex != 0 && peek_copy(&all[i].holder, all[i].mutex + HOLDER_AT,
                                           sizeof all[i].holder) < sizeof all[i].holder)
            all[i].holder = 0;
}

static bool slept_on(const struct sleeper *sleeper, const struct thread_stack *stack)
{
    return sleeper->mutex != 0 && read_futex(stack) == sleeper->mutex &&
           read_switches(stack->tid) == sleeper->switches;
}

static int by_tid(const void *key, const void *element)
{
    int tid = *(const int *)key, other = ((const struct thread_stack *)element)->tid;
    return tid < other ? -1 : tid > other;
}

/* SIZE_MAX: there is none of this number. */
static size_t thread_of(const struct threads *threads, int tid)
{
    const struct thread_stack *found =
        bsearch(&tid, threads->all, threads->count, sizeof threads->all[0], by_tid);
    return found != NULL ? (size_t)(found - threads->all) : SIZE_MAX;
}

static void look_up(struct locks *locks, struct sleeper *all, size_t count,
                    const struct threads *threads)
{
    see_asleep(all, count, threads);
    see_holders(all, count);
    for (size_t i = 0; i < count; i++) {
        size_t holder = all[i].holder > 0 ? thread_of(threads, all[i].holder) : SIZE_MAX;
        if (holder == SIZE_MAX || !slept_on(&all[i], &threads->all[all[i].thread]))
            continue;
        locks->all[all[i].thread].mutex = all[i].mutex;
        locks->all[all[i].thread].holder = holder;
    }
}

/* --- deadlocks ------------------------------------------------------------------------------- */

static void number_cycle(struct locks *locks, size_t first)
{
    size_t number = ++locks->cycles;
    for (size_t at = first; locks->all[at].cycle == 0; at = locks->all[at].holder)
        locks->all[at].cycle = number;
}

/* Each thread waits for one holder at most: who is met again on one walk closes a cycle. */
static void find_cycles(struct locks *locks, size_t count, size_t *walks)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; locks->all[at].mutex != 0 && walks[at] == 0; at = locks->all[at].holder)
            walks[at] = i + 1;
        if (walks[at] == i + 1)
            number_cycle(locks, at);
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

int locks_find(struct locks *out, const struct threads *threads, struct names *names)
{
    size_t count = 0, room = threads->count > 0 ? threads->count : 1;
    struct sleeper *sleepers = calloc(room, sizeof sleepers[0]);
    size_t *walks = calloc(room, sizeof walks[0]);
    *out = (struct locks){.all = calloc(room, sizeof out->all[0])};
    int rc = sleepers != NULL && walks != NULL && out->all != NULL ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < threads->count; i++) {
        enum lock lock = waits_for(&threads->all[i], names);
        out->all[i].waits = lock != NO_LOCK;
        out->waiting += lock != NO_LOCK;
        if (lock == MUTEX && HOLDER_KNOWN)
            sleepers[count++].thread = i;
    }
    if (rc == 0) {
        look_up(out, sleepers, count, threads);
        find_cycles(out, threads->count, walks);
    } else {
        locks_free(out);
    }
    free(sleepers);
    free(walks);
    return rc;
}

void locks_free(struct locks *locks)
{
    free(locks->all);
    *locks = (struct locks){0};
}
