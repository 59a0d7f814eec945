/* SPDX-License-Identifier: MIT
 *
 * Any text as what jemalloc dumps: stacks with frames come out, none of which has its innermost one
 * in the allocator, and of bytes no fewer were asked for than are in use.
 */
#include "fuzz.h"
#include "profile/heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct module allocator = {.start = 0x1000, .end = 0x2000};
    struct stacks stacks = {0};
    char *text = fuzz_text(data, size);
    bool good = heap_parse(text, &allocator, &stacks);
    ENSURE(!good || strncmp((const char *)data, "heap_v2/", 8) == 0);
    for (size_t i = 0; i < stacks.count; i++) {
        const struct stack *stack = &stacks.all[i];
        ENSURE(stack->depth > 0 && stack->first + stack->depth <= stacks.frames_count);
        uintptr_t innermost = stacks_frames(&stacks, stack)[0];
        ENSURE(innermost < allocator.start || innermost >= allocator.end);
    }
    stacks_free(&stacks);
    free(text);
    return 0;
}
