/* SPDX-License-Identifier: MIT */
#include "telemetry/prometheus_taken.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool taken_init(struct taken *taken, size_t families)
{
    size_t slots = 16;
    while (slots < (families + 1) * TAKEN_NAMES_MAX * 2) /* at least half of them stay free */
        slots *= 2;
    *taken = (struct taken){.slots = calloc(slots, sizeof taken->slots[0]), .mask = slots - 1};
    return taken->slots != NULL;
}

void taken_free(struct taken *taken)
{
    buf_free(&taken->texts);
    free(taken->slots);
    taken->slots = NULL;
}

/* The slot that the name is in, or the free one where it belongs. */
static size_t *slot_of(const struct taken *taken, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *c = name; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    size_t at = (size_t)(hash ^ hash >> 32) & taken->mask;
    while (taken->slots[at] != 0 && strcmp(taken->texts.data + taken->slots[at] - 1, name) != 0)
        at = (at + 1) & taken->mask;
    return &taken->slots[at];
}

bool taken_add(struct taken *taken, const char *base, size_t size, const char *const *suffixes)
{
    struct buf *texts = &taken->texts;
    size_t start = texts->size, count = 0, names[TAKEN_NAMES_MAX];
    bool is_free = true;
    for (; suffixes[count] != NULL && is_free; count++) {
        names[count] = texts->size;
        buf_add(texts, base, size);
        buf_add(texts, suffixes[count], strlen(suffixes[count]) + 1);
        is_free = !texts->failed && *slot_of(taken, texts->data + names[count]) == 0;
    }
    if (!is_free) {
        texts->size = start;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        *slot_of(taken, texts->data + names[i]) = names[i] + 1;
    return true;
}
