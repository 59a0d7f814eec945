/* SPDX-License-Identifier: MIT
 *
 * A folder with the last profiles that were kept, for who comes when the process has gone. A file
 * is there whole or not at all, for its owner only; so many of them and so many bytes for each
 * program, the oldest go first. Several processes of one program may use it at once, as in an
 * upgrade, and so may several programs. Takes what time the disk takes. Threads: any.
 */
#ifndef PROFILE_FOLDER_H
#define PROFILE_FOLDER_H

#include "profile/kept.h"

#include <srun/error.h>

#define FOLDER_FILES 32
#define FOLDER_BYTES ((int64_t)16 << 20)
#define FOLDER_NAME 128

/* Makes the folder, unless it is there. 0, or a negative errno with a text: it cannot be written
 * to, or others may change what is in it: it is neither root's nor ours, or open to them. */
int folder_check(const char *path, srun_err *err);

/* Writes an item; name: of its file. 0, or a negative errno with a text. */
int folder_keep(const char *path, const char *program, const struct kept_item *item,
                char name[FOLDER_NAME], srun_err *err);

#endif
