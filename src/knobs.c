/* SPDX-License-Identifier: MIT
 *
 * The table of knobs, and how one is read, checked and shown. A new knob is one entry here and one
 * row in docs/configuration.md. Control thread, before any other thread exists.
 */
#include "knobs.h"

#include "base/duration.h"
#include "base/ensure.h"
#include "base/parse.h"
#include "base/text.h"

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
};
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

/* Where the copy of a path lives. */
static char **owner_of(const struct knob *knob, struct config *config)
{
    bool crash = knob->offset == offsetof(struct srun_config, crash.file);
    ENSURE(crash || knob->offset == offsetof(struct srun_config, upgrade.pid_file));
    return crash ? &config->crash_file : &config->pid_file;
}

static const char *path_of(const struct knob *knob, const struct srun_config *value)
{
    const char *path;
    memcpy(&path, (const char *)value + knob->offset, sizeof path);
    return path;
}

static int put_path(const struct knob *knob, struct config *config, const char *text)
{
    char *copy = strdup(text), **owner = owner_of(knob, config);
    if (copy == NULL)
        return -ENOMEM;
    free(*owner);
    *owner = copy;
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
        [KNOB_PATH] = "a path of up to 4095 bytes",
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
    case KNOB_ON:
        return number != 0 ? "true" : "false";
    case KNOB_DISABLED:
        return number != 0 ? "false" : "true";
    case KNOB_PATH:
    case KNOB_TYPE_COUNT:
        break;
    }
    return "none";
}

const char *knob_text(const struct knob *knob, const struct config *config, char out[KNOB_TEXT_MAX])
{
    if (knob->type == KNOB_PATH)
        return path_of(knob, &config->value) == NULL ? "none" : path_of(knob, &config->value);
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

static int read_number(const struct knob *knob, const char *text, int64_t *out)
{
    bool truth = false;
    if (knob->type == KNOB_TIME)
        return read_time(knob, text, out);
    if (knob->type == KNOB_WORD)
        return read_word(knob, text, out);
    int rc = parse_bool(text, &truth);
    *out = truth == (knob->type == KNOB_ON);
    return rc;
}

static int refuse(const struct knob *knob, const char *text, int code, const char *where,
                  srun_err *err)
{
    static const char *const what[KNOB_TYPE_COUNT] = {
        [KNOB_TIME] = "is not a duration",  [KNOB_WORD] = "is not known",
        [KNOB_ON] = "is not true or false", [KNOB_DISABLED] = "is not true or false",
        [KNOB_PATH] = "is not a path",
    };
    char quoted[TEXT_QUOTE_MAX];
    char accepted[KNOB_TEXT_MAX];
    bool range = code == -ERANGE;
    return srun_fail(err, SRUN_EUSAGE, "%s: %s %s: accepted are %s", where,
                     text_quote(quoted, text), range ? "is out of range" : what[knob->type],
                     range ? range_text(knob, accepted) : knob_accepted(knob, accepted));
}

int knob_set(const struct knob *knob, struct config *config, const char *text, const char *where,
             srun_err *err)
{
    int64_t number = 0;
    int rc = 0;
    if (knob->type == KNOB_PATH)
        rc = text_printable(text, PATH_MAX - 1) ? put_path(knob, config, text) : -EINVAL;
    else
        rc = read_number(knob, text, &number);
    if (rc == -ENOMEM)
        return srun_fail(err, rc, "%s: out of memory", where);
    if (rc < 0)
        return refuse(knob, text, rc, where, err);
    if (knob->type != KNOB_PATH)
        put(knob, &config->value, number);
    return 0;
}

static int resolve_path(const struct knob *knob, struct config *config, srun_err *err)
{
    const char *path = path_of(knob, &config->value), *none = NULL;
    memcpy((char *)&config->value + knob->offset, &none, sizeof none);
    if (path == NULL)
        return 0;
    char quoted[TEXT_QUOTE_MAX];
    if (!text_printable(path, PATH_MAX - 1))
        return srun_fail(err, -EINVAL, "config.%s: %s is not a path: accepted are 1 to %d bytes",
                         knob->field, text_quote(quoted, path), PATH_MAX - 1);
    return put_path(knob, config, path) < 0
               ? srun_fail(err, -ENOMEM, "config.%s: out of memory", knob->field)
               : 0;
}

int knob_resolve(const struct knob *knob, struct config *config, srun_err *err)
{
    if (knob->type == KNOB_PATH)
        return resolve_path(knob, config, err);

    long long number = get(knob, &config->value);
    char accepted[KNOB_TEXT_MAX];
    if (knob->type == KNOB_TIME && (number < 0 || number > KNOB_TIME_MAX))
        return srun_fail(err, -EINVAL, "config.%s: %lld is out of range: accepted are 0 to %lld",
                         knob->field, number, (long long)KNOB_TIME_MAX);
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
