/* SPDX-License-Identifier: MIT
 *
 * What symbols_test.c looks up names in: says where in its file `outer` is, into which `inner` is
 * inlined.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

extern const char __executable_start;

static volatile unsigned sink;

static inline __attribute__((always_inline)) unsigned inner(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sink = sink * 31 + i;
    return sink;
}

unsigned outer(unsigned n);

__attribute__((noinline)) unsigned outer(unsigned n)
{
    return inner(n) + 1;
}

int main(int argc, char **argv)
{
    (void)argv;
    (void)outer((unsigned)argc);
    printf("%" PRIxPTR "\n", (uintptr_t)outer - (uintptr_t)&__executable_start);
    return 0;
}
