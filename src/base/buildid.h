/* SPDX-License-Identifier: MIT
 *
 * The build id that the linker has given a program or a library, in a note. Threads: any.
 */
#ifndef BASE_BUILDID_H
#define BASE_BUILDID_H

#include <stddef.h>

/* Among the notes of one segment, which may be anybody's; NULL: it is not there. PURE. */
const unsigned char *buildid_find(const unsigned char *notes, size_t size, size_t *id_size);

/* The running program's, in hex, cut to whole bytes; "" when it has none. Takes no lock of the
 * loader, which a thread may hold for long. Returns out. */
#define BUILDID_TEXT_MAX 65
const char *buildid_own(char out[BUILDID_TEXT_MAX]);

#endif
