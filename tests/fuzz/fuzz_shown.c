/* SPDX-License-Identifier: MIT
 *
 * Any bytes as what a program answers to srunctl: nothing that a terminal would obey is shown, and
 * what is looked up in JSON fits.
 */
#include "../../srunctl/srunctl.h"
#include "base/text.h"
#include "fuzz.h"

static void check_clean(const char *text, size_t size)
{
    ENSURE(text_utf8_until(text, size) == size);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        ENSURE((c >= ' ' && c != 0x7f) || c == '\n' || c == '\t');
        ENSURE(c != 0xc2 || (unsigned char)text[i + 1] >= 0xa0);
    }
}

/* A frame of a screen has the rows that it may have, each of which is emptied first. */
static void check_frame(const uint8_t *data, size_t size, unsigned rows)
{
    struct buf text = {0}, out = {0};
    buf_add(&text, data, size);
    show_text(&out, &text, rows);
    ENSURE(!out.failed);
    unsigned lines = 0;
    for (const char *at = out.data; at != NULL && (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    ENSURE(rows == 0 || lines <= rows);
    if (rows == 0 && out.size > 0)
        check_clean(out.data, out.size);
    buf_free(&out);
    buf_free(&text);
}

static void check_json(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"state", "pid", "error", "v"};
    struct buf text = {0};
    buf_add(&text, data, size);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char *small = malloc(4), *large = malloc(256);
        ENSURE(small != NULL && large != NULL);
        bool there = json_find(&text, keys[i], large, 256);
        ENSURE(!there || strlen(large) < 256);
        (void)json_find(&text, keys[i], small, 4);
        ENSURE(!there || strncmp(small, large, 3) == 0);
        free(small);
        free(large);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_frame(data, size, 0);
    check_frame(data, size, 3);
    check_json(data, size);
    return 0;
}
