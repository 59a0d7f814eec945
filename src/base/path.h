/* SPDX-License-Identifier: MIT
 *
 * Paths that mean the same for as long as they are kept. Any thread.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

/* Makes an owned path absolute, by the working directory of now; one that is already stays as it
 * is, as NULL and "" do. 0; -ENOMEM; -ENAMETOOLONG; -ENOENT: the working directory is gone. */
int path_make_absolute(char **path);

#endif
