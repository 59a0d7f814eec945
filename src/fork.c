/* SPDX-License-Identifier: MIT */
#include "fork.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic unsigned forks; /* how many forks lie between the first process and this one */

static void in_child(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* without memory for it: no guard */
}

unsigned fork_stamp(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

bool forked_since(unsigned stamp)
{
    return atomic_load_explicit(&forks, memory_order_relaxed) != stamp;
}
