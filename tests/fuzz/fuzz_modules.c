/* SPDX-License-Identifier: MIT
 *
 * Any text as /proc/self/maps, and any bytes as a file that is mapped, and as its notes: whatever
 * address is told there is read through the kernel, so one that is not there does no harm.
 */
#include "profile/modules.c" /* its parser is its own; the one of the library is left out so */

#include "fuzz.h"

#define LINES_MAX 64

static void check_view(const uint8_t *data, size_t size)
{
    struct modules *modules = NULL;
    struct buf text = {0};
    ENSURE(modules_new(&modules) == 0);
    buf_add(&text, data, size);
    struct view *view = make_view(modules, &text);
    ENSURE(!text.failed && view != NULL);
    for (size_t i = 0; i < view->count; i++) {
        const struct code *code = &view->code[i];
        ENSURE(code->start < code->end);
        ENSURE(code->module == NULL || code->module->start < code->module->end);
    }
    free(view);
    buf_free(&text);
    modules_free(modules);
}

static void check_module(const uint8_t *data, size_t size)
{
    const struct mapping first = {.start = (uintptr_t)data, .inode = 1, .path = "/mapped"};
    struct module *module = make_module(&first, first.start + size);
    if (module == NULL)
        return;
    ENSURE(module->build_id_size <= MODULE_BUILD_ID_MAX);
    for (size_t i = 1; i < module->rows.count; i++)
        ENSURE(module->rows.all[i - 1].at < module->rows.all[i].at);
    free_module(module);
}

static void check_notes(const uint8_t *data, size_t size)
{
    size_t found = 0;
    const unsigned char *id = buildid_find(data, size, &found);
    ENSURE(id == NULL || id >= data);
    ENSURE(id == NULL || found <= size - (size_t)(id - data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    if (lines < LINES_MAX)
        check_view(data, size);
    check_module(data, size);
    check_notes(data, size);
    return 0;
}
