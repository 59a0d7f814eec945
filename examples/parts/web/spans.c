/* SPDX-License-Identifier: MIT
 *
 * Attributes are named as OpenTelemetry's conventions for HTTP servers want them.
 */
#include "spans.h"

#include <stdio.h>
#include <strings.h>

struct wanted {
    const char *name, *value;
    size_t index;
};

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct wanted *wanted = cls;
    (void)kind;
    if (strcasecmp(name, wanted->name) != 0 || wanted->index-- > 0)
        return MHD_YES;
    wanted->value = value;
    return MHD_NO; /* that was it */
}

/* The index-th header of a name; there may be several. */
static const char *get_header(void *carrier, const char *name, size_t index)
{
    struct wanted wanted = {.name = name, .index = index};
    (void)MHD_get_connection_values(carrier, MHD_HEADER_KIND, look, &wanted);
    return wanted.value;
}

srun_span span_of_request(srun_tracer *tracer, struct MHD_Connection *connection,
                          const char *method, const char *path)
{
    struct srun_span_context sender;
    if (tracer == NULL)
        return (srun_span){0};
    (void)srun_trace_extract(&sender, get_header, connection);
    return srun_span_start(tracer, method,
                           SRUN_SPAN(.kind = SRUN_SPAN_SERVER, .parent = &sender,
                                     .attributes = SRUN_KVS(SRUN_STR("http.request.method", method),
                                                            SRUN_STR("url.scheme", "http"),
                                                            SRUN_STR("url.path", path))));
}

void span_answered(const srun_span *span, const char *method, const char *route, unsigned status)
{
    if (!srun_span_is_recording(span))
        return;
    if (route != NULL) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s %s", method, route);
        srun_span_rename(span, name);
        srun_span_set(span, SRUN_KVS(SRUN_STR("http.route", route)));
    }
    if (status > 0)
        srun_span_set(span, SRUN_KVS(SRUN_UINT("http.response.status_code", status)));
    if (status == 0 || status >= 500)
        srun_span_set_status(span, SRUN_SPAN_ERROR, status == 0 ? "not answered" : NULL);
    srun_span_end(span);
}
