/* SPDX-License-Identifier: MIT
 *
 * Sorting of what is large and mostly in order: as qsort, but stable, and without the heap, which
 * qsort takes as much of as there is to sort. Threads: any, each its own.
 */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>

/* false: there is no memory, and the order stays as it was. */
bool sort_runs(void *all, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
