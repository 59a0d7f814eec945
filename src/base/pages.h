/* SPDX-License-Identifier: MIT
 *
 * Memory in pages of its own, for what is large and does not live long: on the heap of the program
 * it would leave holes that are never given back. Threads: any, each its own memory.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* Of zeros; what was there stays, and may move. NULL, 0: new memory. NULL:
 * there is none, or size is 0, and the old memory stays. */
void *pages_resize(void *memory, size_t old_size, size_t size);

/* Takes NULL. size: as it was asked for. */
void pages_free(void *memory, size_t size);

#endif
