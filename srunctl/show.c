/* SPDX-License-Identifier: MIT
 *
 * What reaches the terminal. The text comes from a program that may be broken, or repeat what its
 * clients sent: nothing in it may move the cursor, and colours are ours alone.
 */
#include "base/text.h"
#include "srunctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OURS "\n\t" /* control characters that are shown */

static const struct {
    const char *word, *colour;
} colours[] = {
    {"RUNNING", "32"},       {"healthy", "32"},  {"running", "32"},   {"serving", "32"},
    {"[+]", "32"},           {"STARTING", "33"}, {"INITIATED", "33"}, {"INITIATING", "33"},
    {"SHUTTING_DOWN", "33"}, {"degraded", "33"}, {"draining", "33"},  {"withdrawn", "33"},
    {"starting", "33"},      {"stopping", "33"}, {"unhealthy", "31"}, {"failed", "31"},
    {"stuck", "31"},         {"[-]", "31"},
};

int fail(int code, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut to fit */
    va_end(arguments);
    text_clean(text, strlen(text), OURS);
    for (char *end = strchr(text, '\n'); end != NULL; end = strchr(end, '\n'))
        *end = ' ';
    (void)fflush(stdout);
    fprintf(stderr, "srunctl: %s\n", text);
    return code;
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

/* A line that ends with a line break or NUL. */
static void add_in_colour(struct buf *out, const char *text, size_t size)
{
    for (size_t length; size > 0; text += length, size -= length) {
        const char *colour = NULL;
        length = *text == '[' ? 3 : strcspn(text, " ,;:()\n");
        length = length == 0 ? 1 : length < size ? length : size;
        for (size_t i = 0; i < sizeof colours / sizeof colours[0] && colour == NULL; i++)
            if (strlen(colours[i].word) == length && memcmp(colours[i].word, text, length) == 0)
                colour = colours[i].colour;
        if (colour != NULL)
            buf_printf(out, "\033[%sm%.*s\033[m", colour, (int)length, text);
        else
            buf_add(out, text, length);
    }
}

void show_text(struct buf *out, struct buf *text, unsigned rows)
{
    bool colour = wants_colour();
    out->failed |= text->failed;
    if (text->failed)
        return;
    text_clean(text->data, text->size, OURS);
    const char *line = text->data, *all = line + text->size;
    for (unsigned row = 0; line < all && (rows == 0 || row < rows); row++) {
        size_t size = strcspn(line, "\n");
        if (colour)
            add_in_colour(out, line, size);
        else
            buf_add(out, line, size);
        buf_text(out, rows > 0 ? "\n\033[K" : "\n"); /* each line is emptied before it is written */
        line += size + 1;
    }
}

int show_print(struct buf *text, bool json)
{
    auto_buf struct buf out = {0};
    if (!json)
        show_text(&out, text, 0);
    else if (isatty(STDOUT_FILENO))
        text_clean(text->data, text->size, OURS);
    const struct buf *shown = json ? text : &out;
    if (shown->failed)
        return fail(NO, "out of memory");
    if (fwrite(shown->data, 1, shown->size, stdout) != shown->size || fflush(stdout) != 0)
        return fail(NO, "standard output: %m");
    return YES;
}

bool json_find(const struct buf *json, const char *key, char *out, size_t size)
{
    char quoted[64]; /* inside a text a quote has a backslash, so this is a key */
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = json->data != NULL ? strstr(json->data, quoted) : NULL;
    if (at == NULL)
        return false;
    at += strlen(quoted);
    at += strspn(at, " ");
    bool text = *at == '"';
    size_t length = 0;
    for (at += text; *at != '\0' && length + 1 < size; at++) {
        if (text ? *at == '"' : strchr(",}] \n", *at) != NULL)
            break;
        if (*at == '\\' && at[1] != '\0') {
            at++;
            out[length++] = strchr("\"\\/", *at) != NULL ? *at : '?';
        } else {
            out[length++] = *at;
        }
    }
    out[length] = '\0';
    return text || strcmp(out, "null") != 0;
}
