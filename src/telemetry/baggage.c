/* SPDX-License-Identifier: MIT */
#include "telemetry/baggage.h"

#include "base/text.h"

#include <string.h>

struct piece {
    const char *at;
    size_t size;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct piece trimmed(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    while (at < end && is_space(end[-1]))
        end--;
    return (struct piece){at, (size_t)(end - at)};
}

/* Takes what stands before the first separator from the front of rest. */
static struct piece take_until(struct piece *rest, char separator)
{
    const char *end = rest->at + rest->size, *found = memchr(rest->at, separator, rest->size);
    struct piece taken = trimmed(rest->at, found != NULL ? found : end);
    *rest = found != NULL ? (struct piece){found + 1, (size_t)(end - found - 1)}
                          : (struct piece){end, 0};
    return taken;
}

bool baggage_is_key(const char *key, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = key[i];
        if (c <= ' ' || c > '~' || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return size > 0;
}

static bool plain(char c)
{
    return c > ' ' && c <= '~' && strchr("\",;\\", c) == NULL;
}

static bool is_value(struct piece value)
{
    const char *end = value.at + value.size;
    for (const char *at = value.at; at < end; at++)
        if (!plain(*at) || (*at == '%' && text_percent(at, (size_t)(end - at)) < 0))
            return false;
    return true;
}

static bool is_property(struct piece property)
{
    struct piece rest = property, key = take_until(&rest, '=');
    bool alone = memchr(property.at, '=', property.size) == NULL;
    return baggage_is_key(key.at, key.size) &&
           (alone || is_value(trimmed(rest.at, rest.at + rest.size)));
}

bool baggage_is_metadata(const char *text, size_t size)
{
    struct piece rest = {text, size};
    for (;;) {
        bool last = memchr(rest.at, ';', rest.size) == NULL;
        if (!is_property(take_until(&rest, ';')))
            return false;
        if (last)
            return true;
    }
}

size_t baggage_find(const struct baggage *baggage, const char *key, size_t size)
{
    size_t i = 0;
    while (i < baggage->count && (baggage->members[i].key_size != size ||
                                  memcmp(baggage->members[i].key, key, size) != 0))
        i++;
    return i;
}

void baggage_remove(struct baggage *baggage, size_t at)
{
    if (at >= baggage->count)
        return;
    baggage->count--;
    memmove(&baggage->members[at], &baggage->members[at + 1],
            (baggage->count - at) * sizeof baggage->members[0]);
}

static void add_member(struct baggage *baggage, struct piece member)
{
    struct piece rest = member, pair = take_until(&rest, ';');
    bool bare = memchr(member.at, ';', member.size) == NULL;
    struct piece value = pair, key = take_until(&value, '=');
    bool has_value = memchr(pair.at, '=', pair.size) != NULL;
    value = trimmed(value.at, value.at + value.size);
    struct piece metadata = trimmed(rest.at, rest.at + rest.size);
    if (!has_value || !baggage_is_key(key.at, key.size) || !is_value(value) ||
        (!bare && !baggage_is_metadata(metadata.at, metadata.size)))
        return;
    size_t at = baggage_find(baggage, key.at, key.size);
    if (at == SRUN_BAGGAGE_MEMBERS) {
        baggage->too_much = true;
        return;
    }
    baggage->count += at == baggage->count;
    baggage->members[at] =
        (struct baggage_member){key.at, value.at, metadata.at, key.size, value.size, metadata.size};
}

void baggage_add(struct baggage *baggage, const char *text, size_t size)
{
    struct piece rest = {text, size};
    if (size > SRUN_BAGGAGE_MAX)
        baggage->too_much = true;
    for (size_t seen = 0; !baggage->too_much && rest.size > 0;) {
        struct piece member = take_until(&rest, ',');
        if (member.size == 0)
            continue;
        baggage->too_much = ++seen > SRUN_BAGGAGE_MEMBERS;
        add_member(baggage, member);
    }
}

/* --- values ---------------------------------------------------------------------------------- */

static size_t decode_raw(const struct baggage_member *member, char out[SRUN_BAGGAGE_MAX])
{
    const char *at = member->value, *end = at + member->value_size;
    size_t size = 0;
    while (at < end) {
        int byte = text_percent(at, (size_t)(end - at));
        out[size++] = byte >= 0 ? (char)byte : *at;
        at += byte >= 0 ? 3 : 1;
    }
    return size;
}

static void put(char *out, size_t capacity, size_t *at, const char *data, size_t size)
{
    if (size > 0 && *at + size < capacity)
        memcpy(out + *at, data, size);
    *at += size;
}

size_t baggage_decode(const struct baggage_member *member, char *out, size_t size)
{
    char raw[SRUN_BAGGAGE_MAX];
    size_t left = decode_raw(member, raw), length = 0;
    const char *at = raw;
    while (left > 0) {
        size_t good = text_utf8_until(at, left);
        const char *nul = memchr(at, '\0', good); /* cannot stand in a text of C */
        good = nul != NULL ? (size_t)(nul - at) : good;
        put(out, size, &length, at, good);
        if (good < left) {
            put(out, size, &length, "\xef\xbf\xbd", 3);
            good++;
        }
        at += good;
        left -= good;
    }
    if (size > 0)
        out[length < size ? length : 0] = '\0';
    return length;
}

size_t baggage_encode(const char *value, char *out, size_t capacity)
{
    size_t size = 0;
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        bool as_is = plain(*value) && c != '%';
        if (size + (as_is ? 1 : 3) > capacity)
            return capacity + 1;
        if (as_is) {
            out[size++] = *value;
            continue;
        }
        out[size++] = '%';
        out[size++] = "0123456789ABCDEF"[c >> 4];
        out[size++] = "0123456789ABCDEF"[c & 15];
    }
    return size;
}

size_t baggage_text(const struct baggage *baggage, char out[SRUN_BAGGAGE_MAX + 1])
{
    size_t size = 0, capacity = SRUN_BAGGAGE_MAX + 1;
    for (size_t i = 0; i < baggage->count; i++) {
        const struct baggage_member *member = &baggage->members[i];
        put(out, capacity, &size, ",", i > 0);
        put(out, capacity, &size, member->key, member->key_size);
        put(out, capacity, &size, "=", 1);
        put(out, capacity, &size, member->value, member->value_size);
        put(out, capacity, &size, ";", member->metadata_size > 0);
        put(out, capacity, &size, member->metadata, member->metadata_size);
    }
    size = baggage->too_much || size > SRUN_BAGGAGE_MAX ? 0 : size;
    out[size] = '\0';
    for (char *tab = out; (tab = strchr(tab, '\t')) != NULL;)
        *tab = ' '; /* blanks of metadata: what is sent on can be printed */
    return size;
}
