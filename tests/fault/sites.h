/* SPDX-License-Identifier: MIT
 *
 * Where in the library a call was made that could have been made to fail, and where it was: a site
 * is the address behind a call. One table for a suite and all the processes that it forks; at its
 * end the suite says what it has tried, and writes it down for sites_test.py. Threads: any.
 */
#ifndef TESTS_FAULT_SITES_H
#define TESTS_FAULT_SITES_H

#include <stdbool.h>
#include <stdint.h>

/* A call was made in a run in which the point-th is to fail; it is not that one. */
void sites_reached(uintptr_t at, const char *name, unsigned point);

/* A call was made to fail. */
void sites_failed(uintptr_t at, const char *name);

/* A fault point was tried. */
void sites_tried(void);

/* A scenario begins: what was reached in another is forgotten, what was failed is not. */
void sites_begin(void);

/* A site that this scenario has reached and that never was made to fail, and the point that failed
 * when it was reached first (0: none did). False when there is none. Each is offered a few times,
 * for what is reached by chance. */
bool sites_spared(uintptr_t *at, unsigned *point);

/* Not every point is tried: then a site that was spared says nothing. */
void sites_some_only(void);

#endif
