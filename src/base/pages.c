/* SPDX-License-Identifier: MIT */
#include "base/pages.h"

#include <sys/mman.h>

void *pages_resize(void *memory, size_t old_size, size_t size)
{
    if (size == 0)
        return NULL;
    void *found = memory != NULL ? mremap(memory, old_size, size, MREMAP_MAYMOVE)
                                 : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return found != MAP_FAILED ? found : NULL;
}

void pages_free(void *memory, size_t size)
{
    if (memory != NULL)
        (void)munmap(memory, size);
}
