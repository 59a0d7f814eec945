/* SPDX-License-Identifier: MIT */
#include "telemetry/arena.h"

#include <stdint.h>
#include <stdlib.h>

#define BLOCK_FIRST ((size_t)16 * 1024)
#define BLOCK_LARGEST ((size_t)4 * 1024 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

static struct arena_block *block_new(size_t wanted, size_t before)
{
    size_t size = before == 0 ? BLOCK_FIRST : before < BLOCK_LARGEST ? before * 2 : before;
    size = size < wanted ? wanted : size;
    struct arena_block *block = malloc(sizeof *block + size);
    if (block != NULL)
        *block = (struct arena_block){.size = size};
    return block;
}

/* The next block that has room; what is too small for this piece stays behind. */
static struct arena_block *block_with_room(struct arena *arena, size_t size)
{
    struct arena_block *at = arena->at;
    while (at != NULL && at->size - at->used < size && at->next != NULL)
        at = at->next;
    if (at != NULL && at->size - at->used >= size)
        return at;
    struct arena_block *more = block_new(size, at != NULL ? at->size : 0);
    if (more != NULL)
        *(at != NULL ? &at->next : &arena->first) = more;
    return more;
}

void *arena_take(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) / 16 * 16;
    struct arena_block *block = arena->at;
    if (block == NULL || block->size - block->used < size) {
        block = block_with_room(arena, size);
        if (block == NULL)
            return NULL;
        arena->at = block;
    }
    void *taken = block->data + block->used;
    block->used += size;
    return taken;
}

void arena_reset(struct arena *arena)
{
    for (struct arena_block *block = arena->first; block != NULL; block = block->next)
        block->used = 0;
    arena->at = arena->first;
}

void arena_free(struct arena *arena)
{
    while (arena->first != NULL) {
        struct arena_block *block = arena->first;
        arena->first = block->next;
        free(block);
    }
    arena->at = NULL;
}
