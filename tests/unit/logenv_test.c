/* SPDX-License-Identifier: MIT
 *
 * The OTEL_* variables of log records.
 */
#include "telemetry/logenv.h"

#include "harness.h"

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

static struct logenv read_list(const char *const *list)
{
    struct logenv env;
    environment = list;
    warnings = 0;
    logenv_read(&env, &(const struct otelenv_source){.get = get, .warn = warn});
    return env;
}

#define READ(...) read_list((const char *const[]){__VA_ARGS__, NULL})

START_TEST(has_the_defaults_of_opentelemetry)
    {
        struct logenv env = READ("OTEL_LOGS_EXPORTER", "", "OTEL_BLRP_MAX_QUEUE_SIZE", "");
        ck_assert(!env.wants_otlp);
        ck_assert_uint_eq(env.options.queue, 2048);
        ck_assert_uint_eq(env.options.size, 512);
        ck_assert_int_eq(env.options.delay_ms, 1000);
        ck_assert_int_eq(env.options.timeout_ms, 30000);
        ck_assert_uint_eq(env.options.limits.attributes, 128);
        ck_assert_uint_eq(env.options.limits.value_length, UINT32_MAX);
        ck_assert_uint_eq(warnings, 0);
    }
END_TEST

START_TEST(reads_which_exporters_are_wanted)
    {
        ck_assert(READ("OTEL_LOGS_EXPORTER", "otlp").wants_otlp);
        ck_assert(READ("OTEL_LOGS_EXPORTER", " console , OTLP,").wants_otlp);
        ck_assert_uint_eq(warnings, 0);
        ck_assert(!READ("OTEL_LOGS_EXPORTER", "console").wants_otlp);
        ck_assert(!READ("OTEL_LOGS_EXPORTER", "none").wants_otlp);
        ck_assert(!READ("OTEL_LOGS_EXPORTER", "otlp,none").wants_otlp);
        ck_assert_uint_eq(warnings, 0);
        ck_assert(READ("OTEL_LOGS_EXPORTER", "kafka,otlp").wants_otlp);
        ck_assert_uint_eq(warnings, 1);
    }
END_TEST

START_TEST(reads_the_batch)
    {
        struct logenv env =
            READ("OTEL_BLRP_SCHEDULE_DELAY", "7", "OTEL_BLRP_EXPORT_TIMEOUT", "0",
                 "OTEL_BLRP_MAX_QUEUE_SIZE", "100", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10");
        ck_assert(env.options.delay_ms == 7 && env.options.timeout_ms == 0);
        ck_assert(env.options.queue == 100 && env.options.size == 10);
        env = READ("OTEL_BLRP_MAX_QUEUE_SIZE", "100");
        ck_assert_uint_eq(env.options.size, 100);
        ck_assert_uint_eq(warnings, 0);
        env = READ("OTEL_BLRP_MAX_QUEUE_SIZE", "5", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "6");
        ck_assert_uint_eq(env.options.size, 5);
        ck_assert_uint_eq(warnings, 1);
        env = READ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "OTEL_BLRP_SCHEDULE_DELAY", "-1",
                   "OTEL_BLRP_EXPORT_TIMEOUT", "1s");
        ck_assert(env.options.queue == 2048 && env.options.delay_ms == 1000);
        ck_assert_int_eq(env.options.timeout_ms, 30000);
        ck_assert_uint_eq(warnings, 3);
    }
END_TEST

START_TEST(reads_limits_of_which_its_own_beat_the_general_ones)
    {
        struct logenv env =
            READ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6");
        ck_assert(env.options.limits.attributes == 5 && env.options.limits.value_length == 6);
        env = READ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "0",
                   "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8");
        ck_assert(env.options.limits.attributes == 0 && env.options.limits.value_length == 8);
        ck_assert_uint_eq(warnings, 0);
    }
END_TEST

int main(void)
{
    return HARNESS("logenv", has_the_defaults_of_opentelemetry, reads_which_exporters_are_wanted,
                   reads_the_batch, reads_limits_of_which_its_own_beat_the_general_ones);
}
