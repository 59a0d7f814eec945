/* SPDX-License-Identifier: MIT
 *
 * One request and its reply. The loop is ours, so that the deadline and an interrupt hold whatever
 * libcurl waits for; a look-up of a name that hangs is left behind in libcurl's own thread.
 */
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define HEAD_MAX ((size_t)64 * 1024)
#define LOOK_AGAIN_MIN_MS 4
#define LOOK_AGAIN_MAX_MS 256

/* --- what libcurl calls back -------------------------------------------------------------------
 */

static void copy_value(char *out, size_t room, const char *value, size_t size)
{
    if (size >= room)
        size = 0; /* half a value is worse than none */
    memcpy(out, value, size);
    out[size] = '\0';
}

static void take_status(struct http_head *head, const char *value, size_t size)
{
    char text[8];
    copy_value(text, sizeof text, value, size);
    bool number = text[0] != '\0' && strspn(text, "0123456789") == size;
    head->grpc_status = number ? (int)strtol(text, NULL, 10) : 2; /* UNKNOWN */
}

static void take_field(struct http_head *head, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    if (colon == NULL)
        return;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    size_t length = (size_t)(end - value);
#define IS(text) (name == sizeof(text) - 1 && strncasecmp(line, text, name) == 0)
    if (IS("retry-after"))
        copy_value(head->retry_after, sizeof head->retry_after, value, length);
    else if (IS("grpc-status"))
        take_status(head, value, length);
    else if (IS("grpc-message"))
        copy_value(head->grpc_message, sizeof head->grpc_message, value, length);
    else if (IS("grpc-status-details-bin"))
        copy_value(head->grpc_details, sizeof head->grpc_details, value, length);
#undef IS
}

static size_t on_head(char *line, size_t one, size_t size, void *arg)
{
    struct http_head *head = &((struct http *)arg)->head;
    (void)one;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) /* of a proxy, a 100, at last of the reply */
        *head = (struct http_head){.grpc_status = -1, .size = head->size};
    head->size += size;
    if (head->size > HEAD_MAX)
        return 0;
    head->complete = head->complete || line[0] == '\r' || line[0] == '\n';
    take_field(head, line, size);
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct http *http = arg;
    (void)one;
    size_t most = http->reply_max + (http->grpc ? FRAME_HEAD : 0);
    http->reply_too_big = size > most - http->reply.size;
    if (http->reply_too_big)
        return 0;
    buf_add(&http->reply, data, size);
    return http->reply.failed ? 0 : size;
}

/* Programs that this one starts are not to hold the connection. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void attempt_prepare(struct http *http)
{
    CURL *easy = http->easy;
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* 1: finished, with its result; 0: time to wait; or why to give up. */
static int step(struct http *http, int64_t deadline_ns, CURLcode *result)
{
    int running = 0, left = 0;
    if (curl_multi_perform(http->multi, &running) != CURLM_OK)
        return -EIO;
    for (CURLMsg *told; (told = curl_multi_info_read(http->multi, &left)) != NULL;) {
        if (told->msg == CURLMSG_DONE) {
            *result = told->data.result;
            return 1;
        }
    }
    if (atomic_load(http->interrupted))
        return -ECANCELED;
    return now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

/* Up to 8.0, libcurl's HTTP/2 can hold the end of a large reply in its own buffer and wait for the
 * socket, which has no more to say. So no wait is long: the first after something came are short.
 */
static int run(struct http *http, int64_t deadline_ns, CURLcode *result)
{
    int rc = curl_multi_add_handle(http->multi, http->easy) == CURLM_OK ? 0 : -EIO;
    size_t seen = 0;
    int64_t longest = LOOK_AGAIN_MAX_MS;
    while (rc == 0) {
        rc = step(http, deadline_ns, result);
        size_t size = http->head.size + http->reply.size;
        longest = size != seen ? LOOK_AGAIN_MIN_MS : longest * 2;
        longest = longest < LOOK_AGAIN_MAX_MS ? longest : LOOK_AGAIN_MAX_MS;
        seen = size;
        int64_t left = (deadline_ns - now_ns() + NS_PER_MS - 1) / NS_PER_MS;
        if (rc == 0 && left > 0)
            (void)curl_multi_poll(http->multi, NULL, 0, (int)(left < longest ? left : longest),
                                  NULL);
    }
    (void)curl_multi_remove_handle(http->multi, http->easy);
    return rc;
}

/* gRPC's way: at most eight digits and a unit. */
static void timeout_field(char *out, size_t size, int64_t left_ns)
{
    int64_t ms = left_ns > 0 ? left_ns / NS_PER_MS + 1 : 1;
    if (ms < 100000000)
        (void)snprintf(out, size, "grpc-timeout: %lldm", (long long)ms);
    else
        (void)snprintf(out, size, "grpc-timeout: %lldS", (long long)(ms / 1000 % 100000000));
}

/* A broken pipe is an error of the attempt, not a signal for the program. */
static void drop_sigpipe(bool was_pending)
{
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!was_pending)
        (void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
}

/* Signals are the program's: the threads that libcurl starts inherit this. Those of faults stay as
 * the calling thread has them, so that a crash is reported; SIGPROF too, so that it can be
 * profiled: libcurl goes on when it is interrupted. */
static int run_without_signals(struct http *http, int64_t deadline_ns, CURLcode *result)
{
    static const int let_in[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                 SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t all, before, pending;
    char timeout[64];
    struct curl_slist first = {.data = timeout, .next = http->fields};
    timeout_field(timeout, sizeof timeout, deadline_ns - now_ns());
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->grpc ? &first : http->fields);
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, http->body);
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)http->size);
    (void)curl_easy_setopt(http->easy, CURLOPT_FRESH_CONNECT, http->fresh ? 1L : 0L);
    (void)curl_easy_setopt(http->easy, CURLOPT_FORBID_REUSE, http->single ? 1L : 0L);
    sigfillset(&all);
    for (size_t i = 0; i < sizeof let_in / sizeof let_in[0]; i++)
        sigdelset(&all, let_in[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    sigpending(&pending);
    int rc = run(http, deadline_ns, result);
    drop_sigpipe(sigismember(&pending, SIGPIPE) == 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* --- what it means -----------------------------------------------------------------------------
 */

static const char *broken(const struct http *http, CURLcode result)
{
    return http->error[0] != '\0' ? http->error : curl_easy_strerror(result);
}

/* The reset of a stream, by the code that libcurl only tells in words: refused (7) and cancelled
 * (8) are as gRPC's UNAVAILABLE and CANCELLED; the others are faults that would come again. */
static bool stream_again(const struct http *http)
{
    const char *code = strstr(http->error, "(err ");
    long number = code != NULL ? strtol(code + 5, NULL, 10) : 7;
    return number == 7 || number == 8;
}

static bool may_again(const struct http *http, CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
        return true;
    case CURLE_HTTP2_STREAM:
        return stream_again(http);
    default: /* above all: a certificate that does not fit */
        return false;
    }
}

static void failed(struct http *http, CURLcode result, struct transport_reply *out)
{
    bool big = http->reply_too_big || http->head.size > HEAD_MAX;
    out->code = big ? -EMSGSIZE : http->reply.failed ? -ENOMEM : -EPROTO;
    out->again = !big && may_again(http, result);
    (void)snprintf(out->text, sizeof out->text, "%.*s", (int)sizeof out->text - 1,
                   big ? "the reply is too big" : broken(http, result));
}

/* A server may answer before it has read all, and break off then: what it said counts. */
static bool has_answered(const struct http *http, CURLcode result)
{
    long status = 0;
    if (result != CURLE_HTTP2_STREAM && result != CURLE_SEND_ERROR && result != CURLE_RECV_ERROR &&
        result != CURLE_PARTIAL_FILE)
        return false;
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    return http->head.complete && (http->grpc ? http->head.grpc_status >= 0 : status >= 300);
}

static void take_body(struct http *http, struct transport_reply *out)
{
    const unsigned char *data = (const unsigned char *)http->reply.data;
    size_t size = http->reply.size;
    if (!http->grpc) {
        out->body = data;
        out->size = size;
        return;
    }
    if (size < FRAME_HEAD || data[0] != 0)
        return;
    size_t length = (size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4];
    if (length > size - FRAME_HEAD)
        return;
    out->body = data + FRAME_HEAD;
    out->size = length;
}

static void answered(struct http *http, struct transport_reply *out)
{
    long status = 0;
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    out->http_status = (int)status;
    out->grpc_status = http->head.grpc_status;
    take_body(http, out);
}

void attempt_make(struct transport *transport, int64_t deadline_ns, struct transport_reply *out)
{
    struct http *http = (struct http *)transport;
    CURLcode result = CURLE_OK;
    http->head = (struct http_head){.grpc_status = -1};
    if (http->reply.failed)
        buf_free(&http->reply);
    http->reply.size = 0;
    http->reply_too_big = false;
    http->error[0] = '\0';
    *out = (struct transport_reply){.grpc_status = -1,
                                    .grpc_message = http->head.grpc_message,
                                    .grpc_details = http->head.grpc_details,
                                    .retry_after = http->head.retry_after};
    int rc = run_without_signals(http, deadline_ns, &result);
    if (rc < 0) {
        out->code = rc;
        (void)snprintf(out->text, sizeof out->text, "%s",
                       rc == -ETIMEDOUT   ? "no answer in time"
                       : rc == -ECANCELED ? "interrupted"
                                          : "libcurl failed");
    } else if (result != CURLE_OK && !has_answered(http, result)) {
        failed(http, result, out);
    } else {
        answered(http, out);
    }
    http->fresh = out->code != 0 || result != CURLE_OK;
}
