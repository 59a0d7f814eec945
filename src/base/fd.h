/* SPDX-License-Identifier: MIT
 *
 * Descriptors that carry events: everything close-on-exec and non-blocking at birth. And the three
 * that every program is started with.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each answers a descriptor, or a negative errno. */
int fd_event_new(void); /* becomes readable when raised */
int fd_timer_new(void); /* on the monotonic clock */
int fd_poller_new(void);
int fd_signals_new(const sigset_t *set);

void fd_event_raise(int event);
void fd_event_lower(int event);

/* Fires at a monotonic time; INT64_MAX disarms. 0 or a negative errno. */
int fd_timer_set(int timer, int64_t at_ns);

/* The next signal that is pending, or 0. kernel: it was sent by the kernel, not by a process. */
int fd_signals_read(int signals, bool *kernel, int *sender);

/* Watches for readability; edge: told once per change, no read needed. 0 or a negative errno. */
int fd_poller_add(int poller, int fd, uint32_t tag, bool edge);

/* Of one that is watched, not by edge: tells of room to write as well, or no longer. */
void fd_poller_want_room(int poller, int fd, uint32_t tag, bool room);

/* No longer watched: to be called before the descriptor is closed, of which a copy may live on. */
void fd_poller_remove(int poller, int fd);

/* Waits up to timeout_ms (-1: no limit) and fills in the tags that are ready; their number, 0
 * also when interrupted, or a negative errno. */
int fd_poller_wait(int poller, uint32_t *tags, int capacity, int timeout_ms);

/* Lets the process have that many descriptors, or as many as it may, at no cost later: the system's
 * table of them grows at once only as long as there are no other threads; when there are, who needs
 * one more waits for all processors, some 10 ms. fd: any that is open. */
void fd_make_room(int fd, size_t count);

/* Writes all of it. 0 or a negative errno. */
int fd_write_all(int fd, const void *data, size_t size);

/* Those of 0, 1 and 2 that are closed lead to /dev/null from now on. Else what is opened next takes
 * their place, and gets what is printed. Without /dev/null they stay closed. */
void fd_hold_standard(void);

/* Waits until one of two is readable; may return early. */
void fd_await_either(int one, int other);

/* Waits until the poller itself is readable, without taking anything. */
void fd_poller_await(int poller);

#endif
