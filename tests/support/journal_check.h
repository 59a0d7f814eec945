/* SPDX-License-Identifier: MIT
 *
 * Reads an entry of the journal's native protocol, and takes nothing that a strict reader would
 * not: names are [A-Z][A-Z0-9_]*, of at most 64 bytes; only the binary form holds control bytes.
 */
#ifndef TESTS_JOURNAL_CHECK_H
#define TESTS_JOURNAL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct journal_field {
    const char *name, *value;
    size_t name_size, size;
    bool binary;
};

static inline bool journal_name(const char *name, size_t size)
{
    if (size == 0 || size > 64 || name[0] < 'A' || name[0] > 'Z')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!((name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '_'))
            return false;
    return true;
}

static inline bool journal_binary(const char **at, const char *end, struct journal_field *out)
{
    uint64_t size = 0;
    if (end - *at < 9)
        return false;
    for (int i = 0; i < 8; i++)
        size |= (uint64_t)(unsigned char)(*at)[i] << (8 * i);
    *at += 8;
    if (size >= (uint64_t)(end - *at) || (*at)[size] != '\n')
        return false;
    out->value = *at;
    out->size = (size_t)size;
    out->binary = true;
    *at += size + 1;
    return true;
}

static inline bool journal_plain(const char **at, const char *end, struct journal_field *out)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    if (newline == NULL)
        return false;
    out->value = *at;
    out->size = (size_t)(newline - *at);
    for (size_t i = 0; i < out->size; i++)
        if ((unsigned char)out->value[i] < ' ')
            return false;
    *at = newline + 1;
    return true;
}

/* The next field; false at the end, and, with *bad set, where it is no entry. */
static inline bool journal_next(const char **at, const char *end, struct journal_field *out,
                                bool *bad)
{
    *out = (struct journal_field){.name = *at};
    if (*at == end)
        return false;
    while (*at < end && **at != '=' && **at != '\n')
        (*at)++;
    out->name_size = (size_t)(*at - out->name);
    bool good = *at < end && journal_name(out->name, out->name_size);
    bool binary = good && **at == '\n';
    *at += good;
    good = good && (binary ? journal_binary(at, end, out) : journal_plain(at, end, out));
    *bad = *bad || !good;
    return good;
}

/* How often the field stands in the entry; the last one is filled in. -1: it is no entry. */
static inline int journal_find(const char *data, size_t size, const char *name,
                               struct journal_field *out)
{
    int found = 0;
    bool bad = false;
    struct journal_field field;
    for (const char *at = data; journal_next(&at, data + size, &field, &bad);)
        if (field.name_size == strlen(name) && memcmp(field.name, name, field.name_size) == 0) {
            *out = field;
            found++;
        }
    return bad ? -1 : found;
}

#endif
