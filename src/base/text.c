/* SPDX-License-Identifier: MIT
 *
 * UTF-8, quoting for errors, the nearest known name, lists of strings. Any thread. Never looks at
 * the locale.
 */
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- UTF-8 ----------------------------------------------------------------------------------- */

/* The bytes of a character by its first one; 0 for bytes that begin none. */
static size_t length_by(char first)
{
    unsigned char lead = (unsigned char)first;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0)
        return 3;
    return lead < 0xf5 ? 4 : 0;
}

static bool goes_on(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t text_rune(const char *text, size_t size, uint32_t *out)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = length_by(text[0]);

    *out = TEXT_NO_RUNE;
    if (length == 0 || length > size)
        return 1;
    uint32_t rune = (unsigned char)text[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++) {
        if (!goes_on(text[i]))
            return 1;
        rune = rune << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (rune < smallest[length] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
        return 1;
    *out = rune;
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
        uint32_t rune;
        at += text_rune(text + at, size - at, &rune);
        if (rune == TEXT_NO_RUNE || is_control(rune))
            return false;
    }
    return true;
}

size_t text_utf8_until(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t rune;
        size_t length = text_rune(text + at, size - at, &rune);
        if (rune == TEXT_NO_RUNE)
            return at;
        at += length;
    }
    return size;
}

size_t text_characters(const char *text, size_t size, uint32_t characters)
{
    size_t at = 0;
    if (size <= characters)
        return size;
    for (; at < size && characters > 0; characters--) {
        uint32_t rune;
        at += text_rune(text + at, size - at, &rune);
    }
    return at;
}

size_t text_whole(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++)
        if (!goes_on(text[size - back]))
            return length_by(text[size - back]) > back ? size - back : size;
    return size;
}

size_t text_fitting(const char *text, size_t size, size_t room)
{
    return size <= room ? size : text_whole(text, room);
}

void text_copy(char *out, size_t room, const char *text)
{
    size_t size = text_fitting(text, strnlen(text, room), room - 1);
    memcpy(out, text, size);
    out[size] = '\0';
}

/* --- shown, and as a name -------------------------------------------------------------------- */

const char *text_quote(char out[TEXT_QUOTE_MAX], const char *text)
{
    enum { ROOM = TEXT_QUOTE_MAX - 6 }; /* two quotes, three dots, the end */
    size_t size = strnlen(text, TEXT_QUOTE_MAX);
    size_t in = 0;
    size_t to = 0;
    out[to++] = '"';
    while (in < size) {
        uint32_t rune;
        size_t length = text_rune(text + in, size - in, &rune);
        bool shown = rune != TEXT_NO_RUNE && !is_control(rune);
        if (in + length > ROOM)
            break;
        if (shown)
            memcpy(out + to, text + in, length);
        else
            out[to] = '?';
        to += shown ? length : 1;
        in += length;
    }
    memcpy(out + to, in < size ? "...\"" : "\"", in < size ? 5 : 2);
    return out;
}

void text_clean(char *text, size_t size, const char *kept)
{
    for (size_t at = 0; at < size;) {
        uint32_t rune;
        size_t length = text_rune(text + at, size - at, &rune);
        bool stays = length == 1 && text[at] != '\0' && strchr(kept, text[at]) != NULL;
        if (!stays && (rune == TEXT_NO_RUNE || is_control(rune)))
            memset(text + at, '?', length);
        at += length;
    }
}

size_t text_file_name(char *out, size_t room, const char *text)
{
    size_t used = 0;
    for (; used < room - 1 && text[used] != '\0'; used++) {
        char c = text[used];
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || (c == '.' && used > 0);
        out[used] = safe ? c : '_';
    }
    out[used] = '\0';
    return used;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int text_percent(const char *text, size_t size)
{
    int high = size >= 3 && text[0] == '%' ? hex_digit(text[1]) : -1;
    int low = high >= 0 ? hex_digit(text[2]) : -1;
    return low >= 0 ? high << 4 | low : -1;
}

/* --- the nearest known name ------------------------------------------------------------------ */

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

/* --- lists ----------------------------------------------------------------------------------- */

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
