/* SPDX-License-Identifier: MIT */
#include "upstream.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000L

struct call {
    struct curl_slist *fields;
    char *body;
    size_t size, max;
    int failed;
};

/* The port is known for each scheme that is taken. */
static int parse(struct upstream *upstream, CURLU *parts, const char *url)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *rest = NULL;
    int good = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
               curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
               strcmp(path, "/") == 0 &&
               curl_url_get(parts, CURLUPART_QUERY, &rest, 0) == CURLUE_NO_QUERY &&
               curl_url_get(parts, CURLUPART_USER, &rest, 0) == CURLUE_NO_USER; /* not in spans */
    if (good) {
        size_t length = strlen(url);
        snprintf(upstream->url, sizeof upstream->url, "%.*s",
                 (int)(length - (url[length - 1] == '/')), url);
        snprintf(upstream->host, sizeof upstream->host, "%s", host);
        upstream->port = strtol(port, NULL, 10);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(rest);
    return good;
}

int upstream_set(void *user, const char *url, srun_err *err)
{
    struct upstream *upstream = user;
    CURLU *parts = strlen(url) < UPSTREAM_URL_MAX ? curl_url() : NULL;
    int good = parts != NULL && parse(upstream, parts, url);
    curl_url_cleanup(parts);
    if (good)
        return 0;
    return srun_fail(err, -EINVAL, "accepted are http://HOST[:PORT] and https");
}

/* --- the call -------------------------------------------------------------------------------- */

static void add_field(struct call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->fields, line);
    if (longer == NULL)
        call->failed = -ENOMEM;
    else
        call->fields = longer;
}

/* A header in the shape that srun_trace_inject asks for. */
static void set_header(void *carrier, const char *name, const char *value)
{
    struct call *call = carrier;
    size_t size = strlen(name) + strlen(value) + sizeof ": ";
    char *line = malloc(size);
    if (line == NULL) {
        call->failed = -ENOMEM;
        return;
    }
    snprintf(line, size, "%s: %s", name, value);
    add_field(call, line);
    free(line);
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct call *call = arg;
    (void)one;
    char *grown = size <= call->max - call->size ? realloc(call->body, call->size + size) : NULL;
    if (grown == NULL) {
        call->failed = size > call->max - call->size ? -EFBIG : -ENOMEM;
        return 0;
    }
    memcpy(grown + call->size, data, size);
    call->body = grown;
    call->size += size;
    return size;
}

static int code_of(const struct call *call, CURLcode result)
{
    if (call->failed != 0)
        return call->failed;
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

static int perform(struct call *call, const char *url, srun_err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *easy = curl_easy_init();
    if (easy == NULL || call->failed != 0) {
        curl_easy_cleanup(easy);
        return srun_fail(err, -ENOMEM, "out of memory");
    }
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    if (result == CURLE_OK)
        return (int)status;
    return srun_fail(err, code_of(call, result), "%s",
                     why[0] != '\0' ? why : curl_easy_strerror(result));
}

int upstream_get(const struct upstream *upstream, srun_tracer *tracer, const char *path, size_t max,
                 char **body, size_t *size, srun_err *err)
{
    char url[2 * UPSTREAM_URL_MAX];
    struct call call = {.max = max};
    int length = snprintf(url, sizeof url, "%s%s", upstream->url, path);
    if (length < 0 || (size_t)length >= sizeof url)
        return srun_fail(err, -EINVAL, "the path is too long");

    srun_span span =
        srun_span_start(tracer, "GET",
                        SRUN_SPAN(.kind = SRUN_SPAN_CLIENT,
                                  .attributes = SRUN_KVS(SRUN_STR("http.request.method", "GET"),
                                                         SRUN_STR("url.full", url),
                                                         SRUN_STR("server.address", upstream->host),
                                                         SRUN_INT("server.port", upstream->port))));
    srun_trace_inject(&span.context, set_header, &call);
    int status = perform(&call, url, err);
    if (status < 0)
        srun_span_error(&span, status, NULL);
    else
        srun_span_set(&span, SRUN_KVS(SRUN_INT("http.response.status_code", status)));
    if (status >= 400)
        srun_span_set_status(&span, SRUN_SPAN_ERROR, NULL);
    srun_span_end(&span);

    curl_slist_free_all(call.fields);
    *body = call.body;
    *size = call.size;
    if (status < 0) {
        free(call.body);
        *body = NULL;
    }
    return status;
}
