/* SPDX-License-Identifier: MIT */
#include "telemetry/log_item.h"

#include "base/text.h"

#include <string.h>

struct item {
    struct telemetry_log log;
    struct telemetry_scope scope;
    size_t count;
    struct srun_kv kvs[]; /* count of them and their end, then all texts */
};

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static bool is_text(const struct srun_kv *kv)
{
    return kv->type == SRUN_KV_STR || kv->type == SRUN_KV_BYTES;
}

static size_t key_size_of(const struct srun_kv *kv)
{
    return kv->key_size > 0 ? kv->key_size : kv->key != NULL ? strnlen(kv->key, LOG_ITEM_MAX) : 0;
}

static size_t text_size_of(const struct srun_kv *kv)
{
    if (kv->value.str == NULL)
        return 0;
    if (kv->type == SRUN_KV_BYTES)
        return kv->size < LOG_ITEM_MAX ? kv->size : LOG_ITEM_MAX;
    return strnlen(kv->value.str, LOG_ITEM_MAX);
}

/* --- writing --------------------------------------------------------------------------------- */

static size_t kv_size(const struct srun_kv *kv)
{
    return sizeof *kv + key_size_of(kv) + 1 + (is_text(kv) ? text_size_of(kv) + 1 : 0);
}

/* All but the key-values. */
static size_t bare_size(const struct log_given *given)
{
    const struct telemetry_scope *scope = given->log.scope;
    return sizeof(struct item) + sizeof(struct srun_kv) + strlen(or_empty(scope->name)) +
           strlen(or_empty(scope->version)) + strlen(or_empty(scope->schema_url)) +
           strlen(given->log.severity_text) + 5 +
           (given->body_size < LOG_ITEM_BODY_MAX ? given->body_size : LOG_ITEM_BODY_MAX);
}

size_t log_item_size(const struct log_given *given)
{
    size_t count = 0, size = bare_size(given);
    for (size_t i = 0; i < LOG_ITEM_LISTS; i++)
        for (const struct srun_kv *kv = given->lists[i]; kv != NULL && kv->type != SRUN_KV_END;
             kv++)
            if (size < LOG_ITEM_MAX && count++ < LOG_ITEM_KVS_MAX)
                size += kv_size(kv);
    return size < LOG_ITEM_MAX ? size : LOG_ITEM_MAX;
}

/* Where the next text goes. */
struct pen {
    char *at, *end;
};

/* NULL: there is no room. */
static const char *write_text(struct pen *pen, const char *text, size_t size)
{
    char *copy = pen->at;
    if (size >= (size_t)(pen->end - pen->at))
        return NULL;
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    pen->at += size + 1;
    return copy;
}

static const char *write_name(struct pen *pen, const char *text)
{
    return or_empty(write_text(pen, text, strlen(or_empty(text))));
}

/* Whole, or not at all. */
static bool write_kv(struct pen *pen, struct srun_kv *to, const struct srun_kv *kv)
{
    struct pen before = *pen;
    size_t key_size = key_size_of(kv);
    *to = *kv;
    to->key_size = (unsigned)key_size;
    to->key = write_text(pen, kv->key, key_size);
    to->size = 0;
    if (is_text(kv) && kv->value.str != NULL && to->key != NULL) {
        size_t size = text_size_of(kv);
        to->value.str = write_text(pen, kv->value.str, size);
        to->size = size;
        if (to->value.str == NULL)
            to->key = NULL;
    }
    if (key_size > 0 && to->key != NULL)
        return true;
    *pen = before;
    return false;
}

/* How many there are, of those for which there is room beside the other texts. When all of them fit
 * they need not be measured again. */
static size_t count_kvs(const struct log_given *given, size_t size)
{
    size_t count = 0, bare = bare_size(given), room = size > bare ? size - bare : 0;
    bool measures = size == LOG_ITEM_MAX;
    for (size_t i = 0; i < LOG_ITEM_LISTS; i++)
        for (const struct srun_kv *kv = given->lists[i];
             kv != NULL && kv->type != SRUN_KV_END && count < LOG_ITEM_KVS_MAX; kv++) {
            size_t needed = measures ? kv_size(kv) : sizeof *kv;
            bool fits = needed <= room;
            room -= fits ? needed : 0;
            count += fits;
        }
    return count;
}

static void write_kvs(struct item *item, struct pen *pen, size_t most,
                      const struct log_given *given)
{
    for (size_t i = 0; i < LOG_ITEM_LISTS; i++)
        for (const struct srun_kv *kv = given->lists[i]; kv != NULL && kv->type != SRUN_KV_END;
             kv++) {
            bool written = item->count < most && write_kv(pen, &item->kvs[item->count], kv);
            item->count += written;
            item->log.dropped_attributes += !written;
        }
    item->kvs[item->count] = SRUN_KV_END_;
}

void log_item_fill(void *memory, size_t size, const struct log_given *given)
{
    struct item *item = memory;
    size_t most = count_kvs(given, size);
    struct pen pen = {(char *)&item->kvs[most + 1], (char *)memory + size};
    *item = (struct item){.log = given->log};
    item->scope = (struct telemetry_scope){write_name(&pen, given->log.scope->name),
                                           write_name(&pen, given->log.scope->version),
                                           write_name(&pen, given->log.scope->schema_url)};
    item->log.scope = &item->scope;
    item->log.severity_text = write_name(&pen, given->log.severity_text);
    size_t body = text_fitting(given->log.body, given->body_size, LOG_ITEM_BODY_MAX);
    item->log.body = or_empty(write_text(&pen, given->log.body, body));
    item->log.attributes = item->kvs;
    item->log.dropped_attributes = 0;
    write_kvs(item, &pen, most, given);
}

/* --- reading --------------------------------------------------------------------------------- */

static void cut_text(struct srun_kv *kv, uint32_t characters)
{
    if (!is_text(kv) || kv->value.str == NULL)
        return;
    size_t size = text_characters(kv->value.str, kv->size, characters);
    if (size == kv->size)
        return;
    ((char *)(uintptr_t)kv->value.str)[size] = '\0'; /* it lies in the item */
    kv->size = size;
}

static bool same_key(const struct srun_kv *one, const struct srun_kv *other)
{
    return one->key_size == other->key_size && memcmp(one->key, other->key, one->key_size) == 0;
}

static bool is_event(const struct srun_kv *kv)
{
    return kv->type == SRUN_KV_STR && kv->value.str != NULL && strcmp(kv->key, LOG_EVENT_KEY) == 0;
}

const struct telemetry_log *log_item_finish(void *memory, const struct log_limits *limits)
{
    struct item *item = memory;
    size_t kept = 0;
    for (size_t i = 0; i < item->count; i++) {
        struct srun_kv kv = item->kvs[i];
        if (is_event(&kv)) {
            item->log.event_name = kv.value.str;
            continue;
        }
        size_t at = 0;
        while (at < kept && !same_key(&item->kvs[at], &kv))
            at++;
        if (at == kept && kept >= limits->attributes) {
            item->log.dropped_attributes++;
            continue;
        }
        cut_text(&kv, limits->value_length);
        item->kvs[at] = kv;
        kept += at == kept;
    }
    item->count = kept;
    item->kvs[kept] = SRUN_KV_END_;
    return &item->log;
}
