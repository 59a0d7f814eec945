/* SPDX-License-Identifier: MIT
 *
 * The command line. libpopt says which flag comes next; the values are read from argv here, since
 * Go's rules for them (--x=false, durations, base 0) are not libpopt's. As in Go, flags end at the
 * first argument or at --. Control thread, once. Never calls exit().
 */
#include "base/auto.h"
#include "base/parse.h"
#include "flags.h"
#include "flags_table.h"
#include "knobs.h"

#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <string.h>

#define NAME_TEXT_MAX (TEXT_QUOTE_MAX + 2)

static void context_cleanup(poptContext *context)
{
    if (*context != NULL)
        (void)poptFreeContext(*context); /* always NULL */
}

static int complain(const struct flag *flag, const char *value, int code, srun_err *err)
{
    static const struct {
        const char *what, *accepted, *range;
    } texts[FLAG_TYPE_COUNT] = {
        [FLAG_STRING] = {"", "", ""},
        [FLAG_BOOL] = {"is not true or false", "1, t, true, 0, f, false", ""},
        [FLAG_INT] = {"is not a whole number", "42, -7, 0x2a, 0o52, 0b101010",
                      "-9223372036854775808 to 9223372036854775807"},
        [FLAG_DOUBLE] = {"is not a number", "0.5, -2, 1e-3",
                         "what fits a 64 bit floating point number"},
        [FLAG_DURATION_MS] = {"is not a duration", "300ms, 1.5s, 2h45m",
                              "300ms, 1.5s, up to 2562047h"},
    };
    if (code == -ENOMEM)
        return srun_fail(err, -ENOMEM, "--%s: out of memory", flag->name);
    char quoted[TEXT_QUOTE_MAX];
    bool range = code == -ERANGE;
    return srun_fail(err, SRUN_EUSAGE, "--%s: %s %s: accepted are %s", flag->name,
                     text_quote(quoted, value),
                     range ? "is out of range" : texts[flag->spec.type].what,
                     range ? texts[flag->spec.type].range : texts[flag->spec.type].accepted);
}

static int set_string(struct flag *flag, const char *value)
{
    char *given = strdup(value);
    if (given == NULL)
        return -ENOMEM;
    free(flag->given);
    flag->given = given;
    *flag->spec.out.string = given;
    return 0;
}

static int set_strings(struct flag *flag, const char *value)
{
    int rc = text_list_add(&flag->list, value);
    if (flag->list.count > 0) /* also when it failed: the array may have moved */
        *flag->spec.out.strings = (const char *const *)flag->list.items;
    return rc;
}

static int set_custom(const struct flag *flag, const char *value, srun_err *err)
{
    srun_err own = {0};
    int rc = flag->spec.out.set(flag->spec.fallback.user, value, &own);
    if (rc >= 0)
        return 0;
    char quoted[TEXT_QUOTE_MAX];
    return srun_fail(err, rc == -ENOMEM ? rc : SRUN_EUSAGE, "--%s: %s: %s", flag->name,
                     text_quote(quoted, value), own.text[0] == '\0' ? srun_strerror(rc) : own.text);
}

static int set(struct flag *flag, const char *value, srun_err *err)
{
    int rc = 0;
    bool truth = false;
    switch (flag->spec.type) {
    case FLAG_STRING:
        rc = set_string(flag, value);
        break;
    case FLAG_BOOL:
        rc = parse_bool(value, &truth);
        if (rc == 0)
            *flag->spec.out.boolean = truth;
        break;
    case FLAG_INT:
        rc = parse_int(value, flag->spec.out.integer);
        break;
    case FLAG_DOUBLE:
        rc = parse_double(value, flag->spec.out.real);
        break;
    case FLAG_DURATION_MS:
        rc = parse_duration_ms(value, flag->spec.out.integer);
        break;
    case FLAG_STRINGS:
        rc = set_strings(flag, value);
        break;
    case FLAG_CUSTOM:
        rc = set_custom(flag, value, err);
        if (rc < 0)
            return rc;
        break;
    case FLAG_TYPE_COUNT:
        break;
    }
    rc = rc < 0 ? rc : text_list_add(&flag->said, value);
    return rc < 0 ? complain(flag, value, rc, err) : 0;
}

/* What argument calls its flag: without dashes and value, cut at size. */
static void name_of(const char *argument, char *out, size_t size)
{
    argument += argument[0] == '-';
    argument += argument[0] == '-';
    size_t length = strcspn(argument, "=");
    (void)snprintf(out, size, "%.*s", (int)(length < size ? length : size), argument);
}

static char as_point(char c)
{
    return (char)(c == '-' || c == '_' ? '.' : c);
}

/* Is a flag called as the knob is in the file? People write -, _ and . for one another. */
static bool names_knob(const char *name, const struct knob *knob)
{
    char path[NAME_TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s.%s", knob->group, knob->key);
    size_t i = 0;
    while (name[i] != '\0' && as_point(name[i]) == as_point(path[i]))
        i++;
    return name[i] == path[i];
}

static const char *variable_of(const char *name)
{
    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    for (size_t i = 0; i < count; i++)
        if (names_knob(name, &knobs[i]))
            return knobs[i].variable;
    return NULL;
}

static int unknown_flag(const struct flags *flags, const char *argument, srun_err *err)
{
    char name[NAME_TEXT_MAX];
    char shown[TEXT_QUOTE_MAX];
    name_of(argument, name, sizeof name);
    struct text_nearest nearest = {.word = name};
    for (size_t i = 0; i < flags->count; i++)
        text_nearest_offer(&nearest, flags->items[i].name);

    char dashed[NAME_TEXT_MAX + 2];
    (void)snprintf(dashed, sizeof dashed, "--%s", name);
    const char *what = text_printable(dashed, 40) ? dashed : text_quote(shown, dashed);
    const char *variable = variable_of(name);
    if (variable != NULL)
        return srun_fail(err, SRUN_EUSAGE, "%s: no such flag: set %s", what, variable);
    if (nearest.best == NULL)
        return srun_fail(err, SRUN_EUSAGE, "%s: no such flag: --help lists them", what);
    return srun_fail(err, SRUN_EUSAGE, "%s: no such flag: did you mean --%s?", what, nearest.best);
}

static int missing_value(const struct flag *flag, srun_err *err)
{
    static const char *const examples[FLAG_TYPE_COUNT] = {
        [FLAG_INT] = "=42",
        [FLAG_DOUBLE] = "=0.5",
        [FLAG_DURATION_MS] = "=1.5s",
    };
    const char *example = examples[flag->spec.type];
    return srun_fail(err, SRUN_EUSAGE, "--%s: the value is missing: accepted is --%s%s", flag->name,
                     flag->name, example == NULL ? "=VALUE" : example);
}

static struct flag *find(const struct flags *flags, const char *argument)
{
    char name[NAME_TEXT_MAX];
    name_of(argument, name, sizeof name);
    for (size_t i = 0; i < flags->count; i++)
        if (strcmp(flags->items[i].name, name) == 0)
            return &flags->items[i];
    return NULL;
}

/* What libpopt is given in place of argv. It would read !#:+ inside an argument as "the next
 * argument"; the values are taken from argv itself, so any other mark will do. */
static int mask_arguments(const char **masked, struct text_list *copies, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        masked[i] = argv[i];
        if (strstr(argv[i], "!#:+") == NULL)
            continue;
        if (text_list_add(copies, argv[i]) < 0)
            return -ENOMEM;
        char *text = copies->items[copies->count - 1];
        for (char *mark = text; (mark = strstr(mark, "!#:+")) != NULL;)
            *mark = '.';
        masked[i] = text;
    }
    masked[argc] = NULL;
    return 0;
}

/* The table for libpopt: each flag by its place + 1, with one dash or two, and -h for --help. */
static struct poptOption *make_options(const struct flags *flags)
{
    struct poptOption *options = calloc(flags->count + 2, sizeof *options); /* zeros end it */
    if (options == NULL)
        return NULL;
    bool own_h = false;
    int help = 0;
    for (size_t i = 0; i < flags->count; i++) {
        const struct flag *flag = &flags->items[i];
        unsigned type = flag->spec.type == FLAG_BOOL ? POPT_ARG_NONE : POPT_ARG_STRING;
        options[i] = (struct poptOption){
            .longName = flag->name, .argInfo = type | POPT_ARGFLAG_ONEDASH, .val = (int)i + 1};
        own_h = own_h || strcmp(flag->name, "h") == 0;
        if (flag->spec.type == FLAG_BOOL && flag->spec.out.boolean == &flags->help)
            help = (int)i + 1;
    }
    if (!own_h)
        options[flags->count] = (struct poptOption){
            .longName = "h", .argInfo = POPT_ARG_NONE | POPT_ARGFLAG_ONEDASH, .val = help};
    return options;
}

/* Deals with the flag at argv[*at], of which libpopt said what; moves *at behind it. */
static int take_flag(struct flags *flags, int what, char **argv, int *at, srun_err *err)
{
    const char *argument = argv[*at];
    const char *equals = strchr(argument, '=');
    if (what == POPT_ERROR_UNWANTEDARG || what == POPT_ERROR_NOARG) {
        struct flag *flag = find(flags, argument);
        if (flag != NULL && what == POPT_ERROR_NOARG)
            return missing_value(flag, err);
        *at += 1;
        if (flag != NULL && equals != NULL) /* --x=false */
            return set(flag, equals + 1, err);
    }
    if (what <= 0)
        return unknown_flag(flags, argument, err);

    struct flag *flag = &flags->items[what - 1];
    const char *value = flag->spec.type == FLAG_BOOL ? "true"
                        : equals != NULL             ? equals + 1
                                                     : argv[*at + 1];
    *at += flag->spec.type == FLAG_BOOL || equals != NULL ? 1 : 2;
    return set(flag, value, err);
}

/* Reads flags up to the first argument, whose index goes to *rest, or up to --help. */
static int read_flags(struct flags *flags, int argc, char **argv, int *rest, srun_err *err)
{
    auto_free struct poptOption *options = make_options(flags);
    auto_free const char **masked = calloc((size_t)argc + 1, sizeof *masked);
    __attribute__((cleanup(text_list_free))) struct text_list copies = {0};
    if (options == NULL || masked == NULL || mask_arguments(masked, &copies, argc, argv) < 0)
        return srun_fail(err, -ENOMEM, "command line: out of memory");

    __attribute__((cleanup(context_cleanup))) poptContext context =
        poptGetContext(NULL, argc, masked, options, POPT_CONTEXT_POSIXMEHARDER);
    if (context == NULL)
        return srun_fail(err, -ENOMEM, "command line: out of memory");

    int at = 1;
    int rc = 0;
    for (int what; rc == 0 && !flags->help && (what = poptGetNextOpt(context)) != -1;)
        rc = take_flag(flags, what, argv, &at, err);
    *rest = at < argc && strcmp(argv[at], "--") == 0 ? at + 1 : at;
    return rc;
}

static int take_arguments(struct flags *flags, char **argv, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    if (*argv == NULL)
        return 0;
    if (flags->arguments_out == NULL)
        return srun_fail(err, SRUN_EUSAGE,
                         "unexpected argument %s: accepted are flags only, as --name=value",
                         text_quote(quoted, *argv));
    for (; *argv != NULL; argv++)
        if (text_list_add(&flags->arguments, *argv) < 0)
            return srun_fail(err, -ENOMEM, "command line: out of memory");
    *flags->arguments_out = (const char *const *)flags->arguments.items;
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the features and counts each once, however often it was given. */
static int take_features(struct flags *flags, srun_err *err)
{
    struct text_list given = {0};
    for (const char *const *name = flags->features; *name != NULL; name++) {
        char quoted[TEXT_QUOTE_MAX];
        int rc = 0;
        if (!text_printable(*name, 255))
            rc = srun_fail(err, SRUN_EUSAGE,
                           "--feature.enable: %s is not a name: accepted are 1 to 255 bytes of"
                           " printable text",
                           text_quote(quoted, *name));
        else if (text_list_add(&given, *name) < 0)
            rc = srun_fail(err, -ENOMEM, "--feature.enable: out of memory");
        if (rc < 0) {
            text_list_free(&given);
            return rc;
        }
    }
    if (given.count == 0)
        return 0;
    qsort(given.items, given.count, sizeof *given.items, compare_texts);
    size_t kept = 1;
    for (size_t i = 1; i < given.count; i++) {
        if (strcmp(given.items[i], given.items[kept - 1]) == 0)
            free(given.items[i]);
        else
            given.items[kept++] = given.items[i];
    }
    given.items[kept] = NULL;
    given.count = kept;
    flags->enabled = given;
    return 0;
}

static int print_version(const struct flags_program *program, srun_err *err)
{
    if (printf("v%s\n", program->version) < 0 || fflush(stdout) != 0)
        return srun_fail(err, -errno, "standard output: %m");
    return SRUN_DONE;
}

int flags_parse(struct flags *flags, int argc, char **argv, const struct flags_program *program,
                srun_err *err)
{
    if (flags->parsed)
        return srun_fail(err, SRUN_ESTATE, "the command line was parsed before");
    flags->parsed = true;
    if (argc <= 1)
        return 0;

    int rest = argc;
    int rc = read_flags(flags, argc, argv, &rest, err);
    if (rc < 0)
        return rc;
    if (flags->help) {
        rc = flags_print_help(flags, program, err);
        return rc < 0 ? rc : SRUN_DONE;
    }
    if (flags->config != NULL && flags->config[0] == '\0')
        return srun_fail(err, SRUN_EUSAGE, "--config: \"\" is not a path: accepted is a file name");
    rc = take_features(flags, err);
    if (rc == 0)
        rc = take_arguments(flags, argv + rest, err);
    if (rc < 0)
        return rc;
    if (flags->version)
        return print_version(program, err);
    if (flags->test && !program->has_test)
        return srun_fail(err, SRUN_EUSAGE, "--test: this program has no test function");
    return 0;
}
