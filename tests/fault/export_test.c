/* SPDX-License-Identifier: MIT
 *
 * Exporters, when memory runs out: opening says so, and of each batch every item is accounted for.
 */
#include "scenario.h"

#include "base/clock.h"
#include "base/duration.h"
#include "telemetry/exporter.h"
#include "telemetry/otlpenv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fake_load(struct transport *transport, const void *body, size_t size)
{
    (void)transport;
    return body != NULL && size > 0 ? 0 : -EINVAL;
}

static void fake_attempt(struct transport *transport, int64_t deadline_ns,
                         struct transport_reply *out)
{
    (void)transport;
    (void)deadline_ns;
    *out = (struct transport_reply){.http_status = 200,
                                    .grpc_status = -1,
                                    .grpc_message = "",
                                    .grpc_details = "",
                                    .retry_after = ""};
}

static void fake_nothing(struct transport *transport)
{
    (void)transport;
}

static int fake_open(const struct transport_options *options, struct transport **out, char *text,
                     size_t size)
{
    static struct transport transport = {fake_load, fake_attempt, fake_nothing, fake_nothing};
    (void)options;
    (void)text;
    (void)size;
    *out = &transport;
    return 0;
}

static const struct transport_plugin fake = {sizeof fake, SRUN_VERSION_TEXT, fake_open};

static struct telemetry_exporter_options fake_options(const struct telemetry_resource *resource)
{
    static const char *const headers[] = {"key", "value", NULL};
    return (struct telemetry_exporter_options){
        .transport = &fake,
        .endpoint = "http://collector:4318",
        .headers = headers,
        .resource = resource,
    };
}

static void open_exporter(void *arg)
{
    const struct telemetry_resource resource = {SRUN_KVS(SRUN_STR("service.name", "a")), "u:1"};
    struct telemetry_exporter_options options = fake_options(&resource);
    struct telemetry_exporter *exporter = NULL;
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = telemetry_exporter_open(TELEMETRY_TRACES, &options, &exporter, &err);
    (void)scenario_disarm();
    SCENARIO_ASSERT((rc < 0) == (exporter == NULL), "%d", rc);
    if (rc < 0)
        scenario_assert_error(rc, &err);
    else
        exporter->free(exporter);
}

START_TEST(opens_an_exporter_or_says_why_not)
    {
        scenario_each("open", FAULT_SYSTEM, open_exporter, NULL);
        scenario_each_lasting("open", FAULT_SYSTEM, open_exporter, NULL);
    }
END_TEST

static void export_spans(void *arg)
{
    static struct telemetry_span spans[50];
    struct telemetry_exporter_options options = fake_options(NULL);
    struct telemetry_exporter *exporter = NULL;
    struct telemetry_result result;
    (void)arg;
    const struct srun_kv attributes[] = {SRUN_STR("k", "v"), SRUN_STR("b", "\xff"), SRUN_KV_END_};
    for (int i = 0; i < 50; i++)
        spans[i] = (struct telemetry_span){.name = "a name", .attributes = attributes};
    ck_assert_int_eq(telemetry_exporter_open(TELEMETRY_TRACES, &options, &exporter, NULL), 0);
    scenario_arm();
    exporter->spans(exporter, spans, 50, clock_real_now() + 5 * NS_PER_S, &result);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(result.accepted + result.lost == 50, "%zu %zu", result.accepted, result.lost);
    SCENARIO_ASSERT((failed == 0) == (result.lost == 0), "%s", result.text);
    exporter->spans(exporter, spans, 50, clock_real_now() + 5 * NS_PER_S, &result);
    SCENARIO_ASSERT(result.accepted == 50 && result.code == 0, "%s", result.text);
    exporter->free(exporter);
}

START_TEST(accounts_for_every_span_and_goes_on)
    {
        scenario_each("export", FAULT_SYSTEM, export_spans, NULL);
    }
END_TEST

static const char *get(void *arg, const char *name)
{
    (void)arg;
    if (strstr(name, "HEADERS") != NULL)
        return "a=1,b=%20,bad";
    if (strstr(name, "PROTOCOL") != NULL)
        return "grpc";
    if (strstr(name, "ENDPOINT") != NULL)
        return "http://c:1";
    return strstr(name, "CERTIFICATE") != NULL ? "/ca.pem" : NULL;
}

static void warn(void *arg, const char *name, const char *what)
{
    (void)arg;
    (void)name;
    (void)what;
}

static void read_environment(void *arg)
{
    const struct otlpenv_source source = {get, warn, NULL, OTLPENV_PROTOCOL_UNSET};
    struct otlpenv env;
    (void)arg;
    scenario_arm();
    int rc = otlpenv_read(&env, TELEMETRY_LOGS, &source);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT((failed > 0) == (rc == -ENOMEM), "%d", rc);
    otlpenv_free(&env);
}

START_TEST(reads_the_environment_or_says_why_not)
    {
        scenario_each("environment", FAULT_SYSTEM, read_environment, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.export", opens_an_exporter_or_says_why_not,
                   accounts_for_every_span_and_goes_on, reads_the_environment_or_says_why_not);
}
