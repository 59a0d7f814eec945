/* SPDX-License-Identifier: MIT
 *
 * The file that is to be run in our place: where it lies. Whether it may be run: origin.h. Threads:
 * any.
 */
#ifndef UPGRADE_BINARY_H
#define UPGRADE_BINARY_H

#include "upgrade/origin.h"

/* Where argv[0] leads to, absolute; path is the PATH of then or NULL. By PATH the file that runs is
 * preferred; another one of that name is taken only when the one that runs has been removed. Sets
 * origin->binary, NULL when there is none. 0 or -ENOMEM. */
int binary_find(struct origin *origin, const char *path);

#endif
