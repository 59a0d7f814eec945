/* SPDX-License-Identifier: MIT
 *
 * The commands that ask and print. Those that wait for something stand in wait.c and top.c.
 */
#include "base/duration.h"
#include "srunctl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds a text from people to a URL. */
static void add_encoded(struct buf *out, const char *text)
{
    char *encoded = curl_easy_escape(NULL, text, 0);
    buf_text(out, encoded != NULL ? encoded : "");
    out->failed |= encoded == NULL;
    curl_free(encoded);
}

/* A probe that fails answers all the same: its list of checks goes where a good one goes. */
static bool is_told(const struct options *options, const char *request, int answer,
                    const struct reply *reply)
{
    bool probe = strstr(request, "verbose") != NULL && reply->status >= 500;
    return answer == YES || (reply->status > 0 && (options->json || probe));
}

int run_request(struct options *options, const char *request)
{
    auto_buf struct buf whole = {0};
    auto_reply struct reply reply = {0};
    buf_printf(&whole, "%s%cformat=%s", request, strchr(request, '?') != NULL ? '&' : '?',
               options->json ? "json" : "text");
    if (whole.failed)
        return fail(NO, "out of memory");
    int answer = ask(options, whole.data, deadline_of(options, ASK_MS), &reply);
    if (!is_told(options, request, answer, &reply))
        return fail(answer, "%s", reply.why);
    int printed = show_print(&reply.body, options->json);
    return answer != YES ? answer : printed;
}

/* "GET /healthz" and "/", if there is a name, and the name. */
static int run_named(struct options *options, const char *before, const char *behind)
{
    auto_buf struct buf request = {0};
    buf_text(&request, before);
    if (options->argument != NULL) {
        buf_text(&request, behind);
        add_encoded(&request, options->argument);
    }
    if (strstr(before, "healthz") != NULL)
        buf_text(&request, "?verbose");
    return request.failed ? fail(NO, "out of memory") : run_request(options, request.data);
}

int run_health(struct options *options)
{
    return run_named(options, "GET /healthz", "/");
}

int run_history(struct options *options)
{
    return run_named(options, "GET /health/history", "?service=");
}

int run_drain(struct options *options)
{
    return run_request(options, options->off ? "POST /admin/drain?off" : "POST /admin/drain");
}

/* --- status ---------------------------------------------------------------------------------- */

/* "1h2m3s"; "?" when it is no number. */
static const char *span_of(char out[DURATION_TEXT_MAX], const char *from_ms, const char *to_ms)
{
    int64_t seconds = (strtoll(to_ms, NULL, 10) - strtoll(from_ms, NULL, 10)) / 1000;
    (void)duration_format(out, seconds < INT64_MAX / NS_PER_S ? seconds * NS_PER_S : 0);
    return out;
}

int status_text(struct options *options, struct buf *out, int64_t until, struct reply *reply)
{
    enum { NAME, VERSION, PID, GENERATION, STATE, READY, OVERALL, STARTED, WALL, KEYS };
    static const char *const keys[KEYS] = {"name",  "version", "pid",        "generation", "state",
                                           "ready", "overall", "started_ms", "now_ms"};
    char value[KEYS][128] = {0};
    char why[320];
    char up[DURATION_TEXT_MAX];
    int answer = ask(options, "GET /status.json", until, reply);
    if (answer != YES)
        return answer;
    for (int i = 0; i < KEYS; i++)
        (void)json_find(&reply->body, keys[i], value[i], sizeof value[i]);
    buf_printf(out, "%s %s  pid %s  generation %s  %s  %s  health %s  up %s\n", value[NAME],
               value[VERSION], value[PID], value[GENERATION], value[STATE],
               strcmp(value[READY], "true") == 0 ? "ready" : "not ready", value[OVERALL],
               span_of(up, value[STARTED], value[WALL]));
    if (json_find(&reply->body, "not_ready", why, sizeof why))
        buf_printf(out, "not ready: %s\n", why);
    if (json_find(&reply->body, "not_healthy", why, sizeof why))
        buf_printf(out, "not healthy: %s\n", why);
    answer = ask(options, "GET /services?format=text", until, reply);
    if (answer == YES)
        buf_printf(out, "\n%s", reply->body.data);
    return answer;
}

int run_status(struct options *options)
{
    auto_buf struct buf out = {0};
    auto_reply struct reply reply = {0};
    if (options->json)
        return run_request(options, "GET /status.json");
    int answer = status_text(options, &out, deadline_of(options, ASK_MS), &reply);
    return answer == YES ? show_print(&out, false) : fail(answer, "%s", reply.why);
}

/* --- log-level ------------------------------------------------------------------------------- */

static int show_level(struct options *options)
{
    char text[64], left[32], span[DURATION_TEXT_MAX];
    auto_reply struct reply reply = {0};
    auto_buf struct buf out = {0};
    if (options->json || options->span != NULL)
        return fail(USAGE, "log-level: --json and --for go with a LEVEL");
    int answer = ask(options, "GET /status.json", deadline_of(options, ASK_MS), &reply);
    if (answer != YES)
        return fail(answer, "%s", reply.why);
    if (!json_find(&reply.body, "log_level", text, sizeof text))
        return fail(NO, "the program does not tell its log level");
    buf_text(&out, text);
    if (json_find(&reply.body, "log_level_reverts_in_ms", left, sizeof left) && left[0] != '-')
        buf_printf(&out, " (for %s more)", span_of(span, "0", left));
    buf_text(&out, "\n");
    return show_print(&out, false);
}

int run_log_level(struct options *options)
{
    auto_buf struct buf request = {0};
    if (options->argument == NULL)
        return show_level(options);
    buf_text(&request, "POST /admin/log-level?level=");
    add_encoded(&request, options->argument);
    if (options->span != NULL) {
        buf_text(&request, "&for=");
        add_encoded(&request, options->span);
    }
    return request.failed ? fail(NO, "out of memory") : run_request(options, request.data);
}
