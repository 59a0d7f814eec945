/* SPDX-License-Identifier: MIT
 *
 * Numbers that every thread adds to at once: a cell of 8 bytes for each processor, among others
 * that only this processor writes to, so no two fight for a cache line. Who reads adds them up.
 * Cells are zero at first and never given back; sums are never reset. Threads: cells_take and
 * cells_free by one at a time, the rest any.
 */
#ifndef TELEMETRY_CELLS_H
#define TELEMETRY_CELLS_H

#include "telemetry/cpu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint64_t cell;

#define CELLS_PER_TAKE 2048
/* Bytes from a cell to that of the next processor: two lines more than the cells take, so that the
 * cells which a reader adds up do not all want the same few places in its cache. */
#define CELLS_STRIDE (CELLS_PER_TAKE * sizeof(uint64_t) + 128)

struct cells_block;

struct cells {
    unsigned cpus; /* set by cells_init */
    struct cells_block *blocks;
    size_t used; /* of the newest block */
};

void cells_init(struct cells *cells);
void cells_free(struct cells *cells);

/* `count` neighbouring ones, at most CELLS_PER_TAKE: those of the first processor. NULL: no memory.
 */
cell *cells_take(struct cells *cells, size_t count);

static inline cell *cells_of(cell *first, unsigned cpu)
{
    return (cell *)(void *)((char *)(void *)first + (size_t)cpu * CELLS_STRIDE);
}

/* --- int64: wraps ---------------------------------------------------------------------------- */

static inline void cell_add(cell *at, uint64_t n)
{
    (void)atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

static inline uint64_t cells_sum(cell *first, unsigned cpus)
{
    uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        sum += atomic_load_explicit(cells_of(first, cpu), memory_order_relaxed);
    return sum;
}

/* --- double, by its bits --------------------------------------------------------------------- */

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double real_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void cell_add_real(cell *at, double n)
{
    uint64_t old = atomic_load_explicit(at, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(at, &old, bits_of(real_of(old) + n),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static inline double cells_sum_real(cell *first, unsigned cpus)
{
    double sum = 0;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        sum += real_of(atomic_load_explicit(cells_of(first, cpu), memory_order_relaxed));
    return sum;
}

/* --- the largest one ------------------------------------------------------------------------- */

/* Not below 0, which is what an untouched cell holds. */
static inline void cell_raise(cell *at, uint64_t value)
{
    uint64_t old = atomic_load_explicit(at, memory_order_relaxed);
    while (old < value && !atomic_compare_exchange_weak_explicit(
                              at, &old, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

static inline uint64_t cells_largest(cell *first, unsigned cpus)
{
    uint64_t largest = 0;
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        uint64_t value = atomic_load_explicit(cells_of(first, cpu), memory_order_relaxed);
        largest = value > largest ? value : largest;
    }
    return largest;
}

/* The same, and begins anew. */
static inline uint64_t cells_take_largest(cell *first, unsigned cpus)
{
    uint64_t largest = 0;
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        cell *at = cells_of(first, cpu);
        if (atomic_load_explicit(at, memory_order_relaxed) == 0)
            continue;
        uint64_t value = atomic_exchange_explicit(at, 0, memory_order_relaxed);
        largest = value > largest ? value : largest;
    }
    return largest;
}

#endif
