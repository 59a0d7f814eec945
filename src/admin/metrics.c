/* SPDX-License-Identifier: MIT */
#include "admin/metrics.h"

#include "admin/process.h"
#include "admin/survey.h"
#include "base/parse.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <srun/flags.h>
#include <stdlib.h>
#include <string.h>

/* --- the format ------------------------------------------------------------------------------ */

static void label_valid(struct buf *out, const char *value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (value[i] == '\\' || value[i] == '"')
            buf_add(out, "\\", 1);
        if (value[i] == '\n')
            buf_text(out, "\\n");
        else
            buf_add(out, value + i, 1);
    }
}

void metrics_label(struct buf *out, const char *value)
{
    size_t left = strlen(value);
    for (;;) {
        size_t valid = text_utf8_until(value, left);
        label_valid(out, value, valid);
        if (valid == left)
            return;
        buf_text(out, "\xef\xbf\xbd"); /* U+FFFD for each byte that is not UTF-8 */
        value += valid + 1;
        left -= valid + 1;
    }
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, double value)
{
    char text[PARSE_DOUBLE_TEXT_MAX];
    buf_printf(out, " %s\n", parse_double_text(text, value));
}

/* A family of one, left out when the value is not known. */
static void single(struct buf *out, const char *name, const char *type, const char *help,
                   double value)
{
    if (!isfinite(value))
        return;
    family(out, name, type, help);
    buf_text(out, name);
    number(out, value);
}

static void labelled(struct buf *out, const char *name, const char *service, double value)
{
    buf_printf(out, "%s{service=\"", name);
    metrics_label(out, service);
    buf_text(out, "\"}");
    number(out, value);
}

/* --- what there is --------------------------------------------------------------------------- */

/* By division, whose result has a short text. */
static double known(int64_t value, double parts)
{
    return value >= 0 ? (double)value / parts : NAN;
}

static void write_process(struct buf *out)
{
    struct process process;
    process_read(&process);
    single(out, "process_cpu_seconds_total", "counter", "CPU time, user and system, in seconds.",
           known(process.cpu_ns, 1e9));
    single(out, "process_resident_memory_bytes", "gauge", "Resident memory in bytes.",
           known(process.rss, 1));
    single(out, "process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.",
           known(process.vsize, 1));
    single(out, "process_open_fds", "gauge", "Open file descriptors.", known(process.fds, 1));
    single(out, "process_max_fds", "gauge", "The limit of open file descriptors.",
           known(process.max_fds, 1));
    single(out, "process_start_time_seconds", "gauge", "Unix time at which the process started.",
           known(process.start_ms, 1e3));
    single(out, "process_threads", "gauge", "Threads.", known(process.threads, 1));
}

static void write_program(struct buf *out, const struct survey *survey, srun_runner *runner)
{
    const struct srun_run_info *run = &survey->run;
    family(out, "srun_info", "gauge", "The program and its library; always 1.");
    buf_text(out, "srun_info{name=\"");
    metrics_label(out, run->name != NULL ? run->name : "");
    buf_text(out, "\",version=\"");
    metrics_label(out, run->version != NULL ? run->version : "");
    buf_printf(out, "\",libsrun=\"%s\"} 1\n", srun_version());
    single(out, "srun_ready", "gauge", "1 while every service is RUNNING and nothing drains.",
           run->ready ? 1 : 0);
    single(out, "srun_generation", "gauge", "1, and one more after each upgrade.",
           (double)run->generation);
    single(out, "srun_feature_flags", "gauge", "Features that are enabled.",
           (double)srun_feature_count(runner));
    if (survey->health_enabled)
        single(out, "srun_health_overall", "gauge",
               "0 unknown, 1 stopped, 2 unhealthy, 3 degraded, 4 healthy.", survey->overall);
}

/* What the port itself has seen. */
static void write_traffic(struct buf *out, struct admin *admin)
{
    struct admin_traffic traffic;
    admin_traffic(admin, &traffic);
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"srun_admin_connections_total", "Connections to the admin port.", traffic.connections},
        {"srun_admin_requests_total", "Requests that it has answered.", traffic.requests},
        {"srun_admin_refused_total", "Requests that it has refused.", traffic.refused},
        {"srun_admin_auth_failures_total", "Of these, for lack of a right.", traffic.failed_auth},
        {"srun_admin_evicted_total", "Connections that had to make room.", traffic.evicted},
        {"srun_admin_timeouts_total", "Connections that were too slow.", traffic.timed_out},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        single(out, counters[i].name, "counter", counters[i].help, (double)counters[i].value);
    single(out, "srun_admin_open_connections", "gauge", "Connections to it now.", traffic.open);
}

static void write_states(struct buf *out, const struct survey *survey)
{
    family(out, "srun_service_state", "gauge", "1 for the state that a service is in.");
    for (size_t i = 0; i < survey->count; i++)
        for (int state = SRUN_STOPPED; state <= SRUN_SHUTTING_DOWN; state++) {
            buf_text(out, "srun_service_state{service=\"");
            metrics_label(out, survey->services[i].info.name);
            buf_printf(out, "\",state=\"%s\"}", srun_state_name((srun_state)state));
            number(out, survey->services[i].info.state == (srun_state)state);
        }
}

static void write_services(struct buf *out, const struct survey *survey)
{
    if (survey->count == 0)
        return;
    write_states(out, survey);
    family(out, "srun_service_restarts_total", "counter", "Restarts of a service.");
    for (size_t i = 0; i < survey->count; i++)
        labelled(out, "srun_service_restarts_total", survey->services[i].info.name,
                 survey->services[i].info.restarts);
    if (!survey->health_enabled)
        return;
    family(out, "srun_health_status", "gauge",
           "0 unknown, 1 stopped, 2 unhealthy, 3 degraded, 4 healthy.");
    for (size_t i = 0; i < survey->count; i++)
        labelled(out, "srun_health_status", survey->services[i].info.name,
                 survey->services[i].health.status);
}

int metrics_write(struct buf *out, struct admin *admin)
{
    auto_survey struct survey survey = {0};
    int rc = survey_take(&survey, admin, false);
    if (rc < 0)
        return rc;
    write_process(out);
    write_program(out, &survey, admin_host(admin)->runner);
    write_services(out, &survey);
    write_traffic(out, admin);
    return out->failed ? -ENOMEM : 0;
}

/* --- reading it back ------------------------------------------------------------------------- */

/* A label's value may hold anything but a line break, so the value of the metric is what stands
 * behind the last space. */
bool metrics_next(const char **at, struct metrics_line *out)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t size = strcspn(line, "\n");
        *at = line + size + (line[size] == '\n');
        const char *space = memrchr(line, ' ', size);
        if (line[0] == '#' || space == NULL)
            continue;
        *out = (struct metrics_line){line, (size_t)(space - line), strtod(space + 1, NULL)};
        return true;
    }
    return false;
}
