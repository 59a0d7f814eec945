/* SPDX-License-Identifier: MIT
 *
 * Characters as the encoders see them: which ones print. PURE.
 */
#ifndef LOG_RUNE_H
#define LOG_RUNE_H

#include <stdbool.h>
#include <stdint.h>

/* What Go's strconv.IsPrint says: letters, marks, numbers, punctuation, symbols, ASCII space. */
bool rune_prints(uint32_t rune);

#endif
