/* SPDX-License-Identifier: MIT
 *
 * Levels as text: "INFO", "WARN+2". PURE.
 */
#ifndef LOG_LEVEL_H
#define LOG_LEVEL_H

#include <stddef.h>

#define LEVEL_TEXT_MAX 20

/* No NUL; returns the size. */
size_t level_format(char out[LEVEL_TEXT_MAX], int level);

#endif
