/* SPDX-License-Identifier: MIT
 *
 * A locale whose decimal point is a comma, as most of the world writes numbers.
 */
#ifndef TESTS_SUPPORT_COMMA_H
#define TESTS_SUPPORT_COMMA_H

#include "harness.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool has_comma(void)
{
    return strcmp(localeconv()->decimal_point, ",") == 0;
}

/* Made by localedef, of a few lines, when none is installed. */
static inline bool comma_make(void)
{
    static const char source[] =
        "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\n"
        "END LC_NUMERIC\n";
    char path[512], command[1200];
    (void)snprintf(path, sizeof path, "%s/source", harness_folder());
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fputs(source, file) >= 0 && fclose(file) == 0, 1);
    (void)snprintf(command, sizeof command, "localedef -c -i %s %s/comma >/dev/null 2>&1", path,
                   harness_folder());
    (void)!system(command); /* NOLINT(concurrency-mt-unsafe): warns of what the source lacks */
    (void)setenv("LOCPATH", harness_folder(), 1);
    return setlocale(LC_NUMERIC, "comma") != NULL && has_comma();
}

/* Sets it for the rest of the test. Without one the C locale is tested, and stderr says so. */
static inline void comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !has_comma(); i++)
        (void)setlocale(LC_NUMERIC, names[i]);
    if (!has_comma() && !comma_make())
        (void)fprintf(stderr, "no locale with a decimal comma: the C locale is tested\n");
}

#endif
