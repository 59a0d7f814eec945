/* SPDX-License-Identifier: MIT
 *
 * Where requests go: from what people write (a URL, host:port, nothing) to the URL of one signal.
 * PURE.
 */
#ifndef TELEMETRY_ENDPOINT_H
#define TELEMETRY_ENDPOINT_H

#include "base/buf.h"
#include "telemetry/export.h"

struct endpoint_wish {
    enum telemetry_signal signal;
    bool grpc;
    /* NULL or "": this machine, in clear text, at OTLP's port. http:// or https://, whose scheme
     * decides about TLS; or host[:port], where `insecure` does. */
    const char *text;
    bool as_is; /* HTTP: the URL of this signal, to which nothing is added but a missing "/" */
    bool insecure;
};

/* 0; -EINVAL: not such an endpoint, and why; -ENOMEM. */
int endpoint_url(struct buf *out, const struct endpoint_wish *wish, srun_err *err);

/* The URL without user and password, for logs. */
#define ENDPOINT_SHOWN_MAX 128
const char *endpoint_shown(char out[ENDPOINT_SHOWN_MAX], const char *url);

/* "traces", "metrics", "logs". */
const char *endpoint_signal(enum telemetry_signal signal);

#endif
