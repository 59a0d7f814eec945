/* SPDX-License-Identifier: MIT
 *
 * /threads and /timeline: what the process does, and what its services did.
 */
#include "admin/columns.h"
#include "admin/process.h"
#include "admin/show.h"
#include "admin/views.h"
#include "base/auto.h"

#include <string.h>

/* --- threads --------------------------------------------------------------------------------- */

void threads_json(struct json *json)
{
    auto_free struct process_thread *threads = NULL;
    size_t count = 0;
    (void)process_threads(&threads, &count); /* then the list is empty */
    json_open(json, "threads", '[');
    for (size_t i = 0; i < count; i++) {
        char state[2] = {threads[i].state, '\0'};
        json_open(json, NULL, '{');
        json_int(json, "tid", threads[i].tid);
        json_str(json, "name", threads[i].name);
        json_str(json, "state", state);
        json_int(json, "cpu_ms", threads[i].cpu_ms);
        json_close(json);
    }
    json_close(json);
}

static const char *state_words(char state)
{
    switch (state) {
    case 'R':
        return "R running";
    case 'S':
        return "S sleeping";
    case 'D':
        return "D waits for a device";
    case 'T':
    case 't':
        return "T stopped";
    case 'Z':
    case 'X':
        return "Z has ended";
    case 'I':
        return "I idle";
    default:
        return "?";
    }
}

static void threads_text(struct buf *out)
{
    char cpu[SHOW_MAX];
    auto_free struct process_thread *threads = NULL;
    size_t count = 0;
    auto_columns struct columns table = {0};
    (void)process_threads(&threads, &count);
    columns_heads(&table, ">TID|NAME|>CPU|STATE");
    for (size_t i = 0; i < count; i++) {
        columns_addf(&table, "%d", threads[i].tid);
        columns_add(&table, threads[i].name);
        columns_add(&table, show_ms(cpu, threads[i].cpu_ms));
        columns_add(&table, state_words(threads[i].state));
    }
    columns_write(&table, out);
}

int threads_view(srun_admin_exchange *exchange, srun_err *err)
{
    (void)err;
    if (!exchange_wants_json(exchange)) {
        threads_text(&exchange->out);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    threads_json(&json);
    return views_end_json(exchange, &json);
}

/* --- the timeline ---------------------------------------------------------------------------- */

#define TIMELINE_MAX 1024

/* Without the admin port's own. *out: owned, or NULL; how many. */
static size_t take_timeline(const struct admin_host *host, struct srun_transition **out)
{
    *out = host->timeline != NULL ? calloc(TIMELINE_MAX, sizeof **out) : NULL;
    if (*out == NULL)
        return 0;
    size_t there = host->timeline(host->runner, *out, TIMELINE_MAX), count = 0;
    for (size_t i = 0; i < there && i < TIMELINE_MAX; i++)
        if (strcmp((*out)[i].service, ADMIN_SERVICE) != 0)
            (*out)[count++] = (*out)[i];
    return count;
}

void timeline_json(struct json *json, const struct admin_host *host)
{
    auto_free struct srun_transition *list = NULL;
    size_t count = take_timeline(host, &list);
    json_open(json, "timeline", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(json, NULL, '{');
        json_int(json, "time_ms", list[i].time_ms);
        json_str(json, "service", list[i].service);
        json_str(json, "from", srun_state_name(list[i].from));
        json_str(json, "to", srun_state_name(list[i].to));
        json_close(json);
    }
    json_close(json);
}

static void timeline_text(struct buf *out, const struct admin_host *host)
{
    char time[SHOW_MAX], after[SHOW_MAX];
    struct srun_run_info run;
    auto_free struct srun_transition *list = NULL;
    size_t count = take_timeline(host, &list);
    auto_columns struct columns table = {0};
    srun_runner_info(host->runner, &run);
    columns_heads(&table, "TIME|>AFTER|SERVICE|FROM|TO");
    for (size_t i = 0; i < count; i++) {
        int64_t passed = list[i].time_ms - run.started_ms;
        columns_add(&table, show_time(time, list[i].time_ms));
        columns_add(&table, show_ms(after, passed > 0 ? passed : 0));
        columns_add(&table, list[i].service);
        columns_add(&table, srun_state_name(list[i].from));
        columns_add(&table, srun_state_name(list[i].to));
    }
    columns_write(&table, out);
}

int timeline_view(srun_admin_exchange *exchange, srun_err *err)
{
    const struct admin_host *host = admin_host(exchange->admin);
    (void)err;
    if (!exchange_wants_json(exchange)) {
        timeline_text(&exchange->out, host);
        return 0;
    }
    struct json json;
    exchange_json(exchange, &json);
    timeline_json(&json, host);
    return views_end_json(exchange, &json);
}
