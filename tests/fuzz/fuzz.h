/* SPDX-License-Identifier: MIT
 *
 * What a fuzz target defines; replay.c and libFuzzer call it. It answers 0, and aborts on a fault.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/ensure.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a text of its very size, for the sanitizer. Owned. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    ENSURE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* The value of the line "NAME=value", or NULL: an environment, as a text that is cut into lines.
 * Owned. */
static inline char *fuzz_variable(const char *lines, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = lines; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (size > length && memcmp(line, name, length) == 0 && line[length] == '=')
            return fuzz_text((const uint8_t *)line + length + 1, size - length - 1);
        line += size + (line[size] != '\0');
    }
    return NULL;
}

#endif
