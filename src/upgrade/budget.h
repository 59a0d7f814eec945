/* SPDX-License-Identifier: MIT
 *
 * Is there room for what is handed over? Told before it begins, and by name, since a call in the
 * middle says only that there are too many. Threads: any.
 */
#ifndef UPGRADE_BUDGET_H
#define UPGRADE_BUDGET_H

#include <srun/error.h>
#include <stddef.h>

/* Can this process have `more` descriptors beside those it has? 0, also when that cannot be learnt;
 * or -EMFILE with a text that names the limit. It is a look, and no promise. */
int budget_check(size_t more, srun_err *err);

#endif
