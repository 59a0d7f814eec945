/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as the encoders need it: what stands at this place, and does it print. PURE.
 */
#ifndef LOG_RUNE_H
#define LOG_RUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNE_BAD UINT32_MAX /* a byte that is no part of well-formed UTF-8 */

/* The rune at text (size >= 1). Returns the bytes it takes, 1 for RUNE_BAD. */
size_t rune_decode(const char *text, size_t size, uint32_t *out);

/* What Go's strconv.IsPrint says: letters, marks, numbers, punctuation, symbols, ASCII space. */
bool rune_prints(uint32_t rune);

#endif
