/* SPDX-License-Identifier: MIT
 *
 * A command line from bytes, words ended by NUL, against one flag of each type. The first byte says
 * whether arguments and --test are taken. Whatever comes: no crash, no leak, an error has a text.
 */
#include "flags.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int set_custom(void *user, const char *value, srun_err *err)
{
    (void)user;
    return value[0] == 'x' ? srun_fail(err, -1, "accepted is all but x") : 0;
}

static int cut_words(char *text, size_t size, char **argv)
{
    int argc = 0;
    argv[argc++] = text;
    for (size_t i = 0; i < size && argc < WORDS_MAX; i++)
        if (text[i] == '\0')
            argv[argc++] = text + i + 1;
    argv[argc] = NULL;
    return argc;
}

static void add_flags(struct flags *flags, bool arguments)
{
    static const char *name;
    static int truth;
    static int64_t number, ms;
    static double real;
    static const char *const *list, *const *rest;
    const struct flag_spec specs[] = {
        {.name = "name", .type = FLAG_STRING, .out.string = &name},
        {.name = "b", .type = FLAG_BOOL, .out.boolean = &truth},
        {.name = "n", .type = FLAG_INT, .out.integer = &number},
        {.name = "r", .type = FLAG_DOUBLE, .out.real = &real},
        {.name = "d", .type = FLAG_DURATION_MS, .out.integer = &ms},
        {.name = "l", .type = FLAG_STRINGS, .out.strings = &list},
        {.name = "c", .type = FLAG_CUSTOM, .out.set = set_custom},
    };
    srun_err err = {0};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        if (flags_add(flags, &specs[i], &err) < 0)
            abort();
    if (arguments && flags_add_arguments(flags, &rest, "", &err) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int null = -1;
    if (null < 0) { /* --help prints */
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
            abort();
    }
    if (size == 0)
        return 0;
    char *text = calloc(1, size);
    char *argv[WORDS_MAX + 1];
    struct flags *flags = NULL;
    srun_err err = {0};
    if (text == NULL || flags_new(&flags, &err) < 0)
        abort();
    memcpy(text, data + 1, size - 1);
    add_flags(flags, data[0] & 1);
    struct flags_program program = {.name = "f", .version = "1", .has_test = data[0] & 2};
    int argc = cut_words(text, size - 1, argv);
    int rc = flags_parse(flags, argc, argv, &program, &err);
    if (rc < 0 && (rc != SRUN_EUSAGE || err.text[0] == '\0'))
        abort();
    flags_free(flags);
    free(text);
    return 0;
}
