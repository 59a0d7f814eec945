/* SPDX-License-Identifier: MIT */
#include "profile/names.h"

#include "base/plugin.h"
#include "profile/stacks.h"
#include "profile/symtab.h"

#include <errno.h>
#include <pthread.h>
#include <srun/version.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is read of a module once one of its addresses is asked for. */
struct source {
    const struct module *module;
    int fd;                             /* of its file, or -1 */
    const struct naming_plugin *plugin; /* when it knows the module, else NULL */
    void *debug;                        /* what it knows */
    struct symtab symtab;
    struct source *next;
};

struct slot {
    struct named *named; /* owned */
};

struct names {
    const struct module *known;
    struct remembered *remembered;
    struct source *sources;
    struct slot *all; /* hash table */
    size_t count, slots;
};

/* --- the plugin ------------------------------------------------------------------------------ */

static pthread_once_t looked_for = PTHREAD_ONCE_INIT;
static const struct naming_plugin *plugin; /* or NULL: then there are functions, and no lines */

static void look_for_plugin(void)
{
    char why[256];
    const struct naming_plugin *found =
        plugin_find(NAMING_LIBRARY, NULL, NAMING_SYMBOL, why, sizeof why);
    if (found != NULL && found->size == sizeof *found &&
        strcmp(found->version, SRUN_VERSION_TEXT) == 0)
        plugin = found;
}

static void open_debug(struct source *source)
{
    const struct module *module = source->module;
    const struct naming_file file = {.fd = source->fd,
                                     .path = module->path,
                                     .build_id = module->build_id,
                                     .build_id_size = module->build_id_size};
    (void)pthread_once(&looked_for, look_for_plugin);
    source->debug = plugin != NULL && file.fd >= 0 ? plugin->open(&file) : NULL;
    source->plugin = source->debug != NULL ? plugin : NULL;
}

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
    source->fd = symtab_open(module);
    open_debug(source);
    int debug_fd = source->plugin != NULL ? source->plugin->debug_fd(source->debug) : -1;
    symtab_read(debug_fd >= 0 ? debug_fd : source->fd, &source->symtab);
    return source;
}

static void free_source(struct source *source)
{
    if (source->plugin != NULL)
        source->plugin->close(source->debug);
    if (source->fd >= 0)
        (void)close(source->fd);
    symtab_free(&source->symtab);
    free(source);
}

/* What a library calls __poll within, its users know as poll. */
static bool is_inner(const char *name)
{
    return name[0] == '_' && name[1] == '_';
}

static size_t look_up(const struct source *source, uint64_t at, struct name *out)
{
    size_t found = 0;
    if (source->plugin != NULL)
        found = source->plugin->find(source->debug, at, out, NAMES_INLINED_MAX);
    if (found > 0 && !is_inner(out[found - 1].function))
        return found;
    const char *function = symtab_find(&source->symtab, at);
    if (function == NULL)
        return found;
    if (found == 0)
        out[found++] = (struct name){0};
    out[found - 1].function = function;
    return found;
}

/* --- an address ------------------------------------------------------------------------------ */

/* Writes up to NAMES_INLINED_MAX. */
static size_t name_in(struct names *names, const struct module *module, uintptr_t address,
                      struct name *out)
{
    size_t count;
    uint64_t at = address - module->bias;
    const struct name *known = remembered_find(names->remembered, module, at, &count);
    if (known != NULL) {
        memcpy(out, known, count * sizeof out[0]);
        return count;
    }
    struct source *source = source_of(names, module);
    if (source == NULL)
        return 0;
    count = look_up(source, at, out);
    if (count > 0 || source->fd >= 0) /* a file that could not be opened may be the next time */
        remembered_add(names->remembered, module, at, out, count);
    return count;
}

static struct named *make(struct names *names, uintptr_t address)
{
    static const char silent[] = "(no stack)";
    struct name found[NAMES_INLINED_MAX] = {{.function = silent}};
    size_t count = address == STACK_SILENT;
    const struct module *module = modules_find(names->known, address);
    if (module != NULL)
        count = name_in(names, module, address, found);
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
    while (names->all[at].named != NULL && names->all[at].named->address != address)
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
        if (names->all[i].named != NULL)
            bigger.all[slot_of(&bigger, names->all[i].named->address)] = names->all[i];
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
    struct slot *slot = &names->all[at];
    if (slot->named == NULL) {
        slot->named = make(names, address);
        names->count += slot->named != NULL;
    }
    return slot->named;
}

int names_new(struct names **out, const struct module *known, struct remembered *remembered)
{
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    names->known = known;
    names->remembered = remembered;
    remembered_tidy(remembered);
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
        free_source(source);
    }
    for (size_t i = 0; i < names->slots; i++)
        free(names->all[i].named);
    free(names->all);
    free(names);
}
