/* SPDX-License-Identifier: MIT
 *
 * Profiles as text: for people, and for who draws them. Threads: one at a time.
 */
#ifndef PROFILE_TEXT_H
#define PROFILE_TEXT_H

#include "profile/names.h"
#include "profile/pprof.h"
#include "profile/threads.h"

/* The functions with the most, as `go tool pprof -top` shows them: flat, what they have themselves,
 * and cum, with all that they call. By the last value of the kind. */
void text_top(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
              struct names *names);

/* A line per stack, as flame graphs are drawn from: "thread;main;work 42", outermost first. */
void text_folded(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names);

/* As Go's goroutine?debug=1, which go tool pprof reads too: a stack and how many threads have it,
 * the most common first. And debug=2: each thread by itself; those that wait for a mutex are
 * counted before that and marked. Both say who holds it, where that is known, and which of them
 * make a deadlock; that is of the time of this call. */
void text_threads_grouped(struct buf *out, const struct threads *threads, struct names *names);
void text_threads_each(struct buf *out, const struct threads *threads, struct names *names);

#endif
