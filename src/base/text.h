/* SPDX-License-Identifier: MIT
 *
 * Text that came from people: characters of UTF-8, is it printable, how to show it in an error or
 * in the name of a file, which known name did they mean; and an owned, NULL-ended list of strings.
 * PURE but for the list's memory.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1 to max bytes of UTF-8 without control characters. */
bool text_printable(const char *text, size_t max);

/* The character at text (size >= 1): its value goes to *out. Returns the bytes it takes; 1 for a
 * byte that is no part of well-formed UTF-8, whose value is TEXT_NO_RUNE. */
#define TEXT_NO_RUNE UINT32_MAX
size_t text_rune(const char *text, size_t size, uint32_t *out);

/* The offset of the first byte that is not UTF-8, or size. */
size_t text_utf8_until(const char *text, size_t size);

/* The end of the first so many characters of UTF-8, which is not cut within one. A byte that is not
 * UTF-8 counts as one. */
size_t text_characters(const char *text, size_t size, uint32_t characters);

/* Of a text that was cut at its end, the size without the character that was cut in two. */
size_t text_whole(const char *text, size_t size);

/* The most of a text that has room, in bytes, not cut within a character. Bytes that are no UTF-8
 * may be cut anywhere. */
size_t text_fitting(const char *text, size_t size, size_t room);

/* Copies so much of the text as has room with its NUL. */
void text_copy(char *out, size_t room, const char *text);

/* The same as the name of a file, or a part of one: what is no letter, digit, - _ or . is a _, and
 * so is a . in front. Returns its size. */
size_t text_file_name(char *out, size_t room, const char *text);

/* The byte that %XX stands for; -1: these are not such three. Before a NUL nothing else is read, so
 * that a size of 3 will do for a text that has one. */
int text_percent(const char *text, size_t size);

/* In place: a ? for each byte of a control character, C1 as well, which a terminal may obey, and
 * for each that is not UTF-8; but for those in kept. */
void text_clean(char *text, size_t size, const char *kept);

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
