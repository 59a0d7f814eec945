/* SPDX-License-Identifier: MIT
 *
 * The OTEL_* variables of traces and of the resource, with OpenTelemetry's rules: empty is unset;
 * what is wrong is warned about and as good as unset; only "true" is true; times are whole
 * milliseconds. PURE: the environment is passed in.
 */
#ifndef TELEMETRY_OTELENV_H
#define TELEMETRY_OTELENV_H

#include "telemetry/traces.h"

struct otelenv_source {
    const char *(*get)(void *arg, const char *name); /* as getenv */
    void (*warn)(void *arg, const char *name, const char *what);
    void *arg;
};

struct otelenv {
    bool disabled;            /* OTEL_SDK_DISABLED */
    bool wants_otlp;          /* OTEL_TRACES_EXPORTER=otlp */
    bool wants_none;          /* OTEL_TRACES_EXPORTER=none */
    char *service_name;       /* NULL: unset */
    struct srun_kv *resource; /* OTEL_RESOURCE_ATTRIBUTES, ends with SRUN_KV_END; NULL: none */
    char *texts;              /* of the resource */
    unsigned propagators;     /* PROPAGATE_... */
    bool has_sampler;
    struct sampler sampler;
    struct limits limits;
    uint32_t queue, batch;
    int64_t delay_ms, timeout_ms;
};

/* What is unset has its default. 0 or -ENOMEM. Free it in any case. */
int otelenv_read(struct otelenv *out, const struct otelenv_source *source);
void otelenv_free(struct otelenv *env);

/* --- for those of the other signals ------------------------------------------------------------
 */

/* A whole number within [least, most]; else what it is stays. */
void otelenv_number(const struct otelenv_source *source, const char *name, int64_t least,
                    int64_t most, int64_t *out);

/* A list with commas between, in which "otlp", "none" and `also` (or NULL) may stand: does it want
 * OTLP? None beats all others. */
bool otelenv_wants_otlp(const struct otelenv_source *source, const char *name, const char *also);

#endif
