/* SPDX-License-Identifier: MIT
 *
 * The configuration file from bytes. Whatever comes: no crash, no leak, an error names the file,
 * and what was accepted is in range.
 */
#include "config_file.h"
#include "knobs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    srun_err err = {0};
    if (config_init(&config, NULL, &err) < 0)
        abort();
    int rc = config_file_parse(&config, (const char *)data, size, "f.yaml", &err);
    if (rc < 0 && (rc != SRUN_EUSAGE || strncmp(err.text, "f.yaml:", 7) != 0))
        abort();

    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    for (size_t i = 0; i < count; i++) {
        char text[KNOB_TEXT_MAX];
        if (knob_text(&knobs[i], &config, text)[0] == '?')
            abort();
    }
    config_free(&config);
    return 0;
}
