/* SPDX-License-Identifier: MIT
 *
 * One variable after the other: its name for the signal, then its general name. Any thread.
 */
#include "telemetry/otlpenv.h"

#include "base/text.h"
#include "telemetry/endpoint.h"
#include "telemetry/header.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VARIABLE_MAX 64

struct reading {
    struct otlpenv *out;
    enum telemetry_signal signal;
    const struct otlpenv_source *source;
    char name[VARIABLE_MAX]; /* of the variable that is read */
    bool of_signal;          /* it is the signal's own */
    bool failed;             /* out of memory */
};

/* Reads a value. False: it is wrong, and as good as unset. */
typedef bool read_value(struct reading *reading, const char *value);

static bool wrong(struct reading *reading, const char *what)
{
    reading->source->warn(reading->source->arg, reading->name, what);
    return false;
}

static bool own(struct reading *reading, char **out, const char *value)
{
    *out = strdup(value);
    reading->failed = reading->failed || *out == NULL;
    return true;
}

static bool read_protocol(struct reading *reading, const char *value)
{
    bool grpc = strcasecmp(value, "grpc") == 0;
    if (strcasecmp(value, "http/json") == 0)
        return wrong(reading, "http/json is not supported; http/protobuf and grpc are");
    if (!grpc && strcasecmp(value, "http/protobuf") != 0)
        return wrong(reading, "is not grpc or http/protobuf");
    reading->out->protocol = grpc ? TELEMETRY_GRPC : TELEMETRY_HTTP;
    return true;
}

static bool read_endpoint(struct reading *reading, const char *value)
{
    auto_buf struct buf url = {0};
    bool grpc = reading->out->protocol == TELEMETRY_GRPC;
    struct endpoint_wish wish = {.signal = reading->signal,
                                 .grpc = grpc,
                                 .text = value,
                                 .as_is = reading->of_signal && !grpc};
    if (!grpc && strstr(value, "://") == NULL)
        return wrong(reading, "is not a URL with http:// or https://");
    int rc = endpoint_url(&url, &wish, NULL);
    if (rc == -EINVAL)
        return wrong(reading, "is not an endpoint");
    reading->failed |= rc < 0;
    reading->out->endpoint_as_is = wish.as_is;
    return own(reading, &reading->out->endpoint, value);
}

static bool read_insecure(struct reading *reading, const char *value)
{
    reading->out->insecure = strcasecmp(value, "true") == 0;
    if (!reading->out->insecure && strcasecmp(value, "false") != 0)
        return wrong(reading, "is not true or false");
    return true;
}

static bool read_compression(struct reading *reading, const char *value)
{
    reading->out->gzip = strcasecmp(value, "gzip") == 0;
    if (!reading->out->gzip && strcasecmp(value, "none") != 0)
        return wrong(reading, "is not gzip or none");
    return true;
}

static bool read_timeout(struct reading *reading, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (value[digits] != '\0' || digits > 15)
        return wrong(reading, "is not a number of milliseconds");
    int64_t ms = strtoll(value, NULL, 10);
    reading->out->timeout_ms = ms > 0 ? ms : -1;
    return true;
}

static bool read_ca(struct reading *reading, const char *value)
{
    return own(reading, &reading->out->ca_file, value);
}

static bool read_cert(struct reading *reading, const char *value)
{
    return own(reading, &reading->out->cert_file, value);
}

static bool read_key(struct reading *reading, const char *value)
{
    return own(reading, &reading->out->key_file, value);
}

/* The good pairs of a list count, though one of them is bad. */
static bool read_headers(struct reading *reading, const char *value)
{
    struct text_list list = {0};
    unsigned bad = 0;
    reading->failed = header_list(value, &list, &bad) < 0 || reading->failed;
    reading->out->headers = list.items;
    if (bad > 0)
        (void)wrong(reading, "has parts that are no header, which are left out");
    return list.items != NULL;
}

static bool read_one(struct reading *reading, read_value *read)
{
    const char *value = reading->source->get(reading->source->arg, reading->name);
    return value != NULL && value[0] != '\0' && read(reading, value);
}

static void read_both(struct reading *reading, const char *what, read_value *read)
{
    static const char *const signals[TELEMETRY_SIGNALS] = {"TRACES", "METRICS", "LOGS"};
    (void)snprintf(reading->name, VARIABLE_MAX, "OTEL_EXPORTER_OTLP_%s_%s",
                   signals[reading->signal], what);
    reading->of_signal = true;
    if (read_one(reading, read))
        return;
    (void)snprintf(reading->name, VARIABLE_MAX, "OTEL_EXPORTER_OTLP_%s", what);
    reading->of_signal = false;
    (void)read_one(reading, read);
}

int otlpenv_read(struct otlpenv *out, enum telemetry_signal signal,
                 const struct otlpenv_source *source)
{
    struct reading reading = {.out = out, .signal = signal, .source = source};
    *out = (struct otlpenv){.protocol = TELEMETRY_HTTP};
    if (source->protocol == OTLPENV_PROTOCOL_UNSET)
        read_both(&reading, "PROTOCOL", read_protocol);
    else
        out->protocol = (enum telemetry_protocol)source->protocol;
    read_both(&reading, "ENDPOINT", read_endpoint);
    read_both(&reading, "INSECURE", read_insecure);
    read_both(&reading, "COMPRESSION", read_compression);
    read_both(&reading, "TIMEOUT", read_timeout);
    read_both(&reading, "CERTIFICATE", read_ca);
    read_both(&reading, "CLIENT_CERTIFICATE", read_cert);
    read_both(&reading, "CLIENT_KEY", read_key);
    read_both(&reading, "HEADERS", read_headers);
    return reading.failed ? -ENOMEM : 0;
}

void otlpenv_free(struct otlpenv *env)
{
    struct text_list headers = {.items = env->headers};
    while (env->headers != NULL && env->headers[headers.count] != NULL)
        headers.count++;
    text_list_free(&headers);
    free(env->endpoint);
    free(env->ca_file);
    free(env->cert_file);
    free(env->key_file);
    *env = (struct otlpenv){0};
}

void otlpenv_options(const struct otlpenv *env, struct telemetry_exporter_options *out)
{
    *out = (struct telemetry_exporter_options){
        .protocol = env->protocol,
        .endpoint = env->endpoint,
        .endpoint_as_is = env->endpoint_as_is,
        .insecure = env->insecure,
        .gzip = env->gzip,
        .headers = (const char *const *)env->headers,
        .timeout_ms = env->timeout_ms,
        .ca_file = env->ca_file,
        .cert_file = env->cert_file,
        .key_file = env->key_file,
    };
}
