/* SPDX-License-Identifier: MIT
 *
 * Making and filling a runner, when the system refuses: each call answers what went wrong, leaves
 * nothing half done, and can be tried again.
 */
#include "scenario.h"
#include "world.h"

#include <srun/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int quiet = -1; /* where logs go */

static void open_quiet(void)
{
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(quiet, 0);
}

/* --- a runner -------------------------------------------------------------------------------- */

static void make_runner(void *config)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    scenario_arm();
    int rc = srun_runner_new(&runner, config, &err);
    unsigned failed = scenario_disarm();
    if (rc < 0) {
        SCENARIO_ASSERT(failed > 0 && runner == NULL, "%s", err.text);
        scenario_assert_error(rc, &err);
        SCENARIO_ASSERT(srun_runner_new(&runner, config, &err) == 0, "%s", err.text);
    }
    (void)srun_runner_free(runner);
}

START_TEST(makes_a_runner_or_says_why_not)
    {
        open_quiet();
        struct srun_config config = world_config(quiet);
        config.debug.leaks = 0;
        scenario_each("new", FAULT_SYSTEM, make_runner, &config);
        close(quiet);
    }
END_TEST

START_TEST(makes_a_runner_that_owns_the_signals_or_says_why_not)
    {
        open_quiet();
        struct srun_config config = world_config(quiet);
        config.signals.disabled = 0;
        config.name = NULL;
        config.crash.file = "/nowhere/report";
        scenario_each("new with signals", FAULT_SYSTEM, make_runner, &config);
        close(quiet);
    }
END_TEST

static void make_test_runner(void *config)
{
    srun_test *test = NULL;
    srun_err err = {0};
    scenario_arm();
    int rc = srun_test_new(&test, config, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    SCENARIO_ASSERT((rc < 0) == (test == NULL), "%d", rc);
    (void)srun_test_free(test);
}

START_TEST(makes_a_test_or_says_why_not)
    {
        open_quiet();
        struct srun_config config = world_config(quiet);
        scenario_each("new test", FAULT_SYSTEM, make_test_runner, &config);
        close(quiet);
    }
END_TEST

/* --- services -------------------------------------------------------------------------------- */

static srun_runner *new_runner(void)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    struct srun_config config = world_config(quiet);
    ck_assert_msg(srun_runner_new(&runner, &config, &err) == 0, "%s", err.text);
    return runner;
}

/* A call that failed is made again, now without a failure: it must succeed. */
static bool may_repeat(int rc, const srun_err *err)
{
    if (rc == 0)
        return false;
    ck_assert_uint_gt(scenario_disarm(), 0);
    scenario_assert_error(rc, err);
    return true;
}

static void on_state(void *user, const struct srun_transition *what)
{
    (void)user, (void)what;
}

static int serve(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)ctx, (void)err;
    return 0;
}

static void add_services(void *arg)
{
    char text[512];
    srun_err err = {0};
    srun_runner *runner = new_runner();
    (void)arg;
    world_begin();
    scenario_arm();
    for (unsigned i = 0; i < WORLD_SERVICES; i++) {
        if (may_repeat(world_add(runner, i, &err), &err))
            SCENARIO_ASSERT(world_add(runner, i, &err) == 0, "again: %s", err.text);
        SCENARIO_ASSERT(srun_runner_services(runner, NULL, 0) == i + 1, "the count");
        SCENARIO_ASSERT(srun_runner_state(runner, world_name(i)) == SRUN_STOPPED, "found");
    }
    if (may_repeat(srun_serve(runner, "served", serve, NULL, &err), &err))
        SCENARIO_ASSERT(srun_serve(runner, "served", serve, NULL, &err) == 0, "%s", err.text);
    if (may_repeat(srun_runner_listen(runner, on_state, NULL, &err), &err))
        SCENARIO_ASSERT(srun_runner_listen(runner, on_state, NULL, &err) == 0, "%s", err.text);
    (void)scenario_disarm();
    (void)srun_runner_free(runner);
    bool good = world_is_rolled_back(WORLD_SERVICES, text, sizeof text);
    SCENARIO_ASSERT(good, "%s", text);
}

START_TEST(adds_a_service_whole_or_not_at_all)
    {
        open_quiet();
        scenario_each("add", FAULT_SYSTEM, add_services, NULL);
        close(quiet);
    }
END_TEST

/* More than the first array holds. */
static void add_many(void *arg)
{
    srun_err err = {0};
    srun_runner *runner = new_runner();
    (void)arg;
    scenario_arm();
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "service %u", i);
        if (may_repeat(srun_serve(runner, name, serve, NULL, &err), &err))
            SCENARIO_ASSERT(srun_serve(runner, name, serve, NULL, &err) == 0, "%s", err.text);
    }
    (void)scenario_disarm();
    SCENARIO_ASSERT(srun_runner_services(runner, NULL, 0) == 20, "the count");
    (void)srun_runner_free(runner);
}

START_TEST(adds_many_services_whole_or_not_at_all)
    {
        open_quiet();
        scenario_each("add many", FAULT_SYSTEM, add_many, NULL);
        close(quiet);
    }
END_TEST

/* --- flags and files ------------------------------------------------------------------------- */

struct values {
    const char *string;
    int boolean;
    int64_t integer, duration;
    double real;
    const char *const *strings, *const *arguments;
    char custom[32];
};

static int set_custom(void *user, const char *value, srun_err *err)
{
    struct values *values = user;
    (void)err;
    (void)snprintf(values->custom, sizeof values->custom, "%s", value);
    return 0;
}

static int add_flag(srun_runner *runner, unsigned i, struct values *values, srun_err *err)
{
    switch (i) {
    case 0:
        return srun_flag_string(runner, &values->string, "string", "none", "a string", err);
    case 1:
        return srun_flag_bool(runner, &values->boolean, "bool", 0, "a truth", err);
    case 2:
        return srun_flag_int(runner, &values->integer, "int", 1, "a number", err);
    case 3:
        return srun_flag_double(runner, &values->real, "double", 0.5, "a number", err);
    case 4:
        return srun_flag_duration_ms(runner, &values->duration, "duration", 10, "a time", err);
    case 5:
        return srun_flag_strings(runner, &values->strings, "strings", "strings", err);
    case 6:
        return srun_flag_custom(runner, "custom", "WHAT", set_custom, values, "custom", err);
    default:
        return srun_flag_arguments(runner, &values->arguments, "arguments", err);
    }
}

enum { FLAG_KINDS = 8 };

static void add_flags(void *arg)
{
    srun_err err = {0};
    struct values values = {0};
    srun_runner *runner = new_runner();
    (void)arg;
    scenario_arm();
    for (unsigned i = 0; i < FLAG_KINDS; i++)
        if (may_repeat(add_flag(runner, i, &values, &err), &err))
            SCENARIO_ASSERT(add_flag(runner, i, &values, &err) == 0, "again: %s", err.text);
    for (unsigned i = 0; i < 12; i++) { /* more than the first array holds */
        const char *text;
        char name[16];
        (void)snprintf(name, sizeof name, "more.%u", i);
        if (may_repeat(srun_flag_string(runner, &text, name, "", "more", &err), &err))
            SCENARIO_ASSERT(srun_flag_string(runner, &text, name, "", "more", &err) == 0, "%s",
                            err.text);
    }
    (void)scenario_disarm();
    SCENARIO_ASSERT(strcmp(values.string, "none") == 0, "the fallback");
    (void)srun_runner_free(runner);
}

START_TEST(adds_a_flag_whole_or_not_at_all)
    {
        open_quiet();
        scenario_each("flags", FAULT_SYSTEM, add_flags, NULL);
        close(quiet);
    }
END_TEST

static char config_option[512];

static void write_config(void)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/config.yaml", harness_folder());
    (void)snprintf(config_option, sizeof config_option, "--config=%s", path);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    (void)fputs("srun:\n  log:\n    level: warn\n  crash:\n    file: /nowhere/file\n"
                "  timeouts:\n    stop: 3s\nprogram: [1, 2]\n",
                file);
    ck_assert_int_eq(fclose(file), 0);
}

static void check_values(const srun_runner *runner, const struct values *values)
{
    ck_assert_str_eq(values->string, "given");
    ck_assert_int_eq(values->boolean, 1);
    ck_assert_int_eq(values->integer, 42);
    ck_assert_int_eq(values->duration, 1500);
    ck_assert_str_eq(values->strings[1], "two");
    ck_assert_str_eq(values->custom, "custom");
    ck_assert_str_eq(values->arguments[1], "last");
    ck_assert_int_eq(srun_feature_enabled(runner, "x"), 1);
    ck_assert_uint_eq(srun_feature_count(runner), 2);
}

static void parse_all(void *arg)
{
    char *argv[] = {"program",
                    config_option,
                    "--feature.enable=y",
                    "--feature.enable=x",
                    "--feature.enable=x",
                    "--string=given",
                    "--string",
                    "given",
                    "--bool",
                    "--int=42",
                    "--double=1.5",
                    "--duration=1.5s",
                    "--strings=one",
                    "--strings=two",
                    "--custom=custom",
                    "first",
                    "last",
                    NULL};
    int argc = (int)(sizeof argv / sizeof argv[0]) - 1;
    srun_err err = {0}, again = {0};
    struct values values = {0};
    srun_runner *runner = new_runner();
    (void)arg;
    for (unsigned i = 0; i < FLAG_KINDS; i++)
        ck_assert_int_eq(add_flag(runner, i, &values, &err), 0);
    scenario_arm();
    int rc = srun_runner_parse(runner, argc, argv, &err);
    unsigned failed = scenario_disarm();
    if (rc < 0) {
        SCENARIO_ASSERT(failed > 0, "%s", err.text);
        scenario_assert_error(rc, &err);
        SCENARIO_ASSERT(srun_runner_parse(runner, argc, argv, &again) == rc, "the same answer");
        SCENARIO_ASSERT(strcmp(err.text, again.text) == 0, "%s", again.text);
        SCENARIO_ASSERT(srun_runner_start(runner, &again) == rc, "no start without it");
        if (rc == SRUN_EUSAGE)
            SCENARIO_ASSERT(scenario_is_in(err.text), "%s", err.text);
    } else {
        check_values(runner, &values);
    }
    (void)srun_runner_free(runner);
}

START_TEST(reads_flags_file_and_environment_or_says_why_not)
    {
        open_quiet();
        write_config();
        ck_assert_int_eq(setenv("SRUN_CRASH_FILE", "nowhere/crash", 1), 0);
        ck_assert_int_eq(setenv("SRUN_LOG_FORMAT", "json", 1), 0);
        scenario_each("parse", FAULT_SYSTEM, parse_all, NULL);
        scenario_each("parse, interrupted", FAULT_INTERRUPT, parse_all, NULL);
        close(quiet);
    }
END_TEST

/* --- loggers --------------------------------------------------------------------------------- */

static void make_loggers(void *arg)
{
    srun_err err = {0};
    srun_runner *runner = new_runner();
    srun_logger *log = NULL, *child = NULL;
    const struct srun_kv *kvs = SRUN_KVS(SRUN_STR("key", "value"), SRUN_INT("number", 1));
    (void)arg;
    scenario_arm();
    if (may_repeat(srun_logger_with(&log, srun_runner_log(runner), kvs, &err), &err)) {
        SCENARIO_ASSERT(log == NULL, "set though it failed");
        ck_assert_int_eq(srun_logger_with(&log, srun_runner_log(runner), kvs, &err), 0);
    }
    if (may_repeat(srun_logger_with(&child, log, kvs, NULL), &(srun_err){-ENOMEM, "none"}))
        ck_assert_int_eq(srun_logger_with(&child, log, kvs, &err), 0);
    (void)scenario_disarm();
    SRUN_ERROR(child, "here");
    (void)srun_logger_free(child);
    (void)srun_logger_free(log);
    (void)srun_runner_free(runner);
}

START_TEST(makes_a_logger_or_says_why_not)
    {
        open_quiet();
        scenario_each("logger", FAULT_SYSTEM, make_loggers, NULL);
        close(quiet);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.assemble", makes_a_runner_or_says_why_not,
                   makes_a_runner_that_owns_the_signals_or_says_why_not,
                   makes_a_test_or_says_why_not, adds_a_service_whole_or_not_at_all,
                   adds_many_services_whole_or_not_at_all, adds_a_flag_whole_or_not_at_all,
                   reads_flags_file_and_environment_or_says_why_not,
                   makes_a_logger_or_says_why_not);
}
