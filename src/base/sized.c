/* SPDX-License-Identifier: MIT */
#include "base/sized.h"

#include <errno.h>
#include <string.h>

#define SIZE_SANE ((size_t)64 * 1024) /* a larger size was never filled in: do not read so far */

bool is_zero(const void *start, size_t size)
{
    const unsigned char *byte = start;
    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

int sized_copy(void *to, size_t known, size_t least, const void *from)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < least || size % sizeof(void *) != 0)
        return -EINVAL;
    if (size > SIZE_SANE || (size > known && !is_zero((const char *)from + known, size - known)))
        return -E2BIG;
    memset(to, 0, known);
    memcpy(to, from, size < known ? size : known);
    memcpy(to, &known, sizeof known);
    return 0;
}
