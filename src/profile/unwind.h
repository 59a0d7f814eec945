/* SPDX-License-Identifier: MIT
 *
 * The stack of the calling thread at the moment a signal came, from its handler. By the rows of
 * profile/cfi, which were made before; where there are none, by frame pointers. Takes no lock,
 * allocates nothing, and reads the stack only where the kernel says that it can be read: whatever
 * the code has done to its stack, the worst is a stack that ends too early. Unless another thread
 * unmaps, between the answer and the read, a page that is taken for the stack: so what lies further
 * than 8 MiB above the frame is not followed.
 */
#ifndef PROFILE_UNWIND_H
#define PROFILE_UNWIND_H

#include "profile/modules.h"

/* Innermost first; the caller's frames as the address of the call's last byte, so that a line or an
 * inlined function found for it is the call's. How many. *lost is set when code was met that the
 * view does not know. Async-signal-safe; changes errno. */
size_t unwind(const struct view *view, const void *context, uintptr_t *out, size_t max, bool *lost);

/* Its stack pointer then. Async-signal-safe. */
uintptr_t unwind_sp(const void *context);

#endif
