/* SPDX-License-Identifier: MIT
 *
 * Reads numbers as DWARF has them, and never beyond the end: what would have to lie there reads as
 * 0, and is remembered. PURE.
 */
#ifndef PROFILE_CURSOR_H
#define PROFILE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const unsigned char *at, *end;
    uint64_t address; /* of `at`, in the process */
    bool bad;
};

void cursor_skip(struct cursor *in, uint64_t size);

/* Little-endian, of 1 to 8 bytes; LEB128 without and with a sign. */
uint64_t cursor_take(struct cursor *in, size_t size);
uint64_t cursor_uleb(struct cursor *in);
int64_t cursor_sleb(struct cursor *in);

/* The next bytes as a cursor of their own. */
struct cursor cursor_part(struct cursor *in, uint64_t size);

/* An address, in one of the encodings DW_EH_PE_*: absolute, or from where it stands on. A length
 * has the same width, and no sign. */
#define POINTER_WIDTH 0x07
#define POINTER_INDIRECT 0x80
uint64_t cursor_pointer(struct cursor *in, unsigned char encoding);

#endif
