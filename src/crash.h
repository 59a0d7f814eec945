/* SPDX-License-Identifier: MIT
 *
 * The report of a crash: which service, which verb, which stack; on stderr and in a file. Then the
 * signal takes its default action, so that core dumps and wait statuses stay true.
 * Threads: enter and leave by the thread itself; the rest by whoever makes the runner.
 */
#ifndef CRASH_H
#define CRASH_H

/* The calling thread works for this service, in this verb, until it says otherwise. Both texts
 * must stay. NULL: for nobody. */
void crash_set_place(const char *service, const char *phase);

/* Gives the calling thread a stack of its own for the handler, so that an overflow is reported
 * too. Silently does without when there is no memory. thread_leave takes it back. */
void crash_thread_enter(void);
void crash_thread_leave(void);

/* Installs the handlers where the disposition is the default. file may be NULL; it is appended to.
 * Counted; the first one's name and file are used. */
void crash_acquire(const char *program, const char *file);
void crash_release(void);

#endif
