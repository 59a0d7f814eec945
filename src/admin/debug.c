/* SPDX-License-Identifier: MIT
 *
 * /debug/: profiles, under the paths and with the parameters that Go's net/http/pprof has, so that
 * `go tool pprof`, Parca and Pyroscope find them. What is profiled and how is the runner's part.
 */
#include "admin/columns.h"
#include "admin/redact.h"
#include "admin/views.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/parse.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 30.0 /* of a CPU profile */
#define SECONDS_MAX 300.0
#define HZ_MAX 1000
#define COMMAND_MAX 16384
#define PPROF "/debug/pprof/"

static const struct page {
    const char *name, *help;
    enum admin_profile what;
} profiles[] = {
    {"profile", "where processor time goes; ?seconds=30&hz=100", ADMIN_CPU},
    {"goroutine", "what all threads do (Go's name); ?debug=1 grouped, ?debug=2 each",
     ADMIN_THREADS},
    {"threads", "the same", ADMIN_THREADS},
    {"heap", "memory in use, and all that was asked for: with jemalloc", ADMIN_HEAP},
    {"allocs", "the same", ADMIN_HEAP},
    {"mutex", "empty, and says why", ADMIN_MUTEX},
    {"block", "empty, and says why", ADMIN_MUTEX},
    {"threadcreate", "empty, and says why", ADMIN_BIRTHS},
};

static const char *const others[][2] = {
    {PPROF "cmdline", "the command line, secrets out"},
    {PPROF "trace", "the life of the services, for Chrome and Perfetto; ?seconds=5: with spans"},
    {PPROF "symbol", "names for addresses, for pprof"},
    {"/debug/captures", "profiles that were kept when the program was busy or hung"},
    {"/threads", "threads with state and CPU time"},
    {"/timeline", "what the services did"},
    {"/metrics", "numbers of the process and its services"},
    {"/status.json", "everything at once"},
};

/* --- what is asked for ----------------------------------------------------------------------- */

static const struct page *page_of(const srun_admin_exchange *exchange)
{
    const char *slash = strrchr(srun_admin_path(exchange), '/');
    for (size_t i = 0; i < COUNT_OF(profiles); i++)
        if (slash != NULL && strcmp(slash + 1, profiles[i].name) == 0)
            return &profiles[i];
    return NULL;
}

/* Go's way to say text: debug; and ours: format. False: refused. */
static bool read_form(srun_admin_exchange *exchange, enum admin_form *out)
{
    static const struct {
        const char *name;
        enum admin_form form;
    } forms[] = {{"proto", ADMIN_PROTO},
                 {"top", ADMIN_TOP},
                 {"folded", ADMIN_FOLDED},
                 {"flame", ADMIN_FLAME},
                 {"each", ADMIN_EACH}};
    const char *format = srun_admin_query(exchange, "format");
    const char *debug = srun_admin_query(exchange, "debug");
    *out = ADMIN_PROTO;
    if (debug != NULL && strcmp(debug, "0") != 0)
        *out = strcmp(debug, "2") == 0 ? ADMIN_EACH : ADMIN_TOP;
    if (format == NULL)
        return true;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (strcmp(format, forms[i].name) != 0)
            continue;
        *out = forms[i].form;
        return true;
    }
    char quoted[TEXT_QUOTE_MAX];
    (void)exchange_refuse(exchange, 400, "format: %s: accepted are proto, top, folded, flame, each",
                          text_quote(quoted, format));
    return false;
}

/* As with Go, 0 stands for the default. False: refused. */
static bool read_number(srun_admin_exchange *exchange, const char *name, double most, double *out)
{
    const char *text = srun_admin_query(exchange, name);
    double value = 0;
    char quoted[TEXT_QUOTE_MAX];
    if (text == NULL)
        return true;
    if (parse_double(text, &value) < 0 || !(value >= 0 && value <= most)) {
        (void)exchange_refuse(exchange, 400, "%s: %s: accepted is a number up to %g", name,
                              text_quote(quoted, text), most);
        return false;
    }
    if (value > 0)
        *out = value;
    return true;
}

/* --- profiles -------------------------------------------------------------------------------- */

static int answer_error(srun_admin_exchange *exchange, int rc, const srun_err *why, srun_err *err)
{
    if (rc == -EBUSY)
        return exchange_refuse(exchange, 409, "%s", why->text);
    if (rc == -ENOTSUP)
        return exchange_refuse(exchange, 501, "%s", why->text);
    if (rc == -ECANCELED)
        return exchange_refuse(exchange, 503, "the program is stopping");
    return srun_fail(err, rc, "%s", why->text);
}

static void set_type(srun_admin_exchange *exchange, const char *name, enum admin_form form)
{
    char disposition[64];
    if (form == ADMIN_FLAME)
        srun_admin_type(exchange, "image/svg+xml");
    if (form != ADMIN_PROTO)
        return;
    (void)snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", name);
    srun_admin_type(exchange, "application/octet-stream");
    srun_admin_add_header(exchange, "Content-Disposition", disposition);
}

static int profile_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    const struct page *page = page_of(exchange);
    struct admin_profile_ask ask = {.cancel_fd = -1};
    double seconds = SECONDS, hz = 0;
    srun_err why = {0};
    if (host->profile == NULL || page == NULL)
        return exchange_refuse(exchange, 501, "there are no profiles here");
    if (!read_form(exchange, &ask.form) || !read_number(exchange, "hz", HZ_MAX, &hz) ||
        (page->what == ADMIN_CPU && !read_number(exchange, "seconds", SECONDS_MAX, &seconds)))
        return 0;
    if (hz != (unsigned)hz)
        return exchange_refuse(exchange, 400, "hz: \"%g\": accepted is a whole number", hz);
    ask.what = page->what;
    ask.span_ns = (int64_t)(seconds * (double)NS_PER_S);
    ask.hz = (unsigned)hz;
    srun_context *ctx = admin_context(exchange->admin);
    if (ctx != NULL)
        ask.cancel_fd = srun_cancel_fd(ctx);
    int rc = host->profile(&ask, &exchange->out, &why);
    if (rc < 0)
        return answer_error(exchange, rc, &why, err);
    set_type(exchange, page->name, ask.form);
    return 0;
}

/* --- symbol ---------------------------------------------------------------------------------- */

/* pprof asks with GET whether names can be had at all, and with POST for them. */
static int symbol_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    srun_err why = {0};
    if (host->symbols == NULL)
        return exchange_refuse(exchange, 501, "there are no names here");
    buf_text(&exchange->out, "num_symbols: 1\n");
    if (exchange->body.data == NULL)
        return 0;
    int rc = host->symbols(exchange->body.data, &exchange->out, &why);
    return rc < 0 ? answer_error(exchange, rc, &why, err) : 0;
}

/* --- cmdline --------------------------------------------------------------------------------- */

/* Up to where its value begins: "--name", "NAME=". 0: it is not named as a secret. */
static size_t secret_name_size(char *argument)
{
    static const char in_names[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t size = strspn(argument, in_names);
    char end = argument[size];
    if (end != '=' && (end != '\0' || argument[0] != '-'))
        return 0;
    argument[size] = '\0';
    bool secret = redact_is_secret(argument);
    argument[size] = end;
    return secret ? size + (end == '=') : 0;
}

/* A value is hidden whole, whatever blanks it holds; *is_value: the argument before was its name.
 */
static void put_argument(srun_admin_exchange *exchange, char *argument, bool *is_value)
{
    char clean[COMMAND_MAX];
    size_t name = secret_name_size(argument);
    bool hidden = *is_value;
    *is_value = name > 0 && argument[name] == '\0' && argument[name - 1] != '=';
    if (hidden) {
        srun_admin_write(exchange, "***", 3);
    } else if (name > 0) {
        srun_admin_write(exchange, argument, name);
        if (argument[name] != '\0')
            srun_admin_write(exchange, "***", 3);
    } else {
        (void)redact_text(clean, sizeof clean, argument);
        srun_admin_write(exchange, clean, strlen(clean));
    }
}

/* As Go's: the arguments with a NUL between them. */
static int cmdline_view(srun_admin_exchange *exchange, srun_err *err)
{
    auto_free char *text = calloc(1, COMMAND_MAX);
    auto_close int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (text == NULL)
        return srun_fail(err, -ENOMEM, "cmdline: out of memory");
    ssize_t size = fd >= 0 ? read(fd, text, COMMAND_MAX - 1) : -1;
    bool is_value = false;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(text + at) + 1) {
        if (at > 0)
            srun_admin_write(exchange, "", 1);
        put_argument(exchange, text + at, &is_value);
    }
    return 0;
}

/* --- trace ----------------------------------------------------------------------------------- */

#define TIMELINE_MAX 256
#define SERVICE_TID (1 << 23) /* of their rows: no thread has such a number */

struct timeline {
    struct srun_transition all[TIMELINE_MAX];
    size_t count;
    int64_t now_ms;
};

/* The first transition of the same service is its row. */
static size_t row_of(const struct timeline *timeline, size_t index)
{
    size_t row = 0;
    while (strcmp(timeline->all[row].service, timeline->all[index].service) != 0)
        row++;
    return row;
}

/* The state ends with the next one of the service, or lasts. */
static int64_t end_of(const struct timeline *timeline, size_t index)
{
    for (size_t i = index + 1; i < timeline->count; i++)
        if (strcmp(timeline->all[i].service, timeline->all[index].service) == 0)
            return timeline->all[i].time_ms;
    return timeline->now_ms;
}

static void open_event(struct json *json, const char *kind, const char *name, size_t row)
{
    json_open(json, NULL, '{');
    json_str(json, "name", name);
    json_str(json, "ph", kind);
    json_int(json, "pid", getpid());
    json_int(json, "tid", SERVICE_TID + (int64_t)row);
}

/* A bar for a service in a state, in microseconds of Unix time. */
static void put_state(struct json *json, const struct timeline *timeline, size_t index)
{
    const struct srun_transition *what = &timeline->all[index];
    size_t row = row_of(timeline, index);
    if (row == index) {
        open_event(json, "M", "thread_name", row);
        json_open(json, "args", '{');
        json_str(json, "name", what->service);
        json_close(json);
        json_close(json);
    }
    int64_t length = end_of(timeline, index) - what->time_ms;
    open_event(json, "X", srun_state_name(what->to), row);
    json_str(json, "cat", "service");
    json_int(json, "ts", what->time_ms * (NS_PER_MS / NS_PER_US));
    json_int(json, "dur", length > 0 ? length * (NS_PER_MS / NS_PER_US) : 0);
    json_close(json);
}

static int put_life(const struct admin_host *host, struct json *json, srun_err *err)
{
    auto_free struct timeline *timeline = calloc(1, sizeof *timeline);
    if (timeline == NULL)
        return srun_fail(err, -ENOMEM, "trace: out of memory");
    timeline->now_ms = clock_wall_ms();
    if (host->timeline != NULL)
        timeline->count = host->timeline(host->runner, timeline->all, TIMELINE_MAX);
    for (size_t i = 0; i < timeline->count; i++)
        put_state(json, timeline, i);
    return 0;
}

/* The spans first, for they take their time. */
static int trace_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    srun_context *ctx = admin_context(exchange->admin);
    struct json json = {.out = &exchange->out};
    double seconds = 0;
    uint64_t missed = 0;
    srun_err why = {0};
    if (!read_number(exchange, "seconds", SECONDS_MAX, &seconds))
        return 0;
    if (seconds > 0 && host->spans == NULL)
        return exchange_refuse(exchange, 501, "there are no spans here");
    json_open(&json, NULL, '{');
    json_str(&json, "displayTimeUnit", "ms");
    json_open(&json, "traceEvents", '[');
    int rc = seconds > 0 ? host->spans(host->runner, (int64_t)(seconds * (double)NS_PER_S),
                                       ctx != NULL ? srun_cancel_fd(ctx) : -1, &json, &missed, &why)
                         : 0;
    if (rc < 0)
        return answer_error(exchange, rc, &why, err);
    rc = put_life(host, &json, err);
    if (rc < 0)
        return rc;
    json_close(&json);
    if (seconds > 0) {
        json_open(&json, "otherData", '{');
        json_int(&json, "spansMissed", (int64_t)missed);
        json_close(&json);
    }
    srun_admin_type(exchange, "application/json");
    return views_end_json(exchange, &json);
}

/* --- the index ------------------------------------------------------------------------------- */

static void put_page(struct json *json, const char *path, const char *help)
{
    json_open(json, NULL, '{');
    json_str(json, "path", path);
    json_str(json, "help", help);
    json_close(json);
}

static int index_json(srun_admin_exchange *exchange, bool profiling)
{
    struct json json;
    char path[64];
    exchange_json(exchange, &json);
    json_bool(&json, "profiling", profiling);
    json_open(&json, "pages", '[');
    for (size_t i = 0; i < COUNT_OF(profiles) && profiling; i++) {
        (void)snprintf(path, sizeof path, PPROF "%s", profiles[i].name);
        put_page(&json, path, profiles[i].help);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++)
        put_page(&json, others[i][0], others[i][1]);
    json_close(&json);
    return views_end_json(exchange, &json);
}

static int index_view(srun_admin_exchange *exchange, srun_err *err)
{
    bool profiling = admin_host(exchange->admin)->profile != NULL;
    char path[64];
    (void)err;
    if (exchange->rest[0] != '\0' && strcmp(exchange->rest, "pprof") != 0)
        return exchange_refuse(exchange, 404, "there is no such page; /debug/ says what there is");
    if (exchange_wants_json(exchange))
        return index_json(exchange, profiling);
    auto_columns struct columns table = {0};
    columns_heads(&table, "PATH|WHAT");
    for (size_t i = 0; i < COUNT_OF(profiles) && profiling; i++) {
        (void)snprintf(path, sizeof path, PPROF "%s", profiles[i].name);
        columns_add(&table, path);
        columns_add(&table, profiles[i].help);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        columns_add(&table, others[i][0]);
        columns_add(&table, others[i][1]);
    }
    columns_write(&table, &exchange->out);
    buf_text(&exchange->out, profiling
                                 ? "\nProfiles are for pprof (go tool pprof http://HOST:PORT), or "
                                   "?format=flame, top, folded.\n"
                                 : "\nThere are no profiles here.\n");
    return 0;
}

/* --- the routes ------------------------------------------------------------------------------ */

/* Each has the path that pprof asks for, and one without /pprof as Go's srun has it. */
#define BOTH(method, name, view, help, job)                                                        \
    {method, PPROF name, ADMIN_READ, view, help, job},                                             \
    {                                                                                              \
        method, "/debug/" name, ADMIN_READ, view, NULL, job                                        \
    }

/* Collectors ask for several at once: those that take no time are no jobs. */
const struct admin_route debug_routes[] = {
    BOTH("GET", "profile", profile_view, "where processor time goes, for pprof; ?seconds=30", true),
    BOTH("GET", "goroutine", profile_view, "what all threads do; ?debug=1, ?debug=2", true),
    BOTH("GET", "threads", profile_view, "the same", true),
    BOTH("GET", "heap", profile_view, "memory, with jemalloc", true),
    BOTH("GET", "allocs", profile_view, NULL, true),
    BOTH("GET", "mutex", profile_view, NULL, false),
    BOTH("GET", "block", profile_view, NULL, false),
    BOTH("GET", "threadcreate", profile_view, NULL, false),
    BOTH("GET", "cmdline", cmdline_view, "the command line, secrets out", false),
    BOTH("GET", "trace", trace_view, "services and spans, for Chrome; ?seconds=5", true),
    BOTH("GET", "symbol", symbol_view, NULL, false),
    BOTH("POST", "symbol", symbol_view, NULL, false),
    {"GET", "/debug/captures", ADMIN_READ, captures_view, "profiles that were kept by themselves",
     false},
    {"GET", "/debug/captures/", ADMIN_READ, captures_view, NULL, false},
    {"GET", PPROF, ADMIN_READ, index_view, NULL, false},
    {"GET", "/debug/", ADMIN_READ, index_view, "what there is for finding faults", false},
    {"GET", "/debug", ADMIN_READ, index_view, NULL, false},
    {0},
};
