/* SPDX-License-Identifier: MIT
 *
 * Decodes UTF-8 strictly (no overlong forms, no surrogates, nothing above U+10FFFF) and knows which
 * runes print. PURE: tables and arithmetic; any thread.
 */
#include "log/rune.h"

#include "base/ensure.h"
#include "log/rune_table.h"

/* Bytes of a sequence by its lead byte; 0 for bytes that lead nothing. */
static size_t sequence_size(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0)
        return 3;
    return lead < 0xf5 ? 4 : 0;
}

size_t rune_decode(const char *text, size_t size, uint32_t *out)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    size_t wanted = sequence_size(bytes[0]);

    *out = RUNE_BAD;
    if (wanted == 0 || wanted > size)
        return 1;
    uint32_t rune = bytes[0] & lead_bits[wanted];
    for (size_t i = 1; i < wanted; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 1;
        rune = rune << 6 | (bytes[i] & 0x3f);
    }
    if (rune < smallest[wanted] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
        return 1;
    *out = rune;
    return wanted;
}

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
