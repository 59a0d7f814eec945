/* SPDX-License-Identifier: MIT
 *
 * What an operation costs while several threads do it at once. Work is timed in short pieces. On a
 * busy machine many are interrupted, or run while the other threads wait: those count that were
 * not, and beside which the others have done at least half as much; of these the median.
 */
#ifndef TESTS_BENCH_PIECES_H
#define TESTS_BENCH_PIECES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PIECES_THREADS_MAX = 4 };

struct pieces {
    void (*work)(void *user, unsigned thread, size_t ops);
    void *user;
    size_t ops; /* of a piece: some tens of microseconds to a few milliseconds of work; it is called
                   with a sixteenth of them */
    void (*between)(void *user); /* between two pieces of a thread, not timed; or NULL */
};

/* Nanoseconds for an operation of a thread, while so many do the same; INFINITY when in two seconds
 * of trying no piece was worth anything. */
double pieces_measure(const struct pieces *pieces, unsigned threads);

/* So many, or what PIECES_ROUNDS in the environment says: 1 for a quick look. */
unsigned pieces_rounds(unsigned rounds);

/* The best of so many measurements: what it costs when nobody else wants the processor. */
double pieces_best(const struct pieces *pieces, unsigned threads, unsigned rounds);

/* Prints ,"NAME_THREADS_ns":VALUE; nothing for INFINITY, which is no number of JSON. */
void pieces_json(const char *name, unsigned threads, double ns);

#ifdef __cplusplus
}
#endif

#endif
