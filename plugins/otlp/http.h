/* SPDX-License-Identifier: MIT
 *
 * The plugin libsrun-otlp.so.0: one attempt of OTLP/HTTP or OTLP/gRPC by libcurl. What an attempt
 * means, and whether to try again, is libsrun's business.
 *
 *   plugin.c   what libsrun sees: opening and freeing
 *   payload.c  the body: gzip, gRPC's frame
 *   attempt.c  the request, the reply, the deadline
 *
 * Threads: wake any; the rest one at a time.
 */
#ifndef OTLP_HTTP_H
#define OTLP_HTTP_H

#include "base/buf.h"
#include "telemetry/transport.h"

#include <curl/curl.h>
#include <zlib.h>

#define FRAME_HEAD 5 /* gRPC: compressed?, four bytes of length */

/* What stood in the head of the reply, or in its trailers. */
struct http_head {
    size_t size;   /* of all lines */
    bool complete; /* up to its empty line */
    int grpc_status;
    char retry_after[64];
    char grpc_message[512];
    char grpc_details[10240];
};

struct http {
    struct transport face;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *fields; /* of every request */
    bool grpc, gzip;
    bool fresh;  /* the last attempt failed: no more of its connection */
    bool single; /* a connection serves one request only */
    z_stream deflate;
    bool deflates; /* it was initialised */
    struct buf packed;
    const void *body; /* what is sent: packed, or the caller's */
    size_t size;
    size_t reply_max;
    struct buf reply;
    bool reply_too_big;
    struct http_head head;
    const atomic_bool *interrupted;
    char error[CURL_ERROR_SIZE];
};

/* payload.c */
int payload_load(struct transport *transport, const void *body, size_t size);

/* attempt.c */
void attempt_prepare(struct http *http);
void attempt_make(struct transport *transport, int64_t deadline_ns, struct transport_reply *out);

#endif
