/* SPDX-License-Identifier: MIT
 *
 * Default < code < file < environment, driven by the table of knobs; and what is refused in the
 * code's configuration and in the environment.
 */
#include "base/ensure.h"
#include "config.h"
#include "harness.h"
#include "knobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The environment of a test: one variable. */
static const char *env_name, *env_value;

static char *fake_getenv(const char *name)
{
    bool ours = env_name != NULL && strcmp(name, env_name) == 0;
    return ours ? (char *)(uintptr_t)env_value : NULL;
}

static int load_with(struct config *config, const char *path, const char *name, const char *value,
                     srun_err *err)
{
    env_name = name;
    env_value = value;
    return config_load(config, path, fake_getenv, err);
}

/* Three values of a knob, none the default: for the code, the file and the environment. Where
 * there are but two, the last two are the same. */
struct three {
    const char *code, *file, *environment;
};

static struct three values_of(const struct knob *knob)
{
    switch (knob->type) {
    case KNOB_TIME:
        return (struct three){"7ms", "8ms", "9ms"};
    case KNOB_WORD:
        if (knob->words[2].word == NULL)
            return (struct three){knob->words[1].word, knob->words[0].word, knob->words[1].word};
        if (knob->words[3].word == NULL)
            return (struct three){knob->words[1].word, knob->words[2].word, knob->words[1].word};
        return (struct three){"debug", "warn", "error"};
    case KNOB_ON:
        return (struct three){"true", "false", "true"};
    case KNOB_DISABLED:
        return (struct three){"false", "true", "false"};
    case KNOB_PERCENT:
        return (struct three){"7", "8", "100000"};
    case KNOB_PATH:
    case KNOB_PLACE:
        return (struct three){"/code", "/file", "/environment"};
    case KNOB_ADDRESS:
        return (struct three){"127.0.0.1:0", "0.0.0.0:65535", "[::1]:8778"};
    case KNOB_NAMES:
        return (struct three){"a.example", "a.example,b.example", "localhost"};
    case KNOB_URL:
        return (struct three){"http://a:4318", "b.example:4317", "https://[::1]/v1/traces"};
    case KNOB_TYPE_COUNT:
        break;
    }
    ck_abort_msg("a new type of knob");
    return (struct three){0};
}

/* What a program would have to write in its configuration to get this value. */
static void code_of(const struct knob *knob, const char *value, struct srun_config *code)
{
    struct config config;
    srun_err err = {0};
    ck_assert_int_eq(config_init(&config, NULL, &err), 0);
    ck_assert_int_eq(knob_set(knob, &config, value, "code", &err), 0);
    *code = config.value;
    code->name = code->version = NULL;
    if (knob_is_text(knob))
        memcpy((char *)code + knob->offset, &value, sizeof value);
    config_free(&config);
}

static const char *write_file(const char *text)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/srun.yaml", harness_folder());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void assert_knob(const struct knob *knob, const struct config *config, const char *expected)
{
    char text[KNOB_TEXT_MAX];
    const char *got = knob_text(knob, config, text);
    ck_assert_msg(strcmp(got, expected) == 0, "%s: %s, not %s", knob->variable, got, expected);
}

START_TEST(each_knob_obeys_default_then_code_then_file_then_environment)
    {
        size_t count = 0;
        const struct knob *knobs = knobs_all(&count);
        for (size_t i = 0; i < count; i++) {
            const struct knob *knob = &knobs[i];
            struct three value = values_of(knob);
            char text[256];
            char fallback[KNOB_TEXT_MAX];
            struct srun_config code = {0};
            struct config config;
            srun_err err = {0};
            (void)snprintf(text, sizeof text, "srun:\n  %s:\n    %s: %s\n", knob->group, knob->key,
                           value.file);
            const char *path = write_file(text);

            ck_assert_int_eq(config_init(&config, NULL, &err), 0);
            ck_assert_int_eq(load_with(&config, NULL, NULL, NULL, &err), 0);
            assert_knob(knob, &config, knob_default(knob, fallback));
            config_free(&config);

            code_of(knob, value.code, &code);
            ck_assert_int_eq(config_init(&config, &code, &err), 0);
            ck_assert_int_eq(load_with(&config, NULL, knob->variable, "", &err), 0);
            assert_knob(knob, &config, value.code);
            ck_assert_int_eq(load_with(&config, path, NULL, NULL, &err), 0);
            assert_knob(knob, &config, value.file);
            ck_assert_int_eq(load_with(&config, path, knob->variable, value.environment, &err), 0);
            assert_knob(knob, &config, value.environment);
            config_free(&config);
        }
    }
END_TEST

START_TEST(each_variable_that_is_wrong_is_named_with_its_value_and_what_is_accepted)
    {
        size_t count = 0;
        const struct knob *knobs = knobs_all(&count);
        for (size_t i = 0; i < count; i++) {
            bool text = knob_is_text(&knobs[i]) && knobs[i].type != KNOB_ADDRESS;
            const char *bad = text ? "a\nb" : "abc";
            char start[128];
            char accepted[KNOB_TEXT_MAX];
            struct config config;
            srun_err err = {0};
            ck_assert_int_eq(config_init(&config, NULL, &err), 0);
            ck_assert_int_eq(load_with(&config, NULL, knobs[i].variable, bad, &err), SRUN_EUSAGE);
            (void)snprintf(start, sizeof start, "%s: \"%s\" is not ", knobs[i].variable,
                           text ? "a?b" : "abc");
            ck_assert_msg(strncmp(err.text, start, strlen(start)) == 0, "%s", err.text);
            ck_assert_ptr_nonnull(strstr(err.text, "accepted are "));
            ck_assert_ptr_nonnull(strstr(err.text, knob_accepted(&knobs[i], accepted)));
            config_free(&config);
        }
    }
END_TEST

START_TEST(says_in_which_words_a_variable_is_wrong)
    {
        static const struct {
            const char *name, *value, *text;
        } cases[] = {
            {"SRUN_LOG_LEVEL", "INFO",
             "SRUN_LOG_LEVEL: \"INFO\" is not known: accepted are debug, info, warn, error"},
            {"SRUN_LOG_FORMAT", "xml",
             "SRUN_LOG_FORMAT: \"xml\" is not known: accepted are text, json"},
            {"SRUN_STOP_TIMEOUT", "-1",
             "SRUN_STOP_TIMEOUT: \"-1\" is not a duration: accepted are 300ms, 1.5s, 2h45m"},
            {"SRUN_STOP_TIMEOUT", "-1s",
             "SRUN_STOP_TIMEOUT: \"-1s\" is out of range: accepted are 1ms to 876000h"},
            {"SRUN_STOP_TIMEOUT", "0s",
             "SRUN_STOP_TIMEOUT: \"0s\" is out of range: accepted are 1ms to 876000h"},
            {"SRUN_STOP_TIMEOUT", "876001h",
             "SRUN_STOP_TIMEOUT: \"876001h\" is out of range: accepted are 1ms to 876000h"},
            {"SRUN_DRAIN_TIMEOUT", "-1ms",
             "SRUN_DRAIN_TIMEOUT: \"-1ms\" is out of range: accepted are 0s to 876000h"},
            {"SRUN_ADMIN_HOSTS", "ledger.example:8778", /* it would never be the Host */
             "SRUN_ADMIN_HOSTS: \"ledger.example:8778\" is not a list of names: accepted are "
             "names without ports, with commas between"},
            {"SRUN_ADMIN_HOSTS", "a,*.example",
             "SRUN_ADMIN_HOSTS: \"a,*.example\" is not a list of names: accepted are "
             "names without ports, with commas between"},
            {"SRUN_LOG_JOURNAL", "journal.sock",
             "SRUN_LOG_JOURNAL: \"journal.sock\" is not an absolute path: accepted are none, a "
             "path "
             "that begins with /"},
            {"SRUN_LEAKS", "yes",
             "SRUN_LEAKS: \"yes\" is not true or false: accepted are true, false"},
            {"SRUN_UPGRADE", "2",
             "SRUN_UPGRADE: \"2\" is not true or false: accepted are true, false"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct config config;
            srun_err err = {0};
            ck_assert_int_eq(config_init(&config, NULL, &err), 0);
            ck_assert_int_eq(load_with(&config, NULL, cases[i].name, cases[i].value, &err),
                             SRUN_EUSAGE);
            ck_assert_str_eq(err.text, cases[i].text);
            config_free(&config);
        }
    }
END_TEST

START_TEST(reads_truth_in_the_environment_as_go_does)
    {
        static const char *const yes[] = {"TRUE", "1", "t", "True"};
        static const char *const no[] = {"FALSE", "0", "f", "False"};
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        for (size_t i = 0; i < COUNT_OF(yes); i++) {
            ck_assert_int_eq(load_with(&config, NULL, "SRUN_LOG_SOURCE", yes[i], &err), 0);
            ck_assert_int_eq(config.value.log.source, 1);
            ck_assert_int_eq(load_with(&config, NULL, "SRUN_LOG_SOURCE", no[i], &err), 0);
            ck_assert_int_eq(config.value.log.source, 0);
            ck_assert_int_eq(load_with(&config, NULL, "SRUN_UPGRADE", no[i], &err), 0);
            ck_assert_int_eq(config.value.upgrade.disabled, 1);
            ck_assert_int_eq(load_with(&config, NULL, "SRUN_UPGRADE", yes[i], &err), 0);
            ck_assert_int_eq(config.value.upgrade.disabled, 0);
        }
        config_free(&config);
    }
END_TEST

START_TEST(leaves_unknown_variables_alone)
    {
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        ck_assert_int_eq(load_with(&config, NULL, "SRUN_OF_ANOTHER_TOOL", "x", &err), 0);
        config_free(&config);
    }
END_TEST

START_TEST(tells_which_variables_are_misspelt)
    {
        static char *const environment[] = {"PATH=/bin",
                                            "SRUN_STOP_TIMEOUTS=1s",
                                            "SRUN_OF_ANOTHER_TOOL=x",
                                            "SRUN_LOG_LEVEL=x",
                                            "SRUN_LOG_LEVELS",
                                            "SRUN_=x",
                                            "STOP_TIMEOUT=1s",
                                            NULL};
        char name[CONFIG_VARIABLE_MAX];
        size_t at = 0;
        const struct knob *meant = config_misspelt(environment, &at, name);
        ck_assert_ptr_nonnull(meant);
        ck_assert_str_eq(name, "SRUN_STOP_TIMEOUTS");
        ck_assert_str_eq(meant->variable, "SRUN_STOP_TIMEOUT");
        meant = config_misspelt(environment, &at, name);
        ck_assert_ptr_nonnull(meant);
        ck_assert_str_eq(name, "SRUN_LOG_LEVELS");
        ck_assert_str_eq(meant->variable, "SRUN_LOG_LEVEL");
        ck_assert_ptr_null(config_misspelt(environment, &at, name));
        ck_assert_ptr_null(config_misspelt(environment, &at, name));
    }
END_TEST

START_TEST(no_variable_of_ours_is_taken_for_another)
    {
        size_t count = 0;
        const struct knob *knobs = knobs_all(&count);
        for (size_t i = 0; i < count; i++) {
            char *const environment[] = {(char *)knobs[i].variable, NULL};
            char name[CONFIG_VARIABLE_MAX];
            size_t at = 0;
            ck_assert_ptr_null(config_misspelt(environment, &at, name));
            ck_assert_str_eq(name, knobs[i].variable); /* not cut */
        }
    }
END_TEST

START_TEST(a_time_below_a_millisecond_does_not_become_none)
    {
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        ck_assert_int_eq(load_with(&config, NULL, "SRUN_DEADLINE_TIMEOUT", "1ns", &err), 0);
        ck_assert_int_eq(config.value.timeouts.deadline_ms, 1);
        config_free(&config);
    }
END_TEST

START_TEST(fills_every_field_in)
    {
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, SRUN_CONFIG(.user = &err), &err), 0);
        ck_assert_uint_eq(config.value.size, sizeof(struct srun_config));
        ck_assert_str_eq(config.value.name, program_invocation_short_name);
        ck_assert_str_eq(config.value.version, "0.0.0");
        ck_assert_ptr_eq(config.value.user, &err);
        ck_assert_int_eq(config.value.timeouts.graceful_ms, 300000);
        ck_assert_int_eq(config.value.timeouts.stuck_grace_ms, 1000);
        ck_assert_int_eq(config.value.log.format, SRUN_LOG_TEXT);
        ck_assert_int_eq(config.value.log.fd_plus_one, 3);
        ck_assert_ptr_null(config.value.crash.file);
        config_free(&config);
        config_free(&config); /* a second time does nothing */
    }
END_TEST

START_TEST(copies_the_strings)
    {
        char name[] = "ledger";
        char version[] = "1.4.0";
        char file[] = "/var/crash";
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(
            config_init(&config, SRUN_CONFIG(.name = name, .version = version, .crash.file = file),
                        &err),
            0);
        name[0] = version[0] = file[0] = '!';
        ck_assert_str_eq(config.value.name, "ledger");
        ck_assert_str_eq(config.value.version, "1.4.0");
        ck_assert_str_eq(config.value.crash.file, "/var/crash");
        config_free(&config);
    }
END_TEST

START_TEST(a_program_name_that_cannot_be_printed_has_a_stand_in)
    {
        static char odd[] = "od\nd";
        char *before = program_invocation_short_name;
        struct config config;
        srun_err err = {0};
        program_invocation_short_name = odd;
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        program_invocation_short_name = before;
        ck_assert_str_eq(config.value.name, "program");
        config_free(&config);
    }
END_TEST

/* --- relative paths -------------------------------------------------------------------------- */

static void assert_path(const struct knob *knob, const struct config *config, const char *folder,
                        const char *file)
{
    char expected[512];
    (void)snprintf(expected, sizeof expected, "%s%s%s", folder, folder[1] != '\0' ? "/" : "", file);
    assert_knob(knob, config, expected);
}

/* Where the program goes later says nothing about them. */
START_TEST(a_relative_path_is_of_the_working_directory_it_is_read_in)
    {
        size_t count = 0, paths = 0;
        const struct knob *knobs = knobs_all(&count);
        for (size_t i = 0; i < count; i++) {
            const struct knob *knob = &knobs[i];
            const char *relative = "of the code";
            char text[256];
            struct srun_config code = {.size = sizeof code};
            struct config config;
            srun_err err = {0};
            if (knob->type != KNOB_PATH)
                continue;
            paths++;
            memcpy((char *)&code + knob->offset, &relative, sizeof relative);
            (void)snprintf(text, sizeof text, "srun: {%s: {%s: ./of/file}}\n", knob->group,
                           knob->key);
            const char *path = write_file(text);
            ck_assert_int_eq(chdir(harness_folder()), 0);
            ck_assert_int_eq(config_init(&config, &code, &err), 0);
            ck_assert_int_eq(chdir("/"), 0);
            assert_path(knob, &config, harness_folder(), "of the code");
            ck_assert_int_eq(load_with(&config, path, NULL, NULL, &err), 0);
            assert_path(knob, &config, "/", "./of/file");
            ck_assert_int_eq(chdir(harness_folder()), 0);
            ck_assert_int_eq(load_with(&config, NULL, knob->variable, "of/variable", &err), 0);
            assert_path(knob, &config, harness_folder(), "of/variable");
            config_free(&config);
        }
        ck_assert_uint_ge(paths, 4);
    }
END_TEST

START_TEST(a_relative_path_that_leads_nowhere_is_refused)
    {
        static char full[4096];
        char folder[300], start[] = "SRUN_CRASH_FILE: the path is relative, and with the working ";
        struct config config;
        srun_err err = {0};
        memset(full, 'a', sizeof full - 1); /* alone it fits */
        ck_assert_int_eq(chdir(harness_folder()), 0);
        ck_assert_int_eq(config_init(&config, SRUN_CONFIG(.crash.file = full), &err),
                         -ENAMETOOLONG);
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        ck_assert_int_eq(load_with(&config, NULL, "SRUN_CRASH_FILE", full, &err), SRUN_EUSAGE);
        ck_assert_msg(strstr(err.text, start) == err.text, "%s", err.text);

        (void)snprintf(folder, sizeof folder, "%s/gone", harness_folder());
        ck_assert(mkdir(folder, 0700) == 0 && chdir(folder) == 0 && rmdir(folder) == 0);
        ck_assert_int_eq(load_with(&config, NULL, "SRUN_CRASH_FILE", "a", &err), SRUN_EUSAGE);
        ck_assert_str_eq(err.text, "SRUN_CRASH_FILE: the path is relative, and with the working "
                                   "directory: No such file or directory");
        ck_assert_int_eq(load_with(&config, NULL, "SRUN_CRASH_FILE", "/a", &err), 0);
        config_free(&config);
        ck_assert_int_eq(chdir("/"), 0);
    }
END_TEST

#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

START_TEST(refuses_what_is_out_of_range_in_the_code)
    {
        static const char long_name[] = LONG_64 LONG_64 LONG_64 LONG_64;
        const struct {
            const struct srun_config *code;
            const char *field;
        } cases[] = {
            {SRUN_CONFIG(.name = ""), "config.name: \"\""},
            {SRUN_CONFIG(.name = "a\nb"), "config.name: \"a?b\""},
            {SRUN_CONFIG(.name = "caf\xe9"), "config.name: \"caf?\""},
            {SRUN_CONFIG(.name = long_name), "config.name: \"aaaa"},
            {SRUN_CONFIG(.version = ""), "config.version: \"\""},
            {SRUN_CONFIG(.version = "\x1b[2J"), "config.version: \"?[2J\""},
            {SRUN_CONFIG(.timeouts.init_ms = -1), "config.timeouts.init_ms: -1 is out of range"},
            {SRUN_CONFIG(.timeouts.ready_ms = -1), "config.timeouts.ready_ms: -1 "},
            {SRUN_CONFIG(.timeouts.stop_ms = -5), "config.timeouts.stop_ms: -5 "},
            {SRUN_CONFIG(.timeouts.graceful_ms = INT64_MAX), "config.timeouts.graceful_ms: 92"},
            {SRUN_CONFIG(.timeouts.deadline_ms = INT64_MIN), "config.timeouts.deadline_ms: -92"},
            {SRUN_CONFIG(.timeouts.drain_ms = -1), "config.timeouts.drain_ms: -1 "},
            {SRUN_CONFIG(.timeouts.stuck_grace_ms = -1), "config.timeouts.stuck_grace_ms: -1 "},
            {SRUN_CONFIG(.timeouts.reserved = {0, 1}), "config.timeouts.reserved is not zero"},
            {SRUN_CONFIG(.log.format = (srun_log_format)3), "config.log.format: 3 is not known"},
            {SRUN_CONFIG(.log.level = 5), "config.log.level: 5 is not known"},
            {SRUN_CONFIG(.log.fd_plus_one = -1), "config.log.fd_plus_one: -1"},
            {SRUN_CONFIG(.log.reserved = {1}), "config.log.reserved is not zero"},
            {SRUN_CONFIG(.signals.reserved = {1}), "config.signals.reserved is not zero"},
            {SRUN_CONFIG(.crash.reserved = 1), "config.crash.reserved is not zero"},
            {SRUN_CONFIG(.upgrade.more = {&env_name}), "config.upgrade.more is not zero"},
            {SRUN_CONFIG(.crash.more = &env_name), "config.crash.more is not zero"},
            {SRUN_CONFIG(.crash.file = ""), "config.crash.file: \"\" is not a path"},
            {SRUN_CONFIG(.debug.reserved = {1}), "config.debug.reserved is not zero"},
            {SRUN_CONFIG(.hooks.reserved = {&env_name}), "config.hooks.reserved is not zero"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct config config;
            srun_err err = {0};
            ck_assert_int_eq(config_init(&config, cases[i].code, &err), -EINVAL);
            ck_assert_msg(strncmp(err.text, cases[i].field, strlen(cases[i].field)) == 0,
                          "%s, not %s", err.text, cases[i].field);
            ck_assert_ptr_nonnull(strstr(err.text, "accepted "));
            ck_assert_ptr_null(config.name);
        }
    }
END_TEST

START_TEST(accepts_the_configuration_of_an_older_program)
    {
        struct config config;
        srun_err err = {0};
        struct srun_config code = {.size = offsetof(struct srun_config, log),
                                   .timeouts.stop_ms = 7,
                                   .log.level = SRUN_LEVEL_ERROR};
        ck_assert_int_eq(config_init(&config, &code, &err), 0);
        ck_assert_int_eq(config.value.timeouts.stop_ms, 7);
        ck_assert_int_eq(config.value.log.level, SRUN_LEVEL_INFO); /* beyond its size */
        config_free(&config);

        code.size = offsetof(struct srun_config, timeouts);
        ck_assert_int_eq(config_init(&config, &code, &err), 0);
        ck_assert_int_eq(config.value.timeouts.stop_ms, 30000);
        config_free(&config);
    }
END_TEST

START_TEST(accepts_a_newer_configuration_only_when_it_asks_for_nothing_new)
    {
        struct config config;
        srun_err err = {0};
        struct {
            struct srun_config known;
            int64_t news[4];
        } code = {.known.size = sizeof code};
        ck_assert_int_eq(config_init(&config, &code.known, &err), 0);
        ck_assert_uint_eq(config.value.size, sizeof(struct srun_config));
        config_free(&config);
        code.news[3] = 1;
        ck_assert_int_eq(config_init(&config, &code.known, &err), -E2BIG);
        ck_assert_ptr_nonnull(strstr(err.text, "config.size"));
    }
END_TEST

START_TEST(refuses_a_size_that_cannot_be)
    {
        static const struct {
            size_t size;
            int code;
        } cases[] = {
            {0, -EINVAL},
            {1, -EINVAL},
            {offsetof(struct srun_config, timeouts) - 8, -EINVAL},
            {sizeof(struct srun_config) - 1, -EINVAL},
            {SIZE_MAX - 7, -E2BIG},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct config config;
            srun_err err = {0};
            struct srun_config code = {.size = cases[i].size};
            ck_assert_int_eq(config_init(&config, &code, &err), cases[i].code);
            ck_assert_ptr_nonnull(strstr(err.text, "config.size"));
        }
    }
END_TEST

START_TEST(help_names_every_variable_with_its_default)
    {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        ck_assert_ptr_nonnull(out);
        config_print_help(out);
        ck_assert_int_eq(fclose(out), 0);
        size_t count = 0;
        const struct knob *knobs = knobs_all(&count);
        for (size_t i = 0; i < count; i++) {
            char fallback[KNOB_TEXT_MAX];
            char end[KNOB_TEXT_MAX + 4];
            const char *line = strstr(text, knobs[i].variable);
            ck_assert_ptr_nonnull(line);
            ck_assert_ptr_nonnull(strstr(line, knobs[i].help));
            (void)snprintf(end, sizeof end, " [%s]\n", knob_default(&knobs[i], fallback));
            ck_assert_ptr_nonnull(strstr(line, end));
        }
        free(text);
    }
END_TEST

int main(void)
{
    return HARNESS("config", each_knob_obeys_default_then_code_then_file_then_environment,
                   each_variable_that_is_wrong_is_named_with_its_value_and_what_is_accepted,
                   says_in_which_words_a_variable_is_wrong,
                   reads_truth_in_the_environment_as_go_does, leaves_unknown_variables_alone,
                   tells_which_variables_are_misspelt, no_variable_of_ours_is_taken_for_another,
                   a_time_below_a_millisecond_does_not_become_none, fills_every_field_in,
                   copies_the_strings, a_relative_path_is_of_the_working_directory_it_is_read_in,
                   a_relative_path_that_leads_nowhere_is_refused,
                   a_program_name_that_cannot_be_printed_has_a_stand_in,
                   refuses_what_is_out_of_range_in_the_code,
                   accepts_the_configuration_of_an_older_program,
                   accepts_a_newer_configuration_only_when_it_asks_for_nothing_new,
                   refuses_a_size_that_cannot_be, help_names_every_variable_with_its_default);
}
