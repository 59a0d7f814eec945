/* SPDX-License-Identifier: MIT
 *
 * A span for each request, in the trace of who sent it. Off, unless an exporter is configured:
 * SRUN_OTEL_TRACE_EXPORTER=http. Threads: the one of the connection.
 */
#ifndef SPANS_H
#define SPANS_H

#include <microhttpd.h>
#include <srun/srun.h>

/* From the headers on. */
srun_span span_of_request(srun_tracer *tracer, struct MHD_Connection *connection,
                          const char *method, const char *path);

/* When it was answered: route is what the path was taken for, or NULL. */
void span_answered(const srun_span *span, const char *method, const char *route, unsigned status);

#endif
