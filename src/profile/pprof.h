/* SPDX-License-Identifier: MIT
 *
 * profile.proto of github.com/google/pprof, which `go tool pprof`, Parca and Pyroscope read. Names
 * stand in it; mappings and build ids too, for who knows better. Threads: one at a time.
 */
#ifndef PROFILE_PPROF_H
#define PROFILE_PPROF_H

#include "profile/names.h"
#include "profile/profile.h"

struct pprof_type {
    const char *type, *unit;
};

struct pprof_kind {
    struct pprof_type values[STACKS_VALUES]; /* of a stack; up to one without a type */
    struct pprof_type period;
};

extern const struct pprof_kind pprof_cpu, pprof_threads, pprof_heap, pprof_contention, pprof_births;

/* How many values a stack has; people look at the last one. */
size_t pprof_values(const struct pprof_kind *kind);

/* Adds it to out, whose `failed` tells of memory. */
void pprof_write(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names);

#endif
