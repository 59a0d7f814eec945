/* SPDX-License-Identifier: MIT
 *
 * _dl_find_object finds the module without a lock; its dynamic section leads to the symbols and to
 * the GNU hash table, which is read only to learn how many symbols there are.
 */
#include "base/symbol.h"

#include "base/libc.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct symbols {
    const ElfW(Sym) * table;
    const char *names;
    const uint32_t *hash;
};

/* The loader has added the load address to the pointers, but not for a module it does not write to.
 */
static const void *pointer_of(const struct link_map *map, const ElfW(Dyn) * entry)
{
    uintptr_t value = entry->d_un.d_ptr;
    return (const void *)(value < map->l_addr ? value + map->l_addr : value);
}

static struct symbols symbols_of(const struct link_map *map)
{
    struct symbols found = {0};
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            found.table = pointer_of(map, entry);
        else if (entry->d_tag == DT_STRTAB)
            found.names = pointer_of(map, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            found.hash = pointer_of(map, entry);
    }
    return found;
}

/* One more than the highest index: the end of the chain that the highest bucket begins. */
static uint32_t count_of(const uint32_t *hash)
{
    uint32_t buckets = hash[0], first = hash[1], bloom_words = hash[2], highest = 0;
    const uint32_t *bucket = hash + 4 + bloom_words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        highest = bucket[i] > highest ? bucket[i] : highest;
    if (highest < first)
        return first;
    while ((chain[highest - first] & 1) == 0)
        highest++;
    return highest + 1;
}

static bool covers(const ElfW(Sym) * symbol, uintptr_t offset)
{
    return symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
           offset >= symbol->st_value && offset - symbol->st_value < symbol->st_size;
}

/* The function that covers the address; NULL when no exported one does. */
static const char *function_at(const struct link_map *map, uintptr_t address, size_t *distance)
{
    struct symbols symbols = symbols_of(map);
    if (symbols.table == NULL || symbols.names == NULL || symbols.hash == NULL)
        return NULL;
    uint32_t count = count_of(symbols.hash);
    uintptr_t offset = address - map->l_addr;
    for (uint32_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &symbols.table[i];
        if (!covers(symbol, offset))
            continue;
        *distance = offset - symbol->st_value;
        return symbols.names + symbol->st_name;
    }
    return NULL;
}

void symbol_describe(const void *address, char *out, size_t size)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)(uintptr_t)address, &object) != 0) {
        (void)snprintf(out, size, "%p", address);
        return;
    }
    size_t distance = (uintptr_t)address - (uintptr_t)object.dlfo_map_start;
    const char *name = function_at(object.dlfo_link_map, (uintptr_t)address, &distance);
    if (name == NULL) {
        const char *path = object.dlfo_link_map->l_name;
        const char *slash = strrchr(path, '/');
        name = path[0] == '\0' ? program_invocation_short_name : slash != NULL ? slash + 1 : path;
    }
    (void)snprintf(out, size, "%s+0x%zx", name, distance);
}
