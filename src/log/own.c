/* SPDX-License-Identifier: MIT */
#include "log/own.h"

#include <stdbool.h>
#include <string.h>

static size_t key_size_of(const struct srun_kv *kv)
{
    return kv->key_size > 0 ? kv->key_size : kv->key != NULL ? strlen(kv->key) : 0;
}

/* Of the value's text, without a NUL. */
static size_t text_size_of(const struct srun_kv *kv)
{
    if (kv->value.str == NULL)
        return 0;
    return kv->type == SRUN_KV_BYTES ? kv->size : strlen(kv->value.str);
}

static bool has_text(const struct srun_kv *kv)
{
    return kv->type == SRUN_KV_STR || kv->type == SRUN_KV_BYTES;
}

static bool is_scope(const struct srun_kv *kv)
{
    static const char key[] = "logger_scope";
    return kv->type == SRUN_KV_STR && kv->value.str != NULL && key_size_of(kv) == sizeof key - 1 &&
           memcmp(kv->key, key, sizeof key - 1) == 0;
}

struct own_size own_size(const struct srun_kv *kvs)
{
    struct own_size size = {0, 0};
    for (; kvs != NULL && kvs->type != SRUN_KV_END; kvs++) {
        if (is_scope(kvs))
            continue;
        size.kvs++;
        size.bytes += key_size_of(kvs) + 1 + (has_text(kvs) ? text_size_of(kvs) + 1 : 0);
    }
    return size;
}

static const char *copy_text(char **at, const char *text, size_t size)
{
    char *copy = *at;
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    *at += size + 1;
    return copy;
}

void own_copy(struct srun_kv **at, char **text, const struct srun_kv *kvs)
{
    for (; kvs != NULL && kvs->type != SRUN_KV_END; kvs++) {
        if (is_scope(kvs))
            continue;
        struct srun_kv *kv = (*at)++;
        *kv = *kvs;
        kv->key_size = (unsigned)key_size_of(kvs);
        kv->key = copy_text(text, kvs->key, kv->key_size);
        if (has_text(kvs) && kvs->value.str != NULL)
            kv->value.str = copy_text(text, kvs->value.str, text_size_of(kvs));
    }
}

const char *own_scope(const struct srun_kv *kvs)
{
    const char *scope = NULL;
    for (; kvs != NULL && kvs->type != SRUN_KV_END; kvs++)
        if (is_scope(kvs))
            scope = kvs->value.str;
    return scope;
}
