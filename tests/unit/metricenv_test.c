/* SPDX-License-Identifier: MIT
 *
 * The variables of OpenTelemetry for metrics that are pushed.
 */
#include "harness.h"
#include "telemetry/metricenv.h"

#include <string.h>

static const char *set_name, *set_value;
static unsigned warnings;

static const char *get(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, set_name) == 0 ? set_value : NULL;
}

static void warn(void *arg, const char *name, const char *what)
{
    (void)arg, (void)what;
    ck_assert_str_eq(name, set_name);
    warnings++;
}

static struct metricenv read_with(const char *name, const char *value)
{
    struct metricenv env;
    set_name = name;
    set_value = value;
    warnings = 0;
    metricenv_read(&env, &(struct otelenv_source){.get = get, .warn = warn});
    return env;
}

START_TEST(what_is_unset_has_its_default)
    {
        struct metricenv env = read_with("NOTHING", "x");
        ck_assert(!env.wants_otlp && !env.reader.delta && !env.reader.observed_too);
        ck_assert_int_eq(env.interval_ms, 60000);
        ck_assert_int_eq(env.timeout_ms, 30000);
        env = read_with("OTEL_METRIC_EXPORT_INTERVAL", "");
        ck_assert_int_eq(env.interval_ms, 60000);
        ck_assert_uint_eq(warnings, 0);
    }
END_TEST

START_TEST(times_are_whole_milliseconds)
    {
        static const char *const bad[] = {
            "0", "-1", "1.5", "10s", "x", " 5", "99999999999999999999"};
        ck_assert_int_eq(read_with("OTEL_METRIC_EXPORT_INTERVAL", "1500").interval_ms, 1500);
        ck_assert_int_eq(read_with("OTEL_METRIC_EXPORT_TIMEOUT", "250").timeout_ms, 250);
        ck_assert_int_gt(read_with("OTEL_METRIC_EXPORT_TIMEOUT", "0").timeout_ms, 1000000000);
        ck_assert_uint_eq(warnings, 0);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            ck_assert_int_eq(read_with("OTEL_METRIC_EXPORT_INTERVAL", bad[i]).interval_ms, 60000);
            ck_assert_uint_eq(warnings, 1);
        }
    }
END_TEST

START_TEST(temporality_is_one_of_three)
    {
        static const char name[] = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        struct metricenv env = read_with(name, "DELTA");
        ck_assert(env.reader.delta && env.reader.observed_too);
        env = read_with(name, "lowmemory");
        ck_assert(env.reader.delta && !env.reader.observed_too);
        env = read_with(name, "Cumulative");
        ck_assert(!env.reader.delta);
        ck_assert_uint_eq(warnings, 0);
        env = read_with(name, "both");
        ck_assert(!env.reader.delta);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

START_TEST(exporters_are_a_list)
    {
        static const char name[] = "OTEL_METRICS_EXPORTER";
        ck_assert(read_with(name, "otlp").wants_otlp);
        ck_assert(read_with(name, "prometheus, OTLP").wants_otlp);
        ck_assert(!read_with(name, "none").wants_otlp);
        ck_assert(!read_with(name, ",,prometheus,").wants_otlp);
        ck_assert_uint_eq(warnings, 0);
        ck_assert(!read_with(name, "otlpx").wants_otlp);
        ck_assert_uint_eq(warnings, 1);
        ck_assert(!read_with(name, "prometheuz").wants_otlp);
        ck_assert_uint_eq(warnings, 1);
        metricenv_read(&(struct metricenv){0},
                       &(struct otelenv_source){.get = get}); /* to nobody */
    }
END_TEST

static enum telemetry_exemplar_filter filter_with(const char *value)
{
    set_name = "OTEL_METRICS_EXEMPLAR_FILTER";
    set_value = value;
    warnings = 0;
    return metricenv_exemplars(&(struct otelenv_source){.get = get, .warn = warn});
}

START_TEST(exemplars_have_three_filters)
    {
        ck_assert_int_eq(filter_with(NULL), TELEMETRY_EXEMPLARS_OF_TRACES);
        ck_assert_int_eq(filter_with(""), TELEMETRY_EXEMPLARS_OF_TRACES);
        ck_assert_int_eq(filter_with("trace_based"), TELEMETRY_EXEMPLARS_OF_TRACES);
        ck_assert_int_eq(filter_with("Always_On"), TELEMETRY_EXEMPLARS_ALWAYS);
        ck_assert_int_eq(filter_with("always_off"), TELEMETRY_EXEMPLARS_NEVER);
        ck_assert_uint_eq(warnings, 0);
        ck_assert_int_eq(filter_with("always"), TELEMETRY_EXEMPLARS_OF_TRACES);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

int main(void)
{
    return HARNESS("metricenv", what_is_unset_has_its_default, times_are_whole_milliseconds,
                   temporality_is_one_of_three, exporters_are_a_list, exemplars_have_three_filters);
}
