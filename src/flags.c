/* SPDX-License-Identifier: MIT
 *
 * The table of flags: takes them in, refuses bad names, owns all strings, answers what was given.
 * The predefined flags are entries like the others. Control thread, before run; read-only after
 * parsing. Never reads the command line itself (flags_parse.c does).
 */
#include "flags.h"

#include "base/ensure.h"
#include "base/parse.h"
#include "flags_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64

static const char *const no_strings[] = {NULL};

static void flag_clear(struct flag *flag)
{
    free(flag->name);
    free(flag->help);
    free(flag->value_name);
    free(flag->fallback);
    free(flag->given);
    text_list_free(&flag->list);
    text_list_free(&flag->said);
}

/* Copies text unless it is NULL; false: out of memory. */
static bool copy(char **out, const char *text)
{
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

static int flag_init(struct flag *flag, const struct flag_spec *spec)
{
    *flag = (struct flag){.spec = *spec};
    const char *fallback = spec->type == FLAG_STRING ? spec->fallback.string : NULL;
    if (!copy(&flag->name, spec->name) ||
        !copy(&flag->help, spec->help == NULL ? "" : spec->help) ||
        !copy(&flag->value_name, spec->value_name) || !copy(&flag->fallback, fallback)) {
        flag_clear(flag);
        return -ENOMEM;
    }
    flag->spec.name = flag->name;
    flag->spec.help = flag->help;
    flag->spec.value_name = flag->value_name;
    return 0;
}

static void write_fallback(const struct flag_spec *spec)
{
    switch (spec->type) {
    case FLAG_STRING:
        *spec->out.string = spec->fallback.string;
        break;
    case FLAG_BOOL:
        *spec->out.boolean = spec->fallback.boolean != 0;
        break;
    case FLAG_INT:
    case FLAG_DURATION_MS:
        *spec->out.integer = spec->fallback.integer;
        break;
    case FLAG_DOUBLE:
        *spec->out.real = spec->fallback.real;
        break;
    case FLAG_STRINGS:
        *spec->out.strings = no_strings;
        break;
    case FLAG_CUSTOM:
    case FLAG_TYPE_COUNT:
        break;
    }
}

/* libpopt reads !#:+ inside an argument as "the next argument", so no name may hold it. */
static bool name_is_good(const char *name)
{
    size_t size = strnlen(name, NAME_MAX_BYTES + 1);
    if (size == 0 || size > NAME_MAX_BYTES || name[0] == '-' || strstr(name, "!#:+") != NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '=')
            return false;
    return true;
}

static int check_new_name(const struct flags *flags, const char *name, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    if (name == NULL || !name_is_good(name))
        return srun_fail(err, -EINVAL,
                         "flag name %s: accepted are 1 to %d printable ASCII characters without"
                         " spaces and =, the first not -",
                         name == NULL ? "NULL" : text_quote(quoted, name), NAME_MAX_BYTES);
    for (size_t i = 0; i < flags->count; i++)
        if (strcmp(flags->items[i].name, name) == 0)
            return srun_fail(err, -EEXIST, "flag --%s is there already", name);
    return 0;
}

static int make_room(struct flags *flags)
{
    if (flags->count < flags->capacity)
        return 0;
    size_t capacity = flags->capacity == 0 ? 16 : flags->capacity * 2;
    struct flag *items = realloc(flags->items, capacity * sizeof *items);
    if (items == NULL)
        return -ENOMEM;
    flags->items = items;
    flags->capacity = capacity;
    return 0;
}

int flags_add(struct flags *flags, const struct flag_spec *spec, srun_err *err)
{
    if (flags->parsed)
        return srun_fail(err, SRUN_ESTATE, "flags are added before parsing");
    int rc = check_new_name(flags, spec->name, err);
    if (rc < 0)
        return rc;
    /* Every member of out is a pointer. */
    if (spec->out.string == NULL)
        return srun_fail(err, -EINVAL, "flag --%s: nowhere to write its value", spec->name);
    if (make_room(flags) < 0 || flag_init(&flags->items[flags->count], spec) < 0)
        return srun_fail(err, -ENOMEM, "flag --%s: out of memory", spec->name);
    flags->count++;
    write_fallback(spec);
    return 0;
}

int flags_add_arguments(struct flags *flags, const char *const **out, const char *help,
                        srun_err *err)
{
    if (flags->parsed)
        return srun_fail(err, SRUN_ESTATE, "arguments are declared before parsing");
    if (flags->arguments_out != NULL)
        return srun_fail(err, -EEXIST, "arguments are declared already");
    if (out == NULL)
        return srun_fail(err, -EINVAL, "arguments: nowhere to write them");
    if (!copy(&flags->arguments_help, help == NULL ? "" : help))
        return srun_fail(err, -ENOMEM, "arguments: out of memory");
    flags->arguments_out = out;
    *out = no_strings;
    return 0;
}

struct flags *flags_free(struct flags *flags)
{
    if (flags == NULL)
        return NULL;
    for (size_t i = 0; i < flags->count; i++)
        flag_clear(&flags->items[i]);
    free(flags->items);
    free(flags->arguments_help);
    text_list_free(&flags->arguments);
    text_list_free(&flags->enabled);
    free(flags);
    return NULL;
}

bool flags_parsed(const struct flags *flags)
{
    return flags->parsed;
}

bool flags_test(const struct flags *flags)
{
    return flags->test != 0;
}

const char *flags_config_path(const struct flags *flags)
{
    return flags->config;
}

static int compare_names(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

bool flags_feature(const struct flags *flags, const char *name)
{
    const struct text_list *enabled = &flags->enabled;
    return enabled->count > 0 &&
           bsearch(name, enabled->items, enabled->count, sizeof *enabled->items, compare_names);
}

size_t flags_feature_count(const struct flags *flags)
{
    return flags->enabled.count;
}

int flags_new(struct flags **out, srun_err *err)
{
    struct flags *flags = calloc(1, sizeof *flags);
    if (flags == NULL)
        return srun_fail(err, -ENOMEM, "flags: out of memory");

    const struct flag_spec predefined[] = {
        {.name = "config",
         .type = FLAG_STRING,
         .value_name = "PATH",
         .out.string = &flags->config,
         .help = "read the srun: section of this YAML file"},
        {.name = "feature.enable",
         .type = FLAG_STRINGS,
         .value_name = "NAME",
         .out.strings = &flags->features,
         .help = "enable a feature; may be repeated"},
        {.name = "version",
         .type = FLAG_BOOL,
         .out.boolean = &flags->version,
         .help = "print the version and leave"},
        {.name = "test",
         .type = FLAG_BOOL,
         .out.boolean = &flags->test,
         .help = "run the program's test instead of its services"},
        {.name = "help",
         .type = FLAG_BOOL,
         .out.boolean = &flags->help,
         .help = "print this and leave"},
    };
    for (size_t i = 0; i < COUNT_OF(predefined); i++) {
        int rc = flags_add(flags, &predefined[i], err);
        if (rc < 0) {
            flags_free(flags);
            return rc;
        }
    }
    *out = flags;
    return 0;
}

/* What stands in the table where nothing was said. */
static void describe_fallback(const struct flag *flag, char *out, size_t size)
{
    char text[PARSE_DOUBLE_TEXT_MAX];
    const struct flag_spec *spec = &flag->spec;
    switch (spec->type) {
    case FLAG_STRING:
        (void)snprintf(out, size, "%s", flag->fallback != NULL ? flag->fallback : "");
        break;
    case FLAG_BOOL:
        (void)snprintf(out, size, "%s", spec->fallback.boolean != 0 ? "true" : "false");
        break;
    case FLAG_INT:
        (void)snprintf(out, size, "%" PRId64, spec->fallback.integer);
        break;
    case FLAG_DURATION_MS:
        (void)snprintf(out, size, "%" PRId64 "ms", spec->fallback.integer);
        break;
    case FLAG_DOUBLE:
        (void)snprintf(out, size, "%s", parse_double_text(text, spec->fallback.real));
        break;
    default:
        out[0] = '\0';
    }
}

bool flags_describe(const struct flags *flags, size_t index, struct flags_use *out)
{
    if (index >= flags->count)
        return false;
    const struct flag *flag = &flags->items[index];
    size_t used = 0;
    *out = (struct flags_use){.name = flag->name, .given = flag->said.count > 0};
    if (!out->given)
        describe_fallback(flag, out->value, sizeof out->value);
    bool all = flag->spec.type == FLAG_STRINGS || flag->spec.type == FLAG_CUSTOM;
    for (size_t i = all ? 0 : flag->said.count - 1; i < flag->said.count; i++)
        if (used < sizeof out->value)
            used += (size_t)snprintf(out->value + used, sizeof out->value - used, "%s%s",
                                     used > 0 ? "," : "", flag->said.items[i]);
    return true;
}
