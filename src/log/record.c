/* SPDX-License-Identifier: MIT
 *
 * What both encoders need of a record's values. PURE: any thread.
 */
#include "log/record.h"

#include "base/number.h"

#include <limits.h>
#include <srun/error.h>
#include <string.h>

size_t record_errno_text(char out[ERRNO_TEXT_MAX], int64_t code)
{
    const char *unnamed = srun_strerror(INT_MIN);
    const char *text = code > INT_MIN && code <= INT_MAX ? srun_strerror((int)code) : unnamed;
    size_t size = strnlen(text, ERRNO_TEXT_MAX - NUMBER_MAX - 1);

    memcpy(out, text, size);
    if (strcmp(text, unnamed) != 0)
        return size;
    out[size++] = ' ';
    return size + number_int(out + size, code);
}
