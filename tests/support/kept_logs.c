/* SPDX-License-Identifier: MIT */
#include "kept_logs.h"

#include "base/thread.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line->at, line->left, format, arguments);
    va_end(arguments);
    size_t taken = size > 0 && (size_t)size < line->left ? (size_t)size : 0;
    line->at += taken;
    line->left -= taken;
}

static void add_kv(struct line *line, const struct srun_kv *kv)
{
    add(line, "%.*s=", (int)kv->key_size, kv->key);
    switch (kv->type) {
    case SRUN_KV_STR:
        add(line, kv->value.str != NULL ? "'%s'" : "%s",
            kv->value.str != NULL ? kv->value.str : "null");
        break;
    case SRUN_KV_BYTES:
        add(line, "'%.*s'", (int)kv->size, kv->value.str != NULL ? kv->value.str : "");
        break;
    case SRUN_KV_DOUBLE:
        add(line, "%g", kv->value.d);
        break;
    default:
        add(line, "%lld", (long long)kv->value.i);
    }
}

static void keep(struct kept_logs *all, const struct telemetry_log *log)
{
    if (all->count == all->capacity) {
        all->capacity = all->capacity * 2 + 64;
        all->logs = realloc(all->logs, all->capacity * sizeof all->logs[0]);
        if (all->logs == NULL)
            abort();
    }
    struct kept_log *kept = &all->logs[all->count++];
    *kept = (struct kept_log){.flags = log->flags,
                              .dropped_attributes = log->dropped_attributes,
                              .severity = log->severity,
                              .time_ns = log->time_ns,
                              .observed_ns = log->observed_ns};
    memcpy(kept->trace_id, log->trace_id, sizeof kept->trace_id);
    memcpy(kept->span_id, log->span_id, sizeof kept->span_id);
    (void)snprintf(kept->scope, sizeof kept->scope, "%s", log->scope->name);
    (void)snprintf(kept->version, sizeof kept->version, "%s", log->scope->version);
    (void)snprintf(kept->severity_text, sizeof kept->severity_text, "%s", log->severity_text);
    (void)snprintf(kept->event_name, sizeof kept->event_name, "%s",
                   log->event_name != NULL ? log->event_name : "");
    (void)snprintf(kept->body, sizeof kept->body, "%s", log->body);
    struct line line = {kept->attributes, sizeof kept->attributes};
    for (const struct srun_kv *kv = log->attributes; kv->type != SRUN_KV_END; kv++) {
        add(&line, "%s", kv == log->attributes ? "" : " ");
        add_kv(&line, kv);
    }
}

static void keep_or_count(struct kept_logs *kept, const struct telemetry_log *log)
{
    if (!kept->counts_only) {
        keep(kept, log);
        return;
    }
    kept->count++;
    if (kept->look != NULL)
        kept->look(kept->arg, log);
}

static bool wait_locked(struct kept_logs *kept, int64_t deadline_ns)
{
    while (kept->closed && (kept->deaf || !kept->interrupted))
        if (!thread_cond_wait_until(&kept->changed, &kept->lock,
                                    kept->deaf ? INT64_MAX : deadline_ns))
            return false;
    return !kept->closed;
}

static void take_logs(struct telemetry_exporter *exporter, const struct telemetry_log *logs,
                      size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    struct kept_logs *kept = (struct kept_logs *)exporter;
    SRUN_ERROR(kept->talks, "the exporter has something to say");
    pthread_mutex_lock(&kept->lock);
    kept->calls++;
    kept->largest = count > kept->largest ? count : kept->largest;
    pthread_cond_broadcast(&kept->changed);
    if (wait_locked(kept, deadline_ns)) {
        out->lost = kept->lose < count ? kept->lose : count;
        kept->lost += out->lost;
        out->rejected = kept->reject < count - out->lost ? kept->reject : count - out->lost;
        out->accepted = count - out->lost - out->rejected;
        for (size_t i = 0; i < out->accepted; i++)
            keep_or_count(kept, &logs[i]);
    } else {
        out->lost = count;
        out->code = -ETIMEDOUT;
        (void)snprintf(out->text, sizeof out->text, "nobody came");
    }
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

static void interrupt(struct telemetry_exporter *exporter)
{
    struct kept_logs *kept = (struct kept_logs *)exporter;
    pthread_mutex_lock(&kept->lock);
    kept->interrupted = kept->too_early == 0;
    kept->too_early -= kept->too_early > 0;
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

static void free_it(struct telemetry_exporter *exporter)
{
    atomic_store(&((struct kept_logs *)exporter)->freed, true);
}

void kept_logs_init(struct kept_logs *kept)
{
    *kept = (struct kept_logs){
        .exporter = {.logs = take_logs, .interrupt = interrupt, .free = free_it}};
    (void)pthread_mutex_init(&kept->lock, NULL);
    (void)thread_cond_init(&kept->changed);
}

void kept_logs_destroy(struct kept_logs *kept)
{
    free(kept->logs);
    (void)pthread_cond_destroy(&kept->changed);
    (void)pthread_mutex_destroy(&kept->lock);
}

static void set_closed(struct kept_logs *kept, bool closed)
{
    pthread_mutex_lock(&kept->lock);
    kept->closed = closed;
    pthread_cond_broadcast(&kept->changed);
    pthread_mutex_unlock(&kept->lock);
}

void kept_logs_close(struct kept_logs *kept)
{
    set_closed(kept, true);
}

void kept_logs_open(struct kept_logs *kept)
{
    set_closed(kept, false);
}

void kept_logs_await_call(struct kept_logs *kept, unsigned calls)
{
    pthread_mutex_lock(&kept->lock);
    while (kept->calls < calls)
        (void)thread_cond_wait_until(&kept->changed, &kept->lock, INT64_MAX);
    pthread_mutex_unlock(&kept->lock);
}

size_t kept_logs_count(struct kept_logs *kept)
{
    pthread_mutex_lock(&kept->lock);
    size_t count = kept->count;
    pthread_mutex_unlock(&kept->lock);
    return count;
}

const struct kept_log *kept_logs_find(struct kept_logs *kept, const char *text)
{
    const struct kept_log *found = NULL;
    pthread_mutex_lock(&kept->lock);
    for (size_t i = 0; !kept->counts_only && found == NULL && i < kept->count; i++)
        if (strcmp(kept->logs[i].body, text) == 0)
            found = &kept->logs[i];
    pthread_mutex_unlock(&kept->lock);
    return found;
}
