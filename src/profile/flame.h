/* SPDX-License-Identifier: MIT
 *
 * A profile as a picture: each function a bar as wide as its part, below it those that it calls.
 * An SVG without scripts or styles, for any browser, whatever policy it comes with. Threads: one at
 * a time.
 */
#ifndef PROFILE_FLAME_H
#define PROFILE_FLAME_H

#include "profile/names.h"
#include "profile/pprof.h"

/* By the last value of the kind. Out of memory shows in out. */
void flame_write(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names);

#endif
