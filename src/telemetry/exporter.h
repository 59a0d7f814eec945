/* SPDX-License-Identifier: MIT
 *
 * An exporter for one signal over OTLP/HTTP or OTLP/gRPC: encodes a batch, sends it, tries again as
 * the OTLP specification says, and tells what became of it. The deadline of a call covers all of
 * it: name look-up, connect, TLS, the answer, every pause between two attempts.
 *
 * Counted are spans, log records and, of metrics, points. A receiver that asks to be left alone is
 * left alone: calls before that time lose their batch at once, unless they may wait for so long.
 * interrupt ends the call in flight, if there is one. After fork without exec the child's calls
 * lose their batch and touch nothing. Threads: interrupt any; the rest one at a time.
 */
#ifndef TELEMETRY_EXPORTER_H
#define TELEMETRY_EXPORTER_H

#include "telemetry/export.h"
#include "telemetry/transport.h"

enum telemetry_protocol { TELEMETRY_HTTP, TELEMETRY_GRPC };

struct telemetry_exporter_options {
    enum telemetry_protocol protocol;
    const char *endpoint; /* URL, host:port; NULL: http://localhost at OTLP's port */
    bool endpoint_as_is;  /* HTTP: the URL of this signal; else v1/traces etc. is appended */
    bool insecure;        /* host:port without TLS; a scheme beats it */
    bool gzip;
    const char *const *headers; /* name, value, ..., NULL; NULL: none */
    int64_t timeout_ms;         /* of a call; 0: 10 s; negative: the call's deadline alone */
    const char *ca_file, *cert_file, *key_file; /* PEM; NULL: the system's, none, none */
    const struct telemetry_resource *resource;  /* NULL: empty */
    size_t request_max, reply_max;              /* bytes; 0: 64 MiB and 4 MiB */
    const char *plugin;                         /* absolute path; NULL: the usual places */
    const struct transport_plugin *transport;   /* instead of the plugin, for tests */
};

/* All of the options is copied. 0; -EINVAL: endpoint, headers or files; -ELIBACC, -ELIBBAD: the
 * plugin; -ENOMEM. Free it by its own function. */
int telemetry_exporter_open(enum telemetry_signal signal,
                            const struct telemetry_exporter_options *options,
                            struct telemetry_exporter **out, srun_err *err);

#endif
