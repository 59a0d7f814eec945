/* SPDX-License-Identifier: MIT
 *
 * The command line: what is accepted, what is refused, and in which words. The reference for
 * acceptance is Go's flag package (flags_vectors.h).
 */
#include "base/ensure.h"
#include "base/parse.h"
#include "comma.h"
#include "flags.h"
#include "flags_vectors.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_WORDS 16

struct line {
    struct flags *flags;
    srun_err err;
    const char *name;
    int b, x;
    int64_t n, ttl;
    double ratio;
    const char *const *tags, *const *arguments;
};

static void add(struct line *l, struct flag_spec spec)
{
    ck_assert_int_eq(flags_add(l->flags, &spec, &l->err), 0);
}

static void line_open(struct line *l)
{
    *l = (struct line){0};
    ck_assert_int_eq(flags_new(&l->flags, &l->err), 0);
    add(l, (struct flag_spec){.name = "name",
                              .help = "who it is",
                              .type = FLAG_STRING,
                              .out.string = &l->name,
                              .fallback.string = "bob"});
    add(l, (struct flag_spec){
               .name = "b", .help = "a switch", .type = FLAG_BOOL, .out.boolean = &l->b});
    add(l, (struct flag_spec){.name = "x.y-z",
                              .help = "another",
                              .type = FLAG_BOOL,
                              .out.boolean = &l->x,
                              .fallback.boolean = 7});
    add(l, (struct flag_spec){.name = "n",
                              .help = "how many",
                              .type = FLAG_INT,
                              .out.integer = &l->n,
                              .fallback.integer = 3});
    add(l, (struct flag_spec){.name = "ratio",
                              .help = "a share",
                              .type = FLAG_DOUBLE,
                              .out.real = &l->ratio,
                              .fallback.real = 0.5});
    add(l, (struct flag_spec){.name = "ttl",
                              .help = "how long",
                              .type = FLAG_DURATION_MS,
                              .out.integer = &l->ttl,
                              .fallback.integer = 120000});
    add(l, (struct flag_spec){
               .name = "tag", .help = "a label", .type = FLAG_STRINGS, .out.strings = &l->tags});
}

static int parse(struct line *l, const char *const *words)
{
    static const struct flags_program program = {.name = "ledger", .version = "1.2.3"};
    char *argv[LINE_MAX_WORDS] = {(char *)(uintptr_t) "ledger"};
    int argc = 1;
    for (; *words != NULL; words++)
        argv[argc++] = (char *)(uintptr_t)*words;
    return flags_parse(l->flags, argc, argv, &program, &l->err);
}

#define PARSE(line, ...) parse((line), (const char *const[]){__VA_ARGS__, NULL})

/* Runs parse with stdout in a file, whose text it returns; freed by the caller. */
static char *printed_by(struct line *l, const char *word, int *rc)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/stdout", harness_folder());
    ck_assert_int_eq(fflush(stdout), 0);
    int before = dup(STDOUT_FILENO);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(before, 0);
    ck_assert_int_ge(file, 0);
    ck_assert_int_ge(dup2(file, STDOUT_FILENO), 0);
    *rc = PARSE(l, word);
    (void)fflush(stdout);
    ck_assert_int_ge(dup2(before, STDOUT_FILENO), 0);
    (void)close(before);

    char *text = calloc(1, 16384);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_ge(pread(file, text, 16383, 0), 0);
    (void)close(file);
    return text;
}

static void outcome_of(const struct line *l, int rc, char *out, size_t size)
{
    if (rc != 0) {
        (void)snprintf(out, size, "%s", rc == SRUN_DONE ? "help" : "error");
        return;
    }
    int used = snprintf(out, size, "%s|%s|%" PRId64 "|%.17g|%" PRId64 "|%s|", l->name,
                        l->b ? "true" : "false", l->n, l->ratio, l->ttl, l->x ? "true" : "false");
    for (const char *const *word = l->arguments; *word != NULL; word++)
        used += snprintf(out + used, size - (size_t)used, "%s%s", word == l->arguments ? "" : ",",
                         *word);
}

START_TEST(agrees_with_go_on_every_command_line)
    {
        for (size_t i = 0; i < COUNT_OF(vectors); i++) {
            struct line l;
            line_open(&l);
            ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "FILE...", &l.err), 0);
            char got[512];
            int rc = 0;
            if (strcmp(vectors[i].outcome, "help") == 0) { /* prints */
                int keep = dup(STDOUT_FILENO);
                int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
                (void)fflush(stdout);
                ck_assert_int_ge(dup2(null, STDOUT_FILENO), 0);
                rc = parse(&l, vectors[i].arguments);
                ck_assert_int_ge(dup2(keep, STDOUT_FILENO), 0);
                (void)close(keep);
                (void)close(null);
            } else {
                rc = parse(&l, vectors[i].arguments);
            }
            outcome_of(&l, rc, got, sizeof got);
            const char *const *a = vectors[i].arguments;
            ck_assert_msg(strcmp(got, vectors[i].outcome) == 0, "%s %s %s: got %s, Go says %s (%s)",
                          a[0] ? a[0] : "", a[0] && a[1] ? a[1] : "",
                          a[0] && a[1] && a[2] ? a[2] : "", got, vectors[i].outcome, l.err.text);
            if (rc < 0)
                ck_assert_int_eq(rc, SRUN_EUSAGE);
            flags_free(l.flags);
        }
    }
END_TEST

START_TEST(says_which_flag_which_value_and_what_is_accepted)
    {
        static const struct {
            const char *words[3], *text;
        } cases[] = {
            {{"--ttl=5"}, "--ttl: \"5\" is not a duration: accepted are 300ms, 1.5s, 2h45m"},
            {{"--ttl", "9999999h"},
             "--ttl: \"9999999h\" is out of range: accepted are 300ms, 1.5s, up to 2562047h"},
            {{"--b=maybe"},
             "--b: \"maybe\" is not true or false: accepted are 1, t, true, 0, f, false"},
            {{"--n", "x"},
             "--n: \"x\" is not a whole number: accepted are 42, -7, 0x2a, 0o52, 0b101010"},
            {{"--n=9223372036854775808"},
             "--n: \"9223372036854775808\" is out of range: accepted are -9223372036854775808 to "
             "9223372036854775807"},
            {{"--ratio=1,5"}, "--ratio: \"1,5\" is not a number: accepted are 0.5, -2, 1e-3"},
            {{"--ratio=1e999"},
             "--ratio: \"1e999\" is out of range: accepted are what fits a 64 bit floating point "
             "number"},
            {{"--confg=x"}, "--confg: no such flag: did you mean --config?"},
            {{"--feature.enabel", "x"},
             "--feature.enabel: no such flag: did you mean --feature.enable?"},
            {{"--vresion"}, "--vresion: no such flag: did you mean --version?"},
            {{"--conf=x"}, "--conf: no such flag: did you mean --config?"},
            {{"--quite-another"}, "--quite-another: no such flag: --help lists them"},
            {{"--admin.address=[::]:1"}, "--admin.address: no such flag: set SRUN_ADMIN_ADDRESS"},
            {{"--log-level"}, "--log-level: no such flag: set SRUN_LOG_LEVEL"},
            {{"--admin.token-file"}, "--admin.token-file: no such flag: set SRUN_ADMIN_TOKEN_FILE"},
            {{"--admin"}, "--admin: no such flag: --help lists them"},
            {{"--log.levels"}, "--log.levels: no such flag: --help lists them"},
            {{"--a\nb"}, "\"--a?b\": no such flag: --help lists them"},
            {{"--a\nb=hunter2"}, "\"--a?b\": no such flag: --help lists them"},
            {{"--ttl"}, "--ttl: the value is missing: accepted is --ttl=1.5s"},
            {{"-name"}, "--name: the value is missing: accepted is --name=VALUE"},
            {{"--config"}, "--config: the value is missing: accepted is --config=VALUE"},
            {{"--config="}, "--config: \"\" is not a path: accepted is a file name"},
            {{"--b", "false"},
             "unexpected argument \"false\": accepted are flags only, as --name=value"},
            {{"--", "--b"},
             "unexpected argument \"--b\": accepted are flags only, as --name=value"},
            {{"--test"}, "--test: this program has no test function"},
            {{"--feature.enable="},
             "--feature.enable: \"\" is not a name: accepted are 1 to 255 bytes of printable text"},
            {{"--feature.enable", "a\tb"},
             "--feature.enable: \"a?b\" is not a name: accepted are 1 to 255 bytes of printable "
             "text"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct line l;
            line_open(&l);
            ck_assert_int_eq(parse(&l, cases[i].words), SRUN_EUSAGE);
            ck_assert_str_eq(l.err.text, cases[i].text);
            ck_assert_int_eq(l.err.code, SRUN_EUSAGE);
            flags_free(l.flags);
        }
    }
END_TEST

START_TEST(keeps_an_error_line_whole_when_the_value_is_huge)
    {
        enum { HUGE_SIZE = 100000 };
        char *value = malloc(HUGE_SIZE + 1);
        ck_assert_ptr_nonnull(value);
        memset(value, 'y', HUGE_SIZE);
        value[HUGE_SIZE] = '\0';
        struct line l;
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--n", value), SRUN_EUSAGE);
        ck_assert_ptr_nonnull(
            strstr(l.err.text, "yyy...\" is not a whole number: accepted are 42"));
        flags_free(l.flags);

        line_open(&l);
        value[0] = value[1] = '-';
        ck_assert_int_eq(PARSE(&l, value), SRUN_EUSAGE);
        ck_assert_ptr_nonnull(strstr(l.err.text, "yyy...\": no such flag: --help lists them"));
        flags_free(l.flags);
        free(value);
    }
END_TEST

START_TEST(gives_the_fallback_when_a_flag_is_added)
    {
        struct line l;
        line_open(&l);
        ck_assert_str_eq(l.name, "bob");
        ck_assert_int_eq(l.b, 0);
        ck_assert_int_eq(l.x, 1);
        ck_assert_int_eq(l.n, 3);
        ck_assert_int_eq(l.ttl, 120000);
        ck_assert_double_eq(l.ratio, 0.5);
        ck_assert_ptr_nonnull(l.tags);
        ck_assert_ptr_null(l.tags[0]);
        flags_free(l.flags);
    }
END_TEST

START_TEST(refuses_bad_names_when_a_flag_is_added)
    {
        static const char long_name[] =
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddX";
        static const char *const bad[] = {NULL,  "",     "-x",   "--x",     "a=b",    "a b",
                                          "a\t", "a\nb", "\x7f", "caf\xc3", long_name};
        struct line l;
        line_open(&l);
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            int out = 5;
            struct flag_spec spec = {.name = bad[i], .type = FLAG_BOOL, .out.boolean = &out};
            ck_assert_int_eq(flags_add(l.flags, &spec, &l.err), -EINVAL);
            ck_assert_ptr_nonnull(strstr(l.err.text, "accepted are 1 to 64 printable"));
            ck_assert_int_eq(out, 5);
        }
        int out = 5;
        struct flag_spec longest = {.name = long_name + 1, .type = FLAG_BOOL, .out.boolean = &out};
        ck_assert_int_eq(flags_add(l.flags, &longest, &l.err), 0);
        struct flag_spec nowhere = {.name = "nowhere", .type = FLAG_BOOL};
        ck_assert_int_eq(flags_add(l.flags, &nowhere, &l.err), -EINVAL);
        flags_free(l.flags);
    }
END_TEST

START_TEST(refuses_a_name_that_is_taken)
    {
        static const char *const taken[] = {"config", "feature.enable", "version",
                                            "test",   "help",           "name"};
        struct line l;
        line_open(&l);
        for (size_t i = 0; i < COUNT_OF(taken); i++) {
            int out = 5;
            struct flag_spec spec = {.name = taken[i], .type = FLAG_BOOL, .out.boolean = &out};
            ck_assert_int_eq(flags_add(l.flags, &spec, &l.err), -EEXIST);
            ck_assert_ptr_nonnull(strstr(l.err.text, taken[i]));
            ck_assert_int_eq(out, 5);
        }
        ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "FILE", &l.err), 0);
        ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "FILE", &l.err), -EEXIST);
        flags_free(l.flags);
    }
END_TEST

START_TEST(parses_once_and_takes_no_flags_afterwards)
    {
        struct line l;
        line_open(&l);
        ck_assert(!flags_parsed(l.flags));
        ck_assert_int_eq(flags_parse(l.flags, 0, NULL, &(struct flags_program){0}, &l.err), 0);
        ck_assert(flags_parsed(l.flags));
        ck_assert_int_eq(PARSE(&l, "--b"), SRUN_ESTATE);
        int out = 5;
        struct flag_spec late = {.name = "late", .type = FLAG_BOOL, .out.boolean = &out};
        ck_assert_int_eq(flags_add(l.flags, &late, &l.err), SRUN_ESTATE);
        ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "", &l.err), SRUN_ESTATE);
        flags_free(l.flags);
    }
END_TEST

START_TEST(keeps_the_values_of_a_repeated_flag_in_order)
    {
        struct line l;
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--tag=one", "--tag", "", "-tag", "--b", "--tag=one"), 0);
        static const char *const expected[] = {"one", "", "--b", "one"};
        for (size_t i = 0; i < COUNT_OF(expected); i++)
            ck_assert_str_eq(l.tags[i], expected[i]);
        ck_assert_ptr_null(l.tags[COUNT_OF(expected)]);
        flags_free(l.flags);
    }
END_TEST

START_TEST(owns_the_strings_it_gives)
    {
        char value[] = "--name=alice";
        char argument[] = "file";
        struct line l;
        line_open(&l);
        ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "FILE", &l.err), 0);
        ck_assert_ptr_null(l.arguments[0]);
        ck_assert_int_eq(PARSE(&l, value, argument), 0);
        memset(value, '!', sizeof value - 1);
        memset(argument, '!', sizeof argument - 1);
        ck_assert_str_eq(l.name, "alice");
        ck_assert_str_eq(l.arguments[0], "file");
        ck_assert_ptr_null(l.arguments[1]);
        flags_free(l.flags);
    }
END_TEST

static int set_color(void *user, const char *value, srun_err *err)
{
    if (strcmp(value, "memory") == 0)
        return -ENOMEM;
    if (strcmp(value, "mute") == 0)
        return -EPERM;
    if (strcmp(value, "red") != 0 && strcmp(value, "blue") != 0)
        return srun_fail(err, -EINVAL, "accepted are red, blue");
    char *seen = user;
    seen[strlen(seen)] = value[0];
    return 0;
}

START_TEST(calls_the_setter_of_a_custom_flag_at_each_use)
    {
        static const struct {
            const char *value, *text;
            int code;
        } cases[] = {
            {"green", "--color: \"green\": accepted are red, blue", SRUN_EUSAGE},
            {"mute", "--color: \"mute\": Operation not permitted", SRUN_EUSAGE},
            {"memory", NULL, -ENOMEM},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            char seen[8] = "";
            struct line l;
            line_open(&l);
            add(&l, (struct flag_spec){.name = "color",
                                       .type = FLAG_CUSTOM,
                                       .value_name = "COLOR",
                                       .out.set = set_color,
                                       .fallback.user = seen});
            ck_assert_int_eq(PARSE(&l, "--color=red", "--color", "blue", "-color", cases[i].value),
                             cases[i].code);
            ck_assert_str_eq(seen, "rb");
            if (cases[i].text != NULL)
                ck_assert_str_eq(l.err.text, cases[i].text);
            flags_free(l.flags);
        }
    }
END_TEST

START_TEST(rounds_durations_away_from_zero_to_milliseconds)
    {
        struct line l;
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--ttl=1us"), 0);
        ck_assert_int_eq(l.ttl, 1);
        flags_free(l.flags);
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--ttl=-1500us"), 0);
        ck_assert_int_eq(l.ttl, -2);
        flags_free(l.flags);
    }
END_TEST

START_TEST(reads_numbers_the_same_in_every_locale)
    {
        comma_locale();
        struct line l;
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--ratio=1.25"), 0);
        ck_assert(l.ratio == 1.25);
        char text[PARSE_DOUBLE_TEXT_MAX];
        ck_assert_str_eq(parse_double_text(text, 0.1), "0.1");
        ck_assert_str_eq(parse_double_text(text, 1.0 / 3), "0.3333333333333333");
        flags_free(l.flags);
    }
END_TEST

START_TEST(remembers_the_path_of_the_configuration_file)
    {
        struct line l;
        line_open(&l);
        ck_assert_ptr_null(flags_config_path(l.flags));
        ck_assert_int_eq(PARSE(&l, "--config=a.yaml", "-config", "b.yaml"), 0);
        ck_assert_str_eq(flags_config_path(l.flags), "b.yaml");
        ck_assert(!flags_test(l.flags));
        flags_free(l.flags);
    }
END_TEST

START_TEST(counts_each_feature_once)
    {
        struct line l;
        line_open(&l);
        ck_assert_int_eq(PARSE(&l, "--feature.enable=b", "--feature.enable", "a",
                               "--feature.enable=b", "--feature.enable=caf\xc3\xa9"),
                         0);
        ck_assert_uint_eq(flags_feature_count(l.flags), 3);
        ck_assert(flags_feature(l.flags, "a"));
        ck_assert(flags_feature(l.flags, "b"));
        ck_assert(flags_feature(l.flags, "caf\xc3\xa9"));
        ck_assert(!flags_feature(l.flags, "c"));
        ck_assert(!flags_feature(l.flags, ""));
        flags_free(l.flags);

        line_open(&l);
        ck_assert(!flags_feature(l.flags, "a"));
        ck_assert_uint_eq(flags_feature_count(l.flags), 0);
        flags_free(l.flags);
    }
END_TEST

START_TEST(takes_test_only_when_the_program_has_one)
    {
        struct line l;
        line_open(&l);
        char *argv[] = {(char *)(uintptr_t) "ledger", (char *)(uintptr_t) "--test", NULL};
        struct flags_program program = {.name = "ledger", .version = "1", .has_test = true};
        ck_assert_int_eq(flags_parse(l.flags, 2, argv, &program, &l.err), 0);
        ck_assert(flags_test(l.flags));
        flags_free(l.flags);
    }
END_TEST

START_TEST(prints_the_version_with_a_v)
    {
        struct line l;
        int rc = 0;
        line_open(&l);
        char *text = printed_by(&l, "--version", &rc);
        ck_assert_int_eq(rc, SRUN_DONE);
        ck_assert_str_eq(text, "v1.2.3\n");
        free(text);
        flags_free(l.flags);
    }
END_TEST

START_TEST(prints_every_flag_with_its_default_for_help)
    {
        static const char *const expected[] = {
            "Usage: ledger [flags] [arguments]\n",
            "--config=PATH",
            "--feature.enable=NAME",
            "--version",
            "--test",
            "--help",
            "--name=TEXT            who it is [\"bob\"]\n",
            "--b                    a switch\n",
            "--x.y-z                another [true]\n",
            "--n=N                  how many [3]\n",
            "--ratio=NUMBER         a share [0.5]\n",
            "--ttl=DURATION         how long [2m0s]\n",
            "--tag=TEXT             a label\n",
            "Arguments:\n  FILE... to read\n",
            "SRUN_LOG_FORMAT",
            "SRUN_STOP_TIMEOUT",
            "[30s]",
        };
        struct line l;
        int rc = 0;
        line_open(&l);
        ck_assert_int_eq(flags_add_arguments(l.flags, &l.arguments, "FILE... to read", &l.err), 0);
        char *text = printed_by(&l, "--help", &rc);
        ck_assert_int_eq(rc, SRUN_DONE);
        for (size_t i = 0; i < COUNT_OF(expected); i++)
            ck_assert_msg(strstr(text, expected[i]) != NULL, "%s is not in:\n%s", expected[i],
                          text);
        free(text);
        flags_free(l.flags);
    }
END_TEST

START_TEST(reads_a_hundred_thousand_arguments)
    {
        enum { MANY = 100000 };
        struct line l;
        line_open(&l);
        char **argv = calloc(MANY + 2, sizeof *argv);
        char(*words)[32] = calloc(MANY, sizeof *words);
        ck_assert_ptr_nonnull(argv);
        ck_assert_ptr_nonnull(words);
        argv[0] = words[0];
        for (int i = 1; i < MANY; i++) {
            (void)snprintf(words[i], sizeof words[i], i % 2 ? "--feature.enable=f%d" : "--tag=t%d",
                           i);
            argv[i] = words[i];
        }
        int64_t from = harness_now_ms();
        struct flags_program program = {.name = "ledger", .version = "1"};
        ck_assert_int_eq(flags_parse(l.flags, MANY, argv, &program, &l.err), 0);
        ck_assert_int_le(harness_now_ms() - from, 20000 * harness_slowness());
        ck_assert_uint_eq(flags_feature_count(l.flags), MANY / 2);
        ck_assert(flags_feature(l.flags, "f77777"));
        ck_assert_str_eq(l.tags[0], "t2");
        free(argv);
        free(words);
        flags_free(l.flags);
    }
END_TEST

START_TEST(parses_durations_for_everybody)
    {
        srun_err err = {0};
        int64_t ns = 7;
        ck_assert_int_eq(srun_parse_duration("1.5s", &ns, &err), 0);
        ck_assert_int_eq(ns, 1500000000);
        ck_assert_int_eq(srun_parse_duration("5", &ns, &err), -EINVAL);
        ck_assert_str_eq(err.text, "\"5\" is not a duration: accepted are 300ms, 1.5s, 2h45m");
        ck_assert_int_eq(srun_parse_duration("9999999h", &ns, &err), -ERANGE);
        ck_assert_str_eq(err.text, "\"9999999h\" is out of range: accepted are 300ms, 1.5s, 2h45m");
        ck_assert_int_eq(srun_parse_duration(NULL, &ns, NULL), -EINVAL);
        ck_assert_int_eq(ns, 1500000000);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "flags", agrees_with_go_on_every_command_line,
        says_which_flag_which_value_and_what_is_accepted,
        keeps_an_error_line_whole_when_the_value_is_huge, gives_the_fallback_when_a_flag_is_added,
        refuses_bad_names_when_a_flag_is_added, refuses_a_name_that_is_taken,
        parses_once_and_takes_no_flags_afterwards, keeps_the_values_of_a_repeated_flag_in_order,
        owns_the_strings_it_gives, calls_the_setter_of_a_custom_flag_at_each_use,
        rounds_durations_away_from_zero_to_milliseconds, reads_numbers_the_same_in_every_locale,
        remembers_the_path_of_the_configuration_file, counts_each_feature_once,
        takes_test_only_when_the_program_has_one, prints_the_version_with_a_v,
        prints_every_flag_with_its_default_for_help, reads_a_hundred_thousand_arguments,
        parses_durations_for_everybody);
}
