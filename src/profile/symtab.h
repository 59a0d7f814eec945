/* SPDX-License-Identifier: MIT
 *
 * The functions of a module, from the symbol tables of its file: static ones too, unless they were
 * stripped. The file counts only when it is the one that is mapped, which its build id says; that
 * of the program is found also when another one has taken its place. Threads: one at a time.
 */
#ifndef PROFILE_SYMTAB_H
#define PROFILE_SYMTAB_H

#include "profile/modules.h"

struct symtab_function {
    uint64_t start, size; /* as the file has them */
    uint32_t name;
    uint32_t rank; /* of several for one address the one with the lowest is shown */
};

struct symtab {
    struct symtab_function *all; /* by start */
    size_t count, capacity;
    char *names;
    size_t names_size; /* without the NUL behind them */
};

/* The file of a module, open for reading; -1: it is not there any more. */
int symtab_open(const struct module *module);

/* Empty when there are none, whatever the reason. */
void symtab_read(int fd, struct symtab *out);
void symtab_free(struct symtab *symtab);

/* The name of the function that covers an address of the file; NULL: none does. */
const char *symtab_find(const struct symtab *symtab, uint64_t at);

#endif
