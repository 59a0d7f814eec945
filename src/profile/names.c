/* SPDX-License-Identifier: MIT */
#include "profile/names.h"

#include "profile/stacks.h"
#include "profile/symtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is read of a module once one of its addresses is asked for. */
struct source {
    const struct module *module;
    struct symtab symtab;
    struct source *next;
};

struct names {
    const struct module *known;
    struct source *sources;
    struct named **all; /* hash table; each owned */
    size_t count, slots;
};

/* --- a module -------------------------------------------------------------------------------- */

static struct source *source_of(struct names *names, const struct module *module)
{
    for (struct source *source = names->sources; source != NULL; source = source->next)
        if (source->module == module)
            return source;
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return NULL;
    source->module = module;
    source->next = names->sources;
    names->sources = source;
    symtab_read(module, &source->symtab);
    return source;
}

static size_t look_up(const struct source *source, uintptr_t address, struct name *out)
{
    uint64_t at = address - source->module->bias;
    const char *function = symtab_find(&source->symtab, at);
    if (function == NULL)
        return 0;
    out[0] = (struct name){.function = function};
    return 1;
}

/* --- an address ------------------------------------------------------------------------------ */

static struct named *make(struct names *names, uintptr_t address)
{
    static const char silent[] = "(no stack)";
    struct name found[NAMES_INLINED_MAX] = {{.function = silent}};
    size_t count = address == STACK_SILENT;
    const struct module *module = modules_find(names->known, address);
    struct source *source = module != NULL ? source_of(names, module) : NULL;
    if (source != NULL)
        count = look_up(source, address, found);
    struct named *named = malloc(sizeof *named + count * sizeof found[0]);
    if (named == NULL)
        return NULL;
    struct name *kept = (struct name *)(named + 1);
    if (count > 0)
        memcpy(kept, found, count * sizeof found[0]);
    *named = (struct named){
        .address = address, .module = module, .names = count > 0 ? kept : NULL, .count = count};
    return named;
}

static size_t slot_of(const struct names *names, uintptr_t address)
{
    size_t at = (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (names->slots - 1);
    while (names->all[at] != NULL && names->all[at]->address != address)
        at = (at + 1) & (names->slots - 1);
    return at;
}

static bool grow(struct names *names)
{
    if ((names->count + 1) * 2 <= names->slots)
        return true;
    struct names bigger = {.slots = names->slots > 0 ? names->slots * 2 : 256};
    bigger.all = calloc(bigger.slots, sizeof bigger.all[0]);
    if (bigger.all == NULL)
        return false;
    for (size_t i = 0; i < names->slots; i++)
        if (names->all[i] != NULL)
            bigger.all[slot_of(&bigger, names->all[i]->address)] = names->all[i];
    free(names->all);
    names->all = bigger.all;
    names->slots = bigger.slots;
    return true;
}

const struct named *names_find(struct names *names, uintptr_t address)
{
    if (!grow(names))
        return NULL;
    size_t at = slot_of(names, address);
    if (names->all[at] == NULL) {
        names->all[at] = make(names, address);
        names->count += names->all[at] != NULL;
    }
    return names->all[at];
}

int names_new(struct names **out, const struct module *known)
{
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    names->known = known;
    *out = names;
    return 0;
}

void names_free(struct names *names)
{
    if (names == NULL)
        return;
    while (names->sources != NULL) {
        struct source *source = names->sources;
        names->sources = source->next;
        symtab_free(&source->symtab);
        free(source);
    }
    for (size_t i = 0; i < names->slots; i++)
        free(names->all[i]);
    free(names->all);
    free(names);
}
