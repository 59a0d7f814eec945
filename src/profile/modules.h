/* SPDX-License-Identifier: MIT
 *
 * The code that is mapped into this process, and how to unwind it. Read from /proc/self/maps and
 * from the memory of each module through the kernel: no lock of the loader is taken, a module that
 * is unloaded meanwhile does no harm, and a file that was replaced does not matter.
 *
 * A signal handler reads the present view, which never changes; a new one takes its place.
 * Threads: one at a time; the view: any, in a handler.
 */
#ifndef PROFILE_MODULES_H
#define PROFILE_MODULES_H

#include "profile/cfi.h"

#include <stdatomic.h>

#define MODULE_BUILD_ID_MAX 32

/* A file as it is mapped, or the code that the kernel brings ([vdso]). */
struct module {
    uintptr_t start, end; /* of all its mappings */
    uintptr_t bias;       /* what is to be taken from an address to get the file's own */
    uint64_t device, inode;
    char *path; /* owned; as the kernel says it: with " (deleted)" when it was replaced */
    unsigned char build_id[MODULE_BUILD_ID_MAX];
    size_t build_id_size;
    uintptr_t code_start, code_end; /* the first mapping that can be executed */
    uint64_t code_offset;           /* and where that is in the file */
    struct cfi_rows rows;
    const struct module *next; /* an older one */
};

/* A mapping that can be executed. */
struct code {
    uintptr_t start, end;
    uint64_t offset;             /* in the file */
    const struct module *module; /* NULL: code that lies in no file */
};

struct view {
    size_t count;
    struct code code[]; /* by address */
};

struct modules {
    _Atomic(const struct view *) view; /* NULL before the first refresh */
    const struct module *known;        /* the newest; those that have gone since are kept */
    unsigned count;
    _Atomic unsigned users;
};

/* users is 1; who adds one may read what is known then until modules_free, from any thread. 0 or
 * -ENOMEM. free takes one away; and takes NULL. */
int modules_new(struct modules **out);
void modules_free(struct modules *modules);

/* The newest module of a list that covers an address, or did; NULL: none. */
const struct module *modules_find(const struct module *known, uintptr_t address);

/* Looks again. settle is called before an older view is freed: when it returns no handler reads
 * that one any more. NULL: none does. 0 or a negative errno: the view stays as it was. */
int modules_refresh(struct modules *modules, void (*settle)(void));

/* Async-signal-safe. NULL: no code lies there. */
const struct code *view_find(const struct view *view, uintptr_t address);

#endif
