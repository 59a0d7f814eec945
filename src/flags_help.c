/* SPDX-License-Identifier: MIT
 *
 * --help: the flags of the program and the predefined ones, each with its default, then the SRUN_*
 * variables from the table of knobs. Control thread. Never exits.
 */
#include "base/duration.h"
#include "base/parse.h"
#include "config.h"
#include "flags.h"
#include "flags_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COLUMN_MAX 32 /* wider ones take a line of their own */

static const char *value_name(const struct flag *flag)
{
    static const char *const names[FLAG_TYPE_COUNT] = {
        [FLAG_STRING] = "TEXT",          [FLAG_INT] = "N",        [FLAG_DOUBLE] = "NUMBER",
        [FLAG_DURATION_MS] = "DURATION", [FLAG_STRINGS] = "TEXT", [FLAG_CUSTOM] = "VALUE",
    };
    return flag->value_name != NULL ? flag->value_name : names[flag->spec.type];
}

static void print_default(const struct flag *flag)
{
    char text[PARSE_DOUBLE_TEXT_MAX];
    _Static_assert(sizeof text >= DURATION_TEXT_MAX, "a duration fits");
    int64_t ns = 0;
    switch (flag->spec.type) {
    case FLAG_STRING:
        if (flag->fallback != NULL && flag->fallback[0] != '\0')
            (void)printf(" [\"%s\"]", flag->fallback);
        break;
    case FLAG_BOOL:
        if (flag->spec.fallback.boolean)
            (void)printf(" [true]");
        break;
    case FLAG_INT:
        (void)printf(" [%" PRId64 "]", flag->spec.fallback.integer);
        break;
    case FLAG_DOUBLE:
        (void)printf(" [%s]", parse_double_text(text, flag->spec.fallback.real));
        break;
    case FLAG_DURATION_MS:
        if (__builtin_mul_overflow(flag->spec.fallback.integer, NS_PER_MS, &ns))
            (void)printf(" [%" PRId64 "ms]", flag->spec.fallback.integer);
        else if (duration_format(text, ns) > 0)
            (void)printf(" [%s]", text);
        break;
    case FLAG_STRINGS:
    case FLAG_CUSTOM:
    case FLAG_TYPE_COUNT:
        break;
    }
}

static size_t width(const struct flag *flag)
{
    const char *value = value_name(flag);
    return strlen("  --") + strlen(flag->name) + (value == NULL ? 0 : 1 + strlen(value));
}

static void print_flag(const struct flag *flag, size_t column)
{
    const char *value = value_name(flag);
    (void)printf("  --%s%s%s", flag->name, value == NULL ? "" : "=", value == NULL ? "" : value);
    size_t used = width(flag);
    if (used > column) {
        (void)printf("\n");
        used = 0;
    }
    (void)printf("%*s  %s", (int)(column - used), "", flag->help);
    print_default(flag);
    (void)printf("\n");
}

int flags_print_help(const struct flags *flags, const struct flags_program *program, srun_err *err)
{
    size_t column = 0;
    for (size_t i = 0; i < flags->count; i++) {
        size_t wide = width(&flags->items[i]);
        if (wide > column && wide <= COLUMN_MAX)
            column = wide;
    }

    bool takes_arguments = flags->arguments_out != NULL;
    (void)printf("Usage: %s [flags]%s\n\n", program->name, takes_arguments ? " [arguments]" : "");
    (void)printf("Flags [default]:\n");
    for (size_t i = 0; i < flags->count; i++)
        print_flag(&flags->items[i], column);
    if (takes_arguments)
        (void)printf("\nArguments:\n  %s\n", flags->arguments_help);
    (void)printf("\n");
    config_print_help(stdout);
    /* What failed above left its mark on the stream. */
    if (fflush(stdout) != 0 || ferror(stdout))
        return srun_fail(err, errno == 0 ? -EIO : -errno, "standard output: %m");
    return 0;
}
