/* SPDX-License-Identifier: MIT
 *
 * Names for addresses: functions, those that were inlined too, with file and line where the plugin
 * is there to read them, from symbol tables else. Each address is looked up once, and not again by
 * those that share what is remembered. Threads: one at a time.
 */
#ifndef PROFILE_NAMES_H
#define PROFILE_NAMES_H

#include "profile/modules.h"
#include "profile/naming.h"
#include "profile/remembered.h"

#define NAMES_INLINED_MAX 16

/* What an address is called, the innermost inlined function first. */
struct named {
    uintptr_t address;
    const struct module *module; /* NULL: it lies in none */
    const struct name *names;    /* NULL: without a name */
    size_t count;
};

struct names;

/* Of the modules in a list that outlives it, as what is remembered does. 0 or -ENOMEM. free takes
 * NULL. */
int names_new(struct names **out, const struct module *known, struct remembered *remembered);
void names_free(struct names *names);

/* Borrowed until names_free. NULL: out of memory. */
const struct named *names_find(struct names *names, uintptr_t address);

#endif
