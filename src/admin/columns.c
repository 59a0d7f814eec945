/* SPDX-License-Identifier: MIT */
#include "admin/columns.h"

#include "base/ensure.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

/* The size of the character at text, which is UTF-8; 0: it must not be shown as it is. */
static size_t printable_size(const char *text)
{
    unsigned char lead = (unsigned char)text[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char one[5] = {0};
    memcpy(one, text, size);
    return text_printable(one, size) ? size : 0;
}

/* Characters that turn the reading direction, or that take no room, could show one name as another.
 * U+200B..200F, U+202A..202E, U+2060..206F, U+FEFF. */
static bool is_invisible(const char *text, size_t size)
{
    if (size != 3)
        return false;
    const unsigned char *c = (const unsigned char *)text;
    unsigned rune = (c[0] & 0xfU) << 12 | (c[1] & 0x3fU) << 6 | (c[2] & 0x3fU);
    return (rune >= 0x200b && rune <= 0x200f) || (rune >= 0x202a && rune <= 0x202e) ||
           (rune >= 0x2060 && rune <= 0x206f) || rune == 0xfeff;
}

/* Text that is UTF-8. */
static size_t add_valid(struct buf *out, const char *text, size_t size)
{
    size_t width = 0;
    for (size_t at = 0; at < size; width++) {
        size_t length = printable_size(text + at);
        if (length > 0 && !is_invisible(text + at, length)) {
            buf_add(out, text + at, length);
        } else {
            buf_text(out, "?");
            unsigned char lead = (unsigned char)text[at];
            length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 3; /* none of four bytes is hidden */
        }
        at += length;
    }
    return width;
}

size_t columns_plain(struct buf *out, const char *text)
{
    size_t left = strlen(text), width = 0;
    for (;;) {
        size_t valid = text_utf8_until(text, left);
        width += add_valid(out, text, valid);
        if (valid == left)
            return width;
        buf_text(out, "?");
        width++;
        text += valid + 1;
        left -= valid + 1;
    }
}

void columns_add(struct columns *columns, const char *text)
{
    ENSURE(columns->count > 0);
    size_t width = columns_plain(&columns->text, text[0] != '\0' ? text : "-");
    buf_add(&columns->text, "", 1); /* its NUL */
    size_t at = columns->cells++ % columns->count;
    if (width > columns->widths[at])
        columns->widths[at] = width;
}

void columns_heads(struct columns *columns, const char *heads)
{
    columns->count = 1;
    for (const char *c = heads; *c != '\0'; c++)
        columns->count += *c == '|';
    ENSURE(columns->count <= COLUMNS_MAX && columns->cells == 0);
    for (size_t i = 0; i < columns->count; i++) {
        char head[32] = "";
        columns->right[i] = *heads == '>';
        heads += columns->right[i];
        size_t size = strcspn(heads, "|");
        ENSURE(size < sizeof head);
        memcpy(head, heads, size);
        columns_add(columns, head);
        heads += size + 1;
    }
}

void columns_addf(struct columns *columns, const char *format, ...)
{
    auto_buf struct buf text = {0};
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    columns->text.failed |= text.failed;
    columns_add(columns, text.data != NULL ? text.data : "");
}

/* Characters of text that is UTF-8. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void pad(struct buf *out, size_t count)
{
    for (; count > 0; count--)
        buf_add(out, " ", 1);
}

void columns_write(struct columns *columns, struct buf *out)
{
    while (columns->cells % columns->count != 0)
        columns_add(columns, "");
    out->failed |= columns->text.failed;
    const char *cell = columns->text.data;
    for (size_t i = 0; i < columns->cells && !out->failed; i++) {
        size_t at = i % columns->count, gap = columns->widths[at] - width_of(cell);
        bool last = at + 1 == columns->count;
        if (columns->right[at])
            pad(out, gap);
        buf_text(out, cell);
        if (!columns->right[at] && !last)
            pad(out, gap);
        buf_text(out, last ? "\n" : "  ");
        cell += strlen(cell) + 1;
    }
}

void columns_free(struct columns *columns)
{
    buf_free(&columns->text);
}
