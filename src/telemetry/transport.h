/* SPDX-License-Identifier: MIT
 *
 * What stands between libsrun and libsrun-otlp.so.0, the plugin that knows HTTP, TLS and gzip:
 * bytes go out, a reply comes back. The plugin knows no telemetry, libsrun no libcurl. Both come
 * from one build: another version of the plugin is refused.
 */
#ifndef TELEMETRY_TRANSPORT_H
#define TELEMETRY_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPORT_SYMBOL "srun_otlp_plugin"

struct transport_options {
    const char *url; /* of the request: scheme, host, path */
    bool grpc;       /* frames, trailers, HTTP/2; else plain HTTP */
    bool gzip;
    const char *const *headers; /* name, value, ..., NULL; checked; NULL: none */
    const char *user_agent;
    const char *ca_file, *cert_file, *key_file; /* NULL or "": the system's, none */
    size_t reply_max;                           /* of a body, in bytes */
    const atomic_bool *interrupted;             /* lives as long as the transport */
};

/* What became of one attempt. Text and data are the transport's, until the next attempt. */
struct transport_reply {
    /* 0: the server answered in full. Else a negative errno: -ETIMEDOUT (the deadline), -ECANCELED
     * (interrupted), -EMSGSIZE (the reply is too big), -EPROTO and others (no answer). */
    int code;
    bool again; /* with a code: another attempt may do better */
    char text[160];
    int http_status;
    int grpc_status;                                       /* -1: the server named none */
    const char *grpc_message, *grpc_details, *retry_after; /* as they came; "" when not there */
    const unsigned char *body;                             /* gRPC: the frame is taken off */
    size_t size;
};

struct transport {
    /* What the next attempts send; borrowed until the next load. 0, -ENOMEM. */
    int (*load)(struct transport *transport, const void *body, size_t size);
    /* One attempt, which ends by the deadline of the monotonic clock whatever the other side does,
     * and at once when `interrupted` is set and wake called. */
    void (*attempt)(struct transport *transport, int64_t deadline_ns, struct transport_reply *out);
    /* From any thread: the attempt in flight is to look at `interrupted`. */
    void (*wake)(struct transport *transport);
    /* No call is in flight. */
    void (*free)(struct transport *transport);
};

struct transport_plugin {
    size_t size;         /* of this struct */
    const char *version; /* SRUN_VERSION_TEXT of its build */
    /* 0 or a negative errno and the reason. Options are copied. */
    int (*open)(const struct transport_options *options, struct transport **out, char *text,
                size_t text_size);
};

#endif
