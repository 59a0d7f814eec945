/* SPDX-License-Identifier: MIT
 *
 * Structs of the public API begin with their size. An older, shorter one is accepted: what it
 * lacks is zero. A newer, longer one only if what we do not know of it is zero. PURE.
 */
#ifndef BASE_SIZED_H
#define BASE_SIZED_H

#include <stdbool.h>
#include <stddef.h>

bool is_zero(const void *start, size_t size);

/* Copies *from, whose first member is its size, into the `known` bytes at `to` and sets the size
 * there to `known`. 0; -EINVAL when the size is below `least` or no multiple of a pointer's, -E2BIG
 * for a tail that is not zero. */
int sized_copy(void *to, size_t known, size_t least, const void *from);

#endif
