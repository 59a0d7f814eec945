/* SPDX-License-Identifier: MIT
 *
 * Calls of the system that fail on demand. The library's own calls go through here by way of the
 * linker (--wrap), those of the tests and of other libraries do not. While armed, the k-th call of
 * the chosen kinds fails with an errno that fits. Threads: any.
 */
#ifndef TESTS_FAULT_WRAP_H
#define TESTS_FAULT_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAULT_MEMORY = 1 << 0,     /* no memory, in the library or in what it asks for some */
    FAULT_DESCRIPTOR = 1 << 1, /* no descriptor, or one that does not work */
    FAULT_THREAD = 1 << 2,     /* no thread */
    FAULT_INTERRUPT = 1 << 3,  /* EINTR: not a failure at all */
    FAULT_OUTPUT = 1 << 4,     /* a log or a standard output that takes nothing */
    FAULT_SYSTEM = FAULT_MEMORY | FAULT_DESCRIPTOR | FAULT_THREAD,
};

/* The k-th call from now on fails, and with `lasting` all after it; 0: none, but they count. */
void fault_arm(unsigned kinds, unsigned k, bool lasting);

/* Besides, the next call from this site fails that is made after the k-th, with k = 0 the next at
 * all; 0: none. */
void fault_arm_second(uintptr_t at);

/* How many calls have been made to fail since it was armed. */
unsigned fault_disarm(void);

/* The first call that was made to fail, "none" without one; and its errno, or 0. */
const char *fault_name(void);
int fault_errno(void);

/* The same of the second; NULL and 0 without one. */
const char *fault_second_name(void);
int fault_second_errno(void);

/* Blocks of memory that the library has taken and not given back. */
long fault_blocks(void);

/* Frees what the library gave away. */
void fault_free(void *block);

/* Writes to this descriptor are output, others wake somebody. */
void fault_output_fd(int fd);

/* From now on a pause, which is a poll of nothing, takes no time. */
void fault_hurry(void);

/* All that the library calls outside itself. Without a reason: wrapped here. */
struct fault_call {
    const char *name, *reason;
};
extern const struct fault_call fault_calls[];
extern const size_t fault_call_count;

/* The same of srunctl and the plugins, besides. */
extern const struct fault_call fault_client_calls[];
extern const size_t fault_client_call_count;

#endif
