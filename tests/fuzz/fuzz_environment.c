/* SPDX-License-Identifier: MIT
 *
 * Any lines NAME=value as the environment: of OpenTelemetry, which warns and goes on, and of the
 * runner, which refuses with a reason. What comes out is within its limits, and where it is sent to
 * is a URL that can be shown.
 */
#include "base/text.h"
#include "config.h"
#include "fuzz.h"
#include "telemetry/endpoint.h"
#include "telemetry/header.h"
#include "telemetry/logenv.h"
#include "telemetry/metricenv.h"
#include "telemetry/otelenv.h"
#include "telemetry/otlpenv.h"

#include <errno.h>

#define VALUES_MAX 256

/* What getenv answers has to live on. */
static struct {
    const char *lines;
    char *values[VALUES_MAX];
    size_t count;
} given;

static char *get(const char *name)
{
    char *value = fuzz_variable(given.lines, name);
    ENSURE(given.count < VALUES_MAX);
    if (value != NULL)
        given.values[given.count++] = value;
    return value;
}

static void forget(void)
{
    while (given.count > 0)
        free(given.values[--given.count]);
}

static const char *get_with(void *arg, const char *name)
{
    (void)arg;
    return get(name);
}

/* The value may be a secret. */
static void warn(void *arg, const char *name, const char *what)
{
    (void)arg;
    ENSURE(text_printable(name, 128) && what[0] != '\0');
}

static void check_url(const struct telemetry_exporter_options *options,
                      enum telemetry_signal signal)
{
    struct buf url = {0};
    srun_err err = {0};
    char shown[ENDPOINT_SHOWN_MAX];
    const struct endpoint_wish wish = {.signal = signal,
                                       .grpc = options->protocol == TELEMETRY_GRPC,
                                       .text = options->endpoint,
                                       .as_is = options->endpoint_as_is,
                                       .insecure = options->insecure};
    int rc = endpoint_url(&url, &wish, &err);
    ENSURE(rc == 0 || (rc == -EINVAL && err.text[0] != '\0'));
    if (rc == 0) {
        ENSURE(strncmp(url.data, "http://", 7) == 0 || strncmp(url.data, "https://", 8) == 0);
        ENSURE(text_printable(url.data, url.size) && strpbrk(url.data, " \t\r\n") == NULL);
        ENSURE(strlen(endpoint_shown(shown, url.data)) < sizeof shown);
        ENSURE(strchr(shown, '@') == NULL || strchr(strstr(url.data, "//") + 2, '/') != NULL);
    }
    buf_free(&url);
}

static void check_export(enum telemetry_signal signal)
{
    const struct otlpenv_source source = {get_with, warn, NULL, OTLPENV_PROTOCOL_UNSET};
    struct otlpenv env;
    struct telemetry_exporter_options options = {0};
    ENSURE(otlpenv_read(&env, signal, &source) == 0);
    for (size_t i = 0; env.headers != NULL && env.headers[i] != NULL; i += 2)
        ENSURE(header_refused(env.headers[i], env.headers[i + 1]) == NULL);
    otlpenv_options(&env, &options);
    check_url(&options, signal);
    otlpenv_free(&env);
}

static void check_telemetry(void)
{
    const struct otelenv_source source = {get_with, warn, NULL};
    struct otelenv env;
    struct metricenv metrics;
    struct logenv logs;
    ENSURE(otelenv_read(&env, &source) == 0);
    for (const struct srun_kv *kv = env.resource; kv != NULL && kv->type != SRUN_KV_END; kv++)
        ENSURE(kv->key[0] != '\0');
    ENSURE(env.queue > 0 && env.batch > 0 && env.batch <= env.queue);
    ENSURE(env.delay_ms >= 0 && env.timeout_ms >= 0);
    otelenv_free(&env);
    (void)metricenv_exemplars(&source);
    metricenv_read(&metrics, &source);
    ENSURE(metrics.interval_ms > 0 && metrics.timeout_ms >= 0);
    logenv_read(&logs, &source);
}

static void check_config(void)
{
    struct config config;
    srun_err err = {0};
    ENSURE(config_init(&config, SRUN_CONFIG(.name = "fuzz", .version = "1"), &err) == 0);
    int rc = config_load(&config, NULL, get, &err);
    ENSURE(rc == 0 || rc == SRUN_EUSAGE);
    ENSURE(rc == 0 || text_printable(err.text, sizeof err.text));
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines = fuzz_text(data, size);
    given.lines = lines;
    check_telemetry();
    for (int signal = TELEMETRY_TRACES; signal <= TELEMETRY_LOGS; signal++)
        check_export((enum telemetry_signal)signal);
    check_config();
    forget();
    free(lines);
    return 0;
}
