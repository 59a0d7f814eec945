/* SPDX-License-Identifier: MIT */
#include "telemetry/items.h"

#include "base/text.h"

#include <stddef.h>
#include <string.h>

#define TEXT_MAX 512 /* of a name, of a status */

_Static_assert(EXTENSION_SIZE <= UINT16_MAX, "the size of an item");

void items_begin(struct slot *slot)
{
    slot->extension = NULL;
    slot->at = slot->data;
    slot->limit = (char *)slot + SLOT_SIZE;
    slot->attributes = slot->events = slot->links = 0;
    slot->dropped_attributes = slot->dropped_events = slot->dropped_links = 0;
    slot->name = slot->status_text = "";
}

/* Room for an item with so much data; NULL when there is none. */
static struct item *add(struct slot *slot, enum item_kind kind, size_t data)
{
    size_t size = (offsetof(struct item, data) + data + 7) & ~(size_t)7;
    if (data > sizeof slot->extension->data || size > sizeof slot->extension->data)
        return NULL;
    if ((size_t)(slot->limit - slot->at) < size) {
        struct extension *extension = slot->extension != NULL ? NULL : span_slots_extend();
        if (extension == NULL)
            return NULL;
        slot->extension = extension;
        slot->base_end = slot->at;
        slot->at = extension->data;
        slot->limit = extension->data + sizeof extension->data;
    }
    struct item *item = (struct item *)(void *)slot->at;
    slot->at += size;
    item->size = (uint16_t)size;
    item->kind = (uint8_t)kind;
    item->dropped = 0;
    return item;
}

void items_text(struct slot *slot, const char **place, const char *text)
{
    size_t size = text_fitting(text, strnlen(text, TEXT_MAX + 1), TEXT_MAX);
    char *to = NULL;
    if (**place != '\0' && strlen(*place) >= size)
        to = (char *)(uintptr_t)*place; /* it lies in the slot: "" alone does not */
    if (to == NULL) {
        struct item *item = add(slot, ITEM_DEAD, size + 1);
        to = item != NULL ? item->data : NULL;
    }
    if (to == NULL) {
        slot->dropped_attributes++;
        return;
    }
    memcpy(to, text, size);
    to[size] = '\0';
    *place = to;
}

/* --- attributes ------------------------------------------------------------------------------ */

struct text {
    const char *at; /* NULL: the value is none */
    size_t size;
};

static bool is_text(const struct srun_kv *kv)
{
    return kv->type == SRUN_KV_STR || kv->type == SRUN_KV_BYTES;
}

static struct text text_of(const struct srun_kv *kv, uint32_t characters)
{
    if (!is_text(kv) || kv->value.str == NULL)
        return (struct text){NULL, 0};
    size_t size = kv->type == SRUN_KV_BYTES ? kv->size : strnlen(kv->value.str, EXTENSION_SIZE);
    return (struct text){kv->value.str, text_characters(kv->value.str, size, characters)};
}

static void fill(struct item *item, const struct srun_kv *kv, size_t key_size, struct text text)
{
    item->type = (uint8_t)kv->type;
    item->key_size = (uint16_t)key_size;
    memcpy(item->data, kv->key, key_size);
    item->data[key_size] = '\0';
    if (!is_text(kv)) {
        item->value.u = kv->value.u;
        return;
    }
    item->value.u = text.at != NULL ? text.size : ITEM_NULL;
    if (text.size > 0)
        memcpy(item->data + key_size + 1, text.at, text.size);
    item->data[key_size + 1 + text.size] = '\0';
}

static size_t data_size(const struct srun_kv *kv, size_t key_size, struct text text)
{
    return key_size + 1 + (is_text(kv) ? text.size + 1 : 0);
}

static size_t key_size_of(const struct srun_kv *kv)
{
    return kv->key_size > 0 ? kv->key_size : kv->key != NULL ? strnlen(kv->key, EXTENSION_SIZE) : 0;
}

static struct item *find(const struct slot *slot, const char *key, size_t key_size)
{
    const struct item *item = NULL;
    while ((item = items_next(slot, item)) != NULL)
        if (item->kind == ITEM_ATTRIBUTE && item->key_size == key_size &&
            memcmp(item->data, key, key_size) == 0)
            break;
    return (struct item *)(uintptr_t)item;
}

/* False: it is dropped. */
static bool set_attribute(struct slot *slot, const struct limits *limits, const struct srun_kv *kv)
{
    size_t key_size = key_size_of(kv);
    if (key_size == 0 || key_size >= EXTENSION_SIZE)
        return false;
    struct text text = text_of(kv, limits->value_length);
    size_t size = data_size(kv, key_size, text);
    struct item *old = find(slot, kv->key, key_size);
    if (old != NULL && offsetof(struct item, data) + size <= old->size) {
        fill(old, kv, key_size, text);
        return true;
    }
    if (old == NULL && slot->attributes >= limits->attributes)
        return false;
    struct item *item = add(slot, ITEM_ATTRIBUTE, size);
    if (item == NULL)
        return false;
    fill(item, kv, key_size, text);
    if (old != NULL)
        old->kind = ITEM_DEAD;
    else
        slot->attributes++;
    return true;
}

void items_attributes(struct slot *slot, const struct limits *limits, const struct srun_kv *kvs)
{
    if (kvs == NULL)
        return;
    for (; kvs->type != SRUN_KV_END; kvs++)
        slot->dropped_attributes += !set_attribute(slot, limits, kvs);
}

static struct item *find_part(const struct slot *slot, const struct item *owner,
                              const struct srun_kv *kv, size_t key_size)
{
    const struct item *item = owner;
    while ((item = items_next(slot, item)) != NULL)
        if (item->kind == ITEM_PART && item->key_size == key_size &&
            memcmp(item->data, kv->key, key_size) == 0)
            break;
    return (struct item *)(uintptr_t)item;
}

/* The attributes of an event or a link, which is the last item so far. */
static uint16_t add_parts(struct slot *slot, const struct limits *limits, const struct item *owner,
                          uint32_t most, const struct srun_kv *kvs)
{
    uint32_t count = 0, dropped = 0;
    for (; kvs != NULL && kvs->type != SRUN_KV_END; kvs++) {
        size_t key_size = key_size_of(kvs);
        bool good = key_size > 0 && key_size < EXTENSION_SIZE;
        struct text text = text_of(kvs, limits->value_length);
        struct item *old = good && count > 0 ? find_part(slot, owner, kvs, key_size) : NULL;
        struct item *item = NULL;
        if (good && (count < most || old != NULL))
            item = add(slot, ITEM_PART, data_size(kvs, key_size, text));
        dropped += item == NULL;
        if (item == NULL)
            continue;
        fill(item, kvs, key_size, text);
        count += old == NULL;
        if (old != NULL)
            old->kind = ITEM_DEAD;
    }
    return (uint16_t)(dropped < UINT16_MAX ? dropped : UINT16_MAX);
}

void items_event(struct slot *slot, const struct limits *limits, const char *name, int64_t time_ns,
                 const struct srun_kv *kvs)
{
    size_t size = strnlen(name, EXTENSION_SIZE);
    struct item *item = slot->events < limits->events ? add(slot, ITEM_EVENT, size + 1) : NULL;
    if (item == NULL) {
        slot->dropped_events++;
        return;
    }
    item->key_size = (uint16_t)size;
    memcpy(item->data, name, size);
    item->data[size] = '\0';
    item->value.i = time_ns;
    item->dropped = add_parts(slot, limits, item, limits->event_attributes, kvs);
    slot->events++;
}

void items_link(struct slot *slot, const struct limits *limits, const struct srun_span_context *to,
                const struct srun_kv *kvs)
{
    struct item *item = slot->links < limits->links ? add(slot, ITEM_LINK, sizeof *to) : NULL;
    if (item == NULL) {
        slot->dropped_links++;
        return;
    }
    memcpy(item->data, to, sizeof *to);
    item->dropped = add_parts(slot, limits, item, limits->link_attributes, kvs);
    slot->links++;
}

/* --- reading --------------------------------------------------------------------------------- */

const struct item *items_next(const struct slot *slot, const struct item *item)
{
    const char *next = item != NULL ? (const char *)item + item->size : slot->data;
    if (slot->extension != NULL && next == slot->base_end)
        next = slot->extension->data;
    return next == slot->at ? NULL : (const struct item *)(const void *)next;
}

struct srun_kv items_kv(const struct item *item)
{
    struct srun_kv kv = {.key = item->data,
                         .type = (enum srun_kv_type)item->type,
                         .key_size = item->key_size,
                         .value.u = item->value.u};
    if (!is_text(&kv))
        return kv;
    bool none = item->value.u == ITEM_NULL;
    kv.value.str = none ? NULL : item->data + item->key_size + 1;
    kv.size = none ? 0 : item->value.u;
    return kv;
}

const struct srun_span_context *items_linked(const struct item *item)
{
    return (const struct srun_span_context *)(const void *)item->data;
}
