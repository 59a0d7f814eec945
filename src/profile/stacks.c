/* SPDX-License-Identifier: MIT */
#include "profile/stacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` of them; false: out of memory, or beyond the limit. */
static bool grow(void **array, size_t *capacity, size_t needed, size_t size, size_t limit)
{
    if (needed <= *capacity)
        return true;
    size_t wanted = *capacity > 0 ? *capacity * 2 : 64;
    wanted = wanted < needed ? needed : wanted;
    void *grown = needed <= limit ? realloc(*array, wanted * size) : NULL;
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

#define GROW(stacks, array, room, needed, limit)                                                   \
    grow((void **)&(stacks)->array, &(stacks)->room, (needed), sizeof *(stacks)->array, (limit))

/* FNV-1a over whole words. */
static uint32_t hash_of(const struct stack_key *key, uint32_t name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ name;
    for (size_t i = 0; i < key->depth; i++)
        hash = (hash ^ key->frames[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool intern_name(struct stacks *stacks, const char *name, uint32_t *out)
{
    char text[STACKS_NAME];
    (void)snprintf(text, sizeof text, "%s", name);
    for (size_t i = stacks->names_count; i-- > 0;) {
        *out = (uint32_t)i;
        if (strcmp(stacks->names[i], text) == 0)
            return true;
    }
    if (!GROW(stacks, names, names_capacity, stacks->names_count + 1, STACKS_MAX))
        return false;
    memcpy(stacks->names[stacks->names_count], text, sizeof text);
    *out = (uint32_t)stacks->names_count++;
    return true;
}

/* Twice as many slots as there are stacks, or more. */
static bool grow_index(struct stacks *stacks)
{
    if ((stacks->count + 1) * 2 <= stacks->slots)
        return true;
    size_t slots = stacks->slots > 0 ? stacks->slots * 2 : 256;
    uint32_t *index = calloc(slots, sizeof index[0]);
    if (index == NULL)
        return false;
    for (size_t i = 0; i < stacks->count; i++) {
        size_t at = stacks->all[i].hash & (slots - 1);
        while (index[at] != 0)
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(stacks->index);
    stacks->index = index;
    stacks->slots = slots;
    return true;
}

static bool is_same(const struct stacks *stacks, const struct stack *stack,
                    const struct stack_key *key, uint32_t name, uint32_t hash)
{
    return stack->hash == hash && stack->name == name && stack->depth == key->depth &&
           (key->depth == 0 || memcmp(stacks_frames(stacks, stack), key->frames,
                                      key->depth * sizeof key->frames[0]) == 0);
}

static struct stack *add_new(struct stacks *stacks, const struct stack_key *key)
{
    size_t frames = stacks->frames_count + key->depth;
    if (!GROW(stacks, all, capacity, stacks->count + 1, STACKS_MAX) ||
        !GROW(stacks, frames, frames_capacity, frames, STACKS_FRAMES_MAX))
        return NULL;
    if (key->depth > 0)
        memcpy(stacks->frames + stacks->frames_count, key->frames,
               key->depth * sizeof key->frames[0]);
    struct stack *stack = &stacks->all[stacks->count++];
    *stack = (struct stack){.first = stacks->frames_count, .depth = key->depth};
    stacks->frames_count = frames;
    return stack;
}

/* NULL: there is no room for it. */
static struct stack *find_or_add(struct stacks *stacks, const struct stack_key *key)
{
    uint32_t name;
    if (!intern_name(stacks, key->name, &name) || !grow_index(stacks))
        return NULL;
    uint32_t hash = hash_of(key, name);
    size_t at = hash & (stacks->slots - 1);
    for (; stacks->index[at] != 0; at = (at + 1) & (stacks->slots - 1)) {
        struct stack *stack = &stacks->all[stacks->index[at] - 1];
        if (is_same(stacks, stack, key, name, hash))
            return stack;
    }
    struct stack *stack = add_new(stacks, key);
    if (stack == NULL)
        return NULL;
    stack->hash = hash;
    stack->name = name;
    stacks->index[at] = (uint32_t)stacks->count;
    return stack;
}

void stacks_add(struct stacks *stacks, const struct stack_key *key,
                const uint64_t values[STACKS_VALUES])
{
    struct stack *stack = find_or_add(stacks, key);
    if (stack == NULL)
        stacks->lost += values[0];
    for (size_t i = 0; stack != NULL && i < STACKS_VALUES; i++)
        stack->values[i] += values[i];
}

void stacks_free(struct stacks *stacks)
{
    free(stacks->all);
    free(stacks->frames);
    free(stacks->names);
    free(stacks->index);
    *stacks = (struct stacks){0};
}
