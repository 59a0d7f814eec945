/* SPDX-License-Identifier: MIT
 *
 * Any text: a password within it, between two blanks, is not shown, whatever stands around it; what
 * is shown fits, and can be printed on one line.
 */
#include "admin/columns.h"
#include "admin/redact.h"
#include "base/ensure.h"
#include "base/text.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define INPUT_MAX ((size_t)4096)

static const char *const plants[] = {" password=hunter2 ", " x://user:hunter2@host/ ",
                                     " --token hunter2 ", " {\"secret\":\"hunter2\"} ",
                                     " Authorization: Bearer hunter2 "};

static char *join(const uint8_t *data, size_t size, size_t at, const char *plant)
{
    size_t length = strlen(plant);
    char *text = malloc(size + length + 1);
    ENSURE(text != NULL);
    memcpy(text, data, at);
    memcpy(text + at, plant, length);
    memcpy(text + at + length, data + at, size - at);
    text[size + length] = '\0';
    return text;
}

static void check_shown(const char *text)
{
    struct buf out = {0};
    size_t width = columns_plain(&out, text);
    ENSURE(!out.failed && width <= strlen(text));
    ENSURE(out.size == 0 || text_printable(out.data, out.size));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_MAX)
        return 0;
    const char *plant = plants[data[0] % (sizeof plants / sizeof plants[0])];
    data++;
    size--;
    char *text = join(data, size, size / 2, plant);
    size_t room = 3 * strlen(text) + 1;
    char *out = malloc(room), small[16];
    ENSURE(out != NULL);

    redact_text(out, room, text);
    ENSURE(strlen(out) < room);
    ENSURE(memmem(data, size, "hunter2", 7) != NULL || strstr(out, "hunter2") == NULL);
    check_shown(out);
    check_shown(text);
    redact_text(small, sizeof small, text);
    ENSURE(strlen(small) < sizeof small && strncmp(small, out, strlen(small)) == 0);

    free(out);
    free(text);
    return 0;
}
