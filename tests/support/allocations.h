/* SPDX-License-Identifier: MIT
 *
 * How often the program has asked for memory: malloc, calloc and realloc are counted, of all
 * threads. For one file of a program. A sanitizer has functions of its own, which stay.
 */
#ifndef TESTS_SUPPORT_ALLOCATIONS_H
#define TESTS_SUPPORT_ALLOCATIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 1
#endif

static uint64_t allocations_made; /* by __atomic */

static inline uint64_t allocations_so_far(void)
{
    return __atomic_load_n(&allocations_made, __ATOMIC_RELAXED);
}

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
    __atomic_add_fetch(&allocations_made, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    __atomic_add_fetch(&allocations_made, 1, __ATOMIC_RELAXED);
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
    __atomic_add_fetch(&allocations_made, 1, __ATOMIC_RELAXED);
    return __libc_realloc(pointer, size);
}
#endif

#endif
