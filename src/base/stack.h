/* SPDX-License-Identifier: MIT
 *
 * The stack of another thread, and waking one from a blocking call. Both use one directed signal
 * (SIGURG, which does nothing when nobody asks) with a handler that only unwinds, without
 * SA_RESTART, so that read(), sleep() and the like answer EINTR.
 * Threads: capture and interrupt from any; they serialise.
 */
#ifndef BASE_STACK_H
#define BASE_STACK_H

#include <pthread.h>
#include <stddef.h>

#define STACK_FRAMES 64

/* Takes the signal (unless the program uses it) and warms up the unwinder, which allocates on its
 * first use. Counted: the last stack_release gives the signal back. */
void stack_acquire(void);
void stack_release(void);

/* Sends the signal to a thread that certainly lives. */
void stack_interrupt(pthread_t thread);

/* Writes "function+0x1f < caller+0x2 < ..." (innermost first) of a living thread. When it
 * sleeps with the signal blocked, or does not answer within 1 s: why there is "no answer", and
 * where the kernel says that it waits. */
void stack_describe(pthread_t thread, int tid, char *out, size_t size);

/* The same for addresses; the names are those of symbol_describe. */
void stack_format(void *const *frames, int count, char *out, size_t size);

#endif
