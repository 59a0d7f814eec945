/* SPDX-License-Identifier: MIT
 *
 * Which threads wait for a mutex, and who holds it: that they wait is what the names of their
 * innermost functions say, which mutex it is the kernel, and its holder the mutex itself. Said is
 * only what was true at one moment: who waits slept without a break while the holder was looked up,
 * so a cycle is a deadlock. Where the C library is not glibc, whose mutex has its holder in it, no
 * holder is known. Threads: one at a time.
 */
#ifndef PROFILE_LOCKS_H
#define PROFILE_LOCKS_H

#include "profile/names.h"
#include "profile/threads.h"

struct lock_wait {
    bool waits;
    uintptr_t mutex; /* 0: not known which, nor who holds it */
    size_t holder;   /* among the threads; may be the one that waits */
    size_t cycle;    /* the deadlock that it is a part of, from 1; or 0 */
};

struct locks {
    struct lock_wait *all; /* by thread, as in struct threads */
    size_t waiting, cycles;
};

/* 0 or -ENOMEM. free takes what was zeroed, too. */
int locks_find(struct locks *out, const struct threads *threads, struct names *names);
void locks_free(struct locks *locks);

#endif
