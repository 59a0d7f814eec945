/* SPDX-License-Identifier: MIT
 *
 * Who this process is, for everything that leaves it: OpenTelemetry's resource. Made before the
 * start, read-only afterwards.
 */
#ifndef RESOURCE_H
#define RESOURCE_H

#include "telemetry/export.h"
#include "telemetry/otelenv.h"

struct resource {
    struct telemetry_resource shown;
    struct srun_kv *attributes;
    char instance[37]; /* a UUID, a new one in each process image */
    char host[256], executable[256];
    char *name, *version;
    struct otelenv *env; /* its texts; owned */
};

/* What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say stands above what is found out here, but
 * for telemetry.sdk.*. Takes env over. 0 or -ENOMEM; free it in any case. */
int resource_make(struct resource *resource, const char *name, const char *version,
                  struct otelenv *env);
void resource_free(struct resource *resource);

#endif
