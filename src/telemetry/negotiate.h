/* SPDX-License-Identifier: MIT
 *
 * Which format of /metrics a client gets, by its Accept header: OpenMetrics when it ranks higher
 * than text, as Prometheus asks for it. PURE.
 */
#ifndef TELEMETRY_NEGOTIATE_H
#define TELEMETRY_NEGOTIATE_H

#include <stdbool.h>

struct negotiated {
    bool openmetrics;
    char type[96]; /* the Content-Type */
};

/* accept NULL, or nothing in it that we have: text 0.0.4, which everybody reads. */
void negotiate(const char *accept, struct negotiated *out);

#endif
