/* SPDX-License-Identifier: MIT */
#include "admin/metrics.h"

#include <stdlib.h>
#include <string.h>

int metrics_write(struct buf *out, struct admin *admin, const char *accept,
                  char type[METRICS_TYPE_MAX])
{
    const struct admin_host *host = admin_host(admin);
    memcpy(type, METRICS_TYPE, sizeof METRICS_TYPE);
    return host->metrics != NULL ? host->metrics(host->runner, accept, out, type, METRICS_TYPE_MAX)
                                 : 0;
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
        *out = (struct metrics_line){line, (size_t)(space - line), strtod(space + 1, NULL)};
        return true;
    }
    return false;
}
