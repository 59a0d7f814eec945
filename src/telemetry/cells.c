/* SPDX-License-Identifier: MIT */
#include "telemetry/cells.h"

#include <stdlib.h>
#include <sys/mman.h>

struct cells_block {
    struct cells_block *next;
    cell *first;
};

void cells_init(struct cells *cells)
{
    *cells = (struct cells){.cpus = cpu_count()};
}

static size_t block_size(const struct cells *cells)
{
    return (size_t)cells->cpus * CELLS_STRIDE;
}

void cells_free(struct cells *cells)
{
    while (cells->blocks != NULL) {
        struct cells_block *block = cells->blocks;
        cells->blocks = block->next;
        (void)munmap((void *)block->first, block_size(cells));
        free(block);
    }
}

/* Pages come one by one when they are written to: memory is what is used. */
static struct cells_block *add_block(struct cells *cells)
{
    struct cells_block *block = malloc(sizeof *block);
    void *memory = block == NULL ? MAP_FAILED
                                 : mmap(NULL, block_size(cells), PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        free(block);
        return NULL;
    }
    *block = (struct cells_block){.next = cells->blocks, .first = memory};
    cells->blocks = block;
    cells->used = 0;
    return block;
}

cell *cells_take(struct cells *cells, size_t count)
{
    if (count == 0 || count > CELLS_PER_TAKE)
        return NULL;
    struct cells_block *block = cells->blocks;
    if (block == NULL || CELLS_PER_TAKE - cells->used < count)
        block = add_block(cells);
    if (block == NULL)
        return NULL;
    cell *taken = block->first + cells->used;
    cells->used += count;
    return taken;
}
