/* SPDX-License-Identifier: MIT
 *
 * What wrappers are made of: wrap.c has those of the library's calls, wrap_clients.c those that
 * only srunctl and the plugins need. Threads: any.
 */
#ifndef TESTS_FAULT_WRAPPING_H
#define TESTS_FAULT_WRAPPING_H

#include "wrap.h"

/* Each wrapper stands in for one function; the prototype keeps -Wmissing-prototypes content. */
#define WRAP(type, name, ...)                                                                      \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* Behind the call in the library: only a wrapper itself may say so. */
#define CALLER ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))
#define fails(name, kind, error) fault_fails_at(CALLER, name, kind, error)

/* Counts a call, and says whether it is the one to fail; then errno is set. */
bool fault_fails_at(uintptr_t at, const char *name, unsigned kind, int error);

/* Counts a block of memory, unless it is NULL. */
void *counted(void *block);

#endif
