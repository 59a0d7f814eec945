/* SPDX-License-Identifier: MIT
 *
 * Any bytes as call frame information: rows come out in order, or none do.
 */
#include "base/ensure.h"
#include "fuzz.h"
#include "profile/cfi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cfi_section section = {
        .data = data, .size = size, .address = 0x401000, .base = 0x400000};
    struct cfi_rows rows = {0};
    cfi_read(&section, &rows);
    for (size_t i = 1; i < rows.count; i++)
        ENSURE(rows.all[i - 1].at < rows.all[i].at);
    for (size_t i = 0; i < rows.count; i++)
        ENSURE(cfi_find(rows.all, rows.count, rows.all[i].at) == &rows.all[i]);
    cfi_free(&rows);
    return 0;
}
