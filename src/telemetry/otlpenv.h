/* SPDX-License-Identifier: MIT
 *
 * OTEL_EXPORTER_OTLP_*, with OpenTelemetry's rules: empty is unset; what is wrong is warned about
 * and as good as unset; the variable of a signal (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) beats the
 * general one. Only "true" is true. Times are whole milliseconds. PURE: the environment is passed
 * in.
 */
#ifndef TELEMETRY_OTLPENV_H
#define TELEMETRY_OTLPENV_H

#include "telemetry/exporter.h"

#define OTLPENV_PROTOCOL_UNSET (-1)

struct otlpenv_source {
    const char *(*get)(void *arg, const char *name); /* as getenv */
    /* What is wrong with a variable; its value is not told, for it may be a secret. */
    void (*warn)(void *arg, const char *name, const char *what);
    void *arg;
    int protocol; /* an enum telemetry_protocol when it is decided already, else unset */
};

struct otlpenv {
    enum telemetry_protocol protocol;
    char *endpoint, *ca_file, *cert_file, *key_file; /* NULL: unset */
    char **headers;                                  /* NULL, or name, value, ..., NULL */
    int64_t timeout_ms;                              /* 0: unset; negative: no limit */
    bool endpoint_as_is, insecure, gzip;
};

/* 0 or -ENOMEM. Free it in any case. */
int otlpenv_read(struct otlpenv *out, enum telemetry_signal signal,
                 const struct otlpenv_source *source);
void otlpenv_free(struct otlpenv *env);

/* The options that these variables alone would give; borrows from env. */
void otlpenv_options(const struct otlpenv *env, struct telemetry_exporter_options *out);

#endif
