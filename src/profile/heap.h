/* SPDX-License-Identifier: MIT
 *
 * Where memory was asked for, by the samples that jemalloc takes when the program uses it and has
 * turned them on. Any other allocator keeps none. Threads: any.
 */
#ifndef PROFILE_HEAP_H
#define PROFILE_HEAP_H

#include "profile/profile.h"

#include <srun/error.h>

/* Values: objects and bytes that were asked for, then those in use. Without samples: an empty
 * profile, whose remarks say why. 0, -ENOMEM, or a negative errno. */
int heap_profile(struct profile *out, srun_err *err);

/* What jemalloc writes ("heap_v2/524288", then stacks), as values of stacks, without the
 * frames of the allocator (or NULL). False: it is not that. The text is changed. PURE. */
bool heap_parse(char *text, const struct module *allocator, struct stacks *out);

#endif
