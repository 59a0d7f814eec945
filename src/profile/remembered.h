/* SPDX-License-Identifier: MIT
 *
 * Names of addresses, from one profile to the next: reading debug information takes time and much
 * memory, and profiles of a program ask for much the same. Bounded: when there is no room nothing
 * more is taken, and the next profile begins with nothing. Threads: one at a time.
 */
#ifndef PROFILE_REMEMBERED_H
#define PROFILE_REMEMBERED_H

#include "profile/modules.h"
#include "profile/naming.h"

#define REMEMBERED_BYTES ((size_t)2 << 20)
#define REMEMBERED_MODULES 256

struct remembered {
    struct remembered_room *room; /* NULL: nothing has been taken yet */
};

/* Between profiles: forgets all when there is no room left, which ends what find has answered. */
void remembered_tidy(struct remembered *remembered);

/* The functions at an address of a module's file, the innermost first, and how many there are,
 * which may be none; NULL: it is not known. The texts live until the next tidy. */
const struct name *remembered_find(const struct remembered *remembered, const struct module *module,
                                   uint64_t at, size_t *count);

/* Copies all. Of a module without build id nothing is taken: another file could look the same. */
void remembered_add(struct remembered *remembered, const struct module *module, uint64_t at,
                    const struct name *names, size_t count);

void remembered_free(struct remembered *remembered);

#endif
