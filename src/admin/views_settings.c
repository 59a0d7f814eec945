/* SPDX-License-Identifier: MIT
 *
 * /config and /flags: what the program was told, and by whom. Secrets stay out.
 */
#include "admin/columns.h"
#include "admin/redact.h"
#include "admin/views.h"

#include <stdio.h>
#include <string.h>

/* No program has so many; what a host says is bounded here. */
#define SETTINGS_MAX 1024

/* --- configuration --------------------------------------------------------------------------- */

static bool next_setting(const struct admin_host *host, size_t index, struct admin_setting *out)
{
    char name[128], clean[sizeof out->value] = "";
    if (host->setting == NULL || index >= SETTINGS_MAX || !host->setting(host->runner, index, out))
        return false;
    (void)snprintf(name, sizeof name, "%.60s.%.60s", out->group, out->key);
    (void)redact_value(clean, sizeof clean, name, out->value);
    memcpy(out->value, clean, sizeof out->value);
    (void)redact_value(clean, sizeof out->fallback, name, out->fallback);
    memcpy(out->fallback, clean, sizeof out->fallback);
    return true;
}

void config_json(struct json *json, const struct admin_host *host)
{
    struct admin_setting setting;
    json_open(json, "config", '[');
    for (size_t i = 0; next_setting(host, i, &setting); i++) {
        json_open(json, NULL, '{');
        json_str(json, "group", setting.group);
        json_str(json, "key", setting.key);
        json_str(json, "variable", setting.variable);
        json_str(json, "value", setting.value);
        json_str(json, "default", setting.fallback);
        json_str(json, "origin", setting.origin);
        json_close(json);
    }
    json_close(json);
}

static void config_text(struct buf *out, const struct admin_host *host)
{
    struct admin_setting setting;
    auto_columns struct columns table = {0};
    columns_heads(&table, "SETTING|VALUE|DEFAULT|FROM|VARIABLE");
    for (size_t i = 0; next_setting(host, i, &setting); i++) {
        columns_addf(&table, "%s.%s", setting.group, setting.key);
        columns_add(&table, setting.value);
        columns_add(&table, setting.fallback);
        columns_add(&table, setting.origin);
        columns_add(&table, setting.variable != NULL ? setting.variable : "");
    }
    columns_write(&table, out);
}

int config_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    (void)err;
    if (!exchange_wants_json(exchange)) {
        config_text(&exchange->out, host);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    config_json(&json, host);
    return views_end_json(exchange, &json);
}

/* --- flags ----------------------------------------------------------------------------------- */

static bool next_flag(const struct admin_host *host, size_t index, struct admin_flag *out)
{
    char clean[sizeof out->value] = "";
    if (host->flag == NULL || index >= SETTINGS_MAX || !host->flag(host->runner, index, out))
        return false;
    (void)redact_value(clean, sizeof clean, out->name, out->value);
    memcpy(out->value, clean, sizeof out->value);
    return true;
}

void flags_json(struct json *json, const struct admin_host *host)
{
    struct admin_flag flag;
    json_open(json, "flags", '[');
    for (size_t i = 0; next_flag(host, i, &flag); i++) {
        json_open(json, NULL, '{');
        json_str(json, "name", flag.name);
        json_str(json, "value", flag.value);
        json_bool(json, "given", flag.given);
        json_close(json);
    }
    json_close(json);
}

static void flags_text(struct buf *out, const struct admin_host *host)
{
    struct admin_flag flag;
    auto_columns struct columns table = {0};
    columns_heads(&table, "FLAG|VALUE|GIVEN");
    for (size_t i = 0; next_flag(host, i, &flag); i++) {
        columns_addf(&table, "--%s", flag.name);
        columns_add(&table, flag.value);
        columns_add(&table, flag.given ? "yes" : "no");
    }
    columns_write(&table, out);
}

int flags_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    (void)err;
    if (!exchange_wants_json(exchange)) {
        flags_text(&exchange->out, host);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    flags_json(&json, host);
    return views_end_json(exchange, &json);
}
