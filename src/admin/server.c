/* SPDX-License-Identifier: MIT
 *
 * libmicrohttpd calls with the head of a request, with each part of its body, and once more when
 * all is there. A head was read strictly before (slots_look); what is checked again here is what
 * may have slipped past behind another request.
 */
#include "admin/server.h"

#include "admin/redact.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/ensure.h"

#include <errno.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define MEMORY_BYTES                                                                               \
    ((size_t)32 * 1024) /* a head of 8 KiB, what is made of it, and the response's */
#define STACK_BYTES ((size_t)256 * 1024)
#define BLOCK_BYTES ((size_t)16 * 1024) /* each one that went out is progress */
#define QUERY_MAX 256

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    int slot;
    struct routes_found found;
    struct srun_admin_exchange exchange;
    bool refused;                  /* the response is there already */
    bool hosted, doubled, encoded; /* fields that were seen */
    bool let_in;                   /* who asks may have it */
    bool bodied;                   /* a body is to come */
    bool unread;                   /* and is not waited for */
    bool keep;
};

/* --- what a view may ask --------------------------------------------------------------------- */

static const char *look_up(void *cookie, enum MHD_ValueKind kind, const char *name)
{
    const struct request *request = cookie;
    return request->server->mhd->lookup_connection_value(request->connection, kind, name);
}

static const char *header(void *cookie, const char *name)
{
    return look_up(cookie, MHD_HEADER_KIND, name);
}

struct argument {
    const char *name, *value; /* value "": there without one */
    unsigned skip;            /* that many before it */
};

static enum MHD_Result find_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind;
    struct argument *argument = cls;
    if (strcmp(name, argument->name) != 0 || argument->skip-- > 0)
        return MHD_YES;
    argument->value = value != NULL ? value : "";
    return MHD_NO;
}

/* libmicrohttpd takes ?Format= for ?format=, and cannot say that there is one without a value. */
static const char *query(void *cookie, const char *name, unsigned index)
{
    const struct request *request = cookie;
    struct argument argument = {.name = name, .skip = index};
    (void)request->server->mhd->get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND,
                                                      find_argument, &argument);
    return argument.value;
}

/* --- the response ---------------------------------------------------------------------------- */

static const struct {
    const char *name, *value;
} usual[] = {
    {"Cache-Control", "no-store"},      {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},        {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"}, {"Content-Security-Policy", "default-src 'none'"},
};

static bool has_header(const struct srun_admin_exchange *exchange, const char *name)
{
    for (const struct exchange_pair *pair = exchange->headers; pair != NULL; pair = pair->next)
        if (strcasecmp(pair->name, name) == 0)
            return true;
    return false;
}

static bool add_headers(const struct request *request, struct MHD_Response *response)
{
    const struct mhd *mhd = request->server->mhd;
    const struct srun_admin_exchange *exchange = &request->exchange;
    bool all = mhd->add_response_header(response, "Content-Type", exchange->type) == MHD_YES;
    for (size_t i = 0; i < COUNT_OF(usual); i++)
        if (!has_header(exchange, usual[i].name))
            all &= mhd->add_response_header(response, usual[i].name, usual[i].value) == MHD_YES;
    for (const struct exchange_pair *pair = exchange->headers; pair != NULL; pair = pair->next)
        (void)mhd->add_response_header(response, pair->name, pair->value); /* or it is none */
    if (!request->keep)
        all &= mhd->add_response_header(response, "Connection", "close") == MHD_YES;
    return all;
}

/* The next block is asked for when the one before is with the system. */
static ssize_t next_block(void *cls, uint64_t position, char *out, size_t size)
{
    const struct request *request = cls;
    const struct buf *body = &request->exchange.out;
    if (position >= body->size)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t left = body->size - (size_t)position;
    if (size > left)
        size = left;
    memcpy(out, body->data + position, size);
    if (position > 0)
        slots_enter(&request->server->slots, request->slot, CONNECTION_WRITING);
    return (ssize_t)size;
}

static struct MHD_Response *make_response(struct request *request)
{
    const struct mhd *mhd = request->server->mhd;
    size_t size = request->exchange.out.size;
    static char nothing[1];
    if (size == 0)
        return mhd->create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    return mhd->create_response_from_callback(size, size < BLOCK_BYTES ? size : BLOCK_BYTES,
                                              next_block, request, NULL);
}

/* The body stays in the request, which lives until the response has gone. */
static enum MHD_Result send_response(struct request *request)
{
    struct server *server = request->server;
    struct srun_admin_exchange *exchange = &request->exchange;
    if (exchange->failed || exchange->out.failed || exchange->body.failed) {
        buf_free(&exchange->out);
        (void)exchange_refuse(exchange, 500, "out of memory");
    }
    if (exchange->status < 200 || exchange->status > 599)
        exchange->status = 500;
    request->keep = request->keep && !atomic_load(&server->closing) &&
                    !srun_draining(server->ctx) && slots_may_stay(&server->slots, request->slot);
    slots_enter(&server->slots, request->slot, CONNECTION_WRITING);

    struct MHD_Response *response = make_response(request);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result rc = MHD_NO;
    if (add_headers(request, response))
        rc = server->mhd->queue_response(request->connection, exchange->status, response);
    server->mhd->destroy_response(response);
    return rc;
}

/* --- may it be answered ---------------------------------------------------------------------- */

static void refuse(struct request *request, unsigned status, const char *why)
{
    (void)exchange_refuse(&request->exchange, status, "%s", why);
    request->refused = true;
    slots_refused(&request->server->slots);
}

/* At most one line a second, whatever comes. */
static void warn_of_refused(struct request *request, const char *why)
{
    struct server *server = request->server;
    int64_t now = clock_real_now() / NS_PER_MS, last = atomic_load(&server->warned_ms);
    unsigned before = atomic_fetch_add(&server->unwarned, 1) + 1;
    if ((last != 0 && now - last < 1000) ||
        !atomic_compare_exchange_strong(&server->warned_ms, &last, now))
        return;
    atomic_fetch_sub(&server->unwarned, before);
    SRUN_WARN(server->log, "not let in", SRUN_STR("peer", request->exchange.peer),
              SRUN_STR("method", request->exchange.method),
              SRUN_STR("path", request->exchange.path), SRUN_STR("why", why),
              SRUN_UINT("times", before));
}

static enum MHD_Result note_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind, (void)value;
    struct request *request = cls;
    bool host = strcasecmp(name, "Host") == 0;
    request->doubled |= host && request->hosted;
    request->hosted |= host;
    request->encoded |= strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

static const char *why_malformed(struct request *request)
{
    (void)request->server->mhd->get_connection_values(request->connection, MHD_HEADER_KIND,
                                                      note_field, request);
    if (request->doubled)
        return "one Host is needed, and only one";
    if (request->encoded)
        return "Transfer-Encoding is not accepted; send Content-Length";
    if (request->exchange.path[0] != '/')
        return "the target does not begin with a slash";
    for (const char *c = request->exchange.path; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return "the path holds a control character";
    return NULL;
}

static struct access_ask ask_of(struct request *request)
{
    const struct server *server = request->server;
    const char *method = request->exchange.method;
    return (struct access_ask){
        .peer = server->slots.each[request->slot].peer,
        .host = header(request, "Host"),
        .origin = header(request, "Origin"),
        .fetch_site = header(request, "Sec-Fetch-Site"),
        .fetch_mode = header(request, "Sec-Fetch-Mode"),
        .fetch_dest = header(request, "Sec-Fetch-Dest"),
        .custom = header(request, "X-Srun-Admin"),
        .authorization = header(request, "Authorization"),
        .allowed_hosts = server->allowed_hosts,
        .writes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0,
        .needed = request->found.right,
    };
}

/* The file of the token may be slow to look at, or hang: a probe without one does not need it. */
static struct access_verdict decide(struct request *request, struct access_ask *ask)
{
    struct server *server = request->server;
    char token[TOKEN_TEXT_MAX] = "";
    srun_err bad = {0};
    bool matters = ask->needed > ADMIN_PROBE || ask->authorization != NULL;
    if (matters && token_get(server->token, token, &bad))
        ask->token = token;
    if (bad.code < 0)
        SRUN_WARN(server->log, "nobody has the token", SRUN_STR("error", bad.text));
    struct access_verdict verdict = access_judge(ask);
    ask->token = NULL;
    explicit_bzero(token, sizeof token);
    return verdict;
}

static void judge(struct request *request, struct access_ask *ask)
{
    struct srun_admin_exchange *exchange = &request->exchange;
    struct access_verdict verdict = decide(request, ask);
    exchange->right = verdict.right;
    if (verdict.challenge)
        srun_admin_add_header(exchange, "WWW-Authenticate", "Bearer realm=\"srun\"");
    request->let_in = verdict.status == 0;
    if (!request->let_in)
        refuse(request, verdict.status, verdict.why);
    if (verdict.failed)
        slots_failed_auth(&request->server->slots);
    if (verdict.failed || (ask->writes && !request->let_in))
        warn_of_refused(request, verdict.why != NULL ? verdict.why : "this is not the token");
}

static void check(struct request *request)
{
    struct server *server = request->server;
    struct srun_admin_exchange *exchange = &request->exchange;
    const char *malformed = why_malformed(request);
    if (malformed != NULL) {
        request->keep = false;
        refuse(request, 400, malformed);
        return;
    }
    struct access_ask ask = ask_of(request);
    unsigned status =
        routes_find(server->routes, exchange->method, exchange->path, &request->found);
    ask.needed = request->found.right;
    ask.writes &= request->found.right == ADMIN_WRITE; /* pprof asks for names by POST */
    if (!access_admits_host(&ask)) {
        refuse(request, 421,
               "this Host is not accepted: use an IP address, localhost, or a name "
               "of admin.allowed_hosts");
    } else if (status == 405) {
        srun_admin_add_header(exchange, "Allow", request->found.allow);
        refuse(request, 405, "the method is not offered here");
    } else if (status != 0) {
        refuse(request, 404, "there is no such page; /help lists what there is");
    } else {
        judge(request, &ask);
    }
}

/* --- answering ------------------------------------------------------------------------------- */

static int call(struct request *request, srun_err *err)
{
    struct srun_admin_exchange *exchange = &request->exchange;
    const struct routes_found *found = &request->found;
    return found->view != NULL ? found->view->view(exchange, err)
                               : found->user->handler(found->user->user, exchange, err);
}

static void call_view(struct request *request)
{
    srun_err err = {0};
    int rc = call(request, &err);
    if (rc >= 0)
        return;
    const char *text = err.text[0] != '\0' ? err.text : srun_strerror(rc);
    bool trusted = request->exchange.right >= ADMIN_READ;
    char clean[sizeof err.text];
    (void)exchange_refuse(&request->exchange, 500, "%s",
                          trusted ? redact_text(clean, sizeof clean, text) : "internal error");
    SRUN_WARN(request->server->log, "admin request failed",
              SRUN_STR("path", request->exchange.path), SRUN_STR("error", text));
}

/* Who is put off does not count, not even for a moment. */
static bool begin_job(struct server *server)
{
    unsigned running = atomic_load(&server->jobs);
    while (running < SERVER_JOBS_MAX)
        if (atomic_compare_exchange_weak(&server->jobs, &running, running + 1))
            return true;
    return false;
}

static void call_job(struct request *request)
{
    struct server *server = request->server;
    if (!begin_job(server)) {
        srun_admin_add_header(&request->exchange, "Retry-After", "1");
        refuse(request, 429, "four of these are running already");
        return;
    }
    slots_note(&server->slots, request->slot, request->exchange.path);
    call_view(request);
    slots_note(&server->slots, request->slot, "");
    atomic_fetch_sub(&server->jobs, 1);
}

static enum MHD_Result add_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    char *out = cls, clean[QUERY_MAX] = "";
    size_t used = strlen(out);
    if (value != NULL) /* by itself: it may hold blanks */
        (void)redact_value(clean, sizeof clean, name, value);
    (void)snprintf(out + used, QUERY_MAX - used, "%s%s%s%s", used > 0 ? "&" : "", name,
                   value != NULL ? "=" : "", clean); /* cut to fit */
    return MHD_YES;
}

/* Those that were not let in are told of by warn_of_refused: they could fill a disk. */
static void log_write(struct request *request)
{
    struct srun_admin_exchange *exchange = &request->exchange;
    if (!request->let_in || strcmp(exchange->method, "GET") == 0 ||
        strcmp(exchange->method, "HEAD") == 0)
        return;
    char arguments[QUERY_MAX] = "", clean[QUERY_MAX];
    (void)request->server->mhd->get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND,
                                                      add_argument, arguments);
    SRUN_INFO(request->server->log, "admin request", SRUN_STR("method", exchange->method),
              SRUN_STR("path", exchange->path),
              SRUN_STR("query", redact_text(clean, sizeof clean, arguments)),
              SRUN_STR("peer", exchange->peer), SRUN_UINT("status", exchange->status));
}

static enum MHD_Result answer(struct request *request)
{
    if (request->bodied) /* without a body it is busy since its head */
        slots_enter(&request->server->slots, request->slot, CONNECTION_BUSY);
    if (!request->refused && !request->exchange.body.failed) {
        if (request->found.job)
            call_job(request);
        else
            call_view(request);
    }
    log_write(request);
    return send_response(request);
}

static int slot_of(const struct server *server, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        server->mhd->get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? (int)(intptr_t)info->socket_context - 1 : -1;
}

static struct request *request_new(struct server *server, struct MHD_Connection *connection,
                                   const char *method, const char *path)
{
    int slot = slot_of(server, connection);
    struct request *request = slot >= 0 ? calloc(1, sizeof *request) : NULL;
    if (request == NULL)
        return NULL;
    *request =
        (struct request){.server = server, .connection = connection, .slot = slot, .keep = true};
    exchange_init(&request->exchange);
    request->exchange.admin = server->admin;
    request->exchange.method = method;
    request->exchange.path = path;
    request->exchange.peer = server->slots.each[slot].text;
    request->exchange.query = query;
    request->exchange.header = header;
    request->exchange.cookie = request;
    return request;
}

/* A body that will be refused is not waited for; else for a limited time, also when the head that
 * was looked at promised none, and another one has slipped past before it. */
static enum MHD_Result begin(struct request *request)
{
    check(request);
    request->exchange.rest = request->found.rest != NULL ? request->found.rest : "";
    const char *length = header(request, "Content-Length");
    if (!request->encoded && (length == NULL || strcmp(length, "0") == 0))
        return MHD_YES;
    if (!request->refused) {
        request->bodied = true;
        slots_enter(&request->server->slots, request->slot, CONNECTION_BODY);
        return MHD_YES;
    }
    request->keep = false;
    request->unread = true;
    return send_response(request);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    (void)version;
    struct request *request = *state;
    if (request == NULL) {
        request = request_new(cls, connection, method, path);
        *state = request;
        return request != NULL ? begin(request) : MHD_NO;
    }
    if (*size == 0)
        return answer(request);
    if (*size > EXCHANGE_BODY_MAX - request->exchange.body.size)
        return MHD_NO; /* the head had promised less */
    buf_add(&request->exchange.body, data, *size);
    *size = 0;
    return MHD_YES;
}

/* Of the request's thread, which libmicrohttpd would now have read the next one: here it waits for
 * a head that was looked at. */
static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)connection;
    struct server *server = cls;
    struct request *request = *state;
    if (request == NULL)
        return;
    *state = NULL;
    int slot = request->slot;
    bool whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool keep = whole && request->keep, unread = whole && request->unread;
    exchange_free(&request->exchange);
    free(request);
    if (keep)
        slots_await(&server->slots, slot);
    if (unread)
        slots_linger(&server->slots, slot);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            server->mhd->get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = (void *)(intptr_t)(slots_find(&server->slots, info->connect_fd) + 1);
    } else if (*context != NULL) {
        slots_closed(&server->slots, (int)(intptr_t)*context - 1);
    }
}

/* --- libmicrohttpd --------------------------------------------------------------------------- */

static void on_message(void *cls, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void on_message(void *cls, const char *format, va_list arguments)
{
    const struct server *server = cls;
    if (!srun_log_enabled(server->log, SRUN_LEVEL_DEBUG) ||
        strncmp(format, "Setting %s option", 17) == 0 ||     /* of TCP, on a unix socket */
        strncmp(format, "Failed to push the data", 23) == 0) /* the same */
        return;
    char text[256];
    int length = vsnprintf(text, sizeof text, format, arguments);
    size_t size = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    while (size > 0 && text[size - 1] == '\n')
        size--;
    SRUN_DEBUG(server->log, "microhttpd", SRUN_TEXT("text", text, size));
}

int server_start(struct server *server, srun_err *err)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_message, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_CONNECTION_LIMIT, 2 * CONNECTIONS_SLOTS, NULL}, /* ours is lower */
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)MEMORY_BYTES, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)STACK_BYTES, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = server->mhd->start_daemon(flags, 0, NULL, NULL, on_request, server,
                                               MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    return server->daemon == NULL ? srun_fail(err, -EIO, "libmicrohttpd did not start") : 0;
}

/* It closes what it does not take. Nobody reads the address there. */
bool server_add(struct server *server, int slot, const struct head *head)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    int fd = server->slots.all.slots[slot].fd;
    slots_hand_over(&server->slots, slot, head);
    if (server->mhd->add_connection(server->daemon, fd, &nowhere, sizeof nowhere) == MHD_YES)
        return true;
    slots_closed(&server->slots, slot);
    return false;
}

void server_name_busy(struct server *server)
{
    struct slot busy;
    for (int i = 0; i < CONNECTIONS_SLOTS; i++)
        if (slots_busy(&server->slots, i, &busy))
            SRUN_WARN(server->log, "still within a request", SRUN_STR("path", busy.doing),
                      SRUN_STR("peer", busy.text));
}

void server_stop(struct server *server)
{
    slots_shut(&server->slots, true);
    server->mhd->stop_daemon(server->daemon);
    server->daemon = NULL;
}
