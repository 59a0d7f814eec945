/* SPDX-License-Identifier: MIT
 *
 * Takes an endpoint apart, refuses what a client could read in two ways, and puts the URL of a
 * signal together. Any thread.
 */
#include "telemetry/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const struct {
    const char *name, *method;
} signals[TELEMETRY_SIGNALS] = {
    [TELEMETRY_TRACES] = {"traces", "trace.v1.TraceService"},
    [TELEMETRY_METRICS] = {"metrics", "metrics.v1.MetricsService"},
    [TELEMETRY_LOGS] = {"logs", "logs.v1.LogsService"},
};

const char *endpoint_signal(enum telemetry_signal signal)
{
    return signals[signal].name;
}

struct parts {
    const char *scheme; /* "http" or "https" */
    const char *authority, *rest;
    size_t authority_size;
    bool has_scheme, has_port;
};

/* Parts of a URL that people are shown never have the user's name and password in them. */
static const char *host_in(const char *authority, size_t size, size_t *host_size)
{
    const char *at = memrchr(authority, '@', size);
    const char *host = at != NULL ? at + 1 : authority;
    *host_size = size - (size_t)(host - authority);
    return host;
}

static bool port_fits(const char *text, size_t size)
{
    size_t digits = strspn(text, DIGITS);
    long port = strtol(text, NULL, 10);
    return size > 0 && size <= 5 && digits >= size && port >= 1 && port <= 65535;
}

/* host[:port] or [v6][:port] */
static bool host_fits(struct parts *parts)
{
    size_t size = 0;
    const char *host = host_in(parts->authority, parts->authority_size, &size);
    if (size == 0)
        return false;
    size_t name = host[0] == '[' ? strspn(host + 1, DIGITS LETTERS ":.%-") + 1
                                 : strspn(host, DIGITS LETTERS ".-_");
    if (host[0] == '[') {
        if (name < 3 || name >= size || host[name] != ']')
            return false;
        name++;
    }
    if (name == 0)
        return false;
    parts->has_port = name < size;
    if (!parts->has_port)
        return true;
    char port[8] = "";
    size_t digits = size - name - 1;
    if (host[name] != ':' || digits >= sizeof port)
        return false;
    memcpy(port, host + name + 1, digits);
    return port_fits(port, digits);
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= 0x20 || *text >= 0x7f || strchr("\"<>\\^`{|}", *text) != NULL)
            return false;
    }
    return true;
}

static int take_scheme(const char *text, bool insecure, struct parts *parts, srun_err *err)
{
    const char *colon = strstr(text, "://");
    parts->has_scheme = colon != NULL;
    parts->scheme = insecure ? "http" : "https";
    parts->authority = text;
    if (colon == NULL)
        return 0;
    size_t size = (size_t)(colon - text);
    bool tls = size == 5 && strncasecmp(text, "https", 5) == 0;
    if (!tls && (size != 4 || strncasecmp(text, "http", 4) != 0))
        return srun_fail(err, -EINVAL, "the scheme of an endpoint is http or https");
    parts->scheme = tls ? "https" : "http";
    parts->authority = colon + 3;
    return 0;
}

static int take_apart(const struct endpoint_wish *wish, struct parts *parts, srun_err *err)
{
    if (!is_plain(wish->text))
        return srun_fail(err, -EINVAL, "an endpoint has no blanks, and only ASCII in it");
    int rc = take_scheme(wish->text, wish->insecure, parts, err);
    if (rc < 0)
        return rc;
    parts->authority_size = strcspn(parts->authority, "/?#");
    parts->rest = parts->authority + parts->authority_size;
    if (!host_fits(parts))
        return srun_fail(err, -EINVAL,
                         "an endpoint is a URL or HOST:PORT, and the port 1 to 65535");
    if (!parts->has_scheme && parts->rest[0] != '\0')
        return srun_fail(err, -EINVAL, "an endpoint with a path begins with http:// or https://");
    if (strchr(parts->rest, '#') != NULL || (!wish->as_is && strchr(parts->rest, '?') != NULL))
        return srun_fail(err, -EINVAL, "an endpoint has no query and no fragment");
    return 0;
}

static void add_path(struct buf *out, const struct endpoint_wish *wish, const char *rest)
{
    size_t size = strlen(rest);
    if (wish->grpc) {
        buf_printf(out, "/opentelemetry.proto.collector.%s/Export", signals[wish->signal].method);
        return;
    }
    if (wish->as_is) {
        buf_printf(out, "%s%s", rest[0] == '/' ? "" : "/", rest);
        return;
    }
    while (size > 0 && rest[size - 1] == '/')
        size--;
    buf_add(out, rest, size);
    buf_printf(out, "/v1/%s", signals[wish->signal].name);
}

int endpoint_url(struct buf *out, const struct endpoint_wish *wish, srun_err *err)
{
    struct endpoint_wish full = *wish;
    struct parts parts = {0};
    if (wish->text == NULL || wish->text[0] == '\0') {
        full.text = "http://localhost";
        full.as_is = false;
    }
    int rc = take_apart(&full, &parts, err);
    if (rc < 0)
        return rc;
    bool named = full.text == wish->text;
    buf_printf(out, "%s://%.*s", parts.scheme, (int)parts.authority_size, parts.authority);
    if (!parts.has_port && (!named || !parts.has_scheme))
        buf_printf(out, ":%d", wish->grpc ? 4317 : 4318);
    add_path(out, &full, parts.rest);
    return out->failed ? srun_fail(err, -ENOMEM, "endpoint: out of memory") : 0;
}

const char *endpoint_shown(char out[ENDPOINT_SHOWN_MAX], const char *url)
{
    const char *colon = strstr(url, "://");
    const char *authority = colon != NULL ? colon + 3 : url;
    size_t size = strcspn(authority, "/?#");
    const char *host = host_in(authority, size, &size);
    size_t path = strcspn(host + size, "?#"); /* a query may hold a key */
    (void)snprintf(out, ENDPOINT_SHOWN_MAX, "%.*s%.*s", (int)(authority - url), url,
                   (int)(size + path), host);
    return out;
}
