/* SPDX-License-Identifier: MIT
 *
 * The table of knobs, and how one is read, checked and shown. A new knob is one entry here and one
 * row in docs/configuration.md. Control thread, before any other thread exists.
 */
#include "knobs.h"

#include "base/auto.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const struct knob_word formats[] = {{"text", SRUN_LOG_TEXT}, {"json", SRUN_LOG_JSON}, {0}};

static const struct knob_word levels[] = {
    {"debug", SRUN_LEVEL_DEBUG},
    {"info", SRUN_LEVEL_INFO},
    {"warn", SRUN_LEVEL_WARN},
    {"error", SRUN_LEVEL_ERROR},
    {0},
};

#define FIELD(member) .field = #member, .offset = offsetof(struct srun_config, member)

static const struct knob_word orphans[] = {
    {"takeover", SRUN_ORPHAN_TAKEOVER}, {"exit", SRUN_ORPHAN_EXIT}, {0}};

static const struct knob_word metric_exporters[] = {{"prometheus", SRUN_EXPORTER_PROMETHEUS},
                                                    {"http", SRUN_EXPORTER_HTTP},
                                                    {"grpc", SRUN_EXPORTER_GRPC},
                                                    {0}};

static const struct knob_word exporters[] = {
    {"none", SRUN_EXPORTER_NONE}, {"http", SRUN_EXPORTER_HTTP}, {"grpc", SRUN_EXPORTER_GRPC}, {0}};

/* clang-format off */
static const struct knob knobs[] = {
    {.group = "log", .key = "format", .variable = "SRUN_LOG_FORMAT", FIELD(log.format),
     .type = KNOB_WORD, .words = formats, .fallback = SRUN_LOG_TEXT,
     .help = "how log records are written"},
    {.group = "log", .key = "level", .variable = "SRUN_LOG_LEVEL", FIELD(log.level),
     .type = KNOB_WORD, .words = levels, .fallback = SRUN_LEVEL_INFO,
     .help = "records below this level are dropped"},
    {.group = "log", .key = "source", .variable = "SRUN_LOG_SOURCE", FIELD(log.source),
     .type = KNOB_ON,
     .help = "log records carry file, line and function"},
    {.group = "log", .key = "journal", .variable = "SRUN_LOG_JOURNAL", FIELD(log.journal),
     .type = KNOB_PLACE,
     .help = "socket of the journal; unset: systemd's, when stderr is its stream"},
    {.group = "timeouts", .key = "init", .variable = "SRUN_INIT_TIMEOUT", FIELD(timeouts.init_ms),
     .type = KNOB_TIME, .fallback = 60000, .min = 1,
     .help = "limit of each init"},
    {.group = "timeouts", .key = "ready", .variable = "SRUN_READY_TIMEOUT", FIELD(timeouts.ready_ms),
     .type = KNOB_TIME, .fallback = 60000, .min = 1,
     .help = "limit of each service from run to ready"},
    {.group = "timeouts", .key = "stop", .variable = "SRUN_STOP_TIMEOUT", FIELD(timeouts.stop_ms),
     .type = KNOB_TIME, .fallback = 30000, .min = 1,
     .help = "limit of each stop"},
    {.group = "timeouts", .key = "graceful", .variable = "SRUN_GRACEFUL_TIMEOUT", FIELD(timeouts.graceful_ms),
     .type = KNOB_TIME, .fallback = 300000, .min = 1,
     .help = "limit of the whole stop"},
    {.group = "timeouts", .key = "deadline", .variable = "SRUN_DEADLINE_TIMEOUT", FIELD(timeouts.deadline_ms),
     .type = KNOB_TIME,
     .help = "after this time of running the program stops, cleanly; 0s = never"},
    {.group = "timeouts", .key = "drain", .variable = "SRUN_DRAIN_TIMEOUT", FIELD(timeouts.drain_ms),
     .type = KNOB_TIME,
     .help = "from the signal to the first stop, while load balancers look away"},
    {.group = "timeouts", .key = "stuck_grace", .variable = "SRUN_STUCK_GRACE", FIELD(timeouts.stuck_grace_ms),
     .type = KNOB_TIME, .fallback = 1000, .min = 1,
     .help = "from the overrun of a limit until the thread is given up"},
    {.group = "upgrade", .key = "enabled", .variable = "SRUN_UPGRADE", FIELD(upgrade.disabled),
     .type = KNOB_DISABLED,
     .help = "SIGHUP upgrades the program; otherwise it is ignored with a warning"},
    {.group = "upgrade", .key = "start", .variable = "SRUN_UPGRADE_START", FIELD(upgrade.start_ms),
     .type = KNOB_TIME, .fallback = 60000, .min = 1,
     .help = "limit of the start of a new process"},
    {.group = "upgrade", .key = "handshake", .variable = "SRUN_UPGRADE_HANDSHAKE", FIELD(upgrade.handshake_ms),
     .type = KNOB_TIME, .fallback = 5000, .min = 1,
     .help = "limit of each step of the hand-over"},
    {.group = "upgrade", .key = "probation", .variable = "SRUN_UPGRADE_PROBATION", FIELD(upgrade.probation_ms),
     .type = KNOB_TIME, .fallback = 10000,
     .help = "how long the old process could serve again; 0s = it stops at once"},
    {.group = "upgrade", .key = "orphan", .variable = "SRUN_UPGRADE_ORPHAN", FIELD(upgrade.orphan),
     .type = KNOB_WORD, .words = orphans, .fallback = SRUN_ORPHAN_TAKEOVER,
     .help = "what a new process does when the old one dies before it serves"},
    {.group = "upgrade", .key = "any_binary", .variable = "SRUN_UPGRADE_ANY_BINARY", FIELD(upgrade.any_binary),
     .type = KNOB_ON,
     .help = "accept a program file that others may write to"},
    {.group = "upgrade", .key = "supervised", .variable = "SRUN_SUPERVISED", FIELD(upgrade.supervised),
     .type = KNOB_ON,
     .help = "somebody counts on this very process: refuse to upgrade"},
    {.group = "upgrade", .key = "anchor", .variable = "SRUN_ANCHOR", FIELD(upgrade.anchor),
     .type = KNOB_ON,
     .help = "a small first process stays in place, for whoever watches one pid"},
    {.group = "upgrade", .key = "pid_file", .variable = "SRUN_PID_FILE", FIELD(upgrade.pid_file),
     .type = KNOB_PATH,
     .help = "the process that serves writes its number here"},
    {.group = "crash", .key = "file", .variable = "SRUN_CRASH_FILE", FIELD(crash.file),
     .type = KNOB_PATH,
     .help = "crash reports are appended to this file as well as to stderr"},
    {.group = "debug", .key = "leaks", .variable = "SRUN_LEAKS", FIELD(debug.leaks),
     .type = KNOB_ON,
     .help = "tell at the end which descriptors and threads are left"},
    {.group = "health", .key = "enabled", .variable = "SRUN_HEALTH", FIELD(health.enabled),
     .type = KNOB_ON,
     .help = "services are asked for their health"},
    {.group = "health", .key = "interval", .variable = "SRUN_HEALTH_INTERVAL", FIELD(health.interval_ms),
     .type = KNOB_TIME, .fallback = 30000, .min = 1,
     .help = "between two checks of a service"},
    {.group = "health", .key = "timeout", .variable = "SRUN_HEALTH_TIMEOUT", FIELD(health.timeout_ms),
     .type = KNOB_TIME, .fallback = 5000, .min = 1,
     .help = "limit of each check; a service that does not answer is unhealthy"},
    {.group = "admin", .key = "enabled", .variable = "SRUN_ADMIN", FIELD(admin.disabled),
     .type = KNOB_DISABLED,
     .help = "the admin port and its unix socket"},
    {.group = "admin", .key = "address", .variable = "SRUN_ADMIN_ADDRESS", FIELD(admin.address),
     .type = KNOB_ADDRESS,
     .help = "where the admin port listens; unset: 127.0.0.1:8778, left out when that is in use"},
    {.group = "admin", .key = "socket", .variable = "SRUN_ADMIN_SOCKET", FIELD(admin.socket),
     .type = KNOB_PLACE,
     .help = "its unix socket; unset: the place that admin.md names"},
    {.group = "admin", .key = "token_file", .variable = "SRUN_ADMIN_TOKEN_FILE", FIELD(admin.token_file),
     .type = KNOB_PATH,
     .help = "holds what gives the right to write over TCP"},
    {.group = "admin", .key = "allowed_hosts", .variable = "SRUN_ADMIN_HOSTS", FIELD(admin.allowed_hosts),
     .type = KNOB_NAMES,
     .help = "names that the Host header may have beside IP addresses and localhost"},
    {.group = "telemetry", .key = "trace_exporter", .variable = "SRUN_OTEL_TRACE_EXPORTER", FIELD(telemetry.trace_exporter),
     .type = KNOB_WORD, .words = exporters, .fallback = SRUN_EXPORTER_NONE,
     .help = "where spans are sent; none: tracing is off"},
    {.group = "telemetry", .key = "trace_endpoint", .variable = "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT", FIELD(telemetry.trace_endpoint),
     .type = KNOB_URL,
     .help = "the receiver of spans; unset: what OTEL_EXPORTER_OTLP_* say, else localhost"},
    {.group = "telemetry", .key = "trace_insecure", .variable = "SRUN_OTEL_TRACE_EXPORTER_ENDPOINT_INSECURE", FIELD(telemetry.trace_insecure),
     .type = KNOB_ON,
     .help = "an endpoint without a scheme is spoken to without TLS"},
    {.group = "telemetry", .key = "metric_exporter", .variable = "SRUN_OTEL_METRIC_EXPORTER", FIELD(telemetry.metric_exporter),
     .type = KNOB_WORD, .words = metric_exporters, .fallback = SRUN_EXPORTER_PROMETHEUS,
     .help = "where metrics are sent beside /metrics; prometheus: nowhere"},
    {.group = "telemetry", .key = "metric_endpoint", .variable = "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT", FIELD(telemetry.metric_endpoint),
     .type = KNOB_URL,
     .help = "the receiver of metrics; unset: what OTEL_EXPORTER_OTLP_* say, else localhost"},
    {.group = "telemetry", .key = "metric_insecure", .variable = "SRUN_OTEL_METRIC_EXPORTER_ENDPOINT_INSECURE", FIELD(telemetry.metric_insecure),
     .type = KNOB_ON,
     .help = "an endpoint without a scheme is spoken to without TLS"},
    {.group = "telemetry", .key = "log_exporter", .variable = "SRUN_OTEL_LOG_EXPORTER", FIELD(telemetry.log_exporter),
     .type = KNOB_WORD, .words = exporters, .fallback = SRUN_EXPORTER_NONE,
     .help = "where log records are sent beside being written; none: nowhere"},
    {.group = "telemetry", .key = "log_endpoint", .variable = "SRUN_OTEL_LOG_EXPORTER_ENDPOINT", FIELD(telemetry.log_endpoint),
     .type = KNOB_URL,
     .help = "the receiver of log records; unset: what OTEL_EXPORTER_OTLP_* say, else localhost"},
    {.group = "telemetry", .key = "log_insecure", .variable = "SRUN_OTEL_LOG_EXPORTER_ENDPOINT_INSECURE", FIELD(telemetry.log_insecure),
     .type = KNOB_ON,
     .help = "an endpoint without a scheme is spoken to without TLS"},
    {.group = "profile", .key = "capture", .variable = "SRUN_CAPTURE", FIELD(profile.capture),
     .type = KNOB_ON,
     .help = "profiles are kept when the program is busy or hangs"},
    {.group = "profile", .key = "capture_cpu", .variable = "SRUN_CAPTURE_CPU", FIELD(profile.capture_cpu),
     .type = KNOB_PERCENT, .fallback = 90,
     .help = "busy: percent of one processor that the process takes"},
    {.group = "profile", .key = "capture_after", .variable = "SRUN_CAPTURE_AFTER", FIELD(profile.capture_after_ms),
     .type = KNOB_TIME, .fallback = 10000, .min = 1,
     .help = "for so long, until a profile is taken"},
    {.group = "profile", .key = "capture_for", .variable = "SRUN_CAPTURE_FOR", FIELD(profile.capture_for_ms),
     .type = KNOB_TIME, .fallback = 5000, .min = 1,
     .help = "how long that profile is"},
    {.group = "profile", .key = "capture_directory", .variable = "SRUN_CAPTURE_DIRECTORY", FIELD(profile.capture_directory),
     .type = KNOB_PATH,
     .help = "a folder for them as files, which outlive the process"},
};
_Static_assert(COUNT_OF(knobs) <= CONFIG_KNOBS_MAX, "a place for each in struct config");
/* clang-format on */

const struct knob *knobs_all(size_t *count)
{
    *count = COUNT_OF(knobs);
    return knobs;
}

/* The field as a number; a path has none. */
static int64_t get(const struct knob *knob, const struct srun_config *value)
{
    const char *field = (const char *)value + knob->offset;
    int small = 0;
    int64_t big = 0;
    if (knob->type == KNOB_TIME)
        memcpy(&big, field, sizeof big);
    else
        memcpy(&small, field, sizeof small);
    return knob->type == KNOB_TIME ? big : small;
}

static void put(const struct knob *knob, struct srun_config *value, int64_t number)
{
    char *field = (char *)value + knob->offset;
    int small = (int)number;
    if (knob->type == KNOB_TIME)
        memcpy(field, &number, sizeof number);
    else
        memcpy(field, &small, sizeof small);
}

static const char *text_of(const struct knob *knob, const struct srun_config *value)
{
    const char *text;
    memcpy(&text, (const char *)value + knob->offset, sizeof text);
    return text;
}

/* A relative path would mean another file, when that is opened again after a chdir. */
static int put_text(const struct knob *knob, struct config *config, const char *text)
{
    char **owner = &config->texts[knob - knobs];
    auto_free char *copy = strdup(text);
    int rc = copy == NULL ? -ENOMEM : knob->type == KNOB_PATH ? path_make_absolute(&copy) : 0;
    if (rc < 0)
        return rc;
    free(*owner);
    *owner = take_ptr(copy);
    memcpy((char *)&config->value + knob->offset, owner, sizeof *owner);
    return 0;
}

/* Times go by the unit that divides them: "1ms to 876000h", not Go's "876000h0m0s". */
static const char *range_text(const struct knob *knob, char out[KNOB_TEXT_MAX])
{
    (void)stpcpy(stpcpy(out, knob->min == 0 ? "0s" : "1ms"), " to 876000h");
    return out;
}

const char *knob_accepted(const struct knob *knob, char out[KNOB_TEXT_MAX])
{
    static const char *const texts[KNOB_TYPE_COUNT] = {
        [KNOB_TIME] = "300ms, 1.5s, 2h45m",
        [KNOB_ON] = "true, false",
        [KNOB_DISABLED] = "true, false",
        [KNOB_PERCENT] = "1 to 100000",
        [KNOB_PATH] = "a path of up to 4095 bytes",
        [KNOB_PLACE] = "none, a path that begins with /",
        [KNOB_ADDRESS] = "none, 127.0.0.1:8778, [::]:8778",
        [KNOB_NAMES] = "names without ports, with commas between",
        [KNOB_URL] = "https://host:4318, host:4317",
    };
    if (knob->type != KNOB_WORD)
        return texts[knob->type];
    char *end = out;
    for (const struct knob_word *word = knob->words; word->word != NULL; word++)
        end = stpcpy(stpcpy(end, word == knob->words ? "" : ", "), word->word);
    return out;
}

static const char *number_text(const struct knob *knob, int64_t number, char out[KNOB_TEXT_MAX])
{
    _Static_assert(KNOB_TEXT_MAX >= DURATION_TEXT_MAX, "a duration fits");
    switch (knob->type) {
    case KNOB_TIME:
        (void)duration_format(out, number * NS_PER_MS);
        return out;
    case KNOB_WORD:
        for (const struct knob_word *word = knob->words; word->word != NULL; word++)
            if (word->value == number)
                return word->word;
        return "?";
    case KNOB_PERCENT:
        (void)snprintf(out, KNOB_TEXT_MAX, "%lld", (long long)number);
        return out;
    case KNOB_ON:
        return number != 0 ? "true" : "false";
    case KNOB_DISABLED:
        return number != 0 ? "false" : "true";
    default:
        return "none";
    }
}

const char *knob_text(const struct knob *knob, const struct config *config, char out[KNOB_TEXT_MAX])
{
    if (knob_is_text(knob))
        return text_of(knob, &config->value) == NULL ? "none" : text_of(knob, &config->value);
    return number_text(knob, get(knob, &config->value), out);
}

const char *knob_default(const struct knob *knob, char out[KNOB_TEXT_MAX])
{
    return number_text(knob, knob->fallback, out);
}

static int read_word(const struct knob *knob, const char *text, int64_t *out)
{
    for (const struct knob_word *word = knob->words; word->word != NULL; word++) {
        if (strcmp(word->word, text) == 0) {
            *out = word->value;
            return 0;
        }
    }
    return -EINVAL;
}

static int read_time(const struct knob *knob, const char *text, int64_t *out)
{
    int rc = parse_duration_ms(text, out);
    if (rc == 0 && (*out < knob->min || *out > KNOB_TIME_MAX))
        rc = -ERANGE;
    return rc;
}

static int read_percent(const char *text, int64_t *out)
{
    int rc = parse_int(text, out);
    return rc == 0 && (*out < 1 || *out > KNOB_PERCENT_MAX) ? -EINVAL : rc;
}

static int read_number(const struct knob *knob, const char *text, int64_t *out)
{
    bool truth = false;
    if (knob->type == KNOB_TIME)
        return read_time(knob, text, out);
    if (knob->type == KNOB_WORD)
        return read_word(knob, text, out);
    if (knob->type == KNOB_PERCENT)
        return read_percent(text, out);
    int rc = parse_bool(text, &truth);
    *out = truth == (knob->type == KNOB_ON);
    return rc;
}

static const char *const refusals[KNOB_TYPE_COUNT] = {
    [KNOB_TIME] = "is not a duration",        [KNOB_WORD] = "is not known",
    [KNOB_ON] = "is not true or false",       [KNOB_DISABLED] = "is not true or false",
    [KNOB_PERCENT] = "is not a percentage",   [KNOB_PATH] = "is not a path",
    [KNOB_PLACE] = "is not an absolute path", [KNOB_ADDRESS] = "is not an address with a port",
    [KNOB_NAMES] = "is not a list of names",  [KNOB_URL] = "is not a URL",
};

/* IPv4:PORT or [IPv6]:PORT. */
static bool is_address(const char *text)
{
    char host[INET6_ADDRSTRLEN + 2];
    unsigned char parsed[sizeof(struct in6_addr)];
    const char *port = strrchr(text, ':');
    size_t size = port == NULL ? 0 : (size_t)(port - text);
    if (size == 0 || size >= sizeof host || port[1] == '\0' || strlen(port) > 6 ||
        strspn(port + 1, "0123456789") != strlen(port + 1) ||
        strtol(port + 1, NULL, 10) > UINT16_MAX)
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    if (host[0] != '[')
        return inet_pton(AF_INET, host, parsed) == 1;
    bool closed = host[size - 1] == ']';
    host[size - 1] = '\0';
    return closed && inet_pton(AF_INET6, host + 1, parsed) == 1;
}

static bool accepts(const struct knob *knob, const char *text)
{
    if (knob->type == KNOB_ADDRESS)
        return strcmp(text, "none") == 0 ||
               is_address(strncmp(text, "tcp://", 6) == 0 ? text + 6 : text);
    if (!text_printable(text, PATH_MAX - 1))
        return false;
    if (knob->type == KNOB_PLACE)
        return text[0] == '/' || strcmp(text, "none") == 0;
    if (knob->type == KNOB_URL)
        return strpbrk(text, " \"<>\\") == NULL;
    return knob->type != KNOB_NAMES || strpbrk(text, " :*/\\") == NULL;
}

static int refuse(const struct knob *knob, const char *text, int code, const char *where,
                  srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    char accepted[KNOB_TEXT_MAX];
    bool range = code == -ERANGE;
    return srun_fail(err, SRUN_EUSAGE, "%s: %s %s: accepted are %s", where,
                     text_quote(quoted, text), range ? "is out of range" : refusals[knob->type],
                     range ? range_text(knob, accepted) : knob_accepted(knob, accepted));
}

/* Why put_text did not; as another code. */
static int not_put(int rc, int code, const char *where, srun_err *err)
{
    if (rc == -ENOMEM)
        return srun_fail(err, code, "%s: out of memory", where);
    return srun_fail(err, code, "%s: the path is relative, and with the working directory: %s",
                     where, srun_strerror(rc));
}

int knob_set(const struct knob *knob, struct config *config, const char *text, const char *where,
             srun_err *err)
{
    int64_t number = 0;
    if (knob_is_text(knob) && accepts(knob, text)) {
        int rc = put_text(knob, config, text);
        return rc < 0 ? not_put(rc, rc == -ENOMEM ? rc : SRUN_EUSAGE, where, err) : 0;
    }
    int rc = knob_is_text(knob) ? -EINVAL : read_number(knob, text, &number);
    if (rc < 0)
        return refuse(knob, text, rc, where, err);
    put(knob, &config->value, number);
    return 0;
}

static int resolve_text(const struct knob *knob, struct config *config, srun_err *err)
{
    const char *text = text_of(knob, &config->value), *none = NULL;
    memcpy((char *)&config->value + knob->offset, &none, sizeof none);
    if (text == NULL)
        return 0;
    char quoted[TEXT_QUOTE_MAX];
    char accepted[KNOB_TEXT_MAX];
    if (!accepts(knob, text))
        return srun_fail(err, -EINVAL, "config.%s: %s %s: accepted are %s", knob->field,
                         text_quote(quoted, text), refusals[knob->type],
                         knob_accepted(knob, accepted));
    char where[KNOB_TEXT_MAX];
    (void)snprintf(where, sizeof where, "config.%s", knob->field);
    int rc = put_text(knob, config, text);
    return rc < 0 ? not_put(rc, rc, where, err) : 0;
}

int knob_resolve(const struct knob *knob, struct config *config, srun_err *err)
{
    if (knob_is_text(knob))
        return resolve_text(knob, config, err);

    long long number = get(knob, &config->value);
    char accepted[KNOB_TEXT_MAX];
    if (knob->type == KNOB_TIME && (number < 0 || number > KNOB_TIME_MAX))
        return srun_fail(err, -EINVAL, "config.%s: %lld is out of range: accepted are 0 to %lld",
                         knob->field, number, (long long)KNOB_TIME_MAX);
    if (knob->type == KNOB_PERCENT && (number < 0 || number > KNOB_PERCENT_MAX))
        return srun_fail(err, -EINVAL, "config.%s: %lld is out of range: accepted are 0 to %d",
                         knob->field, number, KNOB_PERCENT_MAX);
    if (knob->type == KNOB_ON || knob->type == KNOB_DISABLED)
        number = number != 0;
    if (number == 0)
        number = knob->fallback;
    if (knob->type == KNOB_WORD && number_text(knob, number, accepted)[0] == '?')
        return srun_fail(err, -EINVAL, "config.%s: %lld is not known: accepted are %s", knob->field,
                         number, knob_accepted(knob, accepted));
    put(knob, &config->value, number);
    return 0;
}
