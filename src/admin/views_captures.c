/* SPDX-License-Identifier: MIT
 *
 * /debug/captures: profiles that were kept by themselves, and each of them.
 */
#include "admin/columns.h"
#include "admin/show.h"
#include "admin/views.h"
#include "base/parse.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CAPTURES_MAX 32

/* --- the list -------------------------------------------------------------------------------- */

static bool is_on(const struct admin_host *host)
{
    return host->captures != NULL && host->config != NULL && host->config->profile.capture != 0;
}

static size_t take_list(const struct admin_host *host, struct admin_capture list[CAPTURES_MAX])
{
    return is_on(host) ? host->captures(host->runner, list, CAPTURES_MAX) : 0;
}

static const char *kind_of(const struct admin_capture *capture)
{
    return capture->cpu ? "cpu" : "stacks";
}

static void list_text(struct buf *out, const struct admin_capture *list, size_t count)
{
    char time[SHOW_MAX];
    auto_columns struct columns table = {0};
    columns_heads(&table, ">CAPTURE|TIME|KIND|SERVICE|>BYTES|WHY");
    for (size_t i = 0; i < count; i++) {
        columns_addf(&table, "%" PRIu64, list[i].number);
        columns_add(&table, show_time(time, list[i].time_ms));
        columns_add(&table, kind_of(&list[i]));
        columns_add(&table, list[i].service);
        columns_addf(&table, "%zu", list[i].size);
        columns_add(&table, list[i].why);
    }
    columns_write(&table, out);
    buf_text(out, count > 0
                      ? "\nEach is at /debug/captures/CAPTURE; with ?format=text for people.\n"
                      : "\nNothing was captured so far.\n");
}

void captures_json(struct json *json, const struct admin_host *host)
{
    struct admin_capture list[CAPTURES_MAX];
    char path[48];
    size_t count = take_list(host, list);
    json_open(json, "captures", '[');
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "/debug/captures/%" PRIu64, list[i].number);
        json_open(json, NULL, '{');
        json_int(json, "number", (int64_t)list[i].number);
        json_int(json, "time_ms", list[i].time_ms);
        json_str(json, "kind", kind_of(&list[i]));
        json_str(json, "service", list[i].service);
        json_str(json, "why", list[i].why);
        json_int(json, "bytes", (int64_t)list[i].size);
        json_str(json, "path", path);
        json_close(json);
    }
    json_close(json);
}

static int list_json(srun_admin_exchange *exchange, const struct admin_host *host)
{
    struct json json;
    exchange_json(exchange, &json);
    json_bool(&json, "captures_enabled", is_on(host));
    captures_json(&json, host);
    return views_end_json(exchange, &json);
}

static int list(srun_admin_exchange *exchange)
{
    const struct admin_host *host = admin_host(exchange->admin);
    struct admin_capture list[CAPTURES_MAX];
    if (exchange_wants_json(exchange))
        return list_json(exchange, host);
    if (is_on(host))
        list_text(&exchange->out, list, take_list(host, list));
    else
        buf_text(&exchange->out,
                 "Captures are off: profile.capture, or SRUN_CAPTURE=true, turns them on.\n");
    return 0;
}

/* --- one of them ----------------------------------------------------------------------------- */

static int refuse_form(srun_admin_exchange *exchange, const char *format, bool cpu)
{
    char quoted[TEXT_QUOTE_MAX];
    return exchange_refuse(exchange, 400, "format: %s: accepted %s", text_quote(quoted, format),
                           cpu ? "are proto, top, text" : "is text");
}

/* text: whatever people can read. */
static int get(const struct admin_host *host, uint64_t number, const char *format,
               struct admin_capture *about, struct buf *out)
{
    enum admin_form form = ADMIN_PROTO;
    if (format != NULL && strcmp(format, "proto") != 0)
        form = strcmp(format, "top") == 0    ? ADMIN_TOP
               : strcmp(format, "text") == 0 ? ADMIN_EACH
                                             : ADMIN_FLAME; /* which none has */
    int rc = host->capture(host->runner, number, form, about, out);
    if (rc == -EINVAL && format == NULL)
        rc = host->capture(host->runner, number, ADMIN_EACH, about, out);
    if (rc == -EINVAL && form == ADMIN_EACH)
        rc = host->capture(host->runner, number, ADMIN_TOP, about, out);
    return rc;
}

int captures_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    const char *format = srun_admin_query(exchange, "format");
    struct admin_capture about = {0};
    int64_t number = 0;
    if (exchange->rest[0] == '\0')
        return list(exchange);
    int rc = parse_int(exchange->rest, &number);
    if (rc == 0)
        rc = is_on(host) && number > 0 ? get(host, (uint64_t)number, format, &about, &exchange->out)
                                       : -ENOENT;
    if (rc == -EINVAL && format != NULL && about.number != 0)
        return refuse_form(exchange, format, about.cpu);
    if (rc == -ENOMEM)
        return srun_fail(err, rc, "captures: out of memory");
    if (rc < 0)
        return exchange_refuse(exchange, 404, "there is no such capture; see /debug/captures");
    if (about.cpu && (format == NULL || strcmp(format, "proto") == 0)) {
        char disposition[64];
        (void)snprintf(disposition, sizeof disposition,
                       "attachment; filename=\"capture-%" PRIu64 "\"", about.number);
        srun_admin_type(exchange, "application/octet-stream");
        srun_admin_add_header(exchange, "Content-Disposition", disposition);
    }
    return 0;
}
