/* SPDX-License-Identifier: MIT
 *
 * /build and /generations: what was built, and which processes of it live.
 */
#include "admin/columns.h"
#include "admin/connected.h"
#include "admin/process.h"
#include "admin/redact.h"
#include "admin/show.h"
#include "admin/views.h"
#include "base/buildid.h"
#include "base/libc.h"

#include <string.h>
#include <sys/utsname.h>

/* --- /build ---------------------------------------------------------------------------------- */

struct build {
    struct srun_run_info run;
    struct utsname system;
    char id[BUILDID_TEXT_MAX];
};

static void build_text(struct buf *out, const struct build *build)
{
    auto_columns struct columns table = {0};
    const char *const rows[][2] = {
        {"name", build->run.name},         {"version", build->run.version},
        {"build id", build->id},           {"libsrun", srun_version()},
        {"compiler", __VERSION__},         {"libc", libc_version()},
        {"kernel", build->system.release}, {"machine", build->system.machine},
    };
    columns_heads(&table, "WHAT|VALUE");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        columns_add(&table, rows[i][0]);
        columns_add(&table, rows[i][1] != NULL ? rows[i][1] : "");
    }
    columns_write(&table, out);
}

int build_view(srun_admin_exchange *exchange, srun_err *err)
{
    struct build build = {0};
    (void)err;
    srun_runner_info(admin_host(exchange->admin)->runner, &build.run);
    (void)uname(&build.system); /* cannot fail; if so: empty */
    (void)buildid_own(build.id);
    if (!exchange_wants_json(exchange)) {
        build_text(&exchange->out, &build);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    json_str(&json, "name", build.run.name);
    json_str(&json, "version", build.run.version);
    json_str(&json, "build_id", build.id);
    json_str(&json, "libsrun", srun_version());
    json_str(&json, "compiler", __VERSION__);
    json_str(&json, "libc", libc_version());
    json_str(&json, "kernel", build.system.release);
    json_str(&json, "machine", build.system.machine);
    return views_end_json(exchange, &json);
}

/* --- /generations ---------------------------------------------------------------------------- */

struct generation {
    unsigned number;
    int pid;
    const char *state;
    int64_t since_ms;    /* Unix time, 0: not known */
    int64_t connections; /* -1: not known */
};

static bool is_one_of(const char *state, const char *const *states)
{
    for (; *states != NULL; states++)
        if (strcmp(state, *states) == 0)
            return true;
    return false;
}

/* This process, and the other one while there is one, the older first; how many. */
static size_t list_generations(const struct survey *survey, struct generation out[2])
{
    static const char *const newer[] = {"join", "offer", "heir", NULL};
    static const char *const trying[] = {"spawn",   "hello", "handover", "init",
                                         "barrier", "join",  "offer",    NULL};
    const struct srun_upgrade_info *upgrade = &survey->upgrade;
    bool we_are_newer = is_one_of(upgrade->state, newer);
    bool undecided = is_one_of(upgrade->state, trying); /* the older one serves */
    bool failed = strcmp(upgrade->state, "reap") == 0;  /* and here, too */
    struct generation ours = {.number = survey->run.generation,
                              .pid = survey->run.pid,
                              .state = survey->run.state,
                              .since_ms = survey->run.started_ms};
    if (survey->run.ready)
        ours.state = "serving";
    ours.connections = connected_count(ours.pid);
    if (upgrade->peer_pid <= 0) {
        out[0] = ours;
        return 1;
    }
    struct generation theirs = {.number = survey->run.generation + (we_are_newer ? 0 : 1),
                                .pid = upgrade->peer_pid,
                                .since_ms = process_start_ms(upgrade->peer_pid),
                                .connections = connected_count(upgrade->peer_pid)};
    theirs.number -= we_are_newer && theirs.number > 0;
    if (we_are_newer)
        theirs.state = undecided ? "serving" : "draining";
    else
        theirs.state = undecided ? "starting" : failed ? "failed" : "serving";
    if (we_are_newer ? undecided : false)
        ours.state = "starting";
    out[we_are_newer] = ours;
    out[!we_are_newer] = theirs;
    return 2;
}

void generations_json(struct json *json, const struct survey *survey)
{
    struct generation list[2];
    size_t count = list_generations(survey, list);
    json_open(json, "generations", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(json, NULL, '{');
        json_int(json, "generation", list[i].number);
        json_int(json, "pid", list[i].pid);
        json_str(json, "state", list[i].state);
        if (list[i].since_ms > 0)
            json_int(json, "since_ms", list[i].since_ms);
        if (list[i].connections >= 0)
            json_int(json, "connections", list[i].connections);
        json_close(json);
    }
    json_close(json);
}

static void generations_text(struct buf *out, const struct survey *survey)
{
    char since[SHOW_MAX], text[sizeof survey->upgrade.last_text];
    struct generation list[2];
    size_t count = list_generations(survey, list);
    const struct srun_upgrade_info *upgrade = &survey->upgrade;
    auto_columns struct columns table = {0};
    columns_heads(&table, ">GENERATION|>PID|STATE|STARTED|>CONNECTIONS");
    for (size_t i = 0; i < count; i++) {
        columns_addf(&table, "%u", list[i].number);
        columns_addf(&table, "%d", list[i].pid);
        columns_add(&table, list[i].state);
        columns_add(&table, list[i].since_ms > 0 ? show_time(since, list[i].since_ms) : "-");
        if (list[i].connections >= 0)
            columns_addf(&table, "%lld", (long long)list[i].connections);
        else
            columns_add(&table, "-");
    }
    columns_write(&table, out);
    buf_printf(out, "\nupgrade: %s; %u tried, %u succeeded, %u failed, %u rolled back\n",
               upgrade->state, upgrade->attempts, upgrade->succeeded, upgrade->failed,
               upgrade->rolled_back);
    if (upgrade->last_ms == 0)
        return;
    buf_printf(out, "last: %s, %s%s%s: ", show_time(since, upgrade->last_ms),
               upgrade->last_code < 0 ? "failed" : "done",
               upgrade->last_phase[0] != '\0' ? " in " : "", upgrade->last_phase);
    (void)columns_plain(out, redact_text(text, sizeof text, upgrade->last_text));
    buf_text(out, "\n");
}

int generations_view(srun_admin_exchange *exchange, srun_err *err)
{
    auto_survey struct survey survey = {0};
    int rc = survey_take(&survey, exchange->admin, false);
    if (rc < 0)
        return srun_fail(err, rc, "generations: %s", srun_strerror(rc));
    if (!exchange_wants_json(exchange)) {
        generations_text(&exchange->out, &survey);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    generations_json(&json, &survey);
    return views_end_json(exchange, &json);
}
