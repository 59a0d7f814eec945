/* SPDX-License-Identifier: MIT
 *
 * Text that came from people: is it printable, how to show it in an error, which known name did
 * they mean; and an owned, NULL-ended list of strings. PURE but for the list's memory.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1 to max bytes of UTF-8 without control characters. */
bool text_printable(const char *text, size_t max);

/* The offset of the first byte that is not UTF-8, or size. */
size_t text_utf8_until(const char *text, size_t size);

/* The end of the first so many characters of UTF-8, which is not cut within one. A byte that is not
 * UTF-8 counts as one. */
size_t text_characters(const char *text, size_t size, uint32_t characters);

/* The most of a text that has room, in bytes, not cut within a character. Bytes that are no UTF-8
 * may be cut anywhere. */
size_t text_fitting(const char *text, size_t size, size_t room);

/* The text in quotes for an error line: cut when long, with ? for what cannot be printed. */
#define TEXT_QUOTE_MAX 64
const char *text_quote(char out[TEXT_QUOTE_MAX], const char *text);

/* The known name that is nearest to a mistyped word: {.word = w}, offer each, read best, which
 * stays NULL when nothing comes near. */
struct text_nearest {
    const char *word, *best;
    size_t distance;
};
void text_nearest_offer(struct text_nearest *nearest, const char *name);

struct text_list {
    char **items; /* NULL until the first; NULL-ended */
    size_t count, capacity;
};
/* 0 or -ENOMEM; the text is copied. */
int text_list_add(struct text_list *list, const char *text);
void text_list_free(struct text_list *list);

#endif
