/* SPDX-License-Identifier: MIT
 *
 * Opening, which comes with the first batch: what can be wrong with the options has been looked at
 * by then. libcurl is initialised once, and never taken down: others may use it.
 */
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <srun/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define FIXED_CURL 0x080000 /* before, the second request on a clear HTTP/2 connection fails */

static CURLcode curl_ready;

static void init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int fail(char *text, size_t size, int code, const char *what)
{
    (void)snprintf(text, size, "%s", what);
    return code;
}

/* --- fields ------------------------------------------------------------------------------------
 */

static int add_line(struct http *http, const char *line)
{
    struct curl_slist *longer = curl_slist_append(http->fields, line);
    if (longer == NULL)
        return -ENOMEM;
    http->fields = longer;
    return 0;
}

/* libcurl takes "name;" for a field without a value, and "name:" for one to be left out. */
static int add_field(struct http *http, const char *name, const char *value)
{
    struct buf line = {0};
    buf_printf(&line, value[0] != '\0' ? "%s: %s" : "%s;", name, value);
    for (size_t i = 0; !line.failed && http->grpc && i < strlen(name); i++)
        line.data[i] =
            (char)(line.data[i] >= 'A' && line.data[i] <= 'Z' ? line.data[i] | 0x20 : line.data[i]);
    int rc = line.failed ? -ENOMEM : add_line(http, line.data);
    buf_free(&line);
    return rc;
}

static int add_own_fields(struct http *http)
{
    static const char *const of_http[] = {"Content-Type: application/x-protobuf", NULL};
    static const char *const of_grpc[] = {"content-type: application/grpc", "te: trailers", NULL};
    int rc = add_line(http, "Expect:"); /* no waiting for a 100 */
    if (rc == 0)
        rc = add_line(http, "Accept:");
    for (const char *const *line = http->grpc ? of_grpc : of_http; rc == 0 && *line != NULL; line++)
        rc = add_line(http, *line);
    if (rc == 0 && http->gzip)
        rc = add_line(http, http->grpc ? "grpc-encoding: gzip" : "Content-Encoding: gzip");
    return rc;
}

static int add_fields(struct http *http, const struct transport_options *options, char *text,
                      size_t size)
{
    int rc = add_own_fields(http);
    for (const char *const *pair = options->headers; rc == 0 && pair != NULL && *pair != NULL;
         pair += 2)
        rc = add_field(http, pair[0], pair[1]);
    return rc < 0 ? fail(text, size, rc, "out of memory") : 0;
}

/* --- files and protocols -------------------------------------------------------------------------
 */

static bool given(const char *path)
{
    return path != NULL && path[0] != '\0';
}

static bool set_file(struct http *http, CURLoption option, const char *path)
{
    return !given(path) || curl_easy_setopt(http->easy, option, path) == CURLE_OK;
}

static int set_tls(struct http *http, const struct transport_options *options, char *text,
                   size_t size)
{
    if (!set_file(http, CURLOPT_CAINFO, options->ca_file) ||
        !set_file(http, CURLOPT_SSLCERT, options->cert_file) ||
        !set_file(http, CURLOPT_SSLKEY, options->key_file))
        return fail(text, size, -ENOMEM, "out of memory");
    if (given(options->ca_file)) /* this authority, and not the system's as well */
        (void)curl_easy_setopt(http->easy, CURLOPT_CAPATH, NULL);
    (void)curl_easy_setopt(http->easy, CURLOPT_KEYPASSWD, ""); /* nobody is there to be asked */
    (void)curl_easy_setopt(http->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return 0;
}

static void set_protocol(struct http *http, bool clear)
{
    long version = CURL_HTTP_VERSION_1_1;
    if (http->grpc)
        version = clear ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS;
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTP_VERSION, version);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPPROXYTUNNEL, http->grpc ? 1L : 0L);
    (void)curl_easy_setopt(http->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(http->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(http->easy, CURLOPT_QUICK_EXIT, 1L); /* leaves a hung look-up behind */
    (void)curl_easy_setopt(http->easy, CURLOPT_POST, 1L);
    if (getauxval(AT_SECURE) != 0) /* the variables are those of who has fewer rights than we */
        (void)curl_easy_setopt(http->easy, CURLOPT_PROXY, "");
    http->single =
        http->grpc && clear && curl_version_info(CURLVERSION_NOW)->version_num < FIXED_CURL;
}

/* --- its life ----------------------------------------------------------------------------------
 */

static void http_wake(struct transport *transport)
{
    (void)curl_multi_wakeup(
        ((struct http *)transport)->multi); /* when it fails, the deadline ends it */
}

static void http_free(struct transport *transport)
{
    struct http *http = (struct http *)transport;
    curl_easy_cleanup(http->easy);
    if (http->multi != NULL)
        (void)curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->fields);
    if (http->deflates)
        (void)deflateEnd(&http->deflate);
    buf_free(&http->packed);
    buf_free(&http->reply);
    free(http);
}

static int set_up(struct http *http, const struct transport_options *options, char *text,
                  size_t size)
{
    http->easy = curl_easy_init();
    http->multi = curl_multi_init();
    if (http->easy == NULL || http->multi == NULL ||
        curl_easy_setopt(http->easy, CURLOPT_URL, options->url) != CURLE_OK ||
        curl_easy_setopt(http->easy, CURLOPT_USERAGENT, options->user_agent) != CURLE_OK)
        return fail(text, size, -ENOMEM, "out of memory");
    (void)curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 1L);
    set_protocol(http, strncmp(options->url, "http://", 7) == 0);
    attempt_prepare(http);
    int rc = set_tls(http, options, text, size);
    return rc < 0 ? rc : add_fields(http, options, text, size);
}

static int http_open(const struct transport_options *options, struct transport **out, char *text,
                     size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    if (curl_ready != CURLE_OK)
        return fail(text, size, -EIO, "libcurl cannot be initialised");
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return fail(text, size, -ENOMEM, "out of memory");
    http->face = (struct transport){
        .load = payload_load, .attempt = attempt_make, .wake = http_wake, .free = http_free};
    http->grpc = options->grpc;
    http->gzip = options->gzip;
    http->reply_max = options->reply_max;
    http->interrupted = options->interrupted;
    int rc = set_up(http, options, text, size);
    if (rc < 0) {
        http_free(&http->face);
        return rc;
    }
    *out = &http->face;
    return 0;
}

extern const struct transport_plugin srun_otlp_plugin;

SRUN_API const struct transport_plugin srun_otlp_plugin = {
    .size = sizeof srun_otlp_plugin, .version = SRUN_VERSION_TEXT, .open = http_open};
