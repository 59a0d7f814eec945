/* SPDX-License-Identifier: MIT
 *
 * The OTEL_* variables, as OpenTelemetry wants them read: what is wrong is told and ignored.
 */
#include "telemetry/otelenv.h"

#include "base/ensure.h"
#include "harness.h"
#include "telemetry/propagation.h"

#include <string.h>

static const char *const *environment; /* name, value, ..., NULL */
static unsigned warnings;

static const char *get(void *arg, const char *name)
{
    (void)arg;
    for (const char *const *at = environment; *at != NULL; at += 2)
        if (strcmp(*at, name) == 0)
            return at[1];
    return NULL;
}

static void warn(void *arg, const char *name, const char *what)
{
    (void)arg, (void)what;
    ck_assert_ptr_nonnull(get(NULL, name));
    warnings++;
}

static struct otelenv read_list(const char *const *list)
{
    struct otelenv env;
    const struct otelenv_source source = {.get = get, .warn = warn};
    environment = list;
    warnings = 0;
    ck_assert_int_eq(otelenv_read(&env, &source), 0);
    return env;
}

#define READ(...) read_list((const char *const[]){__VA_ARGS__, NULL})

START_TEST(has_the_defaults_of_opentelemetry)
    {
        struct otelenv env = READ("OTEL_SERVICE_NAME", "", "OTEL_BSP_MAX_QUEUE_SIZE", "");
        ck_assert(!env.disabled && !env.wants_otlp && !env.wants_none && !env.has_sampler);
        ck_assert_ptr_null(env.service_name);
        ck_assert_ptr_null(env.resource);
        ck_assert_uint_eq(env.propagators, PROPAGATE_ALL);
        ck_assert_uint_eq(env.queue, 2048);
        ck_assert_uint_eq(env.batch, 512);
        ck_assert_int_eq(env.delay_ms, 5000);
        ck_assert_int_eq(env.timeout_ms, 30000);
        ck_assert_uint_eq(env.limits.attributes, 128);
        ck_assert_uint_eq(env.limits.value_length, UINT32_MAX);
        ck_assert_uint_eq(warnings, 0);
    }
END_TEST

START_TEST(takes_nothing_but_true_for_true)
    {
        static const struct {
            const char *text;
            bool disabled;
            unsigned warnings;
        } cases[] = {{"true", true, 0},   {"TRUE", true, 0}, {"True", true, 0}, {"false", false, 0},
                     {"FALSE", false, 0}, {"", false, 0},    {"1", false, 1},   {"yes", false, 1},
                     {" true", false, 1}, {"t", false, 1}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct otelenv env = READ("OTEL_SDK_DISABLED", cases[i].text);
            ck_assert_int_eq(env.disabled, cases[i].disabled);
            ck_assert_uint_eq(warnings, cases[i].warnings);
        }
    }
END_TEST

START_TEST(reads_samplers_by_name)
    {
        static const struct {
            const char *name, *ratio;
            bool known;
            enum sampler_kind kind;
            bool parent_based;
            uint64_t threshold;
            unsigned warnings;
        } cases[] = {
            {"always_on", NULL, true, SAMPLER_ON, false, 0, 0},
            {"always_off", "nonsense", true, SAMPLER_OFF, false, 0, 0},
            {"traceidratio", "0.5", true, SAMPLER_RATIO, false, UINT64_C(1) << 62, 0},
            {"TraceIdRatio", NULL, true, SAMPLER_RATIO, false, UINT64_C(1) << 63, 0},
            {"traceidratio", "1.5", true, SAMPLER_RATIO, false, UINT64_C(1) << 63, 1},
            {"traceidratio", "-0.1", true, SAMPLER_RATIO, false, UINT64_C(1) << 63, 1},
            {"traceidratio", "nan", true, SAMPLER_RATIO, false, UINT64_C(1) << 63, 1},
            {"traceidratio", "0,5", true, SAMPLER_RATIO, false, UINT64_C(1) << 63, 1},
            {"traceidratio", "0", true, SAMPLER_RATIO, false, 0, 0},
            {"parentbased_always_on", NULL, true, SAMPLER_ON, true, 0, 0},
            {"parentbased_always_off", NULL, true, SAMPLER_OFF, true, 0, 0},
            {"parentbased_traceidratio", "0.25", true, SAMPLER_RATIO, true, UINT64_C(1) << 61, 0},
            {"jaeger_remote", NULL, false, SAMPLER_ON, true, 0, 1},
            {"xray", NULL, false, SAMPLER_ON, true, 0, 1},
            {"", NULL, false, SAMPLER_ON, true, 0, 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct otelenv env =
                READ("OTEL_TRACES_SAMPLER", cases[i].name, "OTEL_TRACES_SAMPLER_ARG",
                     cases[i].ratio != NULL ? cases[i].ratio : "");
            ck_assert_int_eq(env.has_sampler, cases[i].known);
            ck_assert_int_eq(env.sampler.kind, cases[i].kind);
            ck_assert_int_eq(env.sampler.parent_based, cases[i].parent_based);
            if (cases[i].kind == SAMPLER_RATIO)
                ck_assert_uint_eq(env.sampler.threshold, cases[i].threshold);
            ck_assert_msg(warnings == cases[i].warnings, "%zu: %u", i, warnings);
        }
    }
END_TEST

START_TEST(warns_of_numbers_and_keeps_the_default)
    {
        static const char *const wrong[] = {
            "abc", "-1", "1.5", "1e3", " 5", "5 ", "+5", "99999999999999999999", "0x10", "5000ms"};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) {
            struct otelenv env =
                READ("OTEL_BSP_SCHEDULE_DELAY", wrong[i], "OTEL_SPAN_EVENT_COUNT_LIMIT", wrong[i]);
            ck_assert_int_eq(env.delay_ms, 5000);
            ck_assert_uint_eq(env.limits.events, 128);
            ck_assert_uint_eq(warnings, 2);
        }
        struct otelenv env = READ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "OTEL_BSP_EXPORT_TIMEOUT", "0",
                                  "OTEL_BSP_SCHEDULE_DELAY", "100");
        ck_assert_uint_eq(env.queue, 2048);
        ck_assert_int_eq(env.timeout_ms, 0);
        ck_assert_int_eq(env.delay_ms, 100);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

START_TEST(keeps_a_batch_within_its_queue)
    {
        struct otelenv env = READ("OTEL_BSP_MAX_QUEUE_SIZE", "100");
        ck_assert_uint_eq(env.batch, 100);
        ck_assert_uint_eq(warnings, 0);
        env = READ("OTEL_BSP_MAX_QUEUE_SIZE", "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "101");
        ck_assert_uint_eq(env.batch, 100);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

START_TEST(lets_the_limits_of_spans_win)
    {
        struct otelenv env =
            READ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "20",
                 "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "30", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                 "40", "OTEL_SPAN_EVENT_COUNT_LIMIT", "0");
        ck_assert_uint_eq(env.limits.attributes, 20);
        ck_assert_uint_eq(env.limits.event_attributes, 30);
        ck_assert_uint_eq(env.limits.link_attributes, 10);
        ck_assert_uint_eq(env.limits.value_length, 40);
        ck_assert_uint_eq(env.limits.events, 0);
        env = READ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "40",
                   "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50");
        ck_assert_uint_eq(env.limits.value_length, 50);
    }
END_TEST

START_TEST(reads_lists_of_names)
    {
        static const struct {
            const char *text;
            unsigned propagators, warnings;
        } cases[] = {
            {"tracecontext", PROPAGATE_TRACE, 0},
            {"baggage", PROPAGATE_BAGGAGE, 0},
            {"baggage,tracecontext", PROPAGATE_ALL, 0},
            {" TraceContext , baggage, tracecontext,", PROPAGATE_ALL, 0},
            {"none", 0, 0},
            {"none,baggage", 0, 0},
            {"\ttracecontext\t, ,", PROPAGATE_TRACE, 0},
            {"b3", PROPAGATE_ALL, 1},
            {"b3,jaeger,tracecontext", PROPAGATE_TRACE, 2},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct otelenv env = READ("OTEL_PROPAGATORS", cases[i].text);
            ck_assert_uint_eq(env.propagators, cases[i].propagators);
            ck_assert_uint_eq(warnings, cases[i].warnings);
        }
        struct otelenv env = READ("OTEL_TRACES_EXPORTER", "otlp");
        ck_assert(env.wants_otlp && !env.wants_none);
        env = READ("OTEL_TRACES_EXPORTER", "otlp,none");
        ck_assert(!env.wants_otlp && env.wants_none);
        env = READ("OTEL_TRACES_EXPORTER", " ,otlp");
        ck_assert(env.wants_otlp);
        ck_assert_uint_eq(warnings, 0);
        env = READ("OTEL_TRACES_EXPORTER", "console");
        ck_assert(!env.wants_otlp && !env.wants_none);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

START_TEST(reads_the_resource_all_or_nothing)
    {
        struct otelenv env = READ("OTEL_SERVICE_NAME", "shop", "OTEL_RESOURCE_ATTRIBUTES",
                                  " a=1 , b.c = x%20y%2cz ,,d=%C3%A4,e=");
        ck_assert_str_eq(env.service_name, "shop");
        static const char *const wanted[] = {"a", "1", "b.c", "x y,z", "d", "\xc3\xa4", "e", ""};
        for (size_t i = 0; i < COUNT_OF(wanted) / 2; i++) {
            ck_assert_str_eq(env.resource[i].key, wanted[2 * i]);
            ck_assert_str_eq(env.resource[i].value.str, wanted[2 * i + 1]);
        }
        ck_assert_int_eq(env.resource[4].type, SRUN_KV_END);
        otelenv_free(&env);
        static const char *const wrong[] = {"a",     "a=1,b", "=1",       " =1",   "a=%",
                                            "a=%2",  "a=%zz", "a=%2z",    "a=%--", "a=%2-",
                                            "a=%ff", "a=%00", "a=1,%ff=2"};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) {
            env = READ("OTEL_RESOURCE_ATTRIBUTES", wrong[i]);
            ck_assert_ptr_null(env.resource);
            ck_assert_uint_eq(warnings, 1);
            otelenv_free(&env);
        }
    }
END_TEST

START_TEST(reads_at_most_so_many_attributes)
    {
        char text[1024] = "";
        for (size_t i = 0, count = 0; i + 4 < sizeof text; i += 4, count++)
            memcpy(text + i, "a=1,", 4);
        struct otelenv env = READ("OTEL_RESOURCE_ATTRIBUTES", text);
        ck_assert_ptr_null(env.resource);
        ck_assert_uint_eq(warnings, 1);
        otelenv_free(&env);
    }
END_TEST

static bool wants(const char *list, const char *also)
{
    environment = (const char *const[]){"LIST", list, NULL};
    return otelenv_wants_otlp(&(struct otelenv_source){.get = get, .warn = warn}, "LIST", also);
}

START_TEST(knows_whether_a_list_has_otlp_in_it)
    {
        warnings = 0;
        ck_assert(wants("otlp", NULL));
        ck_assert(wants(" , OTLP,console", "console"));
        ck_assert(!wants("otlp,none", NULL));
        ck_assert(!wants("none,otlp", NULL));
        ck_assert(!wants("console", "console"));
        ck_assert(!wants("", NULL));
        ck_assert_uint_eq(warnings, 0);
        ck_assert(!wants("console", NULL));
        ck_assert(wants("otlp,file", "console"));
        ck_assert_uint_eq(warnings, 2);
    }
END_TEST

int main(void)
{
    return HARNESS("otelenv", has_the_defaults_of_opentelemetry, takes_nothing_but_true_for_true,
                   reads_samplers_by_name, warns_of_numbers_and_keeps_the_default,
                   keeps_a_batch_within_its_queue, lets_the_limits_of_spans_win,
                   reads_lists_of_names, reads_the_resource_all_or_nothing,
                   reads_at_most_so_many_attributes, knows_whether_a_list_has_otlp_in_it);
}
