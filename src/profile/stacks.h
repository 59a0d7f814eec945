/* SPDX-License-Identifier: MIT
 *
 * Stacks that were seen, each once, with how often and for how much time. Threads: one at a time.
 */
#ifndef PROFILE_STACKS_H
#define PROFILE_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACKS_NAME 16
#define STACKS_VALUES 4 /* of a stack; what they are is the business of who counts */

struct stack {
    uint32_t hash, name; /* of the thread: an index into names */
    size_t first, depth; /* of its frames */
    uint64_t values[STACKS_VALUES];
};

/* In place of the frames of a thread that could not be asked: no code lies there. */
#define STACK_SILENT 1

struct stacks {
    struct stack *all; /* in the order they came */
    size_t count, capacity;
    uintptr_t *frames; /* of all of them */
    size_t frames_count, frames_capacity;
    char (*names)[STACKS_NAME];
    size_t names_count, names_capacity;
    uint32_t *index; /* hash table: 1 + the number of a stack, 0: free */
    size_t slots;
    uint64_t lost; /* of the first value: what there was no memory for, or no room */
};

#define STACKS_MAX ((size_t)1 << 20)
#define STACKS_FRAMES_MAX ((size_t)8 << 20)

struct stack_key {
    const char *name; /* of the thread; cut to fit */
    const uintptr_t *frames;
    size_t depth;
};

/* Adds to the stack, which is made when it is new. What cannot be kept is counted as lost. */
void stacks_add(struct stacks *stacks, const struct stack_key *key,
                const uint64_t values[STACKS_VALUES]);

static inline const uintptr_t *stacks_frames(const struct stacks *stacks, const struct stack *stack)
{
    return stacks->frames + stack->first;
}

void stacks_free(struct stacks *stacks);

#endif
