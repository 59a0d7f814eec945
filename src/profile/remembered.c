/* SPDX-License-Identifier: MIT
 *
 * One piece of memory: entries and texts are put one behind the other, and two hash tables say
 * where they are, by what is put at their place + 1; 0 is a free slot.
 */
#include "profile/remembered.h"

#include "base/pages.h"

#include <stdalign.h>
#include <string.h>

enum { ENTRY_SLOTS = 16384, TEXT_SLOTS = 8192, MODULES = REMEMBERED_MODULES };

struct entry {
    uint64_t at;
    uint32_t module, count;
    struct name names[];
};

struct known_module {
    unsigned char build_id[MODULE_BUILD_ID_MAX];
    size_t size;
};

struct remembered_room {
    uint32_t entries[ENTRY_SLOTS], texts[TEXT_SLOTS];
    size_t entry_count, text_count, module_count, used;
    bool full;
    struct known_module modules[MODULES];
    alignas(struct entry) char bytes[REMEMBERED_BYTES];
};

/* NULL: there is no room. */
static void *put(struct remembered_room *room, size_t size)
{
    size_t padded = (size + alignof(struct entry) - 1) & ~(alignof(struct entry) - 1);
    room->full = room->full || padded > sizeof room->bytes - room->used;
    if (room->full)
        return NULL;
    void *at = room->bytes + room->used;
    room->used += padded;
    return at;
}

/* --- texts ------------------------------------------------------------------------------------ */

static size_t text_slot(const struct remembered_room *room, const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = text; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    size_t slot = hash % TEXT_SLOTS;
    while (room->texts[slot] != 0 && strcmp(room->bytes + room->texts[slot] - 1, text) != 0)
        slot = (slot + 1) % TEXT_SLOTS;
    return slot;
}

static const char *keep_text(struct remembered_room *room, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t slot = text_slot(room, text);
    if (room->texts[slot] != 0)
        return room->bytes + room->texts[slot] - 1;
    size_t size = strlen(text) + 1;
    room->full = room->full || room->text_count >= TEXT_SLOTS / 2;
    char *kept = put(room, size);
    if (kept == NULL)
        return NULL;
    memcpy(kept, text, size);
    room->texts[slot] = (uint32_t)(kept - room->bytes) + 1;
    room->text_count++;
    return kept;
}

/* --- modules and entries ---------------------------------------------------------------------- */

/* Its number; module_count: it is not known. */
static size_t module_number(const struct remembered_room *room, const struct module *module)
{
    size_t i = 0;
    while (i < room->module_count &&
           (room->modules[i].size != module->build_id_size ||
            memcmp(room->modules[i].build_id, module->build_id, module->build_id_size) != 0))
        i++;
    return i;
}

static const struct entry *entry_in(const struct remembered_room *room, size_t slot)
{
    return (const struct entry *)(const void *)(room->bytes + room->entries[slot] - 1);
}

static size_t entry_slot(const struct remembered_room *room, size_t module, uint64_t at)
{
    size_t slot = ((at + module) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % ENTRY_SLOTS;
    while (room->entries[slot] != 0 &&
           (entry_in(room, slot)->at != at || entry_in(room, slot)->module != module))
        slot = (slot + 1) % ENTRY_SLOTS;
    return slot;
}

const struct name *remembered_find(const struct remembered *remembered, const struct module *module,
                                   uint64_t at, size_t *count)
{
    const struct remembered_room *room = remembered->room;
    size_t number = room != NULL ? module_number(room, module) : 0;
    if (room == NULL || number == room->module_count)
        return NULL;
    size_t slot = entry_slot(room, number, at);
    if (room->entries[slot] == 0)
        return NULL;
    *count = entry_in(room, slot)->count;
    return entry_in(room, slot)->names;
}

static void keep(struct remembered_room *room, size_t module, uint64_t at, const struct name *names,
                 size_t count)
{
    size_t slot = entry_slot(room, module, at);
    room->full = room->full || room->entry_count >= ENTRY_SLOTS / 2;
    struct entry *entry = put(room, sizeof *entry + count * sizeof names[0]);
    if (entry == NULL || room->entries[slot] != 0)
        return;
    *entry = (struct entry){.at = at, .module = (uint32_t)module, .count = (uint32_t)count};
    for (size_t i = 0; i < count; i++) {
        entry->names[i] = names[i];
        entry->names[i].function = keep_text(room, names[i].function);
        entry->names[i].file = keep_text(room, names[i].file);
    }
    if (room->full) /* a text of it may be missing */
        return;
    room->entries[slot] = (uint32_t)((char *)entry - room->bytes) + 1;
    room->entry_count++;
}

void remembered_add(struct remembered *remembered, const struct module *module, uint64_t at,
                    const struct name *names, size_t count)
{
    if (remembered->room == NULL)
        remembered->room = pages_resize(NULL, 0, sizeof *remembered->room);
    struct remembered_room *room = remembered->room;
    if (room == NULL || room->full || module->build_id_size == 0)
        return;
    size_t number = module_number(room, module);
    room->full = number == MODULES;
    if (room->full)
        return;
    if (number == room->module_count) {
        struct known_module *known = &room->modules[room->module_count++];
        known->size = module->build_id_size;
        memcpy(known->build_id, module->build_id, module->build_id_size);
    }
    keep(room, number, at, names, count);
}

/* --- the room --------------------------------------------------------------------------------- */

void remembered_tidy(struct remembered *remembered)
{
    if (remembered->room != NULL && remembered->room->full)
        remembered_free(remembered);
}

void remembered_free(struct remembered *remembered)
{
    pages_free(remembered->room, sizeof *remembered->room);
    remembered->room = NULL;
}
