/* SPDX-License-Identifier: MIT
 *
 * One HTTP request, by libcurl, on a connection of its own and with one deadline for all of it.
 * What a user has set up for other clients has no part in it: no proxy, no .netrc, no cookies; and
 * no redirect is followed. An answer counts when all of it is here, and there is a limit to it.
 */
#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"
#include "srunctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAST_MS 3000
#define RETRY_MS 10
#define BODY_MAX ((size_t)16 << 20)
#define TOKEN_MAX 512

struct call {
    CURL *curl;
    struct curl_slist *fields;
    struct buf url;
    bool head; /* is complete */
    int error; /* an errno of its socket, or 0 */
    char why[CURL_ERROR_SIZE];
};

static void call_end(struct call *call)
{
    curl_easy_cleanup(call->curl);
    curl_slist_free_all(call->fields);
    buf_free(&call->url);
}

#define auto_call __attribute__((cleanup(call_end)))

int64_t deadline_of(const struct options *options, int64_t default_ms)
{
    return clock_after_ms(clock_real_now(),
                          options->timeout_ms >= 0 ? options->timeout_ms : default_ms);
}

int64_t request_deadline(int64_t until)
{
    int64_t now = clock_real_now();
    int64_t most = clock_after_ms(now, ASK_MS), least = clock_after_ms(now, LEAST_MS);
    return until > most ? most : until < least ? least : until;
}

void reply_free(struct reply *reply)
{
    buf_free(&reply->body);
    *reply = (struct reply){0};
}

/* --- what libcurl calls ---------------------------------------------------------------------- */

/* A head without its end is an answer to libcurl, if the connection ends there. */
static size_t take_field(char *data, size_t one, size_t size, void *cookie)
{
    struct call *call = cookie;
    (void)one; /* it is 1 */
    if (size > 4 && memcmp(data, "HTTP/", 5) == 0)
        call->head = false; /* the one before was an interim answer's */
    else if (data[0] == '\r' || data[0] == '\n')
        call->head = true;
    return size;
}

static size_t take_body(char *data, size_t one, size_t size, void *cookie)
{
    struct reply *reply = cookie;
    (void)one;
    if (reply->body.size + size > BODY_MAX)
        return 0;
    buf_add(&reply->body, data, size);
    return reply->body.failed ? 0 : size;
}

/* Who listens on a unix socket can be seen until it is closed. */
static int close_socket(void *cookie, curl_socket_t fd)
{
    struct reply *reply = cookie;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        reply->pid = peer.pid;
    return close(fd);
}

/* --- what went wrong -------------------------------------------------------------------------- */

static const char *reason(const struct call *call, CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return "out of memory";
    case CURLE_COULDNT_CONNECT:
        return strerror(call->error);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return "the answer is cut off";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return "the answer is no HTTP";
    case CURLE_RECV_ERROR: /* also for what is no chunk */
        return call->error != 0 ? "the answer is cut off" : "the answer is no HTTP";
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_WRITE_ERROR:
        return "the answer is larger than 16 MiB";
    default:
        return call->why[0] != '\0' ? call->why : curl_easy_strerror(code);
    }
}

/* --- the request ----------------------------------------------------------------------------- */

static void add_field(struct call *call, const char *field)
{
    struct curl_slist *more = curl_slist_append(call->fields, field);
    call->url.failed |= more == NULL; /* out of memory, as there */
    call->fields = more != NULL ? more : call->fields;
}

/* The field that gives rights over TCP; over the unix socket nobody needs one. 0, -EINVAL: the file
 * has no token, or why it cannot be read. */
static int add_token(struct call *call, const char *path)
{
    char token[TOKEN_MAX + 2] = ""; /* with a line break */
    char field[TOKEN_MAX + 32];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? -EINVAL : -errno;
    errno = EINVAL; /* of a file that is empty */
    int error = fgets(token, sizeof token, file) == NULL ? errno : 0;
    (void)fclose(file);
    token[strcspn(token, "\r\n")] = '\0';
    (void)snprintf(field, sizeof field, "Authorization: Bearer %s", token);
    add_field(call, field);
    return error != 0 ? -error : text_printable(token, TOKEN_MAX) ? 0 : -EINVAL;
}

/* What says whom to ask: without one of these, somebody else would be asked. */
static CURLcode set_target(CURL *curl, const struct call *call, const struct options *options)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, call->url.data);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* nor one of the environment */
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options->socket);
    if (code == CURLE_OK && options->ca_file != NULL)
        code = curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
    return code;
}

static void set_up(struct call *call, bool write, struct reply *reply)
{
    CURL *curl = call->curl;
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->fields);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "srunctl");
    if (write)
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* the end waits for no name server */
    (void)curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)BODY_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    (void)curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    (void)curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, reply);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->why);
}

static int bad_token(const char *path, int rc, struct reply *reply)
{
    (void)snprintf(reply->why, sizeof reply->why, "--token-file %s: %s", path,
                   rc == -EINVAL ? "a readable file whose first line is a token" : strerror(-rc));
    return rc == -EINVAL ? USAGE : NO;
}

/* YES, or what to exit with. */
static int prepare(struct call *call, const struct options *options, const char *request,
                   struct reply *reply)
{
    const char *path = strchr(request, '/');
    const char *where = options->socket != NULL ? "localhost" : options->address;
    buf_printf(&call->url, "%s%s%s", strncmp(where, "https://", 8) == 0 ? "" : "http://", where,
               path);
    if (request[0] == 'P')
        add_field(call, "X-Srun-Admin: 1");
    if (options->socket == NULL && options->token_file != NULL) {
        int rc = add_token(call, options->token_file);
        if (rc < 0)
            return bad_token(options->token_file, rc, reply);
    }
    call->curl = curl_easy_init();
    CURLcode code = call->curl == NULL || call->url.failed ? CURLE_OUT_OF_MEMORY
                                                           : set_target(call->curl, call, options);
    if (code != CURLE_OK) {
        (void)snprintf(reply->why, sizeof reply->why, "%s", reason(call, code));
        return NO;
    }
    set_up(call, request[0] == 'P', reply);
    return YES;
}

/* A unix socket whose queue is full looks to libcurl like one that fails without an error: nothing
 * was sent, so it may be tried again. */
static CURLcode perform(struct call *call, int64_t until)
{
    for (;;) {
        int64_t left = (until - clock_real_now() + NS_PER_MS - 1) / NS_PER_MS;
        if (left <= 0)
            return CURLE_OPERATION_TIMEDOUT;
        (void)curl_easy_setopt(call->curl, CURLOPT_TIMEOUT_MS,
                               left < INT_MAX ? (long)left : INT_MAX);
        CURLcode code = curl_easy_perform(call->curl);
        long error = 0;
        (void)curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &error);
        call->error = (int)error;
        if (code != CURLE_COULDNT_CONNECT || call->error != 0)
            return code == CURLE_OK && !call->head ? CURLE_PARTIAL_FILE : code;
        (void)poll(NULL, 0, RETRY_MS);
    }
}

/* --- the answer ------------------------------------------------------------------------------ */

static int not_answered(const struct options *options, const struct call *call, CURLcode code,
                        int64_t span, struct reply *reply)
{
    const char *where = options->socket != NULL ? options->socket : options->address;
    char time[DURATION_TEXT_MAX];
    reply->error = code == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT : call->error;
    (void)duration_format(time, (span + NS_PER_MS / 2) / NS_PER_MS * NS_PER_MS);
    if (code == CURLE_OUT_OF_MEMORY)
        (void)snprintf(reply->why, sizeof reply->why, "%s", reason(call, code));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        (void)snprintf(reply->why, sizeof reply->why, "%s: no answer within %s", where, time);
    else
        (void)snprintf(reply->why, sizeof reply->why, "%s: %s%s", where,
                       is_gone(reply) ? "nobody listens: " : "", reason(call, code));
    if (code == CURLE_OUT_OF_MEMORY)
        return NO;
    return call->error == EACCES ? FORBIDDEN : code == CURLE_URL_MALFORMAT ? USAGE : UNREACHABLE;
}

/* The first line of the body, behind what was asked. */
static int refused(const char *request, struct reply *reply)
{
    const char *body = reply->body.data;
    (void)snprintf(reply->why, sizeof reply->why, "%.*s: %ld %.*s", (int)strcspn(request, "?"),
                   request, reply->status, (int)strcspn(body, "\r\n"), body);
    return reply->status == 401 || reply->status == 403 ? FORBIDDEN : NO;
}

int ask(struct options *options, const char *request, int64_t until, struct reply *reply)
{
    auto_call struct call call = {0};
    int64_t span = until - clock_real_now();
    reply_free(reply);
    int answer = find_program(options, reply);
    if (answer == YES)
        answer = prepare(&call, options, request, reply);
    if (answer != YES)
        return answer;
    CURLcode code = perform(&call, until);
    buf_add(&reply->body, "", 0); /* a text, also when it is empty */
    code = reply->body.failed ? CURLE_OUT_OF_MEMORY : code;
    if (code != CURLE_OK)
        return not_answered(options, &call, code, span > 0 ? span : 0, reply);
    (void)curl_easy_getinfo(call.curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_cleanup(take_ptr(call.curl)); /* so close_socket has been called */
    return reply->status / 100 == 2 ? YES : refused(request, reply);
}
