/* SPDX-License-Identifier: MIT
 *
 * The last profiles that were kept: so many, and so many bytes. Who comes pushes out the oldest.
 * PURE but for memory. Threads: one at a time.
 */
#ifndef PROFILE_KEPT_H
#define PROFILE_KEPT_H

#include "base/buf.h"

#include <stdint.h>

#define KEPT_MAX 8
#define KEPT_EACH ((size_t)1 << 20) /* bytes of one */
#define KEPT_ALL ((size_t)4 << 20)  /* of all */
#define KEPT_SERVICE 64
#define KEPT_WHY 160

struct kept_item {
    uint64_t number; /* from 1; never used again */
    int64_t time_ms; /* Unix time */
    bool cpu;        /* body is profile.proto, and top a table of it; else body is text */
    char service[KEPT_SERVICE];
    char why[KEPT_WHY];
    struct buf body, top;
};

struct kept {
    struct kept_item items[KEPT_MAX]; /* oldest first */
    size_t count, bytes;
    uint64_t last; /* number */
};

/* Takes the texts, and gives the item its number. 0; -E2BIG, -ENOMEM: it is freed. */
int kept_add(struct kept *kept, struct kept_item *item);

/* NULL: it was pushed out, or never was. */
const struct kept_item *kept_find(const struct kept *kept, uint64_t number);

void kept_free(struct kept *kept);

#endif
