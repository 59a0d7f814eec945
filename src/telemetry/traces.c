/* SPDX-License-Identifier: MIT */
#include "telemetry/traces.h"

#include "telemetry/self.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

_Atomic uint64_t traces_misused;

struct traces_options traces_defaults(void)
{
    return (struct traces_options){
        .sampler = sampler_make(SAMPLER_ON, true, 1),
        .limits = {128, 128, 128, 128, 128, UINT32_MAX},
        .queue = 2048,
        .batch = 512,
        .delay_ms = 5000,
        .timeout_ms = 30000,
    };
}

int traces_open(struct traces **out, const struct traces_options *options, srun_err *err)
{
    int rc = span_slots_open();
    if (rc < 0)
        return srun_fail(err, rc, "spans: %s", srun_strerror(rc));
    struct traces *traces = aligned_alloc(64, (sizeof *traces + 63) / 64 * 64);
    if (traces == NULL)
        return srun_fail(err, -ENOMEM, "spans: out of memory");
    *traces = (struct traces){
        .sampler = options->sampler, .limits = options->limits, .stamp = self_stamp()};
    (void)pthread_mutex_init(&traces->lock, NULL);
    rc = batch_new(&traces->batch,
                   &(struct batch_options){.exporter = options->exporter,
                                           .log = options->log,
                                           .queue = options->queue,
                                           .size = options->batch,
                                           .delay_ms = options->delay_ms,
                                           .timeout_ms = options->timeout_ms,
                                           .last_words_ms = options->last_words_ms,
                                           .simple = options->simple},
                   err);
    if (rc < 0) {
        free(traces);
        return rc;
    }
    *out = traces;
    return 0;
}

/* --- tracers --------------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static bool same_scope(const struct telemetry_scope *one, const struct telemetry_scope *other)
{
    return strcmp(one->name, other->name) == 0 && strcmp(one->version, other->version) == 0 &&
           strcmp(one->schema_url, other->schema_url) == 0;
}

static const char *append(char **at, const char *text)
{
    const char *copy = *at;
    *at = stpcpy(*at, text) + 1;
    return copy;
}

static srun_tracer *make_tracer(struct traces *traces, const struct telemetry_scope *scope)
{
    srun_tracer *tracer = calloc(1, sizeof *tracer);
    char *texts =
        malloc(strlen(scope->name) + strlen(scope->version) + strlen(scope->schema_url) + 3);
    if (tracer == NULL || texts == NULL) {
        free(tracer);
        free(texts);
        return NULL;
    }
    char *at = texts;
    tracer->traces = traces;
    tracer->texts = texts;
    tracer->scope.name = append(&at, scope->name);
    tracer->scope.version = append(&at, scope->version);
    tracer->scope.schema_url = append(&at, scope->schema_url);
    return tracer;
}

static srun_tracer *find_tracer_locked(struct traces *traces, const struct telemetry_scope *scope)
{
    for (size_t i = 0; i < traces->tracer_count; i++)
        if (same_scope(&traces->tracers[i]->scope, scope))
            return traces->tracers[i];
    if (traces->tracer_count == TRACERS_MAX)
        return NULL;
    srun_tracer *tracer = make_tracer(traces, scope);
    if (tracer != NULL)
        traces->tracers[traces->tracer_count++] = tracer;
    return tracer;
}

srun_tracer *traces_tracer(struct traces *traces, const struct telemetry_scope *scope)
{
    if (traces == NULL || traces->stamp != self_stamp())
        return NULL;
    const struct telemetry_scope whole = {or_empty(scope->name), or_empty(scope->version),
                                          or_empty(scope->schema_url)};
    pthread_mutex_lock(&traces->lock);
    srun_tracer *tracer = find_tracer_locked(traces, &whole);
    pthread_mutex_unlock(&traces->lock);
    return tracer;
}

/* --- the end --------------------------------------------------------------------------------- */

int traces_flush(struct traces *traces, int64_t deadline_ns)
{
    if (traces == NULL)
        return 0;
    if (traces->stamp != self_stamp())
        return SRUN_EFORK;
    return batch_flush(traces->batch, deadline_ns);
}

int traces_shutdown(struct traces *traces, int64_t deadline_ns)
{
    if (traces == NULL || traces->stamp != self_stamp() || atomic_load(&traces->closed))
        return 0;
    atomic_store(&traces->closed, true);
    int rc = batch_shutdown(traces->batch, deadline_ns);
    uint64_t revoked = span_slots_revoke(traces);
    atomic_fetch_add(&traces->revoked, revoked);
    return rc == 0 && revoked > 0 ? -EIO : rc;
}

struct traces *traces_free(struct traces *traces)
{
    if (traces == NULL || traces->stamp != self_stamp())
        return NULL;
    (void)span_slots_revoke(traces); /* those that began beside the shutdown */
    if (batch_free(traces->batch) != NULL)
        return traces; /* the export that does not end has the scopes of its spans */
    for (size_t i = 0; i < traces->tracer_count; i++) {
        free(traces->tracers[i]->texts);
        free(traces->tracers[i]);
    }
    (void)pthread_mutex_destroy(&traces->lock);
    free(traces);
    return NULL;
}

void traces_stats(struct traces *traces, struct srun_trace_stats *out)
{
    *out = (struct srun_trace_stats){.misused = atomic_load(&traces_misused)};
    if (traces == NULL)
        return;
    struct batch_stats batch;
    batch_stats(traces->batch, &batch);
    for (unsigned i = 0; i < TRACES_SHARDS; i++) {
        out->sampled += atomic_load(&traces->counts[i].sampled);
        out->started += atomic_load(&traces->counts[i].unsampled);
    }
    out->started += out->sampled;
    out->lost_no_slot = batch.missed;
    out->ended = batch.taken + batch.dropped + batch.late;
    out->exported = batch.exported;
    out->rejected = batch.rejected;
    out->lost_queue_full = batch.dropped;
    out->lost_in_export = batch.lost_in_export;
    out->lost_at_end = batch.lost_at_end + batch.late + atomic_load(&traces->revoked);
}
