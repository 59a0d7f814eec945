/* SPDX-License-Identifier: MIT
 *
 * Printable text, quoting for errors, the nearest known name, lists of strings. Any thread. Never
 * looks at the locale.
 */
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The length of the character at p, 0 when it is not UTF-8. Its value goes to *rune. */
static size_t decode(const unsigned char *p, size_t size, uint32_t *rune)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (length == 0 || length > size || p[0] > 0xf4)
        return 0;

    uint32_t value = length == 1 ? p[0] : p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3fU);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < smallest[length] || value > 0x10ffff || surrogate)
        return 0;
    *rune = value;
    return length;
}

static bool is_control(uint32_t rune)
{
    return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || rune == 0x2028 || rune == 0x2029;
}

bool text_printable(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);
    if (size == 0 || size > max)
        return false;
    for (size_t at = 0; at < size;) {
        uint32_t rune = 0;
        size_t length = decode((const unsigned char *)text + at, size - at, &rune);
        if (length == 0 || is_control(rune))
            return false;
        at += length;
    }
    return true;
}

size_t text_utf8_until(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t rune = 0;
        size_t length = decode((const unsigned char *)text + at, size - at, &rune);
        if (length == 0)
            return at;
        at += length;
    }
    return size;
}

const char *text_quote(char out[TEXT_QUOTE_MAX], const char *text)
{
    enum { ROOM = TEXT_QUOTE_MAX - 6 }; /* two quotes, three dots, the end */
    size_t size = strnlen(text, TEXT_QUOTE_MAX);
    size_t in = 0;
    size_t to = 0;
    out[to++] = '"';
    while (in < size) {
        uint32_t rune = 0;
        size_t length = decode((const unsigned char *)text + in, size - in, &rune);
        bool shown = length > 0 && !is_control(rune);
        if (in + (length > 0 ? length : 1) > ROOM)
            break;
        if (shown)
            memcpy(out + to, text + in, length);
        else
            out[to] = '?';
        to += shown ? length : 1;
        in += length > 0 ? length : 1;
    }
    memcpy(out + to, in < size ? "...\"" : "\"", in < size ? 5 : 2);
    return out;
}

#define DISTANCE_MAX 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to add, drop, change, or swap with their neighbour. */
static size_t distance(const char *from, const char *to)
{
    size_t rows = strnlen(from, DISTANCE_MAX + 1);
    size_t columns = strnlen(to, DISTANCE_MAX + 1);
    if (rows > DISTANCE_MAX || columns > DISTANCE_MAX)
        return SIZE_MAX;

    size_t cost[3][DISTANCE_MAX + 1] = {0};
    for (size_t c = 0; c <= columns; c++)
        cost[0][c] = c;
    for (size_t r = 1; r <= rows; r++) {
        size_t *now = cost[r % 3];
        const size_t *above = cost[(r + 2) % 3];
        now[0] = r;
        for (size_t c = 1; c <= columns; c++) {
            size_t change = above[c - 1] + (from[r - 1] != to[c - 1]);
            now[c] = least(change, least(above[c], now[c - 1]) + 1);
            if (r > 1 && c > 1 && from[r - 1] == to[c - 2] && from[r - 2] == to[c - 1])
                now[c] = least(now[c], cost[(r + 1) % 3][c - 2] + 1);
        }
    }
    return cost[rows % 3][columns];
}

void text_nearest_offer(struct text_nearest *nearest, const char *name)
{
    size_t far = distance(nearest->word, name);
    size_t shorter = least(strnlen(nearest->word, DISTANCE_MAX), strnlen(name, DISTANCE_MAX));
    if (far > 1 + shorter / 4 || far >= shorter)
        return;
    if (nearest->best == NULL || far < nearest->distance) {
        nearest->best = name;
        nearest->distance = far;
    }
}

size_t text_characters(const char *text, size_t size, uint32_t characters)
{
    size_t at = 0;
    if (size <= characters)
        return size;
    for (; at < size && characters > 0; characters--) {
        uint32_t rune = 0;
        size_t length = decode((const unsigned char *)text + at, size - at, &rune);
        at += length > 0 ? length : 1;
    }
    return at;
}

static bool goes_on(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t text_fitting(const char *text, size_t size, size_t room)
{
    size_t at = room, least = room > 3 ? room - 3 : 0; /* a character has four bytes at most */
    if (size <= room)
        return size;
    while (at > least && goes_on(text[at]))
        at--;
    return goes_on(text[at]) ? room : at;
}

static int grow(struct text_list *list)
{
    size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
    char **items = realloc(list->items, capacity * sizeof *items);
    if (items == NULL)
        return -ENOMEM;
    list->items = items;
    list->capacity = capacity;
    return 0;
}

int text_list_add(struct text_list *list, const char *text)
{
    if (list->count + 1 >= list->capacity && grow(list) < 0)
        return -ENOMEM;
    char *copy = strdup(text);
    list->items[list->count] = copy; /* NULL ends the list, as it must */
    if (copy == NULL)
        return -ENOMEM;
    list->items[++list->count] = NULL;
    return 0;
}

void text_list_free(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}
