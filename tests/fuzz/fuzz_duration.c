/* SPDX-License-Identifier: MIT
 *
 * Any text: what is read as a duration is written in a form that reads as the same duration.
 */
#include "base/duration.h"
#include "base/ensure.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Go's fractions pass through a double, which is exact up to here. */
#define EXACT (INT64_C(1) << 53)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    ENSURE(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';

    int64_t ns = 0;
    if (duration_parse(text, &ns) == 0) {
        char written[DURATION_TEXT_MAX];
        int64_t back = 0;
        ENSURE(duration_format(written, ns) == strlen(written));
        int rc = duration_parse(written, &back);
        /* The last microsecond of the range may round to the number behind it. */
        ENSURE(rc == 0 || ns > INT64_MAX - NS_PER_US || ns < INT64_MIN + NS_PER_US);
        ENSURE(rc < 0 || back == ns || ns > EXACT || ns < -EXACT);
    }
    free(text);
    return 0;
}
