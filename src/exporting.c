/* SPDX-License-Identifier: MIT */
#include "exporting.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/path.h"
#include "runner.h"
#include "telemetry/otlpenv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAST_MOMENT (200 * NS_PER_MS)

static const char *get_variable(void *arg, const char *name)
{
    (void)arg;
    return secure_getenv(name);
}

static void warn_of_variable(void *arg, const char *name, const char *what)
{
    SRUN_WARN(((srun_runner *)arg)->log, "a variable of OpenTelemetry is wrong",
              SRUN_STR("variable", name), SRUN_STR("what", what));
}

struct otelenv_source exporting_variables(srun_runner *runner)
{
    return (struct otelenv_source){.get = get_variable, .warn = warn_of_variable, .arg = runner};
}

static bool was_set(const srun_runner *runner, const void *field)
{
    size_t offset = (size_t)((const char *)field - (const char *)&runner->config.value);
    return runner->config.origins[config_knob_at(offset)] != CONFIG_DEFAULT;
}

srun_exporter exporting_choose(const srun_runner *runner, const struct exporting *what,
                               bool otel_wants)
{
    const struct otelenv *env = runner->tracing.resource.env;
    if (env != NULL && env->disabled)
        return SRUN_EXPORTER_NONE;
    if (was_set(runner, what->exporter))
        return *what->exporter;
    return otel_wants ? SRUN_EXPORTER_DEFAULT : SRUN_EXPORTER_NONE;
}

static bool has_path(const char *url)
{
    const char *scheme = strstr(url, "://"), *path = strchr(scheme != NULL ? scheme + 3 : url, '/');
    return path != NULL && path[1] != '\0';
}

static int open_with(srun_runner *runner, const struct exporting *what, const struct otlpenv *env,
                     struct telemetry_exporter **out, srun_err *err)
{
    struct telemetry_exporter_options options = {0};
    srun_err why = {0};
    otlpenv_options(env, &options);
    options.resource = &runner->tracing.resource.shown;
    if (*what->endpoint != NULL) {
        options.endpoint = *what->endpoint;
        options.endpoint_as_is = has_path(options.endpoint);
        options.insecure = false;
    }
    if (was_set(runner, what->insecure))
        options.insecure = *what->insecure != 0;
    int rc = telemetry_exporter_open(what->signal, &options, out, &why);
    if (rc == -EINVAL && *what->endpoint != NULL)
        return srun_fail(err, SRUN_EUSAGE, "telemetry.%s_endpoint: %.200s", what->name, why.text);
    return rc < 0 ? srun_fail(err, rc, "%s", why.text) : 0;
}

/* They are read again with each connection, wherever the program has gone by then. */
static int fix_files(struct otlpenv *env, srun_err *err)
{
    char **const paths[] = {&env->ca_file, &env->cert_file, &env->key_file};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int rc = path_make_absolute(paths[i]);
        if (rc < 0)
            return srun_fail(err, rc, "%s, with the working directory: %s", *paths[i],
                             srun_strerror(rc));
    }
    return 0;
}

int exporting_open(srun_runner *runner, const struct exporting *what, srun_exporter wanted,
                   struct telemetry_exporter **out, srun_err *err)
{
    struct otlpenv env;
    const struct otlpenv_source source = {
        .get = get_variable,
        .warn = warn_of_variable,
        .arg = runner,
        .protocol = wanted == SRUN_EXPORTER_HTTP   ? (int)TELEMETRY_HTTP
                    : wanted == SRUN_EXPORTER_GRPC ? (int)TELEMETRY_GRPC
                                                   : OTLPENV_PROTOCOL_UNSET};
    int rc = otlpenv_read(&env, what->signal, &source);
    rc = rc < 0 ? srun_fail(err, rc, "out of memory") : fix_files(&env, err);
    rc = rc < 0 ? rc : open_with(runner, what, &env, out, err);
    otlpenv_free(&env);
    return rc;
}

int64_t exporting_last_until(const srun_runner *runner, int64_t begun_ns)
{
    int64_t left = LAST_EXPORTS_MS * NS_PER_MS - runner->last_exports_ns;
    return begun_ns + (left > LAST_MOMENT ? left : LAST_MOMENT);
}

void exporting_last_used(srun_runner *runner, int64_t begun_ns)
{
    runner->last_exports_ns += clock_real_now() - begun_ns;
}
