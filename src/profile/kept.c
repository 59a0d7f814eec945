/* SPDX-License-Identifier: MIT */
#include "profile/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_item(struct kept_item *item)
{
    buf_free(&item->body);
    buf_free(&item->top);
}

/* What is kept for hours has no room to grow. */
static void trim(struct buf *buf)
{
    char *smaller = buf->data != NULL ? realloc(buf->data, buf->size + 1) : NULL;
    if (smaller == NULL)
        return;
    buf->data = smaller;
    buf->capacity = buf->size + 1;
}

static size_t size_of(const struct kept_item *item)
{
    return item->body.capacity + item->top.capacity;
}

static void drop_oldest(struct kept *kept)
{
    kept->bytes -= size_of(&kept->items[0]);
    free_item(&kept->items[0]);
    kept->count--;
    memmove(&kept->items[0], &kept->items[1], kept->count * sizeof kept->items[0]);
}

int kept_add(struct kept *kept, struct kept_item *item)
{
    trim(&item->body);
    trim(&item->top);
    size_t size = size_of(item);
    if (item->body.failed || item->top.failed || size > KEPT_EACH) {
        int rc = item->body.failed || item->top.failed ? -ENOMEM : -E2BIG;
        free_item(item);
        return rc;
    }
    while (kept->count == KEPT_MAX || (kept->count > 0 && kept->bytes + size > KEPT_ALL))
        drop_oldest(kept);
    item->number = ++kept->last;
    kept->bytes += size;
    kept->items[kept->count++] = *item;
    item->body = item->top = (struct buf){0};
    return 0;
}

const struct kept_item *kept_find(const struct kept *kept, uint64_t number)
{
    for (size_t i = 0; i < kept->count; i++)
        if (kept->items[i].number == number)
            return &kept->items[i];
    return NULL;
}

void kept_free(struct kept *kept)
{
    while (kept->count > 0)
        drop_oldest(kept);
}
