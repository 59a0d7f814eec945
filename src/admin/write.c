/* SPDX-License-Identifier: MIT
 *
 * What an operator may do: the log level, an upgrade, drain, stop. The server has seen to the
 * method, the right and the header, and logs each of these with the peer.
 */
#include "admin/revert.h"
#include "admin/routes.h"
#include "admin/show.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/text.h"

#include <errno.h>
#include <srun/upgrade.h>
#include <stdio.h>
#include <string.h>

#define LEVEL_FOR_MS (INT64_C(10) * 60 * 1000)
#define LEVEL_FOR_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)
#define UPGRADE_WAIT_MS INT64_C(30000)
#define UPGRADE_WAIT_MAX_MS (INT64_C(10) * 60 * 1000)

static srun_runner *runner_of(const srun_admin_exchange *exchange)
{
    return admin_host(exchange->admin)->runner;
}

/* "asked by PEER", for the log of the runner. */
static const char *who(const srun_admin_exchange *exchange, char out[160])
{
    (void)snprintf(out, 160, "asked by %.140s", exchange->peer);
    return out;
}

/* One line, or {"v":1,"done":"..."}. */
static int answer(srun_admin_exchange *exchange, unsigned status, const char *text)
{
    srun_admin_status(exchange, status);
    if (!exchange_wants_json(exchange)) {
        srun_admin_printf(exchange, "%s\n", text);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    json_str(&json, "done", text);
    json_close(&json);
    buf_text(&exchange->out, "\n");
    return 0;
}

/* A call of the runner that failed: it has ended, or the program's own fault. */
static int answer_error(srun_admin_exchange *exchange, int rc)
{
    if (rc == SRUN_ESTATE)
        return exchange_refuse(exchange, 409, "the program does not run, or has ended");
    return exchange_refuse(exchange, 500, "%s", srun_strerror(rc));
}

/* --- the log level --------------------------------------------------------------------------- */

/* How long the level stays, in ms; 0: for ever. False: the query is wrong. */
static bool read_for(const char *text, int64_t *out)
{
    *out = LEVEL_FOR_MS;
    if (text == NULL)
        return true;
    if (strcmp(text, "forever") == 0) {
        *out = 0;
        return true;
    }
    return parse_duration_ms(text, out) == 0 && *out >= 0 && *out <= LEVEL_FOR_MAX_MS;
}

static int tell_level(srun_admin_exchange *exchange, int level, int back, int64_t for_ms)
{
    char now[SHOW_MAX], then[SHOW_MAX], after[SHOW_MAX];
    (void)show_level(now, level);
    (void)show_level(then, back);
    bool reverts = back != level;
    if (!exchange_wants_json(exchange)) {
        if (reverts)
            srun_admin_printf(exchange, "log level: %s, %s again in %s\n", now, then,
                              show_ms(after, for_ms));
        else
            srun_admin_printf(exchange, "log level: %s\n", now);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    json_str(&json, "level", now);
    json_str(&json, "reverts_to", reverts ? then : NULL);
    json_int(&json, "reverts_in_ms", reverts ? for_ms : -1);
    json_close(&json);
    buf_text(&exchange->out, "\n");
    return 0;
}

static int log_level_view(srun_admin_exchange *exchange, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    int level;
    int64_t for_ms;
    const char *wanted = srun_admin_query(exchange, "level");
    const char *duration = srun_admin_query(exchange, "for");
    (void)err;
    if (wanted == NULL)
        return exchange_refuse(exchange, 400,
                               "level: is not given: accepted are debug, info, warn, error");
    if (srun_level_parse(wanted, &level) < 0)
        return exchange_refuse(exchange, 400,
                               "level: %s: accepted are debug, info, warn, error, and steps "
                               "between them (info+2)",
                               text_quote(quoted, wanted));
    if (!read_for(duration, &for_ms))
        return exchange_refuse(exchange, 400,
                               "for: %s: accepted is a duration up to 168h (10m), 0 or forever",
                               text_quote(quoted, duration));
    /* Before the change: a higher level would hide it. */
    SRUN_INFO(srun_runner_log(runner_of(exchange)), "log level", SRUN_STR("level", wanted),
              SRUN_MS("for", for_ms), SRUN_STR("peer", exchange->peer));
    int64_t until = for_ms == 0 ? REVERT_NEVER : clock_after_ms(clock_real_now(), for_ms);
    int back = revert_set(admin_revert(exchange->admin), srun_runner_log(runner_of(exchange)),
                          level, until);
    return tell_level(exchange, level, back, for_ms);
}

/* --- the upgrade ----------------------------------------------------------------------------- */

/* False: the query is wrong. */
static bool read_wait(const char *text, int64_t *out)
{
    *out = text != NULL ? UPGRADE_WAIT_MS : 0;
    if (text == NULL || text[0] == '\0')
        return true;
    return parse_duration_ms(text, out) == 0 && *out >= 0 && *out <= UPGRADE_WAIT_MAX_MS;
}

static int tell_upgrade(srun_admin_exchange *exchange)
{
    char text[128];
    struct srun_upgrade_info info;
    srun_upgrade_info(runner_of(exchange), &info);
    (void)snprintf(text, sizeof text, "generation %u serves, pid %d", info.generation + 1,
                   info.peer_pid);
    if (info.peer_pid == 0)
        (void)snprintf(text, sizeof text, "generation %u serves", info.generation + 1);
    return answer(exchange, 200, text);
}

static int upgrade_view(srun_admin_exchange *exchange, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX], why[160], waited[SHOW_MAX];
    int64_t wait_ms;
    srun_err failure = {0};
    const char *wait = srun_admin_query(exchange, "wait");
    (void)err;
    if (!read_wait(wait, &wait_ms))
        return exchange_refuse(exchange, 400, "wait: %s: accepted is a duration up to 10m (30s)",
                               text_quote(quoted, wait));
    int rc = srun_upgrade_request(runner_of(exchange), who(exchange, why), wait_ms, &failure);
    if (rc == 0)
        return wait_ms > 0 ? tell_upgrade(exchange) : answer(exchange, 202, "upgrade: asked for");
    if (rc == -EINPROGRESS)
        return answer(exchange, 202, failure.text);
    if (rc == -ETIMEDOUT)
        return exchange_refuse(exchange, 504, "upgrade: not decided after %s; see /generations",
                               show_ms(waited, wait_ms));
    if (rc == SRUN_EUPGRADE || rc == SRUN_ESTATE)
        return exchange_refuse(exchange, 409, "%s",
                               failure.text[0] != '\0' ? failure.text : srun_strerror(rc));
    return answer_error(exchange, rc);
}

/* --- drain and stop -------------------------------------------------------------------------- */

/* ?off, and every word for yes and no. False: the query is wrong. */
static bool read_off(const char *text, bool *out)
{
    *out = text != NULL;
    return text == NULL || text[0] == '\0' || parse_bool(text, out) == 0;
}

static int drain_view(srun_admin_exchange *exchange, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX], why[160];
    const char *off = srun_admin_query(exchange, "off");
    bool undo;
    (void)err;
    if (!read_off(off, &undo))
        return exchange_refuse(exchange, 400, "off: %s: accepted are ?off, true and false",
                               text_quote(quoted, off));
    int rc = srun_runner_withdraw(runner_of(exchange), !undo, who(exchange, why));
    if (rc < 0)
        return answer_error(exchange, rc);
    return answer(exchange, 200,
                  undo ? "drain: off; ready again" : "drain: on; it looks not ready and serves on");
}

static int stop_view(srun_admin_exchange *exchange, srun_err *err)
{
    char why[160];
    (void)err;
    int rc = srun_runner_shutdown(runner_of(exchange), 0, who(exchange, why));
    return rc < 0 ? answer_error(exchange, rc) : answer(exchange, 202, "stop: asked for");
}

const struct admin_route write_routes[] = {
    {"POST", "/admin/log-level", ADMIN_WRITE, log_level_view,
     "?level=debug&for=10m: reverts by itself; for=forever stays", false},
    {"POST", "/admin/upgrade", ADMIN_WRITE, upgrade_view,
     "start the program's file anew; ?wait=30s tells the result", true},
    {"POST", "/admin/drain", ADMIN_WRITE, drain_view, "look not ready and serve on; ?off: no more",
     false},
    {"POST", "/admin/stop", ADMIN_WRITE, stop_view, "a graceful stop", false},
    {0},
};
