/* SPDX-License-Identifier: MIT
 *
 * What a receiver answers, read without trust: Export*Response.partial_success, google.rpc.Status
 * and the RetryInfo within, percent-encoding and base64 of gRPC's headers. Every text that comes
 * out is printable UTF-8 of limited length. PURE.
 */
#ifndef TELEMETRY_REPLY_H
#define TELEMETRY_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_TEXT_MAX 128

struct reply_partial {
    uint64_t rejected; /* items; a negative number counts as none */
    char text[REPLY_TEXT_MAX];
};

/* False when the body is no such message: then *out is zero. */
bool reply_partial(const void *body, size_t size, struct reply_partial *out);

struct reply_status {
    int code;
    char text[REPLY_TEXT_MAX];
    int64_t retry_ns; /* of a RetryInfo; -1: there is none */
};

bool reply_status(const void *body, size_t size, struct reply_status *out);
/* From grpc-status-details-bin: base64 with or without padding. */
bool reply_status_base64(const char *text, struct reply_status *out);

/* From grpc-message: percent-encoded; what is not stays as it is. */
void reply_message(const char *text, char out[REPLY_TEXT_MAX]);

/* Copies what can be shown; every other byte becomes '?'. */
void reply_shown(char *out, size_t room, const void *text, size_t size);

#endif
