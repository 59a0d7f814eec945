/* SPDX-License-Identifier: MIT */
#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *file, int line, const char *function,
                             const char *condition)
{
    (void)fprintf(stderr, "libsrun: %s:%d: %s: broken invariant: %s\n", file, line, function,
                  condition);
    abort();
}
