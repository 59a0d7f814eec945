/* SPDX-License-Identifier: MIT
 *
 * The table of what may be tried again, the wait, and HTTP dates in their three forms. Any thread.
 */
#include "telemetry/retry.h"

#include "base/duration.h"
#include "base/ensure.h"
#include "telemetry/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIRST_WAIT NS_PER_S
#define LONGEST_WAIT (30 * NS_PER_S)
#define LONGEST_HINT (86400 * NS_PER_S)

static const struct grpc_code {
    const char *name;
    bool again;
} grpc_codes[] = {
    {"OK", false},
    {"CANCELLED", true},
    {"UNKNOWN", false},
    {"INVALID_ARGUMENT", false},
    {"DEADLINE_EXCEEDED", true},
    {"NOT_FOUND", false},
    {"ALREADY_EXISTS", false},
    {"PERMISSION_DENIED", false},
    {"RESOURCE_EXHAUSTED", false}, /* but with a RetryInfo */
    {"FAILED_PRECONDITION", false},
    {"ABORTED", true},
    {"OUT_OF_RANGE", true},
    {"UNIMPLEMENTED", false},
    {"INTERNAL", false},
    {"UNAVAILABLE", true},
    {"DATA_LOSS", true},
    {"UNAUTHENTICATED", false},
};
enum {
    GRPC_UNKNOWN = 2,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16
};

/* --- Retry-After -------------------------------------------------------------------------------
 */

/* Reads a text from left to right; once something does not fit, nothing does. */
struct cursor {
    const char *at;
    bool bad;
};

static void take(struct cursor *in, const char *literal)
{
    size_t size = strlen(literal);
    in->bad = in->bad || strncmp(in->at, literal, size) != 0;
    in->at += in->bad ? 0 : size;
}

static int take_number(struct cursor *in, int digits)
{
    int value = 0;
    for (int i = 0; i < digits && !in->bad; i++, in->at += !in->bad) {
        in->bad = *in->at < '0' || *in->at > '9';
        value = value * 10 + (*in->at - '0');
    }
    return in->bad ? 0 : value;
}

static int take_month(struct cursor *in)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12 && !in->bad; i++) {
        if (strncmp(months + (ptrdiff_t)3 * i, in->at, 3) == 0) {
            in->at += 3;
            return i;
        }
    }
    in->bad = true;
    return 0;
}

static void take_time(struct cursor *in, struct tm *tm)
{
    take(in, " ");
    tm->tm_hour = take_number(in, 2);
    take(in, ":");
    tm->tm_min = take_number(in, 2);
    take(in, ":");
    tm->tm_sec = take_number(in, 2);
    take(in, " ");
}

/* 06 Nov 1994, or with dashes 06-Nov-94. */
static void take_date(struct cursor *in, struct tm *tm)
{
    tm->tm_mday = take_number(in, 2);
    bool dashes = *in->at == '-';
    take(in, dashes ? "-" : " ");
    tm->tm_mon = take_month(in);
    take(in, dashes ? "-" : " ");
    tm->tm_year = take_number(in, dashes ? 2 : 4) - (dashes ? 0 : 1900);
    tm->tm_year += dashes && tm->tm_year < 70 ? 100 : 0;
    take_time(in, tm);
    take(in, "GMT");
}

/* Nov  6 08:49:37 1994 */
static void take_asctime(struct cursor *in, struct tm *tm)
{
    tm->tm_mon = take_month(in);
    take(in, " ");
    bool short_day = *in->at == ' ';
    take(in, short_day ? " " : "");
    tm->tm_mday = take_number(in, short_day ? 1 : 2);
    take_time(in, tm);
    tm->tm_year = take_number(in, 4) - 1900;
}

/* Not strptime: its names of days and months are the locale's. */
static bool date_parts(const char *text, struct tm *tm)
{
    struct cursor in = {.at = text + strcspn(text, ", ")}; /* the day of the week says nothing */
    in.bad = in.at == text;
    bool asctime = *in.at == ' ';
    take(&in, asctime ? " " : ", ");
    (asctime ? take_asctime : take_date)(&in, tm);
    return !in.bad && *in.at == '\0';
}

/* No number here has a sign. */
static bool date_fits(const struct tm *tm)
{
    return tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
           tm->tm_sec <= 60 && tm->tm_year >= 70;
}

int64_t retry_after_s(const char *text, int64_t wall_s)
{
    int64_t seconds = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == '\0') {
        for (size_t i = 0; i < digits && seconds < INT32_MAX; i++)
            seconds = seconds * 10 + (text[i] - '0');
        return seconds < INT32_MAX ? seconds : INT32_MAX;
    }
    struct tm tm = {0};
    if (!date_parts(text, &tm) || !date_fits(&tm))
        return -1;
    int64_t then = (int64_t)timegm(&tm);
    seconds = then > wall_s ? then - wall_s : 0;
    return seconds < INT32_MAX ? seconds : INT32_MAX;
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static int64_t hint(int64_t ns)
{
    return ns < LONGEST_HINT ? ns : LONGEST_HINT;
}

static void accepted(const struct transport_reply *reply, struct retry_answer *out)
{
    struct reply_partial partial;
    (void)reply_partial(reply->body, reply->size, &partial); /* not ours to read: all is well */
    out->verdict = RETRY_DONE;
    out->rejected = partial.rejected;
    if (partial.rejected > 0 || partial.text[0] != '\0')
        (void)snprintf(out->text, sizeof out->text, "%s%s",
                       partial.rejected > 0 ? "rejected in part: " : "the receiver says: ",
                       partial.text[0] != '\0' ? partial.text : "no reason given");
}

static void judge_http(const struct transport_reply *reply, int64_t wall_s,
                       struct retry_answer *out)
{
    int status = reply->http_status;
    if (status >= 200 && status <= 299) {
        accepted(reply, out);
        return;
    }
    bool again = status == 429 || status == 502 || status == 503 || status == 504;
    struct reply_status said;
    (void)reply_status(reply->body, reply->size, &said);
    int64_t after = again ? retry_after_s(reply->retry_after, wall_s) : -1;
    out->after_ns = after >= 0 ? hint(after * NS_PER_S) : -1;
    out->verdict = again ? RETRY_AGAIN : RETRY_LOST;
    out->code = again ? -EAGAIN : -EBADMSG;
    (void)snprintf(out->text, sizeof out->text, "HTTP status %d%s%s", status,
                   said.text[0] != '\0' ? ": " : "", said.text);
}

/* gRPC says which of its codes an HTTP status without a code of its own stands for. */
static int grpc_status_of(const struct transport_reply *reply)
{
    if (reply->grpc_status >= 0)
        return reply->grpc_status;
    switch (reply->http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

_Static_assert(sizeof "gRPC status 8 RESOURCE_EXHAUSTED: " + REPLY_TEXT_MAX <= RETRY_TEXT_MAX,
               "a text could be cut");

static void judge_grpc(const struct transport_reply *reply, struct retry_answer *out)
{
    int status = grpc_status_of(reply);
    if (status == 0) {
        accepted(reply, out);
        return;
    }
    bool known = (size_t)status < COUNT_OF(grpc_codes);
    struct reply_status said;
    char message[REPLY_TEXT_MAX];
    (void)reply_status_base64(reply->grpc_details, &said);
    reply_message(reply->grpc_message, message);
    bool again = (known && grpc_codes[status].again) ||
                 (status == GRPC_RESOURCE_EXHAUSTED && said.retry_ns >= 0);
    out->after_ns = again && said.retry_ns >= 0 ? hint(said.retry_ns) : -1;
    out->verdict = again ? RETRY_AGAIN : RETRY_LOST;
    out->code = again ? -EAGAIN : -EBADMSG;
    if (reply->grpc_status < 0)
        (void)snprintf(message, sizeof message, "HTTP status %d, no gRPC status",
                       reply->http_status);
    (void)snprintf(out->text, sizeof out->text, "gRPC status %d %s%s%s", status,
                   known ? grpc_codes[status].name : "", message[0] != '\0' ? ": " : "", message);
}

void retry_judge(const struct transport_reply *reply, bool grpc, int64_t wall_s,
                 struct retry_answer *out)
{
    *out = (struct retry_answer){.after_ns = -1};
    if (reply->code != 0) {
        out->verdict = reply->again ? RETRY_AGAIN : RETRY_LOST;
        out->code = reply->code;
        reply_shown(out->text, sizeof out->text, reply->text, strlen(reply->text));
    } else if (grpc) {
        judge_grpc(reply, out);
    } else {
        judge_http(reply, wall_s, out);
    }
}

/* Without a hint anything from half to one and a half of the wait; with one up to a tenth more. */
int64_t retry_wait_ns(unsigned attempt, int64_t after_ns, uint32_t chance)
{
    int64_t wait = FIRST_WAIT;
    for (unsigned i = 1; i < attempt && wait < LONGEST_WAIT; i++)
        wait *= 2;
    wait = wait < LONGEST_WAIT ? wait : LONGEST_WAIT;
    int64_t part = chance % 1000;
    int64_t spread = wait / 2 + wait / 1000 * part;
    if (after_ns < spread)
        return spread;
    return after_ns + after_ns / 10000 * part;
}
