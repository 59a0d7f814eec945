/* SPDX-License-Identifier: MIT
 *
 * PURE: a table and arithmetic; any thread.
 */
#include "log/rune.h"

#include "base/ensure.h"
#include "log/rune_table.h"

#include <stddef.h>

bool rune_prints(uint32_t rune)
{
    if (rune < 0x80)
        return rune >= 0x20 && rune < 0x7f;

    size_t low = 0;
    size_t high = COUNT_OF(unprintable);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rune > unprintable[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT_OF(unprintable) && rune < unprintable[low].first;
}
