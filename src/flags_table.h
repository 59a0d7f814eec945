/* SPDX-License-Identifier: MIT
 *
 * Shared by flags.c (the table), flags_parse.c (the command line) and flags_help.c, and by nobody
 * else: what the table of flags is made of.
 */
#ifndef FLAGS_TABLE_H
#define FLAGS_TABLE_H

#include "base/text.h"
#include "flags.h"

struct flag {
    struct flag_spec spec; /* its texts are the members below */
    char *name, *help, *value_name;
    char *fallback;        /* of a string, for --help; NULL for none */
    char *given;           /* the last value of a string */
    struct text_list list; /* the values of a repeatable one */
    struct text_list said; /* each use on the command line, as text */
};

struct flags {
    struct flag *items; /* in the order they were added; the predefined ones first */
    size_t count, capacity;
    bool parsed;

    /* What the predefined flags write. */
    const char *config;
    const char *const *features;
    int version, test, help;

    const char *const **arguments_out; /* NULL: the program takes none */
    char *arguments_help;
    struct text_list arguments;
    struct text_list enabled; /* features, sorted, each once */
};

/* --help. 0, or a negative errno when stdout cannot be written. */
int flags_print_help(const struct flags *flags, const struct flags_program *program, srun_err *err);

#endif
