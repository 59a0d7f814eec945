/* SPDX-License-Identifier: MIT */
#include "admin/metrics.h"

#include "base/parse.h"

#include <math.h>
#include <string.h>

int metrics_write(struct buf *out, struct admin *admin, const char *accept,
                  char type[METRICS_TYPE_MAX])
{
    const struct admin_host *host = admin_host(admin);
    memcpy(type, METRICS_TYPE, sizeof METRICS_TYPE);
    return host->metrics != NULL ? host->metrics(host->runner, accept, out, type, METRICS_TYPE_MAX)
                                 : 0;
}

/* What cannot be read is no number. */
static double read_value(const char *text, size_t size)
{
    char copy[64] = "";
    double value = NAN;
    if (size < sizeof copy)
        memcpy(copy, text, size);
    return parse_double(copy, &value) == 0 ? value : NAN;
}

/* A label's value may hold anything but a line break, so the value of the metric is what stands
 * behind the last space. */
bool metrics_next(const char **at, struct metrics_line *out)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t size = strcspn(line, "\n");
        *at = line + size + (line[size] == '\n');
        const char *space = memrchr(line, ' ', size);
        if (line[0] == '#' || space == NULL)
            continue;
        size_t name = (size_t)(space - line);
        *out = (struct metrics_line){line, name, read_value(space + 1, size - name - 1)};
        return true;
    }
    return false;
}
