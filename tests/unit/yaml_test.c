/* SPDX-License-Identifier: MIT
 *
 * The srun: section of the configuration file: what is read, what is left to the program, and each
 * refusal with its file, line, key, value and what is accepted.
 */
#include "base/ensure.h"
#include "config.h"
#include "config_file.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int parse_bytes(struct config *config, const char *text, size_t size, srun_err *err)
{
    ck_assert_int_eq(config_init(config, NULL, err), 0);
    return config_file_parse(config, text, size, "srun.yaml", err);
}

static int parse(struct config *config, const char *text, srun_err *err)
{
    return parse_bytes(config, text, strlen(text), err);
}

START_TEST(reads_every_group_of_the_section)
    {
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(parse(&config,
                               "---\n"
                               "# of the program\n"
                               "srun:\n"
                               "  log: {format: json, level: \"debug\", source: true}\n"
                               "  timeouts:\n"
                               "    stop: 1.5s\n"
                               "    'drain': 2s # a comment\n"
                               "  upgrade: {enabled: no_, }\n",
                               &err),
                         SRUN_EUSAGE);
        ck_assert_str_eq(err.text,
                         "srun.yaml:8: srun.upgrade.enabled: \"no_\" is not true or false: "
                         "accepted are true, false");
        ck_assert_int_eq(config.value.log.format, SRUN_LOG_JSON);
        ck_assert_int_eq(config.value.log.level, SRUN_LEVEL_DEBUG);
        ck_assert_int_eq(config.value.log.source, 1);
        ck_assert_int_eq(config.value.timeouts.stop_ms, 1500);
        ck_assert_int_eq(config.value.timeouts.drain_ms, 2000);
        config_free(&config);

        ck_assert_int_eq(parse(&config,
                               "srun:\r\n  upgrade:\r\n    enabled: false\r\n"
                               "  crash: {file: /var/log/crash}\r\n  debug: {leaks: true}\r\n",
                               &err),
                         0);
        ck_assert_int_eq(config.value.upgrade.disabled, 1);
        ck_assert_str_eq(config.value.crash.file, "/var/log/crash");
        ck_assert_int_eq(config.value.debug.leaks, 1);
        config_free(&config);
    }
END_TEST

START_TEST(accepts_files_that_set_nothing)
    {
        static const char *const texts[] = {
            "",
            "\n",
            "# nothing\n",
            "---\n",
            "---\n...\n",
            "~",
            "null\n",
            "srun:\n",
            "srun: ~\n",
            "srun: {}\n",
            "srun:\n  log:\n",
            "srun:\n  log: null\n  timeouts: {}\n",
            "srun:\n  log:\n    level:\n    format: ~\n  crash: {file: null}\n",
            "\xef\xbb\xbfsrun: {}\n",
            "%YAML 1.1\n---\nsrun: {}\n",
        };
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            struct config config;
            srun_err err = {0};
            ck_assert_msg(parse(&config, texts[i], &err) == 0, "%s: %s", texts[i], err.text);
            ck_assert_int_eq(config.value.log.level, SRUN_LEVEL_INFO);
            ck_assert_ptr_null(config.value.crash.file);
            config_free(&config);
        }
    }
END_TEST

START_TEST(leaves_the_other_sections_to_the_program)
    {
        static const char *const texts[] = {
            "app: {x: 1, x: 2}\nsrun: {log: {level: warn}}\n",
            "app: {srun: {no: such}}\nsrun: {log: {level: warn}}\nother: [a, {b: [c]}, d]\n",
            "? [a, complex, key]\n: [a, value]\n? {k: v}\n: 5\nsrun: {log: {level: warn}}\n",
            "app: !tagged [x]\nsrun:\n  log:\n    level: warn\nlog: {level: nonsense}\n",
            "\"app\\0\": \"a\\0b\"\nsrun: {log: {level: warn}}\n",
            "? srun\n: log: {level: warn}\n? [srun]\n: no\n",
            "a:\n- b:\n  - c\n  - srun: no\nsrun: {log: {level: warn}}\n",
        };
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            struct config config;
            srun_err err = {0};
            ck_assert_msg(parse(&config, texts[i], &err) == 0, "%s: %s", texts[i], err.text);
            ck_assert_int_eq(config.value.log.level, SRUN_LEVEL_WARN);
            config_free(&config);
        }
    }
END_TEST

START_TEST(says_file_line_key_value_and_what_is_accepted)
    {
        static const struct {
            const char *text, *error;
        } cases[] = {
            {"srun:\n  timeouts:\n\n    stop: 5\n",
             ":4: srun.timeouts.stop: \"5\" is not a duration: accepted are 300ms, 1.5s, 2h45m"},
            {"srun: {timeouts: {stop: -1s}}",
             ":1: srun.timeouts.stop: \"-1s\" is out of range: accepted are 1ms to 876000h"},
            {"srun: {timeouts: {stop: \"\"}}",
             ":1: srun.timeouts.stop: \"\" is not a duration: accepted are 300ms, 1.5s, 2h45m"},
            {"srun: {log: {level: loud}}",
             ":1: srun.log.level: \"loud\" is not known: accepted are debug, info, warn, error"},
            {"srun: {log: {source: yes}}",
             ":1: srun.log.source: \"yes\" is not true or false: accepted are true, false"},
            {"srun: {crash: {file: \"\"}}",
             ":1: srun.crash.file: \"\" is not a path: accepted are a path of up to 4095 bytes"},
            {"srun: {log: {level: [warn]}}",
             ":1: srun.log.level is a list: accepted are debug, info, warn, error"},
            {"srun:\n  timeouts:\n    stop:\n      a: b\n",
             ":4: srun.timeouts.stop is a mapping: accepted are 300ms, 1.5s, 2h45m"},
            {"srun: 5", ":1: srun is a single value: accepted is a mapping"},
            {"srun: \"\"", ":1: srun is a single value: accepted is a mapping"},
            {"srun: [log]", ":1: srun is a list: accepted is a mapping"},
            {"srun: {log: text}", ":1: srun.log is a single value: accepted is a mapping"},
            {"srun: {log: []}", ":1: srun.log is a list: accepted is a mapping"},
            {"just text", ":1: the file is a single value: accepted is a mapping, as \"srun:\""},
            {"- a\n- b\n", ":1: the file is a list: accepted is a mapping, as \"srun:\""},
            {"srun:\n  log: {}\n  lgo: {}\n", ":3: srun: no such key \"lgo\": did you mean log?"},
            {"srun: {metrics: {}}",
             ":1: srun: no such key \"metrics\": accepted are log, timeouts, "
             "upgrade, crash, debug, health, admin, telemetry, profile"},
            {"srun:\n  timeouts:\n    stpo: 5s\n",
             ":3: srun.timeouts: no such key \"stpo\": did you mean stop?"},
            {"srun: {log: {stop: 5s}}",
             ":1: srun.log: no such key \"stop\": accepted are format, level, source, journal"},
            {"srun: {LOG: {}}",
             ":1: srun: no such key \"LOG\": accepted are log, timeouts, upgrade, "
             "crash, debug, health, admin, telemetry, profile"},
            {"srun: {<<: {}}", ":1: srun: no such key \"<<\": accepted are log, timeouts, upgrade, "
                               "crash, debug, health, admin, telemetry, profile"},
            {"srun: {}\napp: 1\nsrun: {}\n", ":3: srun: duplicate key: accepted is one"},
            {"srun:\n  log: {}\n  log: {}\n", ":3: srun.log: duplicate key: accepted is one"},
            {"srun:\n  log:\n    level: warn\n    level: warn\n",
             ":4: srun.log.level: duplicate key: accepted is one"},
            {"srun: {? [a] : b}", ":1: srun: a key is a list: accepted is a name"},
            {"srun: {log: {? {a: b} : c}}", ":1: srun.log: a key is a mapping: accepted is a name"},
            {"srun: {log: {level: !!str warn}}",
             ":1: tag \"tag:yaml.org,2002:str\": accepted are values without tags"},
            {"srun: !x {}", ":1: tag \"!x\": accepted are values without tags"},
            {"app: &a [1]\n", ":1: anchor \"a\": accepted are values written out, no & and no *"},
            {"app: 1\nother: *a\n",
             ":2: alias \"a\": accepted are values written out, no & and no *"},
            {"srun: {log: {level: &a warn}}",
             ":1: anchor \"a\": accepted are values written out, no & and no *"},
            {"srun: {log: *a}", ":1: alias \"a\": accepted are values written out, no & and no *"},
            {"&a srun: {}", ":1: anchor \"a\": accepted are values written out, no & and no *"},
            {"srun: {}\n---\nsrun: {}\n", ":2: a second document: accepted is one"},
            {"srun: {log: {level: \"wa\\0rn\"}}",
             ":1: srun.log.level: a NUL byte: accepted is text"},
            {"srun: {\"log\\0\": {}}", ":1: srun: a NUL byte: accepted is text"},
            {"srun:\n\tlog: {}\n", ":2: is not YAML: found character that cannot start any token"},
            {"a: b\nsrun: {log: {level: warn}\n",
             ":3: is not YAML: did not find expected ',' or '}'"},
            {"srun: {log: \"}\n", ":2: is not YAML: found unexpected end of stream"},
            {"a: b\nc: \xff\n", ":2: is not UTF-8: the byte 0xff does not fit"},
            {"\xff\xfe"
             "a",
             ":1: is not UTF-8: the byte 0xff does not fit"},
            {"a: \xed\xa0\x80", ":1: is not UTF-8: the byte 0xed does not fit"},
            {"a: b\n\x01", ":2: holds a control byte, 0x01: accepted is text"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct config config;
            srun_err err = {0};
            ck_assert_msg(parse(&config, cases[i].text, &err) == SRUN_EUSAGE, "%s", cases[i].text);
            ck_assert_msg(strncmp(err.text, "srun.yaml", 9) == 0, "%s", err.text);
            ck_assert_str_eq(err.text + 9, cases[i].error);
            config_free(&config);
        }
    }
END_TEST

START_TEST(refuses_a_nul_byte)
    {
        static const char text[] = "a: b\nc: \0d\n";
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(parse_bytes(&config, text, sizeof text - 1, &err), SRUN_EUSAGE);
        ck_assert_str_eq(err.text, "srun.yaml:2: holds a control byte, 0x00: accepted is text");
        config_free(&config);
    }
END_TEST

static void nest(char *out, unsigned levels)
{
    out = stpcpy(out, "a: ");
    for (unsigned i = 1; i < levels; i++)
        out = stpcpy(out, "[");
    for (unsigned i = 1; i < levels; i++)
        out = stpcpy(out, "]");
}

START_TEST(reads_32_levels_and_no_more)
    {
        char text[4096];
        struct config config;
        srun_err err = {0};
        nest(text, 32);
        ck_assert_int_eq(parse(&config, text, &err), 0);
        config_free(&config);
        nest(text, 33);
        ck_assert_int_eq(parse(&config, text, &err), SRUN_EUSAGE);
        ck_assert_str_eq(err.text, "srun.yaml:1: nested too deeply: at most 32 levels are read");
        config_free(&config);
        nest(text, 1500);
        ck_assert_int_eq(parse(&config, text, &err), SRUN_EUSAGE);
        config_free(&config);
    }
END_TEST

START_TEST(refuses_a_file_full_of_tag_directives)
    {
        char text[4096] = "";
        struct config config;
        srun_err err = {0};
        char *end = text;
        for (int i = 0; i < 65; i++)
            end += sprintf(end, "%%TAG !%d! a\n", i);
        ck_assert_int_eq(parse(&config, text, &err), SRUN_EUSAGE);
        ck_assert_str_eq(err.text, "srun.yaml: holds more than 64 %TAG directives");
        config_free(&config);
    }
END_TEST

static const char *file_of(const char *name, size_t size)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", harness_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', size);
    ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
    free(text);
    ck_assert_int_eq(close(fd), 0);
    return path;
}

static void assert_refused(const char *path, const char *error)
{
    struct config config;
    srun_err err = {0};
    ck_assert_int_eq(config_init(&config, NULL, &err), 0);
    ck_assert_int_eq(config_file_load(&config, path, &err), SRUN_EUSAGE);
    ck_assert_msg(strstr(err.text, error) != NULL, "%s, not %s", err.text, error);
    ck_assert_int_eq(config_file_load(&config, path, NULL), SRUN_EUSAGE);
    config_free(&config);
}

START_TEST(reads_one_mebibyte_and_no_more)
    {
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        ck_assert_int_eq(config_file_load(&config, file_of("full", CONFIG_FILE_MAX), &err), 0);
        ck_assert_int_eq(config_file_load(&config, file_of("empty", 0), &err), 0);
        config_free(&config);
        assert_refused(file_of("more", CONFIG_FILE_MAX + 1), "is 1.0 MB, at most 1 MiB is read");
        assert_refused(file_of("big", 2000000), "/big: is 2.0 MB, at most 1 MiB is read");
    }
END_TEST

START_TEST(refuses_what_is_not_a_regular_file_without_waiting)
    {
        char path[256];
        assert_refused(harness_folder(), ": is a folder: accepted is a regular file");
        (void)snprintf(path, sizeof path, "%s/fifo", harness_folder());
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        assert_refused(path, "/fifo: is a FIFO: accepted is a regular file");
        assert_refused("/dev/null", "/dev/null: is not a file: accepted is a regular file");
    }
END_TEST

START_TEST(refuses_a_file_that_cannot_be_opened)
    {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/missing.yaml", harness_folder());
        assert_refused(path, "/missing.yaml: No such file or directory");
        (void)snprintf(path, sizeof path, "%s/loop", harness_folder());
        ck_assert_int_eq(symlink("loop", path), 0);
        assert_refused(path, strerror(ELOOP));
        assert_refused("", ": No such file or directory");
        if (geteuid() != 0) { /* root reads everything */
            const char *closed = file_of("closed", 1);
            ck_assert_int_eq(chmod(closed, 0), 0);
            assert_refused(closed, "/closed: Permission denied");
        }
    }
END_TEST

START_TEST(keeps_the_end_of_a_long_path)
    {
        char path[400];
        memset(path, 'x', sizeof path);
        (void)snprintf(path + 390, sizeof path - 390, "/a.yaml");
        struct config config;
        srun_err err = {0};
        ck_assert_int_eq(config_init(&config, NULL, &err), 0);
        static const char text[] =
            "srun: {timeouts: {graceful: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
            "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn}}";
        ck_assert_int_eq(config_file_parse(&config, text, strlen(text), path, &err), SRUN_EUSAGE);
        ck_assert_ptr_nonnull(strstr(err.text, "xx/a.yaml:1: srun.timeouts.graceful: \"nnn"));
        ck_assert_ptr_nonnull(
            strstr(err.text, "n...\" is not a duration: accepted are 300ms, 1.5s"));
        config_free(&config);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "yaml", reads_every_group_of_the_section, accepts_files_that_set_nothing,
        leaves_the_other_sections_to_the_program, says_file_line_key_value_and_what_is_accepted,
        refuses_a_nul_byte, reads_32_levels_and_no_more, refuses_a_file_full_of_tag_directives,
        reads_one_mebibyte_and_no_more, refuses_what_is_not_a_regular_file_without_waiting,
        refuses_a_file_that_cannot_be_opened, keeps_the_end_of_a_long_path);
}
