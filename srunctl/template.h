/* SPDX-License-Identifier: MIT
 *
 * The files of template/, as tools/compose-template puts them into the program: what `srunctl new`
 * writes.
 */
#ifndef SRUNCTL_TEMPLATE_H
#define SRUNCTL_TEMPLATE_H

#include <stddef.h>

/* What the program in the template is called, in its texts and in the names of its files. */
#define TEMPLATE_NAME "mydaemon"

struct template_file {
    const char *path, *text;
};

/* Ends with a NULL path. */
extern const struct template_file template_files[];

#endif
