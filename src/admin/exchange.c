/* SPDX-License-Identifier: MIT */
#include "admin/exchange.h"

#include "admin/columns.h"
#include "base/ensure.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void free_pair(struct exchange_pair *pair)
{
    if (pair == NULL)
        return;
    free(pair->name);
    free(pair->value);
    free(pair);
}

void exchange_init(struct srun_admin_exchange *exchange)
{
    *exchange = (struct srun_admin_exchange){.method = "GET", .path = "/", .rest = "", .peer = ""};
    exchange->status = 200;
    srun_admin_type(exchange, "text/plain; charset=utf-8");
}

void exchange_free(struct srun_admin_exchange *exchange)
{
    while (exchange->headers != NULL) {
        struct exchange_pair *pair = exchange->headers;
        exchange->headers = pair->next;
        free_pair(pair);
    }
    buf_free(&exchange->body);
    buf_free(&exchange->out);
}

/* --- what was asked -------------------------------------------------------------------------- */

const char *srun_admin_method(const srun_admin_exchange *exchange)
{
    return exchange->method;
}

const char *srun_admin_path(const srun_admin_exchange *exchange)
{
    return exchange->path;
}

const char *exchange_query(const srun_admin_exchange *exchange, const char *name, unsigned index)
{
    return exchange->query != NULL ? exchange->query(exchange->cookie, name, index) : NULL;
}

const char *srun_admin_query(const srun_admin_exchange *exchange, const char *name)
{
    return exchange_query(exchange, name, 0);
}

const char *srun_admin_header(const srun_admin_exchange *exchange, const char *name)
{
    return exchange->header != NULL ? exchange->header(exchange->cookie, name) : NULL;
}

const void *srun_admin_body(const srun_admin_exchange *exchange, size_t *size)
{
    *size = exchange->body.size;
    return exchange->body.data != NULL ? exchange->body.data : "";
}

/* Where a media type stands in an Accept header; SIZE_MAX: nowhere. */
static size_t place_of(const char *accept, const char *type)
{
    const char *found = strstr(accept, type);
    return found != NULL ? (size_t)(found - accept) : SIZE_MAX;
}

bool exchange_wants_json(const srun_admin_exchange *exchange)
{
    const char *format = srun_admin_query(exchange, "format");
    if (format != NULL)
        return strcmp(format, "json") == 0;
    const char *accept = srun_admin_header(exchange, "Accept");
    if (accept == NULL)
        return false;
    size_t json = place_of(accept, "application/json");
    return json < place_of(accept, "text/") && json < place_of(accept, "*/*");
}

/* --- the response ---------------------------------------------------------------------------- */

void srun_admin_status(srun_admin_exchange *exchange, unsigned status)
{
    exchange->status = status;
}

/* What a header may say: libmicrohttpd takes no empty one, and no tab. */
static bool is_value(const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return value[0] != '\0';
}

void srun_admin_type(srun_admin_exchange *exchange, const char *type)
{
    if (is_value(type))
        (void)snprintf(exchange->type, sizeof exchange->type, "%s", type); /* cut to fit */
}

void srun_admin_write(srun_admin_exchange *exchange, const void *data, size_t size)
{
    buf_add(&exchange->out, data, size);
}

void srun_admin_printf(srun_admin_exchange *exchange, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&exchange->out, format, arguments);
    va_end(arguments);
}

/* Where a response ends, and what becomes of its connection, is not a view's to say. */
static bool is_framing(const char *name)
{
    static const char *const names[] = {"Connection", "Content-Length", "Keep-Alive",
                                        "Trailer",    "Upgrade",        "Transfer-Encoding"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_header(const char *name, const char *value)
{
    for (const char *c = name; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || *c == ':')
            return false;
    return name[0] != '\0' && is_value(value) && !is_framing(name);
}

void srun_admin_add_header(srun_admin_exchange *exchange, const char *name, const char *value)
{
    if (!is_header(name, value))
        return;
    if (strcasecmp(name, "Content-Type") == 0) { /* there is one already */
        srun_admin_type(exchange, value);
        return;
    }
    struct exchange_pair *pair = calloc(1, sizeof *pair);
    if (pair != NULL) {
        pair->name = strdup(name);
        pair->value = strdup(value);
    }
    if (pair == NULL || pair->name == NULL || pair->value == NULL) {
        free_pair(pair);
        exchange->failed = true;
        return;
    }
    pair->next = exchange->headers;
    exchange->headers = pair;
}

void exchange_json(srun_admin_exchange *exchange, struct json *json)
{
    exchange->out.size = 0;
    srun_admin_type(exchange, "application/json");
    *json = (struct json){.out = &exchange->out};
    json_open(json, NULL, '{');
    json_int(json, "v", 1);
}

int exchange_refuse(srun_admin_exchange *exchange, unsigned status, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut to fit */
    va_end(arguments);
    exchange->status = status;
    exchange->out.size = 0;
    if (exchange_wants_json(exchange)) {
        struct json json;
        exchange_json(exchange, &json);
        json_str(&json, "error", text);
        json_close(&json);
        buf_text(&exchange->out, "\n");
    } else {
        srun_admin_type(exchange, "text/plain; charset=utf-8");
        (void)columns_plain(&exchange->out, text);
        buf_text(&exchange->out, "\n");
    }
    return 0;
}
