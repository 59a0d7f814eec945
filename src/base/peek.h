/* SPDX-License-Identifier: MIT
 *
 * Memory of this process that may not be there, or may go while one looks: a library that is
 * unloaded, the stack of a thread. The kernel does the looking, which answers where a plain read
 * would end the program. Threads: any.
 */
#ifndef BASE_PEEK_H
#define BASE_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies what is there, from the first byte on; how many bytes. */
size_t peek_copy(void *out, uintptr_t address, size_t size);

/* Can the eight bytes at an address be read, now? False too when the kernel does not say.
 * Async-signal-safe; changes errno. */
bool peek_readable(uintptr_t address);

#endif
