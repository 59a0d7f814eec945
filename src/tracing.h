/* SPDX-License-Identifier: MIT
 *
 * Traces, as the runner has them: the provider from before the first service to after the last one;
 * and the runner's own spans, one trace for each start, stop and upgrade, a span for each phase of
 * a service. Off, it is nothing but zeros and an atomic read.
 * Threads: control, unless said otherwise.
 */
#ifndef TRACING_H
#define TRACING_H

#include "resource.h"
#include "sequence.h"
#include "telemetry/traces.h"

struct service;

struct tracing {
    struct telemetry_exporter *exporter; /* instead of the configured one; given before the start */
    struct traces *_Atomic traces;       /* NULL: off */
    struct resource resource;
    srun_tracer *_Atomic program; /* this and traces: anybody may ask before they are there */
    srun_tracer *own;             /* the scope of this library */
    srun_span start, stop, upgrade;
    struct srun_span_context upgraded; /* the last upgrade's */
    bool finished;
};

/* Before any thread is made: records get the ids of what is current. */
void tracing_join_logs(void);

/* After the services are known, before they start. What is wrong with SRUN_* and the code is
 * returned; all else is warned about, and tracing is off. */
int tracing_start(srun_runner *runner, srun_err *err);

/* Sends what is left, within what is left of LAST_EXPORTS_MS. Later calls do nothing. */
void tracing_finish(srun_runner *runner);
void tracing_free(srun_runner *runner);

/* What happens. */
void tracing_state(srun_runner *runner, struct service *service,
                   const struct sequence_action *action);
void tracing_started(srun_runner *runner);
void tracing_stopping(srun_runner *runner);
void tracing_stopped(srun_runner *runner);

/* An upgrade begins: its ids as text, if it is traced, for the new process. */
void tracing_upgrade(srun_runner *runner, char trace_id[33], char span_id[17]);
void tracing_upgraded(srun_runner *runner, const char *error);
void tracing_rolled_back(srun_runner *runner, const char *error);

#endif
